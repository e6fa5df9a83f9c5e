"""Pieces the networks share: pooling, normalisation, dropout, widths."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from depthsi.geometry import Window


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
    """x * (2 + 1e-4 * sum of x^2 over 5 neighbouring channels)^-0.75, as in the authors' code.

    Computed in float32, whatever the type of `x`, which the result has again.
    """
    wide = x.astype(jnp.float32)
    squares = jnp.pad(jnp.square(wide), ((0, 0), (0, 0), (0, 0), (2, 2)))
    channels = x.shape[-1]
    total = sum(squares[..., i : i + channels] for i in range(5))
    return (wide * (2.0 + 1e-4 * total) ** -0.75).astype(x.dtype)


class Dropout(nn.Module):
    """Zeroes a share `rate` of the values and scales up the others, each example by its own key.

    The mask of an example depends on the key "dropout" and the example's number alone: not on how
    many others are computed beside it, nor on which device.
    """

    rate: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "b ..."], *, train: bool, examples: Int[Array, " b"] | None = None
    ) -> Float[Array, "b ..."]:
        """Drops values if `train`; `examples` are the numbers of the examples, 0 .. b - 1."""
        if not train or self.rate == 0:
            return x
        key = self.make_rng("dropout")
        numbers = jnp.arange(len(x)) if examples is None else examples

        def kept(number: Array) -> Array:
            return jax.random.bernoulli(jax.random.fold_in(key, number), 1 - self.rate, x.shape[1:])

        return jnp.where(jax.vmap(kept)(numbers), x / (1 - self.rate), 0)


def scaled_width(channels: int, width: float, least: int = 1) -> int:
    """Number of channels a layer of the paper's `channels` has under the width multiplier."""
    return max(least, round(channels * width))
