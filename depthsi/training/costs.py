"""What a run will cost, from shapes and compiled programs; no array is ever made."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from depthsi.config import ComputeConfig, Config
from depthsi.flops import count_flops
from depthsi.models import make_model
from depthsi.training.parallel import bind, compile_step, split, state_sharding
from depthsi.training.stages import Stage
from depthsi.training.state import abstract_state
from depthsi.training.steps import make_train_step


@dataclasses.dataclass(frozen=True)
class StepMemory:
    """Bytes that one device needs for a step.

    Attributes:
      parameters: of all networks.
      optimiser: what the optimiser keeps of the networks that the stage trains.
      batch: pictures and depth, as they come from the host.
      temporaries: activations and whatever else the compiled step needs on the way; None where the
        compiler does not say.
    """

    parameters: int
    optimiser: int
    batch: int
    temporaries: int | None


def count_parameters(tree: Any) -> int:
    """Numbers in all arrays of a pytree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def forward_flops(config: Config, stage: Stage) -> int:
    """FLOPs of predicting one picture with what `stage` trains, see `count_flops`."""
    model, params = make_model(config.model), abstract_state(config, stage).params
    image = jax.ShapeDtypeStruct((1, *config.model.sizes.input, 3), jnp.float32)
    return count_flops(
        lambda params, image: model.apply({"params": params}, image, output=stage.output),
        params,
        image,
    )


def step_flops(config: Config, stage: Stage) -> float:
    """FLOPs of a training step for each image in its batch, on however many devices."""
    whole = dataclasses.replace(config, compute=ComputeConfig(remat=config.compute.remat))
    arguments = abstract_state(whole, stage), *_batch(whole)
    return count_flops(make_train_step(whole, stage), *arguments) / config.schedule.batch_size


def step_memory(config: Config, stage: Stage, mesh: Mesh) -> StepMemory:
    """Compiles the step of `stage` for the devices of `mesh` and asks what it takes there.

    That is exact for these devices and this compiler, but for what the runtime keeps for itself and
    the allocator loses between arrays.
    """
    state, batch = abstract_state(config, stage), _batch(config)
    places = state_sharding(state, mesh)
    state = jax.tree.map(_placed, state, places)
    batch = tuple(_placed(each, split(mesh)) for each in batch)
    step = bind(make_train_step(config, stage), mesh, config.compute)
    analysis = compile_step(step, mesh, places).lower(state, *batch).compile().memory_analysis()
    return StepMemory(
        _bytes(state.params),
        _bytes(state.opt_state),
        _bytes(batch),
        None if analysis is None else analysis.temp_size_in_bytes,
    )


def _batch(config: Config) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    shape = config.schedule.batch_size, *config.model.sizes.image
    return (
        jax.ShapeDtypeStruct((*shape, 3), jnp.uint8),
        jax.ShapeDtypeStruct(shape, jnp.float32),
    )


def _placed(leaf: jax.ShapeDtypeStruct, sharding: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _bytes(tree: Any) -> int:
    """On each device."""
    return sum(
        jax.ShapeDtypeStruct(leaf.sharding.shard_shape(leaf.shape), leaf.dtype).size
        * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )
