"""Stacked hourglasses for comparison: each sees the whole image, and each is supervised.

After A. Newell, K. Yang and J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", 2016:
residual blocks, pooling to a sixteenth of the grid and back with skips, and after every stack a
prediction that joins the input of the next. Parameters: small 259 969, medium 1 815 938, large
13 485 316, for either geometry.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from depthsi.models.cell_grid import (
    convolution,
    double,
    halve,
    log_depth,
    norm,
    raw_depth,
    to_cells,
)
from depthsi.models.settings import HourglassConfig

DEPTH = 4  # how often a stack halves the grid
SIZES = {"small": (1, 64), "medium": (2, 128), "large": (4, 256)}  # stacks, channels


class Residual(nn.Module):
    """x + its change: 1x1, 3x3 and 1x1 convolutions, the middle one half as wide."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        channels, change = x.shape[-1], x
        for i, (kernel, width) in enumerate(
            ((1, channels // 2), (3, channels // 2), (1, channels))
        ):
            change = nn.relu(norm(self.dtype, f"norm{i + 1}")(change))
            change = convolution(width, kernel, self.dtype, name=f"conv{i + 1}")(change)
        return x + change


class Hourglass(nn.Module):
    """Down `DEPTH` levels and up again; what is lost on the way comes by the skips."""

    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        block = nn.remat(Residual) if self.remat else Residual
        skips = []
        for level in range(DEPTH):
            skips.append(block(self.dtype, name=f"skip{level}")(x))
            x = block(self.dtype, name=f"down{level}")(halve(x, remat=self.remat))
        x = block(self.dtype, name="bottom")(x)
        for level in reversed(range(DEPTH)):
            skip = skips.pop()
            x = skip + double(block(self.dtype, name=f"up{level}")(x), skip.shape[1:3])
        return x


class StackedHourglass(nn.Module):
    """Image -> log-depth map; in training the map of every stack.

    Attributes:
      config: size, geometry and scales of input and output.
      dtype: type of the arithmetic; parameters, the maps' layers and the result are float32.
      remat: whether the backward pass computes the inside of blocks again.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from depthsi.models import HourglassConfig, StackedHourglass
      >>> net, image = StackedHourglass(HourglassConfig(size="small")), jnp.zeros((1, 228, 304, 3))
      >>> jax.eval_shape(net.init_with_output, jax.random.key(0), image)[0].shape
      (1, 55, 74)
    """

    config: HourglassConfig
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, image: Float[Array, "b H W 3"], *, train: bool = False
    ) -> Float[Array, "*stacks b h w"]:
        """Predicts a depth map from images.

        Args:
          image: RGB on the scale 0..255, of the geometry's `input` size.
          train: whether to return the maps of all stacks, for a loss on each.

        Returns:
          Log depth, natural log of metres, of the geometry's `output` size: of the last stack, or
          [stacks, ...] in training.
        """
        config, dtype = self.config, self.dtype
        block = nn.remat(Residual) if self.remat else Residual
        features = nn.remat(_features, static_argnums=2) if self.remat else _features
        stacks, channels = SIZES[config.size]
        x = block(dtype, name="first")(to_cells(self, image, channels))
        maps = []
        for i in range(stacks):
            y = block(dtype, name=f"last{i}")(Hourglass(dtype, self.remat, name=f"stack{i}")(x))
            y = features(self, y, i)
            maps.append(raw_depth(config, y, f"head{i}"))
            if i + 1 < stacks:
                seen = maps[-1] - config.log_mean / config.log_std  # zero where nothing is learnt
                x = x + convolution(channels, 1, dtype, bias=True, name=f"conv_back{i}")(y)
                x = x + convolution(channels, 1, dtype, name=f"map{i}")(seen)
        if not train:
            return log_depth(config, maps[-1])
        return jnp.stack([log_depth(config, raw) for raw in maps])


def _features(
    net: StackedHourglass, x: Float[Array, "b h w c"], stack: int
) -> Float[Array, "b h w c"]:
    """What the prediction of `stack` is made from."""
    x = convolution(x.shape[-1], 1, net.dtype, name=f"conv_out{stack}")(x)
    return nn.relu(norm(net.dtype, f"norm{stack}")(x))
