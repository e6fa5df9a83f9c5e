"""What several verbs need of a run: its data, its newest parameters."""

from typing import Any

import jax

from depthsi.config import Config
from depthsi.data.samples import Source
from depthsi.data.sources import open_source
from depthsi.errors import DepthsiError
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints import Checkpoints
from depthsi.training.stages import make_stages, stage_of
from depthsi.training.state import initial_state

BATCH = 16  # pictures evaluated at a time


def split_source(config: Config, split: str) -> Source:
    data = config.data
    counts = {"train": data.train, "val": data.val, "test": data.test}
    try:
        return open_source(
            data.kind,
            split,
            root=data.root,
            size=config.model.sizes.image,
            count=counts.get(split, 0),
            seed=data.seed,
            scale_range=data.scale_range,
        )
    except DepthsiError as error:
        if split == "val" and data.kind == "folder":
            remedy = "to train without looking at a split 'val', set --schedule.eval-every 0."
            raise DepthsiError(f"{error} Or {remedy}") from error
        raise


def trained_params(config: Config, run: RunDirectory) -> tuple[dict[str, Any], int]:
    """Parameters and step of the newest checkpoint."""
    stages = make_stages(config.schedule)
    if (latest := latest_step(run)) is None:
        raise DepthsiError(f"{run.path} has no checkpoint yet: train it first.")
    with Checkpoints(run.checkpoints) as checkpoints:
        abstract = jax.eval_shape(lambda: initial_state(config, stages[0])).params
        return checkpoints.restore_params(latest, abstract), latest


def latest_step(run: RunDirectory) -> int | None:
    """Step of the newest checkpoint; writes nothing where there is none."""
    if not run.checkpoints.is_dir():
        return None
    with Checkpoints(run.checkpoints) as checkpoints:
        return checkpoints.latest


def trained_outputs(config: Config, step: int) -> list[Any]:
    reached = stage_of(make_stages(config.schedule), step)
    return ["coarse"] if reached.name == "coarse" else ["coarse", "fine"]
