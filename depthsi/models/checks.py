"""Checks the images passed to a network, before Flax reports mismatched parameter shapes."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from depthsi.geometry import Geometry


def checked_image(image: Any, sizes: Geometry) -> Float[Array, "b H W 3"]:
    """Returns `image` if it is a batch of RGB images of the network's size, on the scale 0..255.

    The scale is only checked outside of transformations, where values are known.

    Args:
      image: argument of the network.
      sizes: geometry of the network.

    Raises:
      ValueError: the shape, type or scale is wrong; the message says what to do.
    """
    height, width = sizes.input
    wanted = f"float32 (batch, {height}, {width}, 3), RGB on the scale 0..255"
    shape = np.shape(image)  # converters to other formats trace what jnp.shape gives
    if len(shape) != 4 or shape[3] != 3:
        if len(shape) == 3 and shape[2] == 3:
            remedy = "add a batch axis, image[None]"
        elif len(shape) == 4 and shape[1] == 3:
            remedy = "move the channels last, image.transpose(0, 2, 3, 1)"
        elif shape and shape[-1] == 1:
            remedy = "repeat a grey image three times along its last axis"
        else:
            remedy = "give RGB images, channels last"
        raise ValueError(f"`image` has shape {shape}, not {wanted}: {remedy}.")
    if shape[1:3] != sizes.input:
        raise ValueError(
            f"`image` has {shape[1]}x{shape[2]} pixels, not {height}x{width}, the input of the"
            f" geometry {sizes.name}: resize it, or use depthsi.Predictor, which takes any size."
        )
    if not jnp.issubdtype(jnp.result_type(image), jnp.floating):
        raise ValueError(
            f"`image` is {jnp.result_type(image)}, not {wanted}: use image.astype('float32')."
        )
    if not isinstance(image, Tracer):
        values = np.asarray(image)
        low, high = float(values.min(initial=0)), float(values.max(initial=0))
        if low < 0 or 0 < high <= 1:
            raise ValueError(
                f"`image` spans {low:g} to {high:g}, not the scale 0..255: give pixels as they are"
                " stored, since the network normalises them itself."
            )
    return jnp.asarray(image)
