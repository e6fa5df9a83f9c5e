"""Other losses of the literature on depth: si_mse, berHu and ordinal ranking."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, PRNGKeyArray

from depthsi.losses._masking import Axis, magnitude, masked_pair, masked_residual
from depthsi.losses.moments import residual_moments
from depthsi.losses.pairwise import check_pairs, flatten_pixels, sample_pairs, take_pixels


def si_mse(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """(1/k)|x|^2 - (1/k^2)(sum x)^2, x = predictions - targets in *linear* space.

    The reconstruction loss of Domain Separation Networks (Bousmalis et al. 2016, Eq. 4): Eq. 3 of
    Eigen et al. without the logarithm, hence blind to an added constant and not to a scale. Their
    released code calls TensorFlow's mean_pairwise_squared_error instead, 2k/(k - 1) times this.

    Args:
      predictions: [..., h, w] intensities or metres.
      targets: same shape and unit.
      where: boolean, broadcasts to `predictions`; what is False may hold anything.
      axis: the axes of one image; (-3, -2, -1) for [..., h, w, channels], where the paper's k
        counts every channel of every pixel.

    Returns:
      [...] in squared input units, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, or `axis` does not fit.
    """
    return residual_moments(predictions, targets, where=where, axis=axis).variance()


def berhu(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
    threshold: ArrayLike | None = None,
) -> Float[Array, "*batch"]:
    """Mean reverse Huber error: |x| up to c, (x^2 + c^2)/(2c) beyond (Laina et al. 2016).

    Args:
      predictions: [..., h, w] in metres.
      targets: same shape, metres.
      where: boolean, broadcasts to `predictions`; what is False may hold anything.
      axis: the axes of one image.
      threshold: c in metres; None takes a fifth of the largest |x| among the valid pixels of the
        whole batch, as published, as a constant for the gradient.

    Returns:
      [...] in metres, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, or `axis` does not fit.
    """
    residual = masked_residual(predictions, targets, where, axis)
    size = magnitude(residual.values)
    if threshold is None:
        threshold = jax.lax.stop_gradient(jnp.max(size, initial=0) / 5)
    beyond = size > threshold
    # masked before the division: a perfect batch has c = 0
    divisor = jnp.where(beyond, 2 * jnp.asarray(threshold, size.dtype), 1)
    far = (residual.values**2 + jnp.asarray(threshold, size.dtype) ** 2) / divisor
    return residual.total(jnp.where(beyond, far, size)) / jnp.maximum(residual.count(), 1)


def ordinal_penalty(
    differences: Float[Array, "*pairs"], relations: Array
) -> Float[Array, "*pairs"]:
    """log(1 + exp(-r x)) for r = +1 or -1, x^2 for r = 0, elementwise (Chen et al. 2016, DIW).

    Args:
      differences: z_i - z_j of the predicted depths (any monotone unit) of pairs of points.
      relations: +1 where point i is the farther, -1 where it is the nearer, 0 where they are
        equally far; same shape. From people, or from depth as in `ranking_loss`.
    """
    ordered = jax.nn.softplus(-relations * differences)
    return jnp.where(relations == 0, differences**2, ordered)


def ranking_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    key: PRNGKeyArray,
    pairs: int = 800,
    tolerance: float = 0.02,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """Mean of `ordinal_penalty` over random pairs whose relation the targets give.

    Chen et al. 2016 ("Single-Image Depth Perception in the Wild") sum over the annotated pairs of
    an image; the mean keeps the value independent of their number.

    Args:
      predictions: [..., h, w] predicted depth in any monotone unit, larger is farther.
      targets: same shape, log metres.
      key: random key the pairs are drawn with, uniformly with replacement among valid pixels.
      pairs: number of pairs per image; the paper has 800 on NYU.
      tolerance: two points count as equally far when their depths differ by less than this share.
      where: boolean, broadcasts to `predictions`; what is False may hold anything.
      axis: the axes of one image.

    Returns:
      [...] no unit, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `axis` does not fit, `pairs` is not a positive number.
    """
    left, right = masked_pair(predictions, targets, where, axis)
    (depth, valid), (truth, _) = flatten_pixels(left), flatten_pixels(right)
    first, second = sample_pairs(*check_pairs(pairs, key), valid)
    gap = take_pixels(truth, first) - take_pixels(truth, second)
    relations = jnp.where(jnp.abs(gap) > jnp.log1p(tolerance), jnp.sign(gap), 0)
    penalties = ordinal_penalty(take_pixels(depth, first) - take_pixels(depth, second), relations)
    return jnp.mean(penalties, axis=-1).reshape(left.count().shape)
