"""The paper's augmentation as one affine map from the raw sample to the network's input.

Images are uint8 or float (H, W, 3), RGB on the scale 0..255; depth is float (H, W) in metres,
where 0, negative, NaN and inf mean missing; positions are (row, column) of pixel centres. All
functions are pure and may be vmapped and jitted.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, Num

from depthsi.config import AugmentConfig
from depthsi.geometry import CELL_OFFSET, CELL_STRIDE, Geometry
from depthsi.valid import valid_depth

CUT_ROWS = (0.2, 0.8)  # of the input's height, Shao et al., https://arxiv.org/abs/2302.08149
Raw = Array | np.ndarray  # samples come from the host


class Batch(NamedTuple):
    """Input of the networks and the loss; `log_depth` is meaningless where `valid` is False."""

    image: Float[Array, "*batch H W 3"]  # RGB, 0..255
    log_depth: Float[Array, "*batch h w"]  # natural log of metres
    valid: Bool[Array, "*batch h w"]


class View(NamedTuple):
    """The random choices of the augmentation for one sample."""

    scale: Float[Array, ""]  # enlargement of the image; depth is divided by it
    angle: Float[Array, ""]  # radians, the image turns counter-clockwise
    shift: Float[Array, "2"]  # crop centre minus image centre, pixels of the enlarged image
    mirror: Bool[Array, ""]
    colour: Float[Array, "3"]  # factor per channel
    cut: Float[Array, ""] | float = 0.0  # rows that move from the top of the input to its bottom


def draw_view(
    key: Key[Array, ""], config: AugmentConfig, picture: tuple[int, int], sizes: Geometry
) -> View:
    """Draws from the paper's distribution (section 4) for an image of size (H, W)."""
    scale_key, angle_key, shift_key, mirror_key, colour_key = jax.random.split(key, 5)
    low, high = config.scale
    scale = jax.random.uniform(scale_key, (), minval=low, maxval=high)
    bound = jnp.deg2rad(config.rotation)
    # the crop lies anywhere inside the enlarged, not yet rotated image
    room = jnp.maximum(scale * jnp.array(picture) - jnp.array(sizes.input), 0) / 2
    low, high = config.colour
    cut = 0.0
    if config.cut_flip:  # with a key of its own, so that the other draws stay as they are
        happens, where = jax.random.split(jax.random.fold_in(key, 5))
        share = jax.random.uniform(where, (), minval=CUT_ROWS[0], maxval=CUT_ROWS[1])
        cut = jnp.round(share * sizes.input[0]) * jax.random.bernoulli(happens, config.cut_flip)
    return View(
        scale=scale,
        angle=jax.random.uniform(angle_key, (), minval=-bound, maxval=bound),
        shift=room * jax.random.uniform(shift_key, (2,), minval=-1.0, maxval=1.0),
        mirror=jax.random.bernoulli(mirror_key, config.flip),
        colour=jax.random.uniform(colour_key, (3,), minval=low, maxval=high),
        cut=cut,
    )


def apply_view(
    view: View, image: Num[Raw, "H W 3"], depth: Float[Raw, "H W"], sizes: Geometry
) -> Batch:
    """Reads the network's input and targets through one affine map.

    The image is read bilinearly (beyond its border: the border's colours), depth at the output
    cells only and from the nearest pixel, so that valid and missing never mix; beyond the border
    it is missing.
    """
    picture = depth.shape[0], depth.shape[1]
    rows, cols = (jnp.arange(n, dtype=jnp.float32) for n in sizes.input)
    pixels = _sample_bilinear(jnp.asarray(image), *_source(view, rows, cols, picture, sizes))
    rows, cols = output_cells(sizes)
    metres = _sample_nearest(jnp.asarray(depth), *_source(view, rows, cols, picture, sizes))
    metres = metres / view.scale
    return Batch(pixels * view.colour[None, None], *log_and_valid(metres))


def output_cells(sizes: Geometry) -> tuple[Float[Array, " h"], Float[Array, " w"]]:
    """Rows and columns of the input at the centres of the output cells."""
    rows, cols = (
        CELL_OFFSET + CELL_STRIDE * jnp.arange(n, dtype=jnp.float32) for n in sizes.output
    )
    return sizes.fine_top + rows, cols


def _source(
    view: View,
    rows: Float[Array, " h"],
    cols: Float[Array, " w"],
    picture: tuple[int, int],
    sizes: Geometry,
) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Positions in the raw image of the network's input pixels rows x cols."""
    rows = (rows + view.cut) % sizes.input[0]
    y = (rows - (sizes.input[0] - 1) / 2)[:, None] + view.shift[0]
    x = (cols - (sizes.input[1] - 1) / 2)[None, :]
    x = jnp.where(view.mirror, -x, x) + view.shift[1]
    sin, cos = jnp.sin(view.angle) / view.scale, jnp.cos(view.angle) / view.scale
    return cos * y + sin * x + (picture[0] - 1) / 2, cos * x - sin * y + (picture[1] - 1) / 2


def _sample_bilinear(
    image: Num[Raw, "H W 3"], y: Float[Array, "h w"], x: Float[Array, "h w"]
) -> Float[Array, "h w 3"]:
    height, width = image.shape[:2]
    y, x = jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = (y - top)[..., None], (x - left)[..., None]
    row, col = top.astype(jnp.int32), left.astype(jnp.int32)
    below, beside = jnp.minimum(row + 1, height - 1), jnp.minimum(col + 1, width - 1)
    flat = image.reshape(-1, 3)

    def read(row: jax.Array, col: jax.Array) -> jax.Array:
        return jnp.take(flat, row * width + col, axis=0, mode="clip").astype(jnp.float32)

    upper = (1 - right) * read(row, col) + right * read(row, beside)
    lower = (1 - right) * read(below, col) + right * read(below, beside)
    return (1 - down) * upper + down * lower


def _sample_nearest(
    depth: Float[Raw, "H W"], y: Float[Array, "h w"], x: Float[Array, "h w"]
) -> Float[Array, "h w"]:
    height, width = depth.shape
    row, col = (jnp.floor(axis + 0.5).astype(jnp.int32) for axis in (y, x))
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    values = jnp.take(depth.reshape(-1), row * width + col, mode="clip")
    return jnp.where(inside, values, 0.0)


def log_and_valid(
    metres: Float[Array, "*batch h w"],
) -> tuple[Float[Array, "*batch h w"], Bool[Array, "*batch h w"]]:
    """Natural log of the metres, 0 where they are missing, and where they are not."""
    valid = valid_depth(metres)
    return jnp.log(jnp.where(valid, metres, 1.0)), valid
