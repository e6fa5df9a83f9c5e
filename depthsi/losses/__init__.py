"""Depth losses: `f(predictions, targets, *, where=None, axis=(-2, -1), ...)`, one value per image."""

from depthsi.losses.moments import ResidualMoments, residual_moments
from depthsi.losses.pairwise import scale_invariant_pairwise
from depthsi.losses.reductions import Reduction, reduce_images, valid_count
from depthsi.losses.scale_invariant import (
    optimal_log_scale,
    scale_invariant_alpha,
    scale_invariant_centred,
    scale_invariant_closed,
    scale_invariant_loss,
)

__all__ = [
    "Reduction",
    "ResidualMoments",
    "optimal_log_scale",
    "reduce_images",
    "residual_moments",
    "scale_invariant_alpha",
    "scale_invariant_centred",
    "scale_invariant_closed",
    "scale_invariant_loss",
    "scale_invariant_pairwise",
    "valid_count",
]
