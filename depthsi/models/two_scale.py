"""Both networks as one: the coarse map feeds the fine network, which never trains it."""

from typing import Literal

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from depthsi.config import ModelConfig
from depthsi.models.coarse import CoarseNet
from depthsi.models.fine import FineNet

Output = Literal["coarse", "fine"]


class TwoScaleNet(nn.Module):
    """Parameters `coarse` and `fine`; `output` chooses which map `__call__` returns."""

    config: ModelConfig

    def setup(self) -> None:
        self.coarse = CoarseNet(self.config)
        self.fine = FineNet(self.config)

    def __call__(
        self,
        image: Float[Array, "b H W 3"],
        *,
        train: bool = False,
        output: Output = "fine",
    ) -> Float[Array, "b h w"]:
        """Predicts log depth.

        The fine map is computed from the coarse map as it stands at test time, without dropout
        and without a gradient into it (paper, section 3.2).

        Args:
          image: RGB on the scale 0..255, of the geometry's `input` size.
          train: whether dropout acts (in the coarse network, when its map is the output).
          output: which network's map to return.

        Returns:
          Log depth, natural log of metres, of the geometry's `output` size.
        """
        if output == "coarse":
            return self.coarse(image, train=train)
        return self.fine(image, jax.lax.stop_gradient(self.coarse(image)))
