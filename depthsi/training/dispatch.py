"""Training steps whose batches come from the device itself, and many of them in one call."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped, UInt8

from depthsi.training.state import State
from depthsi.training.steps import Metrics, TrainStep

Draw = Callable[
    [Any, Int[Array, " b"]], tuple[UInt8[Array, "b H W 3"], Float[Array, "b H W"]]
]  # what lies on the devices, sample numbers -> image, depth in metres
DrawnStep = Callable[[State, Any, Int[Array, " b"]], tuple[State, Metrics]]
Dispatch = Callable[
    [State, Any, Int[Array, "most b"], Int[Array, ""]],
    tuple[State, dict[str, Shaped[Array, " most"]]],
]


def make_drawn_step(train_step: TrainStep, draw: Draw) -> DrawnStep:
    """(state, data, numbers) -> (state, metrics): one step on the samples of these numbers."""

    def step(state: State, data: Any, numbers: Array) -> tuple[State, Metrics]:
        # The barrier keeps the compiler from rounding the step by where its batch comes from.
        return train_step(state, *jax.lax.optimization_barrier(draw(data, numbers)))

    return step


def make_dispatch(step: DrawnStep) -> Dispatch:
    """(state, data, numbers, count) -> the state `count` steps later, metrics of each step.

    Row i of `numbers` is the batch of step i; rows from `count` on are not used, and the metrics
    there are 0. How many steps to take is no part of the program: it is compiled once, and however
    a run is cut into calls, each step is the same machine code and gives the same bits. (A
    `lax.scan` would be another program for each length.)
    """

    def dispatch(
        state: State, data: Any, numbers: Array, count: Array
    ) -> tuple[State, dict[str, Array]]:
        _, shapes = jax.eval_shape(step, state, data, numbers[0])
        empty = {name: jnp.zeros(len(numbers), one.dtype) for name, one in shapes.items()}

        def body(i: Array, carry: tuple[State, dict[str, Array]]) -> tuple[State, dict[str, Array]]:
            state, kept = carry
            state, metrics = step(state, data, numbers[i])
            return state, {name: kept[name].at[i].set(metrics[name]) for name in kept}

        return jax.lax.fori_loop(0, count, body, (state, empty))

    return dispatch
