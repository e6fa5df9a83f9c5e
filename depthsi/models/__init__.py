"""The networks: pure Flax Linen modules, layers named as in the paper."""

from depthsi.models.coarse import CoarseNet
from depthsi.models.fine import FineNet
from depthsi.models.two_scale import TwoScaleNet

__all__ = ["CoarseNet", "FineNet", "TwoScaleNet"]
