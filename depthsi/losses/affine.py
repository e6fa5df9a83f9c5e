"""MiDaS losses: errors of disparity that ignore scale *and* shift.

Source: Ranftl et al. 2022 (https://arxiv.org/abs/1907.01341).

Disparity (inverse depth, any unit) is known in most data only up to d -> s d + t. The authors'
full loss is `ssi_loss` or `ssi_trimmed` plus 0.5 times `gradient_matching` of the aligned maps.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from depthsi.array_checks import Axis
from depthsi.losses._masking import Residual, magnitude, masked_pair
from depthsi.losses.pairwise import flatten_pixels


def align_scale_shift(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    """Scale s and shift t per image that minimise sum (s prediction + t - target)^2.

    Source: Ranftl et al. 2022 (https://arxiv.org/abs/1907.01341).

    Args:
      predictions: [..., h, w] disparity (any space).
      targets: same shape and space.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      (s, t), each [...]; (0, 0), as in the authors' code, where the predictions do not vary and
      the system has no single solution.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import align_scale_shift
      >>> predictions = jnp.array([[[0.0, 1.0, 2.0, 3.0]]])
      >>> scale, shift = align_scale_shift(predictions, 2 * predictions + 1)
      >>> print(scale, shift)
      [2.] [1.]
    """
    left, right = masked_pair(predictions, targets, where, axis)
    return _scale_shift(left, right)


def ssi_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """(1/(2 n)) sum (s prediction + t - target)^2 after the best s and t, on disparity.

    Source: Ranftl et al. 2022 (https://arxiv.org/abs/1907.01341).

    Args:
      predictions: [..., h, w] disparity (any space).
      targets: same shape and space.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      [...] in squared target units, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import ssi_loss
      >>> targets = jnp.array([[[1.0, 0.0, 1.0]]])
      >>> predictions = jnp.array([[[-1.0, 0.0, 1.0]]])  # best line 2/3
      >>> f"{ssi_loss(predictions, targets)[0]:.4f}"
      '0.1111'
      >>> f"{ssi_loss(3 * targets + 7, targets)[0]:.4f}"
      '0.0000'
    """
    left, right = masked_pair(predictions, targets, where, axis)
    scale, shift = _scale_shift(left, right)
    aligned = left.spread(scale) * left.values + left.spread(shift)
    squares = left.keep(aligned - right.values) ** 2
    return left.total(squares) / (2 * jnp.maximum(left.pixels(), 1))


def ssi_trimmed(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """(1/(2 n)) sum of the 80 % smallest |prediction - target| of normalised maps, on disparity.

    Each map is normalised by subtracting its median and dividing by its mean absolute deviation
    from it (at least 1e-6); the floor(0.8 n) smallest absolute differences count. Median and
    trimming are per image over its valid pixels, as in the paper (the authors' gist pools the
    trimming over the batch and lets masked zeros into the median); the median is the lower of two
    middle values.

    Source: Ranftl et al. 2022 (https://arxiv.org/abs/1907.01341); the gist is
    https://gist.github.com/ranftlr/45f4c7ddeb1bbb88d606bc600cab6c8d.

    Args:
      predictions: [..., h, w] disparity (any space).
      targets: same shape and space.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      [...] no unit, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import ssi_trimmed
      >>> targets = jnp.arange(10.0).reshape(1, 2, 5)
      >>> f"{ssi_trimmed(3 * targets + 7, targets)[0]:.4f}"
      '0.0000'
      >>> outlier = targets.at[0, 1, 4].add(1.25)  # mean deviations 2.625 and 2.5
      >>> f"{ssi_trimmed(outlier, targets)[0]:.4f}"
      '0.0152'
    """
    left, right = masked_pair(predictions, targets, where, axis)
    values, valid = flatten_pixels(left)
    others, _ = flatten_pixels(right)
    count = jnp.sum(valid, axis=-1, keepdims=True)
    alike = _normalise(values, valid, count) - _normalise(others, valid, count)
    ordered = jnp.sort(jnp.where(valid, magnitude(alike), jnp.inf), axis=-1)
    kept = jnp.arange(ordered.shape[-1])[None, :] < 4 * count // 5
    total = jnp.sum(jnp.where(kept, ordered, 0), axis=-1)
    return (total / (2 * jnp.maximum(count[:, 0], 1))).reshape(left.pixels().shape)


def _scale_shift(left: Residual, right: Residual) -> tuple[Array, Array]:
    mean, other_mean = _mean(left), _mean(right)
    centred = left.keep(left.values - left.spread(mean))
    m2 = left.total(centred**2)
    # rounding leaves a constant map a variance of a few (eps mean)^2
    rounding = jax.lax.stop_gradient(4 * jnp.finfo(m2.dtype).eps * mean)
    varies = m2 > left.pixels() * rounding**2
    other = right.keep(right.values - right.spread(other_mean))
    slope = left.total(centred * other) / jnp.where(varies, m2, 1)
    scale = jnp.where(varies, slope, 0)
    return scale, jnp.where(varies, other_mean - scale * mean, 0)


def _mean(residual: Residual) -> Array:
    count = jnp.maximum(residual.pixels(), 1)
    mean = residual.total(residual.values) / count
    # what a long sum lost is the mean of what is left
    left = residual.keep(residual.values - residual.spread(mean))
    return mean + residual.total(left) / count


def _normalise(values: Array, valid: Array, count: Array) -> Array:
    ordered = jnp.sort(jnp.where(valid, values, jnp.inf), axis=-1)
    middle = jnp.take_along_axis(ordered, jnp.maximum(count - 1, 0) // 2, axis=-1)
    centred = jnp.where(valid, values - jnp.where(count > 0, middle, 0), 0)
    size = jnp.sum(magnitude(centred), axis=-1, keepdims=True) / jnp.maximum(count, 1)
    return centred / jnp.maximum(size, 1e-6)
