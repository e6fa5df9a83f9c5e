"""Steps common to all losses: checking the arguments, masking, and choosing the computing type.

Masking comes before any arithmetic that could turn garbage into NaN: a difference is linear, so
one `where` behind it keeps NaN and infinity out of the value *and* of the gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from depthsi.array_checks import Axis, as_axes, as_pair, as_where
from depthsi.losses._sums import count_valid

POOLINGS = ("image", "batch")


class Residual(NamedTuple):
    """The masked difference predictions - targets and the pixels it counts.

    Attributes:
      values: float32 (float64 for float64 inputs), exactly 0 where masked.
      valid: which pixels count; None is all of them.
      axes: the axes of one image, non-negative and ascending.
    """

    values: Float[Array, "*shape"]
    valid: Bool[Array, "*shape"] | None
    axes: tuple[int, ...]

    def keep(self, values: Array) -> Array:
        """`values` with 0 where masked."""
        return values if self.valid is None else jnp.where(self.valid, values, 0)

    def total(self, values: Array) -> Array:
        """Sum over the pixels of each image; `values` must be 0 where masked."""
        return jnp.sum(values, axis=self.axes)

    def spread(self, per_image: Array) -> Array:
        """A number per image as an array that broadcasts against the pixels."""
        return jnp.expand_dims(per_image, self.axes)

    def pixels(self) -> Float[Array, "*batch"]:
        """Number of valid pixels of each image."""
        return count_valid(self.values.shape, self.values.dtype, self.valid, self.axes)


def masked_residual(
    predictions: ArrayLike, targets: ArrayLike, where: ArrayLike | None, axis: Axis
) -> Residual:
    """predictions - targets, 0 where masked, after the checks of the arguments."""
    left, right = as_pair(predictions, targets)
    valid = as_where(where, left.shape)
    residual = Residual(left - right, valid, as_axes(axis, left.ndim))
    return residual._replace(values=residual.keep(residual.values))


def masked_pair(
    predictions: ArrayLike, targets: ArrayLike, where: ArrayLike | None, axis: Axis
) -> tuple[Residual, Residual]:
    """Predictions and targets apart, each 0 where masked: for formulas that multiply them."""
    left, right = as_pair(predictions, targets)
    valid = as_where(where, left.shape)
    axes = as_axes(axis, left.ndim)
    pair = Residual(left, valid, axes), Residual(right, valid, axes)
    first, second = (x._replace(values=x.keep(x.values)) for x in pair)
    return first, second


def check_pooling(pooling: str) -> None:
    """Raises ValueError unless `pooling` is one of `POOLINGS`."""
    if pooling not in POOLINGS:
        raise ValueError(f"`pooling` must be one of {', '.join(POOLINGS)}, got {pooling!r}.")


def safe_sqrt(values: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Square root whose gradient at 0 is 0, so that a perfect prediction trains on."""
    positive = values > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, values, 1)), 0)


def magnitude(values: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """|x| with slope 0 at 0 (jnp.abs has slope 1 there): a perfect prediction is left alone."""
    return values * jax.lax.stop_gradient(jnp.sign(values))
