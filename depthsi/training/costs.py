"""Estimates the cost of a run from shapes and compiled programs, without creating arrays."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.sharding import Mesh

from depthsi.config import ComputeConfig, Config
from depthsi.models import make_model
from depthsi.training.parallel import bind, compile_step, split, state_sharding
from depthsi.training.stages import Stage
from depthsi.training.state import abstract_state
from depthsi.training.steps import make_train_step


@dataclasses.dataclass(frozen=True)
class StepMemory:
    """Bytes that one device needs for a step.

    Attributes:
      parameters: parameters of all networks.
      optimiser: optimiser state of the networks that the stage trains.
      batch: images and depth as they arrive from the host.
      temporaries: activations and other temporary arrays of the compiled step; None if the compiler
        does not report them.
    """

    parameters: int
    optimiser: int
    batch: int
    temporaries: int | None


def count_parameters(tree: Any) -> int:
    """Total number of elements in the arrays of a pytree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def forward_flops(config: Config, stage: Stage) -> int:
    """FLOPs of predicting one image with the network that `stage` trains, see `count_flops`."""
    model, params = make_model(config.model), abstract_state(config, stage).params
    image = jax.ShapeDtypeStruct((1, *config.model.sizes.input, 3), jnp.float32)
    return count_flops(
        lambda params, image: model.apply({"params": params}, image, output=stage.output),
        params,
        image,
    )


def step_flops(config: Config, stage: Stage) -> float:
    """FLOPs of a training step per image of the batch, for any number of devices."""
    whole = dataclasses.replace(config, compute=ComputeConfig(remat=config.compute.remat))
    arguments = abstract_state(whole, stage), *_batch(whole)
    return count_flops(make_train_step(whole, stage), *arguments) / config.schedule.batch_size


def step_memory(config: Config, stage: Stage, mesh: Mesh) -> StepMemory:
    """Compiles the step of `stage` for the devices of `mesh` and reports its memory.

    The result is exact for these devices and this compiler, apart from memory that the runtime
    reserves and fragmentation.
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


def count_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """FLOPs of the convolutions and matrix products in one call of `function`.

    A multiply-add counts as 2 FLOPs. Each output of a convolution counts with its whole window,
    including padding; the zeros that the gradient of a strided convolution inserts between its
    inputs do not count. Element-wise operations, sums and pools are ignored. Loops count as often
    as they run, or once if their length is unknown; of several branches the most expensive counts.

    Args:
      function: a function that `jax.make_jaxpr` can trace.
      *arguments: its arguments, or `jax.ShapeDtypeStruct`s like them.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def as_flops(count: int | float) -> str:
    """With a unit: "3.10 GFLOP"."""
    return f"{count / 1e9:.2f} GFLOP" if count >= 1e8 else f"{count / 1e6:.1f} MFLOP"


def _count(jaxpr: core.Jaxpr) -> int:
    return sum(_equation(equation) for equation in jaxpr.eqns)


def _equation(equation: core.JaxprEqn) -> int:
    name, values = equation.primitive.name, equation.params
    if name == "dot_general":
        return _product(equation)
    if name == "conv_general_dilated":
        return _convolution(equation)
    inner = [_count(jaxpr) for value in values.values() for jaxpr in _programs(value)]
    if name == "cond":
        return max(inner)
    times = values["length"] if name == "scan" else 1
    if name == "shard_map":  # its program is that of one device
        times = values["mesh"].size
    return times * sum(inner)


def _programs(value: Any) -> Iterator[core.Jaxpr]:
    """Programs among the parameters of an equation."""
    if isinstance(value, core.ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, core.Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _programs(each)


def _product(equation: core.JaxprEqn) -> int:
    ((contracted, _), _) = equation.params["dimension_numbers"]
    left, outputs = _shape(equation.invars[0]), _shape(equation.outvars[0])
    return 2 * math.prod(outputs) * math.prod(left[i] for i in contracted)


def _convolution(equation: core.JaxprEqn) -> int:
    """Of each output: 2 x window x input channels of its group, where the input has no zeros."""
    dimensions, kernel = equation.params["dimension_numbers"], _shape(equation.invars[1])
    window = math.prod(kernel[i] for i in dimensions.rhs_spec[1:])  # input channels and space
    outputs = math.prod(_shape(equation.outvars[0]))
    return 2 * outputs * window // math.prod(equation.params["lhs_dilation"])


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape
