"""The paper's error in its equal forms (Eq. 1-3) and the training loss (Eq. 4), in log space.

With d = predictions - targets (natural logarithms of metres) over the n valid pixels of an image,

  Eq. 1  (1/n) sum_i (d_i + alpha)^2,  alpha = -mean(d)
  Eq. 2  (1/(2 n^2)) sum_ij (d_i - d_j)^2, over all ordered pairs
  Eq. 3  mean(d^2) - mean(d)^2
  Eq. 4  mean(d^2) - lam mean(d)^2

Source: Eigen, Puhrsch and Fergus 2014, section 3.2 (https://arxiv.org/abs/1406.2283).

The first three are the same number, the variance V of d, only with these factors. Neither
published version has them all: arXiv v1 prints Eq. 2 with 1/n^2, which is 2V, and the NIPS
proceedings print Eq. 1 with 1/(2n), which is V/2.

A pixel's gradient of Eq. 4 is (2/n)(d_i - lam mean(d)). For lam = 1 it sums to zero over the
image, so the loss does not change the scale.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from depthsi.array_checks import Axis
from depthsi.losses._masking import masked_residual
from depthsi.losses.moments import residual_moments
from depthsi.losses.pairwise import scale_invariant_pairwise

FORMS = ("centred", "alpha", "pairwise", "closed")


def optimal_log_scale(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """alpha of Eq. 1, mean(targets - predictions): exp(alpha) is the best single scale.

    Adding alpha to the predictions minimises their mean square error. Source: Eigen et al. 2014,
    Eq. 1 (https://arxiv.org/abs/1406.2283).

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      [...] log metres, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import optimal_log_scale
      >>> targets = jnp.log(jnp.array([[[1.0, 2.0, 4.0]]]))
      >>> predictions = jnp.log(jnp.array([[[2.0, 4.0, 8.0]]]))  # everything twice as far
      >>> print(jnp.exp(optimal_log_scale(predictions, targets)))
      [0.5]
    """
    return -residual_moments(predictions, targets, where=where, axis=axis).mean


def scale_invariant_alpha(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """Eq. 1 as written: the mean square error after the best single scale.

    Source: Eigen et al. 2014, Eq. 1 (https://arxiv.org/abs/1406.2283).

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      [...] in (log metres)^2, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import scale_invariant_alpha
      >>> d = jnp.array([[[1.0, 2.0, 6.0]]])  # mean 3, so alpha is -3
      >>> f"{scale_invariant_alpha(d, jnp.zeros_like(d))[0]:.4f}"
      '4.6667'
    """
    residual = masked_residual(predictions, targets, where, axis)
    count = jnp.maximum(residual.pixels(), 1)
    alpha = -residual.total(residual.values) / count
    return residual.total(residual.keep(residual.values + residual.spread(alpha)) ** 2) / count


def scale_invariant_closed(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """Eq. 3 as written: mean(d^2) - mean(d)^2.

    It loses precision, and can become negative, if predictions are off by a common factor: in
    float32, an offset of 10 with a spread of 0.001 leaves no correct digits. It is provided for
    study; train with `scale_invariant_loss`. Source: Eigen et al. 2014, Eq. 3 (https://arxiv.org/abs/1406.2283).

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      [...] in (log metres)^2, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import scale_invariant_closed
      >>> d = jnp.array([[[1.0, 2.0, 6.0]]])  # mean of squares 41/3, mean 3
      >>> f"{scale_invariant_closed(d, jnp.zeros_like(d))[0]:.4f}"
      '4.6667'
    """
    return _closed(predictions, targets, where, axis, 1.0)


def scale_invariant_centred(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """Eq. 1-3 as the centred variance: never negative, and precise for any offset.

    Source: Eigen et al. 2014, Eq. 1-3 (https://arxiv.org/abs/1406.2283), summed as Chan, Golub and
    LeVeque advise (https://doi.org/10.1080/00031305.1983.10483115).

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      [...] in (log metres)^2, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import scale_invariant_centred
      >>> d = jnp.array([[[1.0, 2.0, 6.0]]])
      >>> f"{scale_invariant_centred(d, jnp.zeros_like(d))[0]:.4f}"
      '4.6667'
      >>> f"{scale_invariant_centred(d + 100, jnp.zeros_like(d))[0]:.4f}"
      '4.6667'
    """
    return residual_moments(predictions, targets, where=where, axis=axis).variance()


def scale_invariant_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
    lam: ArrayLike = 0.5,
    form: str = "centred",
) -> Float[Array, "*batch"]:
    """Eq. 4, the training loss: mean(d^2) - lam mean(d)^2 = (1 - lam) mean(d^2) + lam V.

    Source: Eigen et al. 2014, Eq. 4 (https://arxiv.org/abs/1406.2283).

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.
      lam: 0 is the mean square log error, 1 fully scale-invariant, the paper's is 0.5; a number
        or one per image [...].
      form: "centred" computes V + (1 - lam) mean(d)^2. The others are the literal equations, for
        study: "closed" is Eq. 4 as printed; "alpha" and "pairwise" take V from Eq. 1 and 2.

    Returns:
      [...] one loss per image in (log metres)^2, float32 (float64 for float64 inputs), 0 for an
      image without a valid pixel. `reduce_images` reduces it to one number.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit, `lam` is outside [0, 1], unknown
        `form`.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import scale_invariant_loss
      >>> depth = jnp.array([[[1.0, 2.0, 4.0, 0.0]]])  # metres; the last pixel is missing
      >>> predictions = jnp.log(jnp.array([[[2.0, 4.0, 8.0, 3.0]]]))  # twice as far
      >>> for lam in (0.0, 0.5, 1.0):  # (ln 2)^2 is 0.4805
      ...     loss = scale_invariant_loss(predictions, jnp.log(depth), where=depth > 0, lam=lam)
      ...     print(f"{loss[0]:.4f}")
      0.4805
      0.2402
      0.0000
    """
    if form not in FORMS:
        raise ValueError(f"`form` must be one of {', '.join(FORMS)}, got {form!r}.")
    if isinstance(lam, int | float) and not 0 <= lam <= 1:
        raise ValueError(f"`lam` must lie in [0, 1], got {lam}.")
    if form == "centred":
        return residual_moments(predictions, targets, where=where, axis=axis).loss(lam)
    if form == "closed":
        return _closed(predictions, targets, where, axis, lam)
    variance = scale_invariant_alpha if form == "alpha" else scale_invariant_pairwise
    plain = _closed(predictions, targets, where, axis, 0.0)
    share = jnp.asarray(lam, plain.dtype)
    return (1 - share) * plain + share * variance(predictions, targets, where=where, axis=axis)


def _closed(
    predictions: ArrayLike,
    targets: ArrayLike,
    where: ArrayLike | None,
    axis: Axis,
    lam: ArrayLike,
) -> Float[Array, "*batch"]:
    residual = masked_residual(predictions, targets, where, axis)
    count = jnp.maximum(residual.pixels(), 1)
    mean = residual.total(residual.values) / count
    return residual.total(residual.values**2) / count - jnp.asarray(lam, mean.dtype) * mean**2
