"""Aligns predicted maps with the ground truth, image by image."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from depthsi.metrics.protocol_record import AFFINE
from depthsi.valid import valid_depth


def align(
    predictions: Float[Array, "b h w"],
    targets: Float[Array, "b h w"],
    where: Bool[Array, "b h w"],
    alignment: str,
) -> Float[Array, "b h w"]:
    """Aligns each predicted map with its ground truth by a factor, or by a factor and an offset.

    "disparity" is for relative inverse depth, in any unit: it fits a factor and an offset to 1 /
    truth by least squares and inverts the result, as MiDaS is evaluated (Ranftl et al. 2022,
    https://arxiv.org/abs/1907.01341). Values that become 0 or less are infinitely far away, so a
    clamp makes them the largest depth.

    Args:
      predictions: (b, h, w) predicted depth in metres; for "scale_shift" and "disparity" in any
        unit, of any sign.
      targets: (b, h, w) true depth in metres.
      where: (b, h, w) mask of the pixels to use for the fit; pixels without a prediction (finite,
        and positive if the unit is metres) are ignored.
      alignment: see `depthsi.metrics.protocols.ALIGNMENTS`.

    Returns:
      (b, h, w) metres; NaN stays NaN; with "scale_shift" depths may become 0 or negative, with
      "disparity" infinite.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics.alignment import align
      >>> predictions, targets = jnp.array([[[1.0, 2.0, 9.0]]]), jnp.array([[[2.0, 4.0, 6.0]]])
      >>> print(align(predictions, targets, targets > 0, "median"))
      [[[ 2.  4. 18.]]]
    """
    where &= jnp.isfinite(predictions) if alignment in AFFINE else valid_depth(predictions)
    count = jnp.maximum(jnp.sum(where, axis=(1, 2), keepdims=True), 1)

    def mean(values: Array) -> Array:
        first = jnp.sum(values, axis=(1, 2), where=where, keepdims=True) / count
        # what a long sum lost is the mean of what is left
        return first + jnp.sum(values - first, axis=(1, 2), where=where, keepdims=True) / count

    def fitted(goal: Array) -> Array:
        centred, centred_goal = y - mean(y), goal - mean(goal)
        spread = mean(centred**2)
        scale = mean(centred * centred_goal) / jnp.where(spread > 0, spread, 1)
        return scale * (predictions - mean(y)) + mean(goal)

    if alignment == "median":
        true, predicted = (
            jnp.nanmedian(jnp.where(where, each, jnp.nan), axis=(1, 2), keepdims=True)
            for each in (targets, predictions)
        )
        return predictions * true / predicted
    y, true = jnp.where(where, predictions, 1), jnp.where(where, targets, 1)
    if alignment == "log_mean":
        return predictions * jnp.exp(mean(jnp.log(true / y)))
    if alignment == "scale_shift":
        return fitted(true)
    if alignment == "disparity":
        inverse = fitted(1 / true)
        return jnp.where(inverse <= 0, jnp.inf, 1 / inverse)
    return predictions
