"""A mesh over all devices, and how batches and states are divided over it.

The mesh has two axes, "data" and "model". Batches are divided over both: to everything but the full
layers fc6 and fc7 the devices are alike. Each of these two may be split over "model", fc6 by its
outputs and fc7 by its inputs; a group of `model` devices then gathers its features before fc6 and
adds up its parts once, after fc7, instead of every device holding and updating all the weights
(A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from depthsi import compilation
from depthsi.config import ComputeConfig
from depthsi.errors import DepthsiError

DATA, MODEL = "data", "model"

# How the full layers' parameters are split, by layer and name.
_SPLIT = {
    "fc6/kernel": PartitionSpec(None, MODEL),
    "fc6/bias": PartitionSpec(MODEL),
    "fc7/kernel": PartitionSpec(MODEL, None),
}


def make_mesh(
    batch_size: int,
    compute: ComputeConfig = ComputeConfig(),  # noqa: B008 (frozen)
) -> Mesh:
    """All devices of all processes: axis "data" by axis "model" of `compute.model_devices`.

    The devices of a process are neighbours, so that its part of a batch is contiguous, and those
    that share layers are of one process where their number allows it.

    Raises:
      DepthsiError: there are too few devices, they cannot share the batch equally, or the binding
        cannot use them.
    """
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    count, shared = len(devices), compute.model_devices
    if count % shared:
        raise DepthsiError(
            f"compute.model_devices is {shared}, but there are {count} devices, which cannot be"
            f" divided into groups of {shared}: choose a divisor of {count}."
        )
    if compute.binding == "pmap" and jax.process_count() > 1:
        raise DepthsiError(
            f"compute.binding pmap needs a single process, but there are {jax.process_count()}: set"
            " compute.binding jit."
        )
    parts = count * compute.accumulate
    if batch_size % parts:
        turns = f" in {compute.accumulate} parts" if compute.accumulate > 1 else ""
        raise DepthsiError(
            f"schedule.batch_size is {batch_size}, which {count} devices cannot share"
            f" equally{turns}: use a multiple of {parts}."
        )
    return Mesh(np.array(devices).reshape(-1, shared), (DATA, MODEL))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis divided among all devices."""
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


def place_batch(batch: np.ndarray, mesh: Mesh) -> jax.Array:
    """A batch that every process has: divided among all devices, or replicated if it cannot be.

    All processes then compute the same result, each with its share of the work.
    """
    sharding = replicated(mesh) if len(batch) % mesh.size else split(mesh)
    return jax.make_array_from_callback(batch.shape, sharding, lambda part: batch[part])


def state_sharding(abstract: Any, mesh: Mesh) -> Any:
    """Where each array of a state belongs, as a pytree of shardings.

    Args:
      abstract: a state or parameters, arrays or their shapes and types.
      mesh: made by `make_mesh`.

    Returns:
      Shards over the mesh's axis "model" for fc6, fc7 and their optimiser arrays; copies on every
      device for all other arrays.

    Raises:
      DepthsiError: fc6 or fc7 cannot be divided equally.
    """

    def place(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        spec = _SPLIT.get("/".join(name.split("/")[-2:]), PartitionSpec())
        if len(spec) != len(leaf.shape):  # an optimiser may keep less than a copy of a kernel
            return replicated(mesh)
        for size, axis in zip(leaf.shape, spec, strict=True):
            if axis and size % mesh.shape[axis]:
                raise DepthsiError(
                    f"compute.model_devices is {mesh.shape[axis]}, which cannot share"
                    f" the {size} units of fc6 equally: use a divisor of {size}, or another"
                    " model.width."
                )
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(place, abstract)


@compilation.remembered
def bind(train_step: Callable[..., Any], mesh: Mesh, compute: ComputeConfig) -> Callable[..., Any]:
    """`train_step` over the whole batch, to be jitted: as it is, or mapped over the devices.

    Under jit the compiler divides the step by where its arguments lie. Under pmap each device runs
    it on its part of the batch, and the step itself adds up over the axis "data".
    """
    if compute.binding == "jit":
        return _with_parts_of_fc6(train_step, mesh) if compute.model_devices > 1 else train_step
    devices = list(mesh.devices.flat)
    mapped = jax.pmap(train_step, DATA, in_axes=(None, 0, 0), out_axes=None, devices=devices)

    def step(state: Any, *batch: jax.Array) -> Any:
        return mapped(state, *(x.reshape(len(devices), -1, *x.shape[1:]) for x in batch))

    return step


def _with_parts_of_fc6(train_step: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """`train_step` in which each device computes its part of the outputs of fc6 for its group.

    Left to itself, the compiler may as well gather the weights that `state_sharding` divides, and
    add up the gradients of all of them: more to send than with copies everywhere.
    """
    parts = NamedSharding(mesh, PartitionSpec(DATA, MODEL))

    def call(layer: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        y = layer(*args, **kwargs)
        ours = context.module.name == "fc6" and context.method_name == "__call__"
        return jax.lax.with_sharding_constraint(y, parts) if ours else y

    def step(*args: Any) -> Any:
        with nn.intercept_methods(call):
            return train_step(*args)

    return step


def compile_step(step: Callable[..., Any], mesh: Mesh, sharding: Any) -> jax.stages.Wrapped:
    """Compiles `step`, (state, ...) -> (state, metrics), donating the state.

    Args:
      step: from `bind`, or something around it.
      mesh: the devices.
      sharding: sharding of the state, before and after, see `state_sharding`; metrics are
        everywhere.
    """
    leaves, structure = jax.tree.flatten(sharding)
    return _compiled_step(step, mesh, tuple(leaves), structure)


@compilation.remembered
def _compiled_step(
    step: Callable[..., Any], mesh: Mesh, leaves: tuple[Any, ...], structure: Any
) -> jax.stages.Wrapped:
    sharding = jax.tree.unflatten(structure, leaves)
    return compilation.jit(step, donate_argnums=0, out_shardings=(sharding, replicated(mesh)))
