"""A trained network as the function that is exported: images in, metres out."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import export

from depthsi.errors import DepthsiError
from depthsi.inference import depth_function
from depthsi.weights.network_file import TrainedNetwork


def image_function(
    network: TrainedNetwork, output: str
) -> tuple[Callable[[jax.Array], jax.Array], jax.ShapeDtypeStruct]:
    """The self-contained function to export, and the shape and type of its argument.

    Args:
      network: network whose parameters become constants.
      output: network output to return.

    Returns:
      Images, uint8 (b, H, W, 3) of the size the network was trained with, to metres, float32
      (b, h, w), at its output cells; and shape and type of the images, with a symbolic b.

    Raises:
      DepthsiError: your own network depends on the number of images in a batch.
    """
    sizes = network.settings.sizes
    params = jax.tree.map(np.asarray, dict(network.params))
    metres = functools.partial(
        depth_function(network.settings, output, module=network.module), params
    )
    (batch,) = export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, *sizes.image, 3), np.uint8)
    if network.module is not None:
        _check_any_batch(metres, images)
    return metres, images


def _check_any_batch(metres: Callable[[jax.Array], jax.Array], images: Any) -> None:
    try:
        jax.eval_shape(metres, images)
    except Exception as error:  # whatever the code of others makes of a number that is not known
        reason = " ".join(str(error).split())[:200]
        raise DepthsiError(
            f"The network cannot be exported with a variable batch size ({reason}): use"
            " image.shape[0] instead of len(image), and -1 for the batch where it reshapes."
        ) from error
