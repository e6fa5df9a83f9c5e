"""SILog as later depth networks use it: the root of Eq. 4, with each source's own constants.

d = predictions - targets in natural logarithms of metres, and V is its variance. The sources take
metres and compute the logarithm; the functions here take log metres, and `where` must exclude
zeros. All sources but the KITTI metric pool the valid pixels of the whole batch into one number,
which is `pooling="batch"` here; the default is one value per image, from its own pixels.

At a perfect prediction the root has no derivative; here its gradient there is 0.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from depthsi.array_checks import Axis
from depthsi.losses._masking import check_pooling, safe_sqrt
from depthsi.losses.moments import ResidualMoments, residual_moments


def silog_bts(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
    pooling: str = "image",
) -> Float[Array, "*batch"]:
    """10 sqrt(mean(d^2) - 0.85 mean(d)^2), the loss of BTS.

    Source: Lee et al. 2019, "From Big to Small" (https://arxiv.org/abs/1907.10326), and
    `silog_loss` in https://github.com/cleinc/bts/blob/master/pytorch/bts.py, which pools the batch.

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value. The
        source keeps targets above 0.1 m (NYU) or 1 m (KITTI).
      axis: the axes of one image; ignored when the batch is pooled.
      pooling: "image" takes the means over the valid pixels of each image, "batch" over those of
        the whole batch, as the source's code does.

    Returns:
      [...] in log metres, times 10; a scalar with pooling "batch"; 0 without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit, unknown `pooling`.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import silog_bts
      >>> targets = jnp.log(jnp.array([[[1.0, 2.0]], [[4.0, 8.0]]]))
      >>> predictions = targets + jnp.array([[[0.1, 0.3]], [[0.5, 0.5]]])
      >>> [f"{value:.4f}" for value in silog_bts(predictions, targets)]
      ['1.2649', '1.9365']
      >>> f"{silog_bts(predictions, targets, pooling='batch'):.4f}"
      '2.1418'
    """
    return 10 * safe_sqrt(_moments(predictions, targets, where, axis, pooling).loss(0.85))


def silog_adabins(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
    pooling: str = "image",
) -> Float[Array, "*batch"]:
    """10 sqrt(V n/(n - 1) + 0.15 mean(d)^2), the loss of AdaBins and ZoeDepth.

    As `silog_bts`, but the variance is the unbiased one; of a single pixel it is 0 here (the
    source has NaN).

    Source: Bhat et al. 2021, "AdaBins" (https://arxiv.org/abs/2011.14141), and `SILogLoss`
    in https://github.com/shariqfarooq123/AdaBins/blob/main/loss.py, which pools the batch and adds
    no 1e-7 inside the logarithm; ZoeDepth, https://arxiv.org/abs/2302.12288, adds it.

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image; ignored when the batch is pooled.
      pooling: "image" takes mean and variance over the valid pixels of each image, "batch" over
        those of the whole batch, as the source's code does.

    Returns:
      [...] in log metres, times 10; a scalar with pooling "batch"; 0 without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit, unknown `pooling`.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import silog_adabins
      >>> d = jnp.array([[[1.0, 2.0, 6.0]]])  # mean 3, unbiased variance 7
      >>> f"{silog_adabins(d, jnp.zeros_like(d))[0]:.4f}"
      '28.8964'
    """
    moments = _moments(predictions, targets, where, axis, pooling)
    variance = moments.m2 / jnp.maximum(moments.count - 1, 1)
    return 10 * safe_sqrt(variance + 0.15 * moments.mean**2)


def silog_depth_anything(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
    pooling: str = "image",
) -> Float[Array, "*batch"]:
    """sqrt(mean(d^2) - 0.5 mean(d)^2), the loss of GLPN and of metric Depth Anything V2.

    Source: Yang et al. 2024, "Depth Anything V2" (https://arxiv.org/abs/2406.09414), `SiLogLoss` in
    https://github.com/DepthAnything/Depth-Anything-V2/blob/main/metric_depth/util/loss.py, which
    pools the batch; the same in GLPN, https://arxiv.org/abs/2201.07436.

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image; ignored when the batch is pooled.
      pooling: "image" takes the means over the valid pixels of each image, "batch" over those of
        the whole batch, as the source's code does.

    Returns:
      [...] in log metres; a scalar with pooling "batch"; 0 without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit, unknown `pooling`.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import silog_depth_anything
      >>> d = jnp.array([[[1.0, 2.0, 6.0]]])  # mean 3, mean of squares 41/3
      >>> f"{silog_depth_anything(d, jnp.zeros_like(d))[0]:.4f}"
      '3.0277'
    """
    return safe_sqrt(_moments(predictions, targets, where, axis, pooling).loss(0.5))


def silog_kitti(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """100 sqrt(V), the SILog column of the KITTI depth benchmark.

    The benchmark's development kit computes sqrt(V); its website shows 100 times that and averages
    over images.

    Source: Uhrig et al. 2017, "Sparsity Invariant CNNs" (https://arxiv.org/abs/1708.06500), and the
    benchmark, https://www.cvlibs.net/datasets/kitti/eval_depth.php?benchmark=depth_prediction.

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      [...] in log metres, times 100; 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import silog_kitti
      >>> d = jnp.array([[[0.1, 0.3]], [[0.5, 0.5]]])  # the second is off by one factor alone
      >>> [f"{value:.4f}" for value in silog_kitti(d, jnp.zeros_like(d))]
      ['10.0000', '0.0000']
    """
    return 100 * safe_sqrt(
        residual_moments(predictions, targets, where=where, axis=axis).variance()
    )


def _moments(
    predictions: ArrayLike,
    targets: ArrayLike,
    where: ArrayLike | None,
    axis: Axis,
    pooling: str,
) -> ResidualMoments:
    check_pooling(pooling)
    pooled = axis if pooling == "image" else None
    return residual_moments(predictions, targets, where=where, axis=pooled)
