"""Sums over the pixels of images, on a CPU by way of strips where the images are large.

XLA's CPU backend hands a reduction to a library that wants its operand in memory: to sum a
function of the pixels it writes and reads one more image. Adding up strips of the image
elementwise first leaves the library a sixteenth of that. Elsewhere the plain sum is best.
"""

import functools
import math
import operator
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float

_STRIPS = 16  # at most; fewer where the size does not divide
_LARGE = 2**16  # pixels in the batch from which strips pay for their compilation

Mask = Bool[Array, "*shape"] | None


def sum_squares(
    values: Float[Array, "*shape"],
    centre: Float[Array, "*batch"],
    valid: Mask,
    axes: tuple[int, ...],
) -> Float[Array, "*batch"]:
    """Sum of (values - centre)^2 over the valid pixels of each image, whose axes are `axes`."""

    def squares(values: Array, centre: Array, valid: Mask) -> Array:
        distance = values - centre
        return (distance if valid is None else jnp.where(valid, distance, 0)) ** 2

    def plain(values: Array, centre: Array, valid: Mask) -> Array:
        return jnp.sum(squares(values, centre, valid), axis=axes)

    def in_strips(values: Array, centre: Array, valid: Mask) -> Array:
        added = _add(
            squares(cut(values), centre, None if valid is None else cut(valid)) for cut in cuts
        )
        # changes nothing, but the library would take over the additions, and takes no selection
        return jnp.sum(jnp.where(jnp.isnan(added), jnp.nan, added), axis=axes)

    cuts = _strips(values.shape, axes)
    centre = jnp.expand_dims(centre, axes)
    if len(cuts) == 1:
        return plain(values, centre, valid)
    return jax.lax.platform_dependent(values, centre, valid, cpu=in_strips, default=plain)


def count_valid(
    shape: tuple[int, ...], dtype: DTypeLike, valid: Mask, axes: tuple[int, ...]
) -> Float[Array, "*batch"]:
    """Number of valid pixels of each image of an array of `shape`, in `dtype`."""
    if valid is None:
        batch = tuple(n for axis, n in enumerate(shape) if axis not in axes)
        return jnp.full(batch, math.prod(shape[a] for a in axes), dtype)

    def plain(valid: Array) -> Array:
        return jnp.sum(valid, axis=axes, dtype=dtype)

    def in_strips(valid: Array) -> Array:
        added = _add(cut(valid).astype(jnp.uint8) for cut in cuts)
        return jnp.sum(jnp.where(added > 0, added.astype(dtype), 0), axis=axes)

    cuts = _strips(shape, axes)
    if len(cuts) == 1:
        return plain(valid)
    return jax.lax.platform_dependent(valid, cpu=in_strips, default=plain)


def _strips(shape: tuple[int, ...], axes: tuple[int, ...]) -> list[Callable[[Array], Array]]:
    """Functions that cut equal strips off an array, along the image axis that divides best."""

    def number(axis: int) -> int:
        return max(k for k in range(1, _STRIPS + 1) if shape[axis] % k == 0)

    if not axes or math.prod(shape) < _LARGE:
        return [lambda x: x]
    axis = max(axes, key=number)
    size = shape[axis] // number(axis)
    return [
        functools.partial(jax.lax.slice_in_dim, start_index=k, limit_index=k + size, axis=axis)
        for k in range(0, shape[axis], size)
    ]


def _add(arrays: Iterable[Array]) -> Array:
    return functools.reduce(operator.add, arrays)
