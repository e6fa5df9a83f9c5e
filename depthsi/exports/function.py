"""A trained network as the function that is exported: images in, metres out."""

import functools
from collections.abc import Callable

import jax
import numpy as np
from jax import export

from depthsi.inference import depth_function
from depthsi.weights.network_file import TrainedNetwork


def image_function(
    network: TrainedNetwork, output: str
) -> tuple[Callable[[jax.Array], jax.Array], jax.ShapeDtypeStruct]:
    """The function with everything inside, and what it is called with.

    Args:
      network: whose parameters become constants.
      output: which of its maps.

    Returns:
      Images, uint8 (b, H, W, 3) of the size the network was trained with, to metres, float32
      (b, h, w), at its output cells; and shape and type of the images, with a symbolic b.
    """
    sizes = network.settings.sizes
    params = jax.tree.map(np.asarray, dict(network.params))
    metres = functools.partial(
        depth_function(network.settings, output, module=network.module), params
    )
    (batch,) = export.symbolic_shape("b")
    return metres, jax.ShapeDtypeStruct((batch, *sizes.image, 3), np.uint8)
