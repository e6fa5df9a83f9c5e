"""Bringing predicted maps to the true scale, image by image."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from depthsi.valid import valid_depth


def align(
    predictions: Float[Array, "b h w"],
    targets: Float[Array, "b h w"],
    where: Bool[Array, "b h w"],
    alignment: str,
) -> Float[Array, "b h w"]:
    """Each predicted map brought to its true one by one factor, or a factor and an offset.

    Args:
      predictions: (b, h, w) predicted depth in metres.
      targets: (b, h, w) true depth in metres.
      where: (b, h, w), the pixels that decide; those whose prediction is not finite and positive do
        not.
      alignment: see `depthsi.metrics.protocols.ALIGNMENTS`.

    Returns:
      (b, h, w) metres; with "scale_shift" depths may become negative.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics.alignment import align
      >>> predictions, targets = jnp.array([[[1.0, 2.0, 9.0]]]), jnp.array([[[2.0, 4.0, 6.0]]])
      >>> print(align(predictions, targets, targets > 0, "median"))
      [[[ 2.  4. 18.]]]
    """
    where &= valid_depth(predictions)
    count = jnp.maximum(jnp.sum(where, axis=(1, 2), keepdims=True), 1)

    def mean(values: Array) -> Array:
        return jnp.sum(values, axis=(1, 2), where=where, keepdims=True) / count

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
        centred, centred_true = y - mean(y), true - mean(true)
        spread = mean(centred**2)
        scale = mean(centred * centred_true) / jnp.where(spread > 0, spread, 1)
        return scale * (predictions - mean(y)) + mean(true)
    return predictions
