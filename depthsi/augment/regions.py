"""Random changes of rectangles of an image that leave its depth as it is.

Images are float (H, W, 3), RGB on the scale 0..255. All functions are pure.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from depthsi.augment.views import Batch
from depthsi.config import AugmentConfig
from depthsi.geometry import CELL_OFFSET, CELL_STRIDE, Geometry

ERASED_AREA = (0.02, 0.2)  # share of the image, Zhong et al.: 0.02 to 0.4 for objects
ERASED_ASPECT = (0.3, 1 / 0.3)
CUT_DEPTH_SHARE = 0.75  # p of Ishii and Yamashita, the best of their Table 4
NEAREST, FARTHEST = 0.5, 20.0  # metres shown as black and as white


class Rectangle(NamedTuple):
    """Rows `top` <= r < `top + height` and columns likewise, in pixels, not rounded."""

    top: Float[Array, ""]
    left: Float[Array, ""]
    height: Float[Array, ""]
    width: Float[Array, ""]


def vary_regions(
    key: Key[Array, ""], batch: Batch, config: AugmentConfig, sizes: Geometry
) -> Float[Array, "H W 3"]:
    """The image of one sample after the changes of `config`.

    Args:
      key: determines the regions that change.
      batch: one sample, without a batch axis.
      config: the probabilities; a change of probability 0 is not computed.
      sizes: geometry of the output cells.
    """
    image, picture = batch.image, sizes.input
    erase_key, depth_key = jax.random.split(key)
    if config.cut_depth:
        happens, where = jax.random.split(depth_key)
        here = inside(draw_depth_region(where, picture), picture)
        here = here & jax.random.bernoulli(happens, config.cut_depth)
        image = show_depth(image, batch, here, sizes)
    if config.erase:
        happens, where = jax.random.split(erase_key)
        here = inside(draw_erased(where, picture), picture)
        here = here & jax.random.bernoulli(happens, config.erase)
        image = jnp.where(here[..., None], jnp.mean(image, (0, 1)), image)
    return image


def draw_erased(key: Key[Array, ""], picture: tuple[int, int]) -> Rectangle:
    """A rectangle to be erased, after Zhong et al., "Random Erasing", 2020.

    https://arxiv.org/abs/1708.04896
    """
    area_key, aspect_key, top_key, left_key = jax.random.split(key, 4)
    low, high = ERASED_AREA
    area = picture[0] * picture[1] * jax.random.uniform(area_key, (), minval=low, maxval=high)
    low, high = map(math.log, ERASED_ASPECT)
    aspect = jnp.exp(jax.random.uniform(aspect_key, (), minval=low, maxval=high))
    height = jnp.minimum(jnp.sqrt(area * aspect), picture[0])
    width = jnp.minimum(jnp.sqrt(area / aspect), picture[1])
    top = (picture[0] - height) * jax.random.uniform(top_key)
    left = (picture[1] - width) * jax.random.uniform(left_key)
    return Rectangle(top, left, height, width)


def draw_depth_region(key: Key[Array, ""], picture: tuple[int, int]) -> Rectangle:
    """A rectangle to be replaced by its depth, after Ishii and Yamashita, "CutDepth", 2021.

    https://arxiv.org/abs/2107.07684
    """
    down, right, size = jax.random.uniform(key, (3,))
    top, left = down * picture[0], right * picture[1]
    height = jnp.maximum((picture[0] - top) * size * CUT_DEPTH_SHARE, 1)
    width = jnp.maximum((picture[1] - left) * size * CUT_DEPTH_SHARE, 1)
    return Rectangle(top, left, height, width)


def inside(rectangle: Rectangle, picture: tuple[int, int]) -> Bool[Array, "H W"]:
    """Which pixels of an image of size (H, W) have their centres in the rectangle."""
    rows, cols = (jnp.arange(size, dtype=jnp.float32) + 0.5 for size in picture)
    top, left, height, width = rectangle
    row = (rows >= top) & (rows < top + height)
    col = (cols >= left) & (cols < left + width)
    return row[:, None] & col[None, :]


def show_depth(
    image: Float[Array, "H W 3"], batch: Batch, here: Bool[Array, "H W"], sizes: Geometry
) -> Float[Array, "H W 3"]:
    """The image with its log depth as grey values where `here` is true and depth is known.

    Each pixel has the depth of the nearest output cell; 0.5 m is black and 20 m white.
    """
    row, col = (
        jnp.clip(jnp.round((jnp.arange(pixels) - first) / CELL_STRIDE).astype(int), 0, cells - 1)
        for pixels, cells, first in zip(
            sizes.input, sizes.output, (sizes.fine_top + CELL_OFFSET, CELL_OFFSET), strict=True
        )
    )
    near, far = math.log(NEAREST), math.log(FARTHEST)
    grey = 255 * jnp.clip((batch.log_depth - near) / (far - near), 0, 1)
    nearest = row[:, None], col[None, :]
    return jnp.where((here & batch.valid[nearest])[..., None], grey[nearest][..., None], image)
