"""Reduces one value per image to the number that is minimised, in one of three named ways."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from depthsi.array_checks import Axis, as_axes, as_where, require_floating
from depthsi.losses._sums import count_valid

_POWERS = {"image": 0, "pixel": 1, "authors": 2}


def reduce_images(
    values: ArrayLike,
    counts: ArrayLike,
    reduction: str = "image",
    *,
    axis_name: str | tuple[str, ...] | None = None,
) -> Float[Array, ""]:
    """Weighted mean of per-image losses over the images that have a valid pixel; 0 if none has.

    The reductions are those of Eq. 4 in Eigen et al. 2014 (https://arxiv.org/abs/1406.2283), which
    leaves open how a batch is averaged, and of its authors' released code.

    Args:
      values: [...] one loss per image.
      counts: [...] number of valid pixels n of each image, see `valid_count`.
      reduction: the weight of an image. "image" 1; "pixel" n, as if all valid pixels were pooled
        (for a mean over pixels); "authors" n^2, what the authors' released code minimises:
        [sum_b n_b sum d^2 - lam sum_b (sum d)^2] / max(sum_b n_b^2, 1).
      axis_name: mesh axis the images are spread over, inside `jax.shard_map` or `jax.pmap`; the
        result is then the mean over the images of all devices.

    Returns:
      A scalar in the unit of `values`.

    Raises:
      ValueError: unknown reduction, or shapes that differ.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import reduce_images
      >>> values, counts = jnp.array([1.0, 4.0, 0.0]), jnp.array([3.0, 1.0, 0.0])
      >>> float(reduce_images(values, counts))  # the third image has no valid pixel
      2.5
      >>> float(reduce_images(values, counts, "pixel"))
      1.75
    """
    total, weight = weigh_images(values, counts, reduction)
    if axis_name is not None:
        total, weight = jax.lax.psum((total, weight), axis_name)
    return total / jnp.maximum(weight, 1)


def weigh_images(
    values: ArrayLike, counts: ArrayLike, reduction: str = "image"
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Numerator and denominator of `reduce_images`, which add up over parts of a batch.

    Args:
      values: [...] one loss per image.
      counts: [...] number of valid pixels of each image, see `valid_count`.
      reduction: "image", "pixel" or "authors", see `reduce_images`.

    Returns:
      The weighted sum of the values and the sum of the weights, scalars; both 0 if no image has a
      valid pixel.

    Raises:
      ValueError: unknown reduction, or shapes that differ.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import weigh_images
      >>> total, weight = weigh_images(jnp.array([1.0, 4.0]), jnp.array([3.0, 1.0]), "pixel")
      >>> float(total), float(weight)
      (7.0, 4.0)
    """
    if reduction not in _POWERS:
        raise ValueError(f"`reduction` must be one of {', '.join(_POWERS)}, got {reduction!r}.")
    if jnp.shape(values) != jnp.shape(counts):
        raise ValueError(
            f"`values` {jnp.shape(values)} and `counts` {jnp.shape(counts)} must have the same"
            " shape: one number per image each."
        )
    values, counts = jnp.asarray(values), jnp.asarray(counts)
    seen = counts > 0
    weights = jnp.where(seen, counts ** _POWERS[reduction], 0)
    return jnp.sum(weights * jnp.where(seen, values, 0)), jnp.sum(weights)


def valid_count(
    predictions: ArrayLike, *, where: ArrayLike | None = None, axis: Axis = (-2, -1)
) -> Float[Array, "*batch"]:
    """Number of valid pixels of each image, in the type the losses accumulate in.

    Args:
      predictions: [..., h, w]; only shape and type are looked at.
      where: boolean, broadcasts to `predictions`; None is every pixel.
      axis: the axes of one image.

    Returns:
      [...] pixels, float32 (float64 for float64 predictions).

    Raises:
      TypeError: `predictions` are not floating point, or `where` is not boolean.
      ValueError: `where` or `axis` does not fit the shape.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import valid_count
      >>> print(valid_count(jnp.zeros((2, 3, 4)), where=jnp.array([True, True, False, True])))
      [9. 9.]
    """
    require_floating(predictions=predictions)
    shape = jnp.shape(predictions)
    valid = as_where(where, shape)
    dtype = jnp.promote_types(jnp.result_type(predictions), jnp.float32)
    return count_valid(shape, dtype, valid, as_axes(axis, len(shape)))
