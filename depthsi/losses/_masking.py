"""What every loss does before its formula: refuse wrong arguments, mask, leave the input type.

Masking comes before any arithmetic that could turn garbage into NaN: a difference is linear, so
one `where` behind it keeps NaN and infinity out of the value *and* of the gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from depthsi.losses._sums import count_valid

Axis = int | tuple[int, ...] | None


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

    def count(self) -> Float[Array, "*batch"]:
        """Number of valid pixels of each image."""
        return count_valid(self.values.shape, self.values.dtype, self.valid, self.axes)


def check_pair(predictions: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Both as arrays of one shape and of floating type, in float32 or better.

    Raises:
      TypeError: one of them is not floating point.
      ValueError: their shapes differ.
    """
    pair = {"predictions": predictions, "targets": targets}
    for name, value in pair.items():
        dtype = jnp.result_type(value)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"`{name}` must be floating point, got {dtype}: convert it first.")
    if jnp.shape(predictions) != jnp.shape(targets):
        raise ValueError(
            f"`predictions` {jnp.shape(predictions)} and `targets` {jnp.shape(targets)} must have"
            " the same shape: nothing is broadcast."
        )
    dtype = jnp.promote_types(jnp.result_type(predictions, targets), jnp.float32)
    return jnp.asarray(predictions, dtype), jnp.asarray(targets, dtype)


def check_where(where: ArrayLike | None, shape: tuple[int, ...]) -> Bool[Array, "*shape"] | None:
    """`where` as a boolean array of `shape`; None stays None.

    Raises:
      TypeError: `where` is not boolean.
      ValueError: it does not broadcast to `shape`.
    """
    if where is None:
        return None
    dtype = jnp.result_type(where)
    if dtype != jnp.bool_:
        raise TypeError(
            f"`where` must be boolean, got {dtype}: compare it, for example `mask > 0`."
        )
    given = jnp.shape(where)
    tail = shape[len(shape) - len(given) :]
    if len(given) > len(shape) or any(g not in (1, s) for g, s in zip(given, tail, strict=True)):
        raise ValueError(f"`where` {given} must broadcast to the shape of `predictions` {shape}.")
    return jnp.broadcast_to(jnp.asarray(where), shape)


def check_axis(axis: Axis, ndim: int) -> tuple[int, ...]:
    """`axis` as ascending non-negative numbers; None is every axis.

    Raises:
      ValueError: an axis is out of range or named twice.
    """
    given = tuple(range(ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    if any(not -ndim <= a < ndim for a in given):
        raise ValueError(f"`axis` {axis} is out of range for `predictions` with {ndim} axes.")
    axes = tuple(sorted(a % ndim for a in given))
    if len(set(axes)) != len(axes):
        raise ValueError(f"`axis` {axis} names one axis twice.")
    return axes


def masked_residual(
    predictions: ArrayLike, targets: ArrayLike, where: ArrayLike | None, axis: Axis
) -> Residual:
    """predictions - targets, 0 where masked, after the checks of the arguments."""
    left, right = check_pair(predictions, targets)
    valid = check_where(where, left.shape)
    residual = Residual(left - right, valid, check_axis(axis, left.ndim))
    return residual._replace(values=residual.keep(residual.values))


def masked_pair(
    predictions: ArrayLike, targets: ArrayLike, where: ArrayLike | None, axis: Axis
) -> tuple[Residual, Residual]:
    """Predictions and targets apart, each 0 where masked: for formulas that multiply them."""
    left, right = check_pair(predictions, targets)
    valid = check_where(where, left.shape)
    axes = check_axis(axis, left.ndim)
    pair = Residual(left, valid, axes), Residual(right, valid, axes)
    first, second = (x._replace(values=x.keep(x.values)) for x in pair)
    return first, second


def safe_sqrt(values: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Square root whose gradient at 0 is 0, so that a perfect prediction trains on."""
    positive = values > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, values, 1)), 0)


def magnitude(values: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """|x| with slope 0 at 0 (jnp.abs has slope 1 there): a perfect prediction is left alone."""
    return values * jax.lax.stop_gradient(jnp.sign(values))
