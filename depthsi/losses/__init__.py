"""Depth losses: `f(predictions, targets, *, where=None, axis=(-2, -1), ...)`, one value per image.

Predictions and targets are [..., h, w] and every loss is [...], the predictions' shape without the
axes of an image; the loss of an image does not depend on the other images. Losses that their
authors pool over the batch do so with `pooling="batch"`. `reduce_images` reduces a batch to one
number.

Every function masks before it computes (values where `where` is False change neither the loss nor
its gradient), accumulates in float32 or better, returns 0 with gradient 0 for an image without a
valid pixel, and only accepts floating-point inputs of the same shape. `where` is boolean and
broadcasts to the predictions. Names and docstrings state the space: log metres, metres or
disparity.
"""

from typing import TYPE_CHECKING

from depthsi.lazy_names import lazy_names

if TYPE_CHECKING:
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
    from depthsi.losses.settings import (
        BerhuConfig,
        CustomConfig,
        EigenFergus2015Config,
        LossConfig,
        PairwiseConfig,
        RankingConfig,
        ScaleInvariantConfig,
        SilogConfig,
        SiMseConfig,
        SsiConfig,
        SumConfig,
    )
    from depthsi.losses.silog import silog_adabins, silog_bts, silog_depth_anything, silog_kitti
    from depthsi.losses.spaces import in_space

_MODULES = {
    "BerhuConfig": "settings",
    "CustomConfig": "settings",
    "EigenFergus2015Config": "settings",
    "LossConfig": "settings",
    "PairwiseConfig": "settings",
    "RankingConfig": "settings",
    "ResidualMoments": "moments",
    "ScaleInvariantConfig": "settings",
    "SiMseConfig": "settings",
    "SilogConfig": "settings",
    "SsiConfig": "settings",
    "SumConfig": "settings",
    "align_scale_shift": "affine",
    "berhu": "relatives",
    "eigen_fergus_2015": "gradients",
    "gradient_matching": "gradients",
    "in_space": "spaces",
    "optimal_log_scale": "scale_invariant",
    "ordinal_penalty": "relatives",
    "pairwise_loss": "pairwise",
    "ranking_loss": "relatives",
    "reduce_images": "reductions",
    "residual_moments": "moments",
    "scale_invariant_alpha": "scale_invariant",
    "scale_invariant_centred": "scale_invariant",
    "scale_invariant_closed": "scale_invariant",
    "scale_invariant_loss": "scale_invariant",
    "scale_invariant_pairwise": "pairwise",
    "si_mse": "relatives",
    "silog_adabins": "silog",
    "silog_bts": "silog",
    "silog_depth_anything": "silog",
    "silog_kitti": "silog",
    "ssi_loss": "affine",
    "ssi_trimmed": "affine",
    "valid_count": "reductions",
    "weigh_images": "reductions",
}
__all__ = [
    "BerhuConfig",
    "CustomConfig",
    "EigenFergus2015Config",
    "LossConfig",
    "PairwiseConfig",
    "RankingConfig",
    "ResidualMoments",
    "ScaleInvariantConfig",
    "SiMseConfig",
    "SilogConfig",
    "SsiConfig",
    "SumConfig",
    "align_scale_shift",
    "berhu",
    "eigen_fergus_2015",
    "gradient_matching",
    "in_space",
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

__getattr__, __dir__ = lazy_names(__name__, _MODULES, __all__)
