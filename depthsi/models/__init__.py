"""The networks: pure Flax Linen modules, layers named as in the paper."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from depthsi.config import ModelConfig
from depthsi.models.coarse import CoarseNet
from depthsi.models.fine import FineNet
from depthsi.models.hourglass import StackedHourglass
from depthsi.models.one_stage import OneStageNet
from depthsi.models.two_scale import TwoScaleNet
from depthsi.models.unet import UNet

__all__ = [
    "CoarseNet",
    "FineNet",
    "OneStageNet",
    "StackedHourglass",
    "TwoScaleNet",
    "UNet",
    "make_model",
]


def make_model(config: ModelConfig, *, dtype: Any = jnp.float32, remat: bool = False) -> nn.Module:
    """The network that `config` describes.

    Called with (image, train=, output=, examples=) it predicts log depth (b, h, w), as
    `TwoScaleNet` does; in training perhaps several maps (maps, b, h, w), each of which has a loss.
    The keys of its parameters are the names of the stages that train them.

    Args:
      config: of the network.
      dtype: of the arithmetic inside; parameters and predictions are float32 with any.
      remat: whether the backward pass computes activations again instead of keeping them all.
    """
    network = TwoScaleNet if config.kind == "two_scale" else OneStageNet
    return network(config, dtype, remat)
