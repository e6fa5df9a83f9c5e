"""The coarse network: five convolutions and two full layers that see the whole picture."""

import flax.linen as nn
import jax.numpy as jnp
from jax.nn import initializers as init
from jaxtyping import Array, Float

from depthsi.config import ModelConfig
from depthsi.models.layers import local_response_norm, max_pool, scaled_width, symmetric_uniform


class CoarseNet(nn.Module):
    """Image -> coarse log-depth map (paper, Figure 1 and section 3.1).

    Layers conv1..conv5, fc6, fc7; each convolution is followed by its pool, ReLU and local
    response normalisation, where it has them, in this order. Needs an rng "dropout" to train.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self, image: Float[Array, "b H W 3"], *, train: bool = False
    ) -> Float[Array, "b h w"]:
        """Predicts a depth map from pictures.

        Args:
          image: RGB on the scale 0..255, of the geometry's `input` size.
          train: whether dropout acts on fc6.

        Returns:
          Log depth, natural log of metres, of the geometry's `output` size.
        """
        config, size = self.config, self.config.sizes
        x = (image - config.coarse_input_mean) / config.coarse_input_std
        for name, channels, kernel, pool, norm in (
            ("conv1", 96, 11, size.pool1, True),
            ("conv2", 256, 5, size.pool, True),
            ("conv3", 384, 3, None, False),
            ("conv4", 384, 3, None, False),
            ("conv5", 256, 3, size.pool, False),
        ):
            first = name == "conv1"
            x = nn.Conv(
                scaled_width(channels, config.width),
                (kernel, kernel),
                strides=size.conv1.stride if first else 1,
                padding=size.conv1.padding if first else "SAME",
                kernel_init=config.pick(init.normal(0.01), init.he_normal()),
                name=name,
            )(x)
            if pool is not None:
                x = max_pool(x, pool)
            x = nn.relu(x)  # after the pool: the same function, on a quarter of the values
            if norm and config.local_response_norm:
                x = local_response_norm(x)

        x = config.feature_scale * x.reshape(len(x), -1)
        fc6_init = config.pick(init.normal(0.01), init.he_normal())
        x = nn.Dense(scaled_width(4096, config.width), kernel_init=fc6_init, name="fc6")(x)
        x = nn.Dropout(config.dropout, deterministic=not train)(nn.relu(x))
        # the authors do not scale up what dropout keeps, but scale down the whole at test time
        x = config.pick(1 - config.dropout, 1.0) * x
        x = nn.Dense(
            size.output[0] * size.output[1],
            kernel_init=config.pick(symmetric_uniform(0.005), init.normal(0.001)),
            bias_init=init.constant(config.log_mean / config.log_std),
            name="fc7",
        )(x)
        return config.log_std * jnp.reshape(x, (-1, *size.output))
