"""Initial parameters, drawn without compiling a program for each layer.

Compiling a network's `init` takes a CPU many times longer than running it, because XLA compiles the
random numbers of every shape anew. The initialisers here are ordinary ones, and also describe
themselves, so that `initial_params` can draw all of them with one small program.
"""

import contextlib
import dataclasses
import functools
import math
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Literal

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from depthsi.compilation import quick_jit

Unit = Literal["normal", "truncated", "uniform"]

_CHUNK = 2**16  # numbers drawn by one call of the compiled program
_TRUNCATED_STD = 0.87962566103423978  # of the standard normal distribution cut off at -2 and 2
_UNITS: dict[Unit, Callable[[Any, tuple[int, ...], Any], jax.Array]] = {
    "normal": jax.random.normal,
    "truncated": lambda key, shape, dtype: jax.random.truncated_normal(key, -2, 2, shape, dtype),
    "uniform": lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -1, 1),
}
_WAY: ContextVar[Literal["draw", "describe", "shape"]] = ContextVar("way", default="draw")


@dataclasses.dataclass(frozen=True)
class Draw:
    """An initialiser as Flax and JAX have them: (key, shape, dtype) -> array.

    Attributes:
      unit: distribution: standard normal, that cut off at -2 and 2, or uniform on [-1, 1).
      scale: shape -> factor on it.
      finish: what to change of the scaled values, a function of NumPy or JAX arrays.
    """

    unit: Unit
    scale: Callable[[tuple[int, ...]], float]
    finish: Callable[[Any], Any] | None = None

    def __call__(
        self, key: Any, shape: Any, dtype: Any = jnp.float32, out_sharding: Any = None
    ) -> Any:
        if (way := _WAY.get()) != "draw":
            zeros = jnp.zeros(shape, dtype)
            return zeros if way == "shape" else _Described(zeros, self)
        return self.scaled(_UNITS[self.unit](key, tuple(shape), dtype))

    def scaled(self, units: Any) -> Any:
        """The parameter made of numbers drawn from `unit`."""
        values = units * self.scale(units.shape)
        return values if self.finish is None else self.finish(values)


class _Described(flax.struct.PyTreeNode, nn.meta.AxisMetadata):
    """Zeros instead of a parameter, with the initialiser that is to draw it."""

    value: Any
    draw: Draw = flax.struct.field(pytree_node=False)

    def unbox(self) -> Any:
        return self.value

    def replace_boxed(self, val: Any) -> "_Described":
        return self.replace(value=val)

    def add_axis(self, index: int, params: dict[Any, Any]) -> "_Described":
        return self

    def remove_axis(self, index: int, params: dict[Any, Any]) -> "_Described":
        return self


def normal(std: float) -> Draw:
    """Normal with mean 0."""
    return Draw("normal", lambda shape: std)


def symmetric_uniform(bound: float) -> Draw:
    """Uniform on [-bound, bound)."""
    return Draw("uniform", lambda shape: bound)


def fan_in_normal(variance: float) -> Draw:
    """Normal with a variance of `variance` divided by the number of inputs of an output."""
    return Draw("normal", lambda shape: math.sqrt(variance / math.prod(shape[:-1])))


def he_normal(finish: Callable[[Any], Any] | None = None) -> Draw:
    """Normal cut off at two standard deviations, of variance 2 over the number of inputs.

    It keeps the variance of what a ReLU gives (He et al. 2015, https://arxiv.org/abs/1502.01852).
    """
    return Draw(
        "truncated",
        lambda shape: math.sqrt(2 / math.prod(shape[:-1])) / _TRUNCATED_STD,
        finish,
    )


def initial_params(model: nn.Module, key: Any, *inputs: Any, **options: Any) -> dict[str, Any]:
    """Parameters like those of `model.init(key, *inputs, **options)["params"]`, drawn quickly.

    The distributions are the same, but the values differ: each parameter depends only on the key
    and on its own name. Initialisers other than `Draw` are compiled as usual.

    Args:
      model: any Linen module; called outside jit.
      key: typed or raw PRNG key.
      inputs: arguments of the module's `__call__`.
      options: keyword arguments of the module's `__call__`.

    Returns:
      Nested dictionaries of NumPy arrays.

    Example:
      >>> import jax
      >>> from depthsi.models import initial_params, make_model
      >>> net = make_model("two_scale", width=0.02)
      >>> params = initial_params(net, jax.random.key(0), net.example_image())
      >>> params["coarse"]["conv1"]["kernel"].shape
      (11, 11, 3, 2)
    """
    with _way("describe"):
        described = quick_jit(lambda key: model.init(key, *inputs, **options)["params"])(key)

    def drawn(path: tuple[Any, ...], leaf: Any) -> Any:
        if not isinstance(leaf, _Described):
            return np.asarray(leaf)
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        units = _draw_units(leaf.draw.unit, key, name, math.prod(leaf.value.shape))
        return leaf.draw.scaled(units.reshape(leaf.value.shape)).astype(leaf.value.dtype)

    params = jax.tree_util.tree_map_with_path(
        drawn, described, is_leaf=lambda leaf: isinstance(leaf, _Described)
    )
    return nn.meta.unbox(params)  # of what modules of others keep about them


def quick_shapes(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """In a module that is being applied: lets Flax compare shapes without tracing random numbers.

    Flax compares each parameter with what its initialiser would make, which would otherwise take
    half the time of tracing a network.
    """
    return contextlib.nullcontext() if model.is_initializing() else _way("shape")


@contextlib.contextmanager
def _way(way: Literal["describe", "shape"]) -> Iterator[None]:
    token = _WAY.set(way)
    try:
        yield
    finally:
        _WAY.reset(token)


def _draw_units(unit: Unit, key: Any, name: str, count: int) -> np.ndarray:
    number = np.uint32(zlib.crc32(name.encode()))
    chunks = [_chunk(unit, key, number, np.uint32(i)) for i in range(-(-count // _CHUNK))]
    return np.concatenate([np.asarray(chunk) for chunk in chunks])[:count]


@functools.partial(jax.jit, static_argnums=0)
def _chunk(unit: Unit, key: Any, parameter: Any, number: Any) -> jax.Array:
    key = jax.random.fold_in(jax.random.fold_in(key, parameter), number)
    return _UNITS[unit](key, (_CHUNK,), jnp.float32)
