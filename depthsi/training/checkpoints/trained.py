"""The parameters of a trained run, and which of its networks have been trained."""

from typing import Any

from depthsi.config import Config
from depthsi.errors import DepthsiError
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.stages import make_stages, stage_of
from depthsi.training.state import abstract_state


def trained_params(config: Config, run: RunDirectory) -> tuple[dict[str, Any], int]:
    """Parameters and step of the newest whole checkpoint; warns of damaged ones."""
    abstract = abstract_state(config, make_stages(config)[0]).params
    newest = None
    if run.checkpoints.is_dir():
        with Checkpoints(run.checkpoints) as checkpoints:
            newest = checkpoints.newest_params(abstract)
    if newest is None:
        raise DepthsiError(f"{run.path} has no checkpoint yet: train it first.")
    return newest


def latest_step(run: RunDirectory) -> int | None:
    """Step of the newest checkpoint; writes nothing where there is none."""
    if not run.checkpoints.is_dir():
        return None
    with Checkpoints(run.checkpoints) as checkpoints:
        return checkpoints.latest


def trained_outputs(config: Config, step: int) -> list[str]:
    """The outputs whose stage has begun by `step`, the last one the best trained."""
    stages = make_stages(config)
    reached = stage_of(stages, step)
    return [stage.output for stage in stages if stage.start <= reached.start]
