"""A U-Net for comparison: a contracting path, an expanding path, and skips between them.

After O. Ronneberger, P. Fischer and T. Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", 2015, with its doubling of channels over five levels, but on the grid of output
cells: its finest level is a quarter of the input, as the paper's output is. Parameters: small
1 969 409, medium 7 871 233, large 31 472 129, for either geometry.
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
from depthsi.models.settings import UNetConfig

LEVELS = 5
CHANNELS = {"small": 16, "medium": 32, "large": 64}  # of the finest level


class Block(nn.Module):
    """Two 3x3 convolutions, each normalised and rectified."""

    channels: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w d"]:
        for i in (1, 2):
            x = convolution(self.channels, 3, self.dtype, name=f"conv{i}")(x)
            x = nn.relu(norm(self.dtype, f"norm{i}")(x))
        return x


class UNet(nn.Module):
    """Image -> log-depth map.

    Attributes:
      config: size, geometry and scales of input and output.
      dtype: type of the arithmetic; parameters, the last layer and the result are float32.
      remat: whether the backward pass computes the inside of blocks again.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from depthsi.models import UNet, UNetConfig
      >>> net, image = UNet(UNetConfig(size="small")), jnp.zeros((1, 228, 304, 3))
      >>> jax.eval_shape(net.init_with_output, jax.random.key(0), image)[0].shape
      (1, 55, 74)
    """

    config: UNetConfig
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, image: Float[Array, "b H W 3"], *, train: bool = False
    ) -> Float[Array, "b h w"]:
        """Predicts a depth map from images.

        Args:
          image: RGB on the scale 0..255, of the geometry's `input` size.
          train: changes nothing; there is no dropout.

        Returns:
          Log depth, natural log of metres, of the geometry's `output` size.
        """
        first = CHANNELS[self.config.size]
        block = nn.remat(Block) if self.remat else Block
        x = to_cells(self, image, first)
        x = block(first, self.dtype, name="down0")(x)
        skips = []
        for level in range(1, LEVELS):
            skips.append(x)
            x = block(first * 2**level, self.dtype, name=f"down{level}")(halve(x, remat=self.remat))
        for level in reversed(range(LEVELS - 1)):
            skip = skips.pop()
            x = jnp.concatenate([skip, double(x, skip.shape[1:3])], axis=-1)
            x = block(first * 2**level, self.dtype, name=f"up{level}")(x)
        return log_depth(self.config, raw_depth(self.config, x, "head"))
