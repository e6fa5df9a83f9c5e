"""The fine network: three convolutions that refine the coarse map locally."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import constant
from jaxtyping import Array, Float

from depthsi.models.initialisers import he_normal, normal
from depthsi.models.layers import max_pool, scaled_width
from depthsi.models.settings import TwoScaleConfig


class FineNet(nn.Module):
    """Image and coarse map -> refined log-depth map (paper, section 3.2).

    Layers conv1 (63 channels, pooled to the size of the coarse map, which joins as channel 0),
    conv2, conv3: the paper's Fine 1, 3 and 4.

    Attributes:
      config: widths, geometry and scales.
      dtype: type of the arithmetic; parameters, conv3 and the result are float32.
      remat: whether the backward pass computes the inside of conv1 with its pool again.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from depthsi.models import FineNet, TwoScaleConfig
      >>> net, image = FineNet(TwoScaleConfig()), jnp.zeros((1, 228, 304, 3))
      >>> coarse = jnp.zeros((1, 55, 74))
      >>> made = jax.eval_shape(net.init_with_output, jax.random.key(0), image, coarse)
      >>> made[0].shape, sorted(made[1]["params"])
      ((1, 55, 74), ['conv1', 'conv2', 'conv3'])
    """

    config: TwoScaleConfig
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, image: Float[Array, "b H W 3"], coarse: Float[Array, "b h w"]
    ) -> Float[Array, "b h w"]:
        """Refines `coarse`.

        Args:
          image: RGB on the scale 0..255, of the geometry's `input` size.
          coarse: log depth, natural log of metres, of the geometry's `output` size.

        Returns:
          Log depth, natural log of metres, of the geometry's `output` size.
        """
        config, size = self.config, self.config.sizes
        channels = scaled_width(64, config.width, least=4)
        x = (image[:, size.fine_top :] - config.fine_input_mean) / config.fine_input_std
        x = (nn.remat(_first_block) if self.remat else _first_block)(self, x)
        x = jnp.concatenate([(coarse[..., None] / config.log_std).astype(x.dtype), x], axis=-1)
        x = nn.Conv(
            channels,
            (5, 5),
            dtype=self.dtype,
            kernel_init=config.paper_or_scaled(normal(0.01), he_normal(_carry_channel_0)),
            name="conv2",
        )(x)
        x = nn.Conv(
            1,
            (5, 5),
            kernel_init=config.paper_or_scaled(normal(0.01), he_normal(_take_carried)),
            bias_init=constant(config.paper_or_scaled(config.log_mean / config.log_std, 0.0)),
            name="conv3",
        )(nn.relu(x))
        return config.log_std * x[..., 0]


def _first_block(net: FineNet, x: Float[Array, "b h w 3"]) -> Float[Array, "b oh ow c"]:
    config, size = net.config, net.config.sizes
    x = nn.Conv(
        scaled_width(64, config.width, least=4) - 1,
        (9, 9),
        strides=size.fine_conv1.stride,
        padding=size.fine_conv1.padding,
        dtype=net.dtype,
        kernel_init=config.paper_or_scaled(normal(0.001), he_normal()),
        name="conv1",
    )(x)
    return nn.relu(max_pool(x, size.fine_pool1))


def _carry_channel_0(kernel: Any) -> Any:
    """Outputs 0 and 1 copy input channel 0 and its negative, so that a ReLU loses neither sign."""
    shape = kernel.shape
    copies = np.zeros(shape, np.float32)
    copies[shape[0] // 2, shape[1] // 2, 0, :2] = 1, -1
    return kernel * (np.arange(shape[3])[None, None, None] >= 2) + copies


def _take_carried(kernel: Any) -> Any:
    """Input 0 minus input 1 and nothing else: with `_carry_channel_0`, the coarse map itself."""
    shape = kernel.shape
    difference = np.zeros(shape, np.float32)
    difference[shape[0] // 2, shape[1] // 2, :2, 0] = 1, -1
    return 0 * kernel + difference
