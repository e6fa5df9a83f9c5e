"""The paper's two stages as data: coarse first, then fine on top of the fixed coarse network."""

import dataclasses

from depthsi.config import Config
from depthsi.errors import DepthsiError
from depthsi.models.two_scale import Output


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stretch of training with its own trained subtree, output and optimiser.

    Attributes:
      name: what logs call it, and the key of the parameters it trains.
      output: the map its loss looks at.
      start: global step before its first.
      steps: how many steps it has.
    """

    name: str
    output: Output
    start: int
    steps: int

    @property
    def end(self) -> int:
        """Global step after its last."""
        return self.start + self.steps


def make_stages(config: Config) -> tuple[Stage, ...]:
    """The stages of a run; samples are rounded up to whole steps."""
    schedule = config.schedule
    coarse = -(-schedule.coarse_samples // schedule.batch_size)
    fine = -(-schedule.fine_samples // schedule.batch_size)
    stages = (Stage("coarse", "coarse", 0, coarse), Stage("fine", "fine", coarse, fine))
    return tuple(stage for stage in stages if stage.steps)


def stage_of(stages: tuple[Stage, ...], step: int) -> Stage:
    """The stage whose optimiser state belongs to global step `step`: the one that made it.

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
