"""The coarse network: five convolutions and two fully connected layers that see the whole image."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import constant
from jaxtyping import Array, Float, Int

from depthsi.geometry import Geometry, Window
from depthsi.models.initialisers import he_normal, normal, symmetric_uniform
from depthsi.models.layers import Dropout, local_response_norm, max_pool, scaled_width
from depthsi.models.settings import TwoScaleConfig


class CoarseNet(nn.Module):
    """Image -> coarse log-depth map (paper, Figure 1 and section 3.1).

    Layers conv1..conv5, fc6, fc7; each convolution is followed by its pool, ReLU and local
    response normalisation, where it has them, in this order. Needs an rng "dropout" to train.

    Attributes:
      config: widths, geometry and scales.
      dtype: type of the arithmetic; parameters, fc7 and the result are float32.
      remat: whether the backward pass computes the inside of each convolution's block again.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from depthsi.models import CoarseNet, TwoScaleConfig
      >>> net = CoarseNet(TwoScaleConfig(width=0.02))
      >>> image = jnp.zeros((1, 228, 304, 3))
      >>> made = jax.eval_shape(net.init_with_output, jax.random.key(0), image)  # shapes alone
      >>> made[0].shape, sorted(made[1]["params"])[-2:]
      ((1, 55, 74), ['fc6', 'fc7'])
    """

    config: TwoScaleConfig
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b H W 3"],
        *,
        train: bool = False,
        examples: Int[Array, " b"] | None = None,
    ) -> Float[Array, "b h w"]:
        """Predicts a depth map from images.

        Args:
          image: RGB on the scale 0..255, of the geometry's `input` size.
          train: whether dropout acts on fc6.
          examples: index of each image, on which its dropout depends. Default: 0 .. b - 1.

        Returns:
          Log depth, natural log of metres, of the geometry's `output` size.
        """
        config, size = self.config, self.config.sizes
        x = coarse_features(self, image, size)
        x = config.feature_scale * x.reshape(x.shape[0], -1)
        fc6_init = config.paper_or_scaled(normal(0.01), he_normal())
        units = scaled_width(config.fc6_units, config.width)
        x = nn.Dense(units, dtype=self.dtype, kernel_init=fc6_init, name="fc6")(x)
        x = Dropout(config.dropout)(nn.relu(x), train=train, examples=examples)
        # the authors do not scale up what dropout keeps, but scale down the whole at test time
        x = config.paper_or_scaled(1 - config.dropout, 1.0) * x
        x = nn.Dense(
            size.output[0] * size.output[1],
            kernel_init=config.paper_or_scaled(symmetric_uniform(0.005), normal(0.001)),
            bias_init=constant(config.log_mean / config.log_std),
            name="fc7",
        )(x)
        return config.log_std * jnp.reshape(x, (-1, *size.output))


def coarse_features(
    net: Any, image: Float[Array, "b H W 3"], size: Geometry
) -> Float[Array, "b h w c"]:
    """The features of conv1 to conv5, which become layers of `net`.

    Args:
      net: module inside its compact method, with the attributes of `CoarseNet`.
      image: RGB on the scale 0..255, of the `input` size of `size`.
      size: the windows of conv1 and of the pools.
    """
    x = (image - net.config.coarse_input_mean) / net.config.coarse_input_std
    block = nn.remat(_block, static_argnums=2) if net.remat else _block
    for layer in (
        _Layer("conv1", 96, size.conv1, size.pool1, True),
        _Layer("conv2", 256, _same(5), size.pool, True),
        _Layer("conv3", 384, _same(3), None, False),
        _Layer("conv4", 384, _same(3), None, False),
        _Layer("conv5", 256, _same(3), size.pool, False),
    ):
        x = block(net, x, layer)
    return x


class _Layer(NamedTuple):
    name: str
    channels: int  # at width 1
    window: Window
    pool: Window | None
    norm: bool


def _same(kernel: int) -> Window:
    both = (kernel // 2, kernel // 2)
    return Window(kernel, 1, (both, both))


def _block(net: Any, x: Float[Array, "b h w c"], layer: _Layer) -> Float[Array, "b oh ow d"]:
    config = net.config
    x = nn.Conv(
        scaled_width(layer.channels, config.width),
        (layer.window.kernel,) * 2,
        strides=layer.window.stride,
        padding=layer.window.padding,
        dtype=net.dtype,
        kernel_init=config.paper_or_scaled(normal(0.01), he_normal()),
        name=layer.name,
    )(x)
    if layer.pool is not None:
        x = max_pool(x, layer.pool)
    x = nn.relu(x)  # after the pool: the same function, on a quarter of the values
    return local_response_norm(x) if layer.norm and config.local_response_norm else x
