"""Both networks as one: the coarse map feeds the fine network, which never trains it."""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Shaped

from depthsi.models.checks import checked_image
from depthsi.models.coarse import CoarseNet
from depthsi.models.fine import FineNet
from depthsi.models.initialisers import quick_shapes
from depthsi.models.settings import TwoScaleConfig

Output = Literal["coarse", "fine"]


class TwoScaleNet(nn.Module):
    """Parameters `coarse` and `fine`; `output` chooses which map `__call__` returns.

    Attributes:
      config: widths, geometry and scales.
      dtype: type of the arithmetic; parameters, last layers and results are float32.
      remat: whether the backward pass computes the inside of blocks again.

    Example:
      >>> import jax
      >>> from depthsi.models import TwoScaleConfig, TwoScaleNet
      >>> net = TwoScaleNet(TwoScaleConfig(geometry="kitti", width=0.02))
      >>> made = jax.eval_shape(net.init_with_output, jax.random.key(0), net.example_image())
      >>> made[0].shape, sorted(made[1]["params"])
      ((1, 27, 142), ['coarse', 'fine'])
    """

    config: TwoScaleConfig
    dtype: Any = jnp.float32
    remat: bool = False

    def example_image(self, batch: int = 1) -> Float[Array, "b H W 3"]:
        """Black images (batch, H, W, 3) of the network's input size, to initialise it with.

        Args:
          batch: number of images.
        """
        return jnp.zeros((batch, *self.config.sizes.input, 3))

    def setup(self) -> None:
        """Makes the two networks, whose names are the keys of the parameters."""
        self.coarse = CoarseNet(self.config, self.dtype, self.remat)
        self.fine = FineNet(self.config, self.dtype, self.remat)

    def __call__(
        self,
        image: Shaped[ArrayLike, "..."],
        *,
        train: bool = False,
        output: Output = "fine",
        examples: Int[Array, " b"] | None = None,
    ) -> Float[Array, "b h w"]:
        """Predicts log depth.

        The fine map is computed from the coarse map as it stands at test time, without dropout
        and without a gradient into it (paper, section 3.2).

        Args:
          image: RGB on the scale 0..255, of the geometry's `input` size.
          train: whether dropout acts (in the coarse network, when its map is the output).
          output: which network's map to return.
          examples: index of each image, on which its dropout depends. Default: 0 .. b - 1.

        Returns:
          Log depth, natural log of metres, of the geometry's `output` size.

        Raises:
          ValueError: an output the networks do not have, or images of another size, type or scale.
        """
        pixels = checked_image(image, self.config.sizes)
        if output not in ("coarse", "fine"):
            raise ValueError(f"`output` (={output!r}) must be 'coarse' or 'fine'")
        with quick_shapes(self):
            if output == "coarse":
                return self.coarse(pixels, train=train, examples=examples)
            return self.fine(pixels, jax.lax.stop_gradient(self.coarse(pixels)))
