"""Saving and restoring states; the only module that knows Orbax."""

from pathlib import Path
from typing import Any, cast

import jax
from absl import logging as absl_logging
from orbax.checkpoint import v1 as ocp

from depthsi.errors import DepthsiError
from depthsi.training.state import State

_REMEDY = "delete that directory to go back to the checkpoint before it."


class Checkpoints:
    """The checkpoints of one run, numbered by global step; a context manager.

    Saving is atomic and in the background: a checkpoint exists whole or not at all, and leaving
    the context waits for the last one.
    """

    def __init__(self, directory: Path, keep: int | None = None) -> None:
        absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about its ordinary work
        self._directory = directory.absolute()
        self._checkpointer = ocp.training.Checkpointer(
            str(self._directory),
            # LatestN is one, whatever its declaration says
            preservation_policy=cast(Any, ocp.training.preservation_policies.LatestN(keep)),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._checkpointer.close()

    @property
    def latest(self) -> int | None:
        """Step of the newest checkpoint, None where there is none."""
        newest = self._checkpointer.latest
        return None if newest is None else newest.step

    def save(self, step: int, state: State) -> None:
        """Starts saving `state`; its buffers may be donated as soon as this returns."""
        self._checkpointer.save_checkpointables_async(step, _split(state), force=True)

    def restore(self, step: int, abstract: State, sharding: jax.sharding.Sharding) -> State:
        """The state saved at `step`, placed by `sharding` on whatever devices there are now.

        Args:
          step: one of the saved steps.
          abstract: shapes and types of a state, as `jax.eval_shape` gives them.
          sharding: of every array.

        Raises:
          DepthsiError: other layers or shapes than in `abstract`, or an unreadable checkpoint.
        """
        loaded = self._load(step, _split(abstract), sharding)
        return loaded["progress"].replace(params=loaded["params"])

    def restore_params(self, step: int, abstract: dict[str, Any]) -> dict[str, Any]:
        """Like `restore`, for the networks' parameters alone, on the first device."""
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        return self._load(step, {"params": abstract}, device)["params"]

    def _load(self, step: int, abstract: dict[str, Any], sharding: jax.sharding.Sharding) -> Any:
        where = f"The checkpoint {self._directory / str(step)}"
        try:
            saved = self._checkpointer.checkpointables_metadata(step).metadata["params"]
        except Exception as error:
            raise DepthsiError(
                f"{where} cannot be read ({_first_line(error)}); {_REMEDY}"
            ) from error
        _check_same_layers(saved, abstract["params"], where)
        placed = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), abstract
        )
        try:
            return self._checkpointer.load_checkpointables(step, placed)
        except Exception as error:
            raise DepthsiError(f"{where} is damaged ({_first_line(error)}); {_REMEDY}") from error


def _split(state: State) -> dict[str, Any]:
    """Parameters apart from the rest, so that they can be read without knowing the optimiser."""
    return {"params": state.params, "progress": state.replace(params={})}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _layers(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in leaves
    }


def _check_same_layers(saved: Any, wanted: Any, where: str) -> None:
    shapes = _layers(saved), _layers(wanted)
    for name in sorted(shapes[0].keys() | shapes[1].keys()):
        has, needs = (layers.get(name, "no such layer") for layers in shapes)
        if has != needs:
            raise DepthsiError(
                f"{where} is of another architecture: {name} is {has} there and {needs} in this"
                " model; use the model settings it was trained with."
            )
