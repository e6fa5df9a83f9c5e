"""Related losses from the literature on depth: si_mse, berHu and ordinal ranking."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, PRNGKeyArray

from depthsi.array_checks import Axis, require_floating
from depthsi.losses._masking import check_pooling, magnitude, masked_pair, masked_residual
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

    Eq. 3 of Eigen et al. without the logarithm, so it ignores an added constant but not a
    scale. The authors' released code calls TensorFlow's mean_pairwise_squared_error instead,
    2k/(k - 1) times this.

    Source: the reconstruction loss of Domain Separation Networks, Bousmalis et al. 2016, Eq. 4
    (https://arxiv.org/abs/1608.06019).

    Args:
      predictions: [..., h, w] intensities or metres.
      targets: same shape and unit.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image; (-3, -2, -1) for [..., h, w, channels], where the paper's k
        counts every channel of every pixel.

    Returns:
      [...] in squared input units, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import si_mse
      >>> targets = jnp.array([[[1.0, 2.0, 4.0]]])
      >>> print(si_mse(targets + 3, targets))
      [0.]
      >>> f"{si_mse(2 * targets, targets)[0]:.4f}"
      '1.5556'
    """
    return residual_moments(predictions, targets, where=where, axis=axis).variance()


def berhu(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
    threshold: ArrayLike | None = None,
    pooling: str = "image",
) -> Float[Array, "*batch"]:
    """Mean reverse Huber error: |x| up to c, (x^2 + c^2)/(2c) beyond, x = predictions - targets.

    Source: Laina et al. 2016 (https://arxiv.org/abs/1606.00373), where c is a fifth of
    the largest |x| in the batch.

    Args:
      predictions: [..., h, w] in metres.
      targets: same shape, metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.
      threshold: c in metres, a number or one per image [...]; None takes a fifth of the largest |x|
        among the valid pixels, as a constant for the gradient.
      pooling: where the largest |x| is taken: "image" in each image, or "batch" in the whole batch,
        as published. It has no effect if `threshold` is given.

    Returns:
      [...] in metres, one value per image whatever the pooling; 0 for an image without a valid
      pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit, `threshold` is not positive,
        unknown `pooling`.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import berhu
      >>> x = jnp.array([[[0.5, 3.0]], [[-5.0, 1.0]]])
      >>> zero = jnp.zeros_like(x)
      >>> [f"{value:.3f}" for value in berhu(x, zero)]  # c = 0.6 and 1
      ['4.150', '7.000']
      >>> [f"{value:.3f}" for value in berhu(x, zero, pooling="batch")]  # c = 1 for both
      ['2.750', '7.000']
    """
    check_pooling(pooling)
    if isinstance(threshold, int | float) and not threshold > 0:
        raise ValueError(f"`threshold` must be over 0 m, got {threshold}.")
    residual = masked_residual(predictions, targets, where, axis)
    size = magnitude(residual.values)
    if threshold is None:
        pooled = residual.axes if pooling == "image" else None
        threshold = jax.lax.stop_gradient(jnp.max(size, axis=pooled, initial=0) / 5)
    images = residual.pixels().shape
    limit = residual.spread(jnp.broadcast_to(jnp.asarray(threshold, size.dtype), images))
    beyond = size > limit
    # masked before the division: a perfect image has c = 0
    divisor = jnp.where(beyond, 2 * limit, 1)
    far = (residual.values**2 + limit**2) / divisor
    return residual.total(jnp.where(beyond, far, size)) / jnp.maximum(residual.pixels(), 1)


def ordinal_penalty(differences: ArrayLike, relations: ArrayLike) -> Float[Array, "*pairs"]:
    """log(1 + exp(-r x)) for r = +1 or -1, x^2 for r = 0, elementwise.

    Source: Chen et al. 2016, "Single-Image Depth Perception in the Wild"
    (https://arxiv.org/abs/1604.03901).

    Args:
      differences: [...] z_i - z_j of the predicted depths (any monotone unit) of pairs of points.
      relations: +1 where point i is the farther, -1 where it is the nearer, 0 where they are
        equally far; same shape. From people, or from depth as in `ranking_loss`.

    Returns:
      [...] one cost per pair, no unit.

    Raises:
      TypeError: `differences` are not floating point.
      ValueError: shapes differ.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import ordinal_penalty
      >>> differences, relations = jnp.array([2.0, 2.0, 2.0]), jnp.array([1, -1, 0])
      >>> [f"{cost:.4f}" for cost in ordinal_penalty(differences, relations)]
      ['0.1269', '2.1269', '4.0000']
    """
    require_floating(differences=differences)
    if jnp.shape(differences) != jnp.shape(relations):
        raise ValueError(
            f"`differences` {jnp.shape(differences)} and `relations` {jnp.shape(relations)} must"
            " have the same shape: one relation per pair."
        )
    differences, relations = jnp.asarray(differences), jnp.asarray(relations)
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

    Source: Chen et al. 2016, "Single-Image Depth Perception in the Wild"
    (https://arxiv.org/abs/1604.03901). They sum over the annotated pairs of an image; the mean
    keeps the value independent of their number.

    Args:
      predictions: [..., h, w] predicted depth in any monotone unit, larger is farther.
      targets: same shape, log metres.
      key: random key the pairs are drawn with, uniformly with replacement among valid pixels.
      pairs: number of pairs per image; the paper has 800 on NYU.
      tolerance: two points count as equally far when their depths differ by less than this share.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      [...] no unit, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit, `pairs` is not a positive number,
        `key` is None.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import ranking_loss
      >>> targets = jnp.log(jnp.array([[[1.0, 2.0, 4.0, 8.0]]]))
      >>> right, wrong = (
      ...     ranking_loss(factor * targets, targets, key=jax.random.key(0)) for factor in (3, -3)
      ... )
      >>> print(bool(right[0] < 0.1 < 1 < wrong[0]))
      True
    """
    left, right = masked_pair(predictions, targets, where, axis)
    (depth, valid), (truth, _) = flatten_pixels(left), flatten_pixels(right)
    first, second = sample_pairs(*check_pairs(pairs, key), valid)
    gap = take_pixels(truth, first) - take_pixels(truth, second)
    relations = jnp.where(jnp.abs(gap) > jnp.log1p(tolerance), jnp.sign(gap), 0)
    penalties = ordinal_penalty(take_pixels(depth, first) - take_pixels(depth, second), relations)
    return jnp.mean(penalties, axis=-1).reshape(left.pixels().shape)
