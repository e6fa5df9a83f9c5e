"""SILog as later depth networks use it: the root of Eq. 4, with each source's own constants.

d = predictions - targets in natural logarithms of metres, V its variance. The sources take metres
and the logarithm inside; give them log metres here and keep zeros out with `where`. All but the
KITTI metric pool the valid pixels of the *whole batch* (axis=None), as published; name the image
axes to have one value per image instead.

At a perfect prediction the root has no derivative; here its gradient there is 0.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from depthsi.losses._masking import Axis, safe_sqrt
from depthsi.losses.moments import residual_moments


def silog_bts(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = None,
) -> Float[Array, "*batch"]:
    """10 sqrt(mean(d^2) - 0.85 mean(d)^2) (Lee et al. 2019, "From Big to Small").

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; what is False may hold anything. The source
        keeps targets above 0.1 m (NYU) or 1 m (KITTI).
      axis: the axes whose pixels are pooled; None is the whole batch, as published.

    Returns:
      One value per pool, a scalar by default; 0 without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, or `axis` does not fit.
    """
    return 10 * safe_sqrt(residual_moments(predictions, targets, where=where, axis=axis).loss(0.85))


def silog_adabins(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = None,
) -> Float[Array, "*batch"]:
    """10 sqrt(V n/(n - 1) + 0.15 mean(d)^2) (Bhat et al. 2021, AdaBins; ZoeDepth has the same).

    The variance is the unbiased one, otherwise `silog_bts`. The source's 1e-7 inside the logarithm
    is the caller's. Arguments, result and errors as for `silog_bts`.
    """
    moments = residual_moments(predictions, targets, where=where, axis=axis)
    variance = moments.m2 / jnp.maximum(moments.count - 1, 1)
    return 10 * safe_sqrt(variance + 0.15 * moments.mean**2)


def silog_depth_anything(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = None,
) -> Float[Array, "*batch"]:
    """sqrt(mean(d^2) - 0.5 mean(d)^2) (Depth Anything V2 metric depth; GLPN has the same).

    Arguments, result and errors as for `silog_bts`.
    """
    return safe_sqrt(residual_moments(predictions, targets, where=where, axis=axis).loss(0.5))


def silog_kitti(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """100 sqrt(V), the SILog column of the KITTI depth benchmark, per image.

    The benchmark's development kit computes sqrt(V); its website shows 100 times that and averages
    over images. Arguments and errors as for `silog_bts`, but one value per image.
    """
    return 100 * safe_sqrt(
        residual_moments(predictions, targets, where=where, axis=axis).variance()
    )
