"""From images to depth: the network on images of its own size, and windows of it on any other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from PIL import Image

from depthsi.augment import centre
from depthsi.compilation import jit
from depthsi.config import ModelConfig
from depthsi.geometry import CELL_STRIDE, Geometry
from depthsi.models import make_model

MOST_WINDOWS = 16  # in one batch


def make_predictor(
    config: ModelConfig, output: str, *, mirrored: bool = False
) -> Callable[[Any, Any], Any]:
    """The network, compiled: (params, raw pictures) -> metres at its output cells.

    Args:
      config: of the network.
      output: one of the outputs of `config.kind`: coarse or fine, unet, hourglass.
      mirrored: whether to take the mean log depth of each picture and of its mirror image.
    """
    model = make_model(config)

    def log_depth(params: Any, image: jax.Array) -> jax.Array:
        batch = centre(image, jnp.ones(image.shape[:3]), config.sizes)
        return jnp.asarray(model.apply({"params": params}, batch.image, output=output))

    def predict(params: Any, image: jax.Array) -> jax.Array:
        found = log_depth(params, image)
        if mirrored:
            found = (found + log_depth(params, image[:, :, ::-1])[:, :, ::-1]) / 2
        return jnp.exp(found)

    return jit(predict)


def make_window_network(
    config: ModelConfig, params: Any, output: str = "fine"
) -> Callable[[Any], Any]:
    """The network, compiled: RGB 0..255 (B, H, W, 3) of input size -> log depth (B, h, w).

    `output` is one of the outputs of `config.kind`: coarse or fine, unet, hourglass.
    """
    model = make_model(config)

    def network(params: Any, image: jax.Array) -> jax.Array:
        return jnp.asarray(model.apply({"params": params}, image, output=output))

    compiled = jit(network)
    return lambda image: compiled(params, image)


def predict_depth(
    network: Callable[[Any], Any], image: UInt8[np.ndarray, "H W 3"], sizes: Geometry
) -> Float32[np.ndarray, "H W"]:
    """Depth of every pixel of a picture.

    The picture is scaled, its aspect kept, until it just covers the size the network was trained
    at; half-overlapping windows of the network's input size are predicted, interpolated between
    the centres of the output cells and averaged, all in log depth; the result is scaled back.

    Args:
      network: from `make_window_network`, or anything with its signature.
      image: RGB.
      sizes: the geometry of the network.

    Returns:
      Metres; NaN where no window predicts (on KITTI, above the rows the fine network sees).
    """
    height, width = image.shape[:2]
    factor = max(sizes.image[0] / height, sizes.image[1] / width)
    scaled = max(round(height * factor), sizes.image[0]), max(round(width * factor), sizes.image[1])
    picture = np.asarray(Image.fromarray(image).resize(scaled[::-1], Image.Resampling.BILINEAR))

    corners = [
        (top, left)
        for top in _offsets(scaled[0], sizes.input[0])
        for left in _offsets(scaled[1], sizes.input[1])
    ]
    log_depth, valid = _blend(_windows(network, picture, corners, sizes), corners, scaled, sizes)
    first = int(np.argmax(valid.any(axis=1)))
    log_depth[:first] = log_depth[first]  # so that scaling does not mix in what is unknown
    log_depth = Image.fromarray(log_depth).resize((width, height), Image.Resampling.BILINEAR)
    valid = Image.fromarray(valid).resize((width, height), Image.Resampling.NEAREST)
    return np.where(np.asarray(valid), np.exp(np.asarray(log_depth)), np.float32(np.nan))


def _offsets(total: int, window: int) -> list[int]:
    """First pixels of windows that cover `total` pixels and overlap by half or more."""
    count = 1 + -(-(total - window) // (window // 2))
    return [round(i * (total - window) / max(count - 1, 1)) for i in range(count)]


def _windows(
    network: Callable[[Any], Any],
    picture: UInt8[np.ndarray, "H W 3"],
    corners: list[tuple[int, int]],
    sizes: Geometry,
) -> list[Float[np.ndarray, "h w"]]:
    height, width = sizes.input
    cut = [picture[top : top + height, left : left + width] for top, left in corners]
    cells = []
    for start in range(0, len(cut), MOST_WINDOWS):
        batch = jnp.asarray(np.stack(cut[start : start + MOST_WINDOWS]), jnp.float32)
        cells.extend(np.asarray(network(batch)))
    return cells


def _blend(
    windows: list[Float[np.ndarray, "h w"]],
    corners: list[tuple[int, int]],
    size: tuple[int, int],
    sizes: Geometry,
) -> tuple[Float32[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
    """Weighted mean of the windows' log depth, each weighted most at its centre."""
    height, width = sizes.input
    first_row, first_col = sizes.cell_to_pixel(0, 0)
    rows = _interpolation(sizes.output[0], first_row, height)
    cols = _interpolation(sizes.output[1], first_col, width)
    weight = np.minimum(np.arange(height) + 1, height - np.arange(height))[:, None] * np.minimum(
        np.arange(width) + 1, width - np.arange(width)
    )
    weight[: sizes.fine_top] = 0  # the fine network has not seen these rows

    total, weights = np.zeros(size), np.zeros(size)
    for cells, (top, left) in zip(windows, corners, strict=True):
        total[top : top + height, left : left + width] += weight * (rows @ cells @ cols.T)
        weights[top : top + height, left : left + width] += weight
    return (total / np.maximum(weights, 1)).astype(np.float32), weights > 0


def _interpolation(count: int, first: int, length: int) -> Float[np.ndarray, "length count"]:
    """Matrix from values at `count` cell centres to `length` pixels; constant beyond the ends."""
    centres = first + CELL_STRIDE * np.arange(count)
    return np.stack([np.interp(np.arange(length), centres, row) for row in np.eye(count)], axis=1)
