"""The comparison networks behind the interface of the paper's: one stage, one output."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Shaped

from depthsi.models.checks import checked_image
from depthsi.models.hourglass import StackedHourglass
from depthsi.models.initialisers import quick_shapes
from depthsi.models.settings import HourglassConfig, UNetConfig
from depthsi.models.unet import UNet


class OneStageNet(nn.Module):
    """The network `config.kind`, which is also the key of its parameters and its one output.

    Attributes:
      config: kind, size, geometry and scales.
      dtype: type of the arithmetic; parameters, last layers and the result are float32.
      remat: whether the backward pass computes the inside of blocks again.

    Example:
      >>> import jax
      >>> from depthsi.models import OneStageNet, UNetConfig
      >>> net = OneStageNet(UNetConfig(size="small"))
      >>> made = jax.eval_shape(net.init_with_output, jax.random.key(0), net.example_image())
      >>> made[0].shape, sorted(made[1]["params"])
      ((1, 55, 74), ['unet'])
    """

    config: UNetConfig | HourglassConfig
    dtype: Any = jnp.float32
    remat: bool = False

    def example_image(self, batch: int = 1) -> Float[Array, "b H W 3"]:
        """Black images (batch, H, W, 3) of the network's input size, to initialise it with.

        Args:
          batch: number of images.
        """
        return jnp.zeros((batch, *self.config.sizes.input, 3))

    @nn.compact
    def __call__(
        self,
        image: Shaped[ArrayLike, "..."],
        *,
        train: bool = False,
        output: str = "",
        examples: Int[Array, " b"] | None = None,
    ) -> Float[Array, "*stacks b h w"]:
        """Predicts log depth.

        Args:
          image: RGB on the scale 0..255, of the geometry's `input` size.
          train: whether a network that is supervised in several places returns all its maps.
          output: the network's name, or nothing.
          examples: changes nothing; there is no dropout.

        Returns:
          Log depth, natural log of metres, of the geometry's `output` size; [maps, ...] if `train`
          and there are several supervised places.

        Raises:
          ValueError: an output the network does not have, or images of another size, type or scale.
        """
        pixels = checked_image(image, self.config.sizes)
        del examples
        kind = self.config.kind
        if output not in ("", kind):
            raise ValueError(f"`output` (={output!r}) must be {kind!r}, the network's only one")
        with quick_shapes(self):
            if isinstance(self.config, UNetConfig):
                return UNet(self.config, self.dtype, self.remat, name=kind)(pixels, train=train)
            hourglass = StackedHourglass(self.config, self.dtype, self.remat, name=kind)
            return hourglass(pixels, train=train)
