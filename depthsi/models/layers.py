"""Pieces both networks share: pooling, local response normalisation, initialisers, widths."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from depthsi.geometry import Window

Initializer = jax.nn.initializers.Initializer


def max_pool(x: Float[Array, "b h w c"], window: Window) -> Float[Array, "b oh ow c"]:
    """Maximum over `window`, written as the maximum of strided slices, one axis after the other.

    Equal to `flax.linen.max_pool`, and so is its gradient wherever the maximum is unique (tied
    maxima share theirs), but XLA's select-and-scatter, many times slower on CPUs, is not used.
    """
    if any(p for axis in window.padding for p in axis):
        x = jnp.pad(x, ((0, 0), *window.padding, (0, 0)), constant_values=-jnp.inf)
    for axis in (1, 2):
        last = x.shape[axis] - window.kernel
        slices = (
            jax.lax.slice_in_dim(x, i, last + i + 1, window.stride, axis)
            for i in range(window.kernel)
        )
        x = functools.reduce(jnp.maximum, slices)
    return x


def local_response_norm(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """x * (2 + 1e-4 * sum of x^2 over 5 neighbouring channels)^-0.75, as in the authors' code."""
    squares = jnp.pad(jnp.square(x), ((0, 0), (0, 0), (0, 0), (2, 2)))
    channels = x.shape[-1]
    total = sum(squares[..., i : i + channels] for i in range(5))
    return x * (2.0 + 1e-4 * total) ** -0.75


def scaled_width(channels: int, width: float, least: int = 1) -> int:
    """Number of channels a layer of the paper's `channels` has under the width multiplier."""
    return max(least, round(channels * width))


def symmetric_uniform(bound: float) -> Initializer:
    """Uniform on [-bound, bound)."""

    def init(key: Any, shape: Any, dtype: Any = jnp.float32, out_sharding: Any = None) -> Any:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
