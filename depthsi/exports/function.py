"""A trained network as the function that is exported: images in, metres out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from depthsi.augment import centre
from depthsi.models.factory import make_model
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
    sizes, model = network.settings.sizes, make_model(network.settings)
    params = jax.tree.map(np.asarray, dict(network.params))

    def metres(images: jax.Array) -> jax.Array:
        pixels = centre(images, jnp.ones(images.shape[:3]), sizes).image
        log_depth: Any = model.apply({"params": params}, pixels, output=output)
        return jnp.exp(log_depth)

    (batch,) = export.symbolic_shape("b")
    return metres, jax.ShapeDtypeStruct((batch, *sizes.image, 3), np.uint8)
