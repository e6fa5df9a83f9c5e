"""Supplies training steps with batches, and decides how many steps one call takes.

A feed turns the pure step of a stage into an `Update` for the loop. Batches come from the host,
with one step per call, or from device memory or the renderer on the devices, with as many steps per
call as there are until the loop next needs the state.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Shaped, UInt8

from depthsi.compilation import loops_on_device, remembered
from depthsi.config import Config, Rooms, ScheduleConfig
from depthsi.data.order import Order
from depthsi.data.pipeline import Samples, to_devices, training_batches
from depthsi.data.resident import check_fits, place, read_resident
from depthsi.rooms.endless import render_rooms
from depthsi.training.parallel import bind, compile_step, split
from depthsi.training.stages import Stage
from depthsi.training.state import State
from depthsi.training.steps import Metrics, TrainStep

Update = Callable[[State, int], tuple[State, int, Any]]
"""(state, its step) -> (later state, its step, metrics: scalars, or vectors over the steps)."""


Draw = Callable[
    [Any, Int[Array, " b"]], tuple[UInt8[Array, "b H W 3"], Float[Array, "b H W"]]
]  # what lies on the devices, sample numbers -> image, depth in metres
DrawnStep = Callable[[State, Any, Int[Array, " b"]], tuple[State, Metrics]]
ManySteps = Callable[
    [State, Any, Int[Array, "most b"], Int[Array, ""]],
    tuple[State, dict[str, Shaped[Array, " most"]]],
]


@runtime_checkable
class Feed(Protocol):
    """Batches of a run, starting at some step.

    Attributes:
      waited: seconds that updates have waited for data so far.
    """

    waited: float

    def update(self, train_step: TrainStep, stage: Stage, sharding: Any) -> Update:
        """The compiled update of `stage`; it donates its state, sharded like `sharding`."""
        ...


def check_feed(config: Config, pairs: Samples | None, mesh: Mesh) -> None:
    """Raises the errors that `open_feed` would raise before reading a sample."""
    if pairs is None or config.data.endless:
        return
    _order(config, pairs)
    if config.data.resident:
        check_fits(len(pairs), config.model.sizes.image, mesh)


@contextlib.contextmanager
def open_feed(config: Config, pairs: Samples | None, mesh: Mesh, step: int) -> Iterator[Feed]:
    """The feed for `config.data`, starting with the batch after global step `step`.

    Args:
      config: settings of the run.
      pairs: samples to train on; not needed for endless rooms.
      mesh: the devices.
      step: number of steps already taken.

    Raises:
      DepthsiError: scenes are unknown, or samples do not fit on the devices.
    """
    data = config.data
    if data.endless:
        yield _DeviceFeed(config, mesh, *_rooms(config, mesh))
    elif pairs is None:
        raise ValueError("`pairs` must not be None unless `config.data.endless` is True")
    elif data.resident:
        yield _DeviceFeed(config, mesh, *_resident(config, pairs, mesh))
    else:
        batches = training_batches(
            pairs,
            config.schedule.batch_size,
            config.seed,
            step,
            even_scenes=data.even_scenes,
            workers=data.workers,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        with contextlib.closing(batches):
            yield _HostFeed(config, to_devices(batches, split(mesh)), mesh)


class _HostFeed:
    def __init__(
        self, config: Config, batches: Iterator[tuple[jax.Array, jax.Array]], mesh: Mesh
    ) -> None:
        self._compute, self._batches, self._mesh = config.compute, batches, mesh
        self.waited = 0.0

    def update(self, train_step: TrainStep, stage: Stage, sharding: Any) -> Update:
        step_of = bind(train_step, self._mesh, self._compute)
        compiled = compile_step(step_of, self._mesh, sharding)

        def run(state: State, step: int) -> tuple[State, int, Any]:
            start = time.perf_counter()
            batch = next(self._batches)
            self.waited += time.perf_counter() - start
            state, metrics = compiled(state, *batch)
            return state, step + 1, metrics

        return run


Numbers = Callable[[int, int], np.ndarray]  # first position, how many -> sample numbers


class _DeviceFeed:
    waited = 0.0  # its data lies where it is used

    def __init__(self, config: Config, mesh: Mesh, data: Any, numbers: Numbers, draw: Draw) -> None:
        self._schedule, self._compute, self._mesh = config.schedule, config.compute, mesh
        self._data, self._numbers, self._draw = data, numbers, draw

    def update(self, train_step: TrainStep, stage: Stage, sharding: Any) -> Update:
        step_of = make_drawn_step(bind(train_step, self._mesh, self._compute), self._draw)
        if not loops_on_device():
            return self._single(compile_step(step_of, self._mesh, sharding))
        return self._looped(compile_step(make_many_steps(step_of), self._mesh, sharding), stage)

    def _single(self, compiled: Callable[..., Any]) -> Update:
        batch = self._schedule.batch_size

        def run(state: State, step: int) -> tuple[State, int, Any]:
            numbers = self._numbers(step * batch, batch).astype(np.int32)
            state, metrics = compiled(state, self._data, numbers)
            return state, step + 1, metrics

        return run

    def _looped(self, compiled: Callable[..., Any], stage: Stage) -> Update:
        batch, most = self._schedule.batch_size, longest_call(self._schedule)

        def run(state: State, step: int) -> tuple[State, int, Any]:
            count = steps_to_pause(self._schedule, stage, step)
            table = np.zeros((most, batch), np.int32)
            table[:count] = self._numbers(step * batch, count * batch).reshape(count, batch)
            state, metrics = compiled(state, self._data, table, np.int32(count))
            return state, step + count, metrics

        return run


def steps_to_pause(schedule: ScheduleConfig, stage: Stage, step: int) -> int:
    """Steps from `step` until something is logged, evaluated or saved, or the stage ends."""
    return min(stage.end - step, *(every - step % every for every in _pauses(schedule)))


def longest_call(schedule: ScheduleConfig) -> int:
    """The most steps that `steps_to_pause` can answer."""
    return min(_pauses(schedule))


def _pauses(schedule: ScheduleConfig) -> list[int]:
    every = (schedule.log_every, schedule.eval_every, schedule.save_every)
    return [steps for steps in every if steps]


def _resident(config: Config, pairs: Samples, mesh: Mesh) -> tuple[Any, Numbers, Draw]:
    data = place(pairs, config.model.sizes.image, mesh)
    return data, _order(config, pairs).numbers, _read_resident(mesh)


@remembered
def _read_resident(mesh: Mesh) -> Draw:
    return lambda data, numbers: read_resident(data, numbers, mesh)


def _order(config: Config, pairs: Samples) -> Order:
    share = config.data.even_scenes
    return Order(len(pairs), config.seed, scenes=pairs.scenes, even_scenes=share)


def _rooms(config: Config, mesh: Mesh) -> tuple[Any, Numbers, Draw]:
    """Position k of the run is scene k."""
    assert isinstance(config.data, Rooms), "only rooms are endless"
    draw = _render(config.data.seed, config.data.scale_range, mesh)
    return (), lambda first, count: np.arange(first, first + count), draw


@remembered
def _render(seed: int, scale_range: tuple[float, float], mesh: Mesh) -> Draw:
    return lambda _, numbers: render_rooms(numbers, seed, scale_range, mesh)


@remembered
def make_drawn_step(train_step: TrainStep, draw: Draw) -> DrawnStep:
    """(state, data, numbers) -> (state, metrics): one step on the samples of these numbers."""

    def step(state: State, data: Any, numbers: Array) -> tuple[State, Metrics]:
        # The barrier keeps the compiler from rounding the step by where its batch comes from.
        return train_step(state, *jax.lax.optimization_barrier(draw(data, numbers)))

    return step


@remembered
def make_many_steps(step: DrawnStep) -> ManySteps:
    """(state, data, numbers, count) -> the state `count` steps later, metrics of each step.

    Row i of `numbers` is the batch of step i; rows from `count` on are not used, and the metrics
    there are 0. The number of steps is not part of the program. It is compiled once, so however a
    run is divided into calls, each step runs the same machine code and gives bit-identical results.
    (A `lax.scan` would be a different program for each length.)
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
