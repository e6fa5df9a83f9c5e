"""Losses on differences of the residual between neighbouring pixels: edges and slopes.

A difference counts where both of its pixels are valid.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from depthsi.array_checks import Axis
from depthsi.losses._masking import Residual, magnitude, masked_residual
from depthsi.losses.moments import moments_of


def gradient_matching(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
    scales: int = 4,
) -> Float[Array, "*batch"]:
    """sum over scales k of (1/n_k) sum |dx R| + |dy R|, R every 2^k-th pixel of the residual.

    The regulariser of MiDaS, on disparity aligned with `align_scale_shift`; n_k counts the valid
    pixels left at scale k. The authors' code divides by the valid pixels of the whole batch:
    for one scale, `reduce_images` with "pixel".

    Source: Ranftl et al. 2022 (https://arxiv.org/abs/1907.01341), after Li & Snavely 2018
    (https://arxiv.org/abs/1804.00607).

    Args:
      predictions: [..., h, w] in any space.
      targets: same shape and space.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the two axes of one image.
      scales: number of scales; steps of 1, 2, 4, 8 pixels by default, as published.

    Returns:
      [...] in the unit of the inputs per step, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` does not fit, `axis` is not two axes that fit, `scales` is
        not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import gradient_matching
      >>> ramp = jnp.broadcast_to(jnp.arange(4.0), (1, 2, 4))  # 6 steps of 1 in 8 pixels
      >>> print(gradient_matching(ramp, jnp.zeros_like(ramp), scales=1))
      [0.75]
      >>> print(gradient_matching(ramp + 5, ramp))
      [0.]
    """
    if scales < 1:
        raise ValueError(f"`scales` must be at least 1, got {scales}.")
    residual = _plane(predictions, targets, where, axis)
    total = jnp.zeros_like(residual.pixels())
    for scale in range(scales):
        coarse = _every(residual, 2**scale)
        steps = sum(coarse.total(magnitude(_steps(coarse, a))) for a in coarse.axes)
        total = total + steps / jnp.maximum(coarse.pixels(), 1)
    return total


def eigen_fergus_2015(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """mean(d^2) - 0.5 mean(d)^2 + (1/n) sum (dx d)^2 + (dy d)^2: Eq. 4 and its first differences.

    Source: Eigen & Fergus 2015, for depth (https://arxiv.org/abs/1411.4734).

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the two axes of one image.

    Returns:
      [...] in (log metres)^2, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` does not fit, or `axis` is not two axes that fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import eigen_fergus_2015
      >>> d = jnp.array([[[0.0, 2.0]]])  # mean of squares 2, mean 1, one step of 2
      >>> print(eigen_fergus_2015(d, jnp.zeros_like(d)))
      [3.5]
    """
    residual = _plane(predictions, targets, where, axis)
    steps = sum(residual.total(_steps(residual, a) ** 2) for a in residual.axes)
    moments = moments_of(residual)
    return moments.loss(0.5) + steps / jnp.maximum(moments.count, 1)


def _plane(
    predictions: ArrayLike, targets: ArrayLike, where: ArrayLike | None, axis: Axis
) -> Residual:
    residual = masked_residual(predictions, targets, where, axis)
    if len(residual.axes) != 2:
        raise ValueError(f"`axis` must name the two axes of an image, got {axis}.")
    return residual


def _every(residual: Residual, step: int) -> Residual:
    """Every `step`-th pixel along both axes, starting with the first."""
    thin = tuple(
        slice(None, None, step if axis in residual.axes else 1)
        for axis in range(residual.values.ndim)
    )
    valid = None if residual.valid is None else residual.valid[thin]
    return Residual(residual.values[thin], valid, residual.axes)


def _steps(residual: Residual, axis: int) -> Array:
    """The change from each pixel to the next along `axis`, 0 where either is masked."""

    def ends(x: Array) -> tuple[Array, Array]:
        axes = (slice(None),) * axis
        return x[(*axes, slice(1, None))], x[(*axes, slice(None, -1))]

    after, before = ends(residual.values)
    if residual.valid is None:
        return after - before
    return jnp.where(jnp.logical_and(*ends(residual.valid)), after - before, 0)
