"""The network that settings describe."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from depthsi.models.one_stage import OneStageNet
from depthsi.models.settings import ModelConfig, TwoScaleConfig
from depthsi.models.two_scale import TwoScaleNet


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
    if isinstance(config, TwoScaleConfig):
        return TwoScaleNet(config, dtype, remat)
    return OneStageNet(config, dtype, remat)
