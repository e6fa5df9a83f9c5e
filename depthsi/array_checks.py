"""Checks of the arrays passed to losses and metrics, with one-sentence error messages.

`require_*` only use type and shape, so they check NumPy arrays, JAX arrays and tracers alike;
`as_*` check and convert.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool

Axis = int | tuple[int, ...] | None


def require_floating(**arrays: ArrayLike) -> None:
    """Refuses arrays that are not floating point; the keyword is the name in the message.

    Raises:
      TypeError: one is of another type.
    """
    for name, value in arrays.items():
        dtype = _dtype(value)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"`{name}` must be floating point, got {dtype}: convert it first.")


def require_pair(predictions: ArrayLike, targets: ArrayLike) -> None:
    """Refuses predictions and targets that are not floating point or differ in shape.

    Raises:
      TypeError: one of them is not floating point.
      ValueError: their shapes differ.
    """
    require_floating(predictions=predictions, targets=targets)
    if jnp.shape(predictions) != jnp.shape(targets):
        raise ValueError(
            f"`predictions` {jnp.shape(predictions)} and `targets` {jnp.shape(targets)} must have"
            " the same shape: nothing is broadcast."
        )


def require_where(where: ArrayLike, shape: tuple[int, ...]) -> None:
    """Refuses a mask that is not boolean or does not broadcast to `shape` as it is.

    Raises:
      TypeError: `where` is not boolean.
      ValueError: it does not broadcast to `shape`, or would enlarge it.
    """
    dtype = _dtype(where)
    if dtype != jnp.bool_:
        raise TypeError(
            f"`where` must be boolean, got {dtype}: compare it, for example `mask > 0`."
        )
    given = jnp.shape(where)
    tail = shape[len(shape) - len(given) :]
    if len(given) > len(shape) or any(g not in (1, s) for g, s in zip(given, tail, strict=True)):
        raise ValueError(f"`where` {given} must broadcast to {shape}, the shape of the depth maps.")


def require_maps(name: str, value: ArrayLike) -> None:
    """Refuses an array without the two axes of an image.

    Raises:
      ValueError: it has fewer than two axes.
    """
    if jnp.ndim(value) < 2:
        raise ValueError(f"`{name}` {jnp.shape(value)} must have the shape (..., h, w).")


def require_one_map(name: str, value: ArrayLike) -> None:
    """Refuses an array that is not one image.

    Raises:
      ValueError: it does not have exactly two axes.
    """
    if jnp.ndim(value) != 2:
        raise ValueError(f"`{name}` {jnp.shape(value)} must have the shape (h, w): one image.")


def as_pair(predictions: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Both as JAX arrays of one floating type, float32 or better; errors as `require_pair`."""
    require_pair(predictions, targets)
    dtype = jnp.promote_types(jnp.result_type(predictions, targets), jnp.float32)
    return jnp.asarray(predictions, dtype), jnp.asarray(targets, dtype)


def as_where(where: ArrayLike | None, shape: tuple[int, ...]) -> Bool[Array, "..."] | None:
    """The mask as a JAX array of `shape`, None if it is None; errors as `require_where`."""
    if where is None:
        return None
    require_where(where, shape)
    return jnp.broadcast_to(jnp.asarray(where), shape)


def as_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
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


def _dtype(value: ArrayLike) -> Any:
    # the array's own type: without x64 JAX would call an int64 of NumPy an int32
    return value.dtype if hasattr(value, "dtype") else jnp.result_type(value)  # type: ignore[union-attr]
