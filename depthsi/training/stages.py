"""The stages of a run as data.

The paper's networks have two stages: coarse first, then fine on top of the fixed coarse network.
The comparison networks have one stage, with as many samples as those two together.
"""

import dataclasses

from depthsi.config import Config
from depthsi.errors import DepthsiError


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of the training with its own trained parameters, output and optimiser.

    Attributes:
      name: name of the stage in logs, and key of the parameters it trains.
      output: network output that its loss uses.
      start: global step before its first step.
      steps: number of steps.

    Example:
      >>> from depthsi.training import Stage
      >>> Stage("fine", output="fine", start=100, steps=50).end
      150
    """

    name: str
    output: str
    start: int
    steps: int

    @property
    def end(self) -> int:
        """Global step of its last step."""
        return self.start + self.steps


def step_settings(config: Config) -> Config:
    """`config` with the defaults of everything that steps and states do not depend on.

    Runs that differ in nothing else share their compiled steps, see `depthsi.compilation`.
    """
    unused = Config()
    return dataclasses.replace(
        config, data=unused.data, schedule=unused.schedule, init=unused.init, seed=unused.seed
    )


def make_stages(config: Config) -> tuple[Stage, ...]:
    """The stages of a run; samples are rounded up to whole steps.

    Args:
      config: settings of the run.

    Example:
      >>> from depthsi.config import Config, ScheduleConfig
      >>> from depthsi.training import make_stages
      >>> schedule = ScheduleConfig(batch_size=32, coarse_samples=1000, fine_samples=320)
      >>> [(stage.name, stage.steps) for stage in make_stages(Config(schedule=schedule))]
      [('coarse', 32), ('fine', 10)]
    """
    schedule, outputs = config.schedule, config.model.outputs
    counts = (schedule.coarse_samples, schedule.fine_samples)
    samples = dict(zip(outputs, counts if len(outputs) > 1 else (sum(counts),), strict=True))
    stages, start = [], 0
    for name, count in samples.items():
        if steps := -(-count // schedule.batch_size):
            stages.append(Stage(name, name, start, steps))
            start += steps
    return tuple(stages)


def stage_of(stages: tuple[Stage, ...], step: int) -> Stage:
    """The stage that produced the state of global step `step`, including its optimiser state.

    Raises:
      DepthsiError: the step lies beyond the last stage.
    """
    for stage in stages:
        if step <= stage.end:
            return stage
    raise DepthsiError(
        f"The checkpoint of step {step} lies beyond the schedule's {stages[-1].end} steps:"
        " use the settings the run was started with."
    )


def check_warmup(config: Config) -> None:
    """Raises DepthsiError unless the rate's warm-up ends before each stage of a new run does."""
    warmup, several = config.optim.warmup, len(config.model.outputs) > 1
    for stage in make_stages(config):
        if warmup and warmup >= stage.steps:
            samples = f"--schedule.{stage.name if several else 'coarse'}-samples"
            raise DepthsiError(
                f"--optim.warmup is {warmup} steps, but the stage {stage.name} has {stage.steps}"
                f" in total: set it below {stage.steps}, or raise {samples}."
            )
