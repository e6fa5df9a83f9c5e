"""The network of a trained run, out of its checkpoints."""

import math
import os
import warnings
from pathlib import Path
from typing import Any

from depthsi.config import HIGHER_IS_BETTER, Config
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.runs import RunDirectory, is_run
from depthsi.scale import describe_scale
from depthsi.training.stages import make_stages, stage_of
from depthsi.weights.network_file import TrainedNetwork, read_description, read_network

WEIGHTS_SUFFIX = ".safetensors"


def is_model(path: str | os.PathLike[str]) -> bool:
    """Whether `trained_network` takes `path` for a run or a file of weights."""
    return Path(path).suffix == WEIGHTS_SUFFIX or is_run(path)


def trained_network(path: Path, checkpoint: str = "newest") -> TrainedNetwork:
    """The network of a file of weights, or of the newest, the best or a certain checkpoint.

    The newest one of a finished run is read from its file of weights, which is quicker than from
    the checkpoint. Damaged checkpoints are warned of, and the one before is read.

    Args:
      path: the file, or the directory of a run.
      checkpoint: of a run: newest, best, or a step.

    Raises:
      DepthsiError: no run there, no such checkpoint, or nothing whole.
    """
    if path.suffix == WEIGHTS_SUFFIX:
        if checkpoint != "newest":
            raise DepthsiError(f"{path} is a file of weights, without checkpoints to choose from.")
        return read_network(path)
    run = RunDirectory(path)
    config = run.config()
    step = _wanted(run, config, checkpoint)
    if (network := _from_file(run, config, step)) is not None:
        return network
    params, step = _from_checkpoint(run, config, None if checkpoint == "newest" else step)
    outputs = trained_outputs(config, step)
    return TrainedNetwork(config.model, params, outputs, step, known_about(run, config, step))


def known_about(run: RunDirectory, config: Config, step: int) -> dict[str, Any]:
    """What the evaluation of a checkpoint says of its network, see `depthsi.scale`."""
    from depthsi.training.checkpoints.record import DamagedError
    from depthsi.training.checkpoints.store import Checkpoints

    with Checkpoints(run.checkpoints) as checkpoints:
        try:
            val = checkpoints.record(step).val
        except DamagedError:
            return {}
    return describe_scale(val, trained_outputs(config, step)[-1])


def latest_step(run: RunDirectory) -> int | None:
    """Step of the newest checkpoint, None where there is none."""
    return max(_steps(run), default=None)


def trained_outputs(config: Config, step: int) -> tuple[str, ...]:
    """The outputs whose stage has begun by `step`, the last one the best trained."""
    stages = make_stages(config)
    reached = stage_of(stages, step)
    return tuple(stage.output for stage in stages if stage.start <= reached.start)


def _steps(run: RunDirectory) -> list[int]:
    directory = run.checkpoints
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal())


def _wanted(run: RunDirectory, config: Config, checkpoint: str) -> int:
    """The step that `checkpoint` stands for."""
    steps = _steps(run)
    if not steps:
        raise DepthsiError(f"{run.path} has no checkpoint yet: train it first.")
    if checkpoint == "newest":
        return steps[-1]
    if checkpoint == "best":
        step, what = _best(run, config), f"with the metric {config.schedule.best} of an evaluation"
    else:
        step, what = int(checkpoint) if checkpoint.isdecimal() else -1, f"of step {checkpoint!r}"
    if step not in steps:
        there = ", ".join(map(str, steps))
        raise DepthsiError(
            f"{run.path} has no checkpoint {what}: choose newest, best or one of {there}."
        )
    return step


def _best(run: RunDirectory, config: Config) -> int:
    """Step of the checkpoint with the best metric of an evaluation; -1 if none has one."""
    from depthsi.training.checkpoints.record import DamagedError
    from depthsi.training.checkpoints.store import Checkpoints

    name, scores = config.schedule.best, {}
    sign = -1 if name in HIGHER_IS_BETTER else 1
    with Checkpoints(run.checkpoints) as checkpoints:
        for step in checkpoints.steps:
            try:
                value = checkpoints.record(step).val.get(name, math.nan)
            except DamagedError:
                continue
            if math.isfinite(value):
                scores[step] = sign * value
    return min(scores, key=lambda step: (scores[step], step), default=-1)


def _from_file(run: RunDirectory, config: Config, step: int) -> TrainedNetwork | None:
    """The network of the file of weights, if it is that of the checkpoint of `step`."""
    if not run.weights.is_file():
        return None
    try:
        described = read_description(run.weights)
        if (described.step, described.settings) != (step, config.model):
            return None
        return read_network(run.weights)
    except DepthsiError as error:
        text = f"{error} The checkpoint of step {step} is read in its place."
        warnings.warn(text, DepthsiWarning, stacklevel=2)
        return None


def _from_checkpoint(
    run: RunDirectory, config: Config, only: int | None
) -> tuple[dict[str, Any], int]:
    from depthsi.training.checkpoints.store import Checkpoints  # takes seconds to import
    from depthsi.training.state import abstract_state

    abstract = abstract_state(config, make_stages(config)[0]).params
    with Checkpoints(run.checkpoints) as checkpoints:
        found = checkpoints.newest_params(abstract, only=only)
    if found is None:
        raise DepthsiError(f"{run.path} has no checkpoint yet: train it first.")
    return found
