"""From raw samples to batches: the paper's augmentation as one affine map, or the centre crop.

Pictures are uint8 or float (H, W, 3), RGB on the scale 0..255; depth is float (H, W) in metres,
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

Raw = Array | np.ndarray  # samples come from the host


class Batch(NamedTuple):
    """What the networks and the loss see; where `valid` is False `log_depth` means nothing."""

    image: Float[Array, "*batch H W 3"]  # RGB, 0..255
    log_depth: Float[Array, "*batch h w"]  # natural log of metres
    valid: Bool[Array, "*batch h w"]


class View(NamedTuple):
    """One random choice of the augmentation: what becomes of one sample."""

    scale: Float[Array, ""]  # enlargement of the picture; depth is divided by it
    angle: Float[Array, ""]  # radians, the picture turns counter-clockwise
    shift: Float[Array, "2"]  # crop centre minus picture centre, pixels of the enlarged picture
    mirror: Bool[Array, ""]
    colour: Float[Array, "3"]  # factor per channel


def draw_view(
    key: Key[Array, ""], config: AugmentConfig, picture: tuple[int, int], sizes: Geometry
) -> View:
    """Draws from the paper's distribution (section 4) for a picture of size (H, W)."""
    scale_key, angle_key, shift_key, mirror_key, colour_key = jax.random.split(key, 5)
    low, high = config.scale
    scale = jax.random.uniform(scale_key, (), minval=low, maxval=high)
    bound = jnp.deg2rad(config.rotation)
    # the crop lies anywhere inside the enlarged, not yet rotated picture
    room = jnp.maximum(scale * jnp.array(picture) - jnp.array(sizes.input), 0) / 2
    low, high = config.colour
    return View(
        scale=scale,
        angle=jax.random.uniform(angle_key, (), minval=-bound, maxval=bound),
        shift=room * jax.random.uniform(shift_key, (2,), minval=-1.0, maxval=1.0),
        mirror=jax.random.bernoulli(mirror_key, config.flip),
        colour=jax.random.uniform(colour_key, (3,), minval=low, maxval=high),
    )


def apply_view(
    view: View, image: Num[Raw, "H W 3"], depth: Float[Raw, "H W"], sizes: Geometry
) -> Batch:
    """Reads the network's input and targets through one affine map.

    The picture is read bilinearly (beyond its border: the border's colours), depth at the output
    cells only and from the nearest pixel, so that valid and missing never mix; beyond the border
    it is missing.
    """
    picture = depth.shape[0], depth.shape[1]
    rows, cols = (jnp.arange(n, dtype=jnp.float32) for n in sizes.input)
    pixels = _sample_bilinear(jnp.asarray(image), *_source(view, rows, cols, picture, sizes))
    rows, cols = _cells(sizes)
    metres = _sample_nearest(jnp.asarray(depth), *_source(view, rows, cols, picture, sizes))
    metres = metres / view.scale
    return Batch(pixels * view.colour[None, None], *_log_and_valid(metres))


def augment(
    keys: Key[Array, " b"],
    image: Num[Raw, "b H W 3"],
    depth: Float[Raw, "b H W"],
    config: AugmentConfig,
    sizes: Geometry,
) -> Batch:
    """A training batch: every sample seen through its own random view."""

    def one(key: jax.Array, picture: jax.Array, metres: jax.Array) -> Batch:
        if config.mask_extremes:
            metres = mask_extremes(metres)
        view = draw_view(key, config, (metres.shape[0], metres.shape[1]), sizes)
        return apply_view(view, picture, metres, sizes)

    return jax.vmap(one)(keys, jnp.asarray(image), jnp.asarray(depth))


def centre(image: Num[Raw, "b H W 3"], depth: Float[Raw, "b H W"], sizes: Geometry) -> Batch:
    """A test batch: the centre crop, with the targets at its output cells."""
    (height, width), picture = sizes.input, image.shape[1:3]
    top, left = (picture[0] - height) // 2, (picture[1] - width) // 2
    pixels = jnp.asarray(image[:, top : top + height, left : left + width], jnp.float32)
    rows, cols = (jnp.asarray(axis, jnp.int32) for axis in _cells(sizes))
    metres = jnp.asarray(depth)[:, (top + rows)[:, None], (left + cols)[None, :]]
    return Batch(pixels, *_log_and_valid(metres))


def mask_extremes(depth: Float[Array, "H W"]) -> Float[Array, "H W"]:
    """Marks as missing every pixel at the least or greatest depth of its image (section 4.1).

    These are where a depth camera saturates: windows, open doors, mirrors.
    """
    valid = valid_depth(depth)
    least = jnp.min(jnp.where(valid, depth, jnp.inf))
    greatest = jnp.max(jnp.where(valid, depth, -jnp.inf))
    return jnp.where(valid & (depth > least) & (depth < greatest), depth, 0.0)


def _cells(sizes: Geometry) -> tuple[Float[Array, " h"], Float[Array, " w"]]:
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
    """Positions in the raw picture of the network's input pixels rows x cols."""
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


def _log_and_valid(
    metres: Float[Array, "*batch h w"],
) -> tuple[Float[Array, "*batch h w"], Bool[Array, "*batch h w"]]:
    valid = valid_depth(metres)
    return jnp.log(jnp.where(valid, metres, 1.0)), valid
