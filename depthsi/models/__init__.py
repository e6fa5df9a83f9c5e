"""The networks: pure Flax Linen modules, layers named as in the paper."""

import flax.linen as nn

from depthsi.config import ModelConfig
from depthsi.models.coarse import CoarseNet
from depthsi.models.fine import FineNet
from depthsi.models.two_scale import TwoScaleNet

__all__ = ["CoarseNet", "FineNet", "TwoScaleNet", "make_model"]


def make_model(config: ModelConfig) -> nn.Module:
    """The network that `config` describes.

    Called with (image, train=, output=) it predicts log depth, as `TwoScaleNet` does; the keys of
    its parameters are the names of the stages that train them.
    """
    return TwoScaleNet(config)
