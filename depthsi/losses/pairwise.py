"""Losses over pairs of pixels."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from depthsi.losses._masking import Axis, masked_residual


def scale_invariant_pairwise(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """Eq. 2: (1 / 2 n^2) sum over all ordered pairs of (d_i - d_j)^2."""
    residual = masked_residual(predictions, targets, where, axis)
    count = jnp.maximum(residual.count(), 1)
    return residual.total(residual.values**2) / count  # replaced below
