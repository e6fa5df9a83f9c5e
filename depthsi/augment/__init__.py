"""From raw samples to batches: the paper's augmentation as one affine map, or the centre crop.

For training on few images there are also changes of appearance (`appearance`) and of regions
(`regions`), which are off by default.
"""

from depthsi.augment.batches import augment, centre, mask_extremes
from depthsi.augment.views import Batch, Raw, View, apply_view, draw_view

__all__ = [
    "Batch",
    "Raw",
    "View",
    "apply_view",
    "augment",
    "centre",
    "draw_view",
    "mask_extremes",
]
