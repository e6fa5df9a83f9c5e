"""The metadata stored with the arrays of a checkpoint, with which it is verified."""

import dataclasses
import json
import zlib
from typing import Any

import jax
import jax.numpy as jnp

from depthsi.errors import DepthsiError
from depthsi.training.checkpoints.digests import digests, named_leaves


class DamagedError(DepthsiError):
    """A checkpoint differs from what was saved; the message says how."""


@dataclasses.dataclass(frozen=True)
class Record:
    """Metadata stored with a checkpoint.

    Attributes:
      step: number of global steps taken. It is also the position in the data: the samples of a
        step, their order and their augmentation depend only on the seed and the step.
      stage: name of the stage that the checkpoint belongs to.
      config: settings of the run, as plain values.
      val: metrics of this state on the split `val`; empty if it was not evaluated.
      arrays: shape, type and digests of every array by path.
      so_far: "train" has the metrics of the step that produced this state, "val" the rows of
        metrics.jsonl with the evaluations up to it; empty in checkpoints of earlier versions.
    """

    step: int
    stage: str
    config: dict[str, Any]
    val: dict[str, float]
    arrays: dict[str, Any]
    so_far: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The record as text, with a checksum of that text, as Orbax stores it."""
        text = json.dumps(dataclasses.asdict(self))
        return {"record": text, "crc32": zlib.crc32(text.encode())}

    @classmethod
    def from_json(cls, values: Any) -> "Record":
        """The inverse of `to_json`.

        Raises:
          DamagedError: `values` differ from the output of `to_json`.
        """
        try:
            text = values["record"]
            if zlib.crc32(text.encode()) != values["crc32"]:
                raise DamagedError("its record does not match its checksum")
            return cls(**json.loads(text))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DamagedError(f"its record cannot be read: {error!r}") from error


def describe(tree: Any) -> dict[str, Any]:
    """Shape, type and digests of every array of `tree`; waits for the devices."""
    sums = digests(tree)
    return {
        name: {"shape": list(leaf.shape), "dtype": str(leaf.dtype), "digests": sums[name]}
        for name, leaf in named_leaves(tree).items()
    }


def params_of(record: Record) -> Any:
    """Shapes and types of the parameters in a checkpoint, as nested dictionaries."""
    tree: dict[str, Any] = {}
    for name, array in record.arrays.items():
        if not name.startswith("params/"):
            continue
        _, *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = jax.ShapeDtypeStruct(array["shape"], jnp.dtype(array["dtype"]))
    return tree


def check_same_arrays(saved: dict[str, Any], wanted: Any, where: str) -> None:
    """Raises DepthsiError unless the record's arrays have the names and shapes of `wanted`.

    Args:
      saved: the record's arrays by path, of the same part of the state as `wanted`.
      wanted: tree of arrays or of their shapes.
      where: name of the checkpoint in the message.
    """
    has = {name: tuple(array["shape"]) for name, array in saved.items()}
    needs = {name: tuple(leaf.shape) for name, leaf in named_leaves(wanted).items()}
    for name in sorted(has.keys() | needs.keys(), key=lambda name: (name[:6] != "params", name)):
        there, here = (arrays.get(name, "no such array") for arrays in (has, needs))
        if there == here:
            continue
        part, _, path = name.partition("/")
        what, this = ("architecture", "model") if part == "params" else ("optimiser", "run")
        raise DepthsiError(
            f"{where} is of another {what}: {path} is {there} there and {here} in this {this}; use"
            " the settings it was trained with."
        )


def check_same_digests(saved: dict[str, Any], loaded: Any) -> None:
    """Raises DamagedError unless every array of `loaded` has the digests of the record."""
    for name, sums in digests(loaded).items():
        if sums != saved[name]["digests"]:
            raise DamagedError(f"{name} does not match its checksum")
