"""Depth losses: `f(predictions, targets, *, where=None, axis=(-2, -1), ...)`, one value per image.

Predictions and targets are [..., h, w] and every loss is [...], the predictions' shape without the
axes of an image; what an image costs does not depend on the others. Losses that their authors pool
over the batch do so with `pooling="batch"`. `reduce_images` makes one number of a batch.

Every function masks before it computes (what stands under `where == False` changes neither value
nor gradient), sums in float32 or better, gives 0 with gradient 0 for an image without a valid
pixel, and refuses other than floating-point inputs of one shape. `where` is boolean and is
broadcast to the predictions. Names and docstrings say the space: log metres, metres or disparity.
"""

from depthsi.losses.affine import align_scale_shift, ssi_loss, ssi_trimmed
from depthsi.losses.gradients import eigen_fergus_2015, gradient_matching
from depthsi.losses.moments import ResidualMoments, residual_moments
from depthsi.losses.pairwise import pairwise_loss, scale_invariant_pairwise
from depthsi.losses.reductions import reduce_images, valid_count, weigh_images
from depthsi.losses.relatives import berhu, ordinal_penalty, ranking_loss, si_mse
from depthsi.losses.scale_invariant import (
    optimal_log_scale,
    scale_invariant_alpha,
    scale_invariant_centred,
    scale_invariant_closed,
    scale_invariant_loss,
)
from depthsi.losses.silog import silog_adabins, silog_bts, silog_depth_anything, silog_kitti

__all__ = [
    "ResidualMoments",
    "align_scale_shift",
    "berhu",
    "eigen_fergus_2015",
    "gradient_matching",
    "optimal_log_scale",
    "ordinal_penalty",
    "pairwise_loss",
    "ranking_loss",
    "reduce_images",
    "residual_moments",
    "scale_invariant_alpha",
    "scale_invariant_centred",
    "scale_invariant_closed",
    "scale_invariant_loss",
    "scale_invariant_pairwise",
    "si_mse",
    "silog_adabins",
    "silog_bts",
    "silog_depth_anything",
    "silog_kitti",
    "ssi_loss",
    "ssi_trimmed",
    "valid_count",
    "weigh_images",
]
