"""From images to depth: the network on images of its own size, and windows of it on any other."""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from PIL import Image

from depthsi.augment import centre
from depthsi.compilation import jit
from depthsi.geometry import CELL_STRIDE, Geometry
from depthsi.models.settings import ModelConfig

BATCHES = (1, 4, 16)  # windows predicted together, padded to the next of these


def log_depth_function(
    config: ModelConfig, output: str, module: Any = None
) -> Callable[[Any, Any], jax.Array]:
    """The network as a pure function: (params, RGB 0..255 of input size) -> log depth (B, h, w).

    Args:
      config: of the network.
      output: one of the outputs of `config.kind`: coarse or fine, unet, hourglass, custom.
      module: that settings of the kind custom stand for.

    Raises:
      DepthsiError: there is no such module, or it is not called for.
    """
    from depthsi.models.factory import make_model  # Flax, which exported networks do without

    model = make_model(config, network=module)
    return lambda params, image: jnp.asarray(model.apply({"params": params}, image, output=output))


def depth_function(
    config: ModelConfig, output: str, *, mirrored: bool = False, module: Any = None
) -> Callable[[Any, Any], jax.Array]:
    """The network as a pure function: (params, raw images) -> metres at its output cells.

    Args:
      config: of the network.
      output: one of the outputs of `config.kind`: coarse or fine, unet, hourglass, custom.
      mirrored: whether to take the mean log depth of each image and of its mirror image.
      module: that settings of the kind custom stand for.
    """
    network = log_depth_function(config, output, module)

    def log_depth(params: Any, image: jax.Array) -> jax.Array:
        return network(params, centre(image, jnp.ones(image.shape[:3]), config.sizes).image)

    def metres(params: Any, image: jax.Array) -> jax.Array:
        found = log_depth(params, image)
        if mirrored:
            found = (found + log_depth(params, image[:, :, ::-1])[:, :, ::-1]) / 2
        return jnp.exp(found)

    return metres


def make_predictor(
    config: ModelConfig, output: str, *, mirrored: bool = False, module: Any = None
) -> Callable[[Any, Any], Any]:
    """`depth_function`, compiled."""
    return jit(depth_function(config, output, mirrored=mirrored, module=module))


def make_window_network(
    config: ModelConfig, params: Any, output: str = "fine", module: Any = None
) -> Callable[[Any], Any]:
    """`log_depth_function` of these parameters, compiled."""
    return functools.partial(jit(log_depth_function(config, output, module)), params)


def predict_depth(
    network: Callable[[Any], Any], image: UInt8[np.ndarray, "H W 3"], sizes: Geometry
) -> Float32[np.ndarray, "H W"]:
    """Depth of every pixel of an image.

    The image is scaled, its aspect kept, until it just covers the size the network was trained
    at; half-overlapping windows of the network's input size are predicted, interpolated between
    the centres of the output cells and averaged, all in log depth; the result is scaled back.

    Args:
      network: from `make_window_network`, or anything with its signature.
      image: RGB.
      sizes: the geometry of the network.

    Returns:
      Metres; NaN where no window predicts (on KITTI, above the rows the fine network sees).
    """
    return next(predict_depths(network, [image], sizes))


def predict_depths(
    network: Callable[[Any], Any], images: Iterable[UInt8[np.ndarray, "_ _ 3"]], sizes: Geometry
) -> Iterator[Float32[np.ndarray, "_ _"]]:
    """Like `predict_depth` of each image in turn, with windows of several images in one batch.

    It takes from `images` only as many as a batch needs, so that any number of them can follow one
    another. Batches have one of the sizes `BATCHES`, for which the network is compiled once each.
    """
    cut: deque[_Cut] = deque()  # not yet joined
    windows: list[np.ndarray] = []  # not yet predicted
    cells: deque[np.ndarray] = deque()  # predicted, not yet joined

    def predict(count: int) -> None:
        size = min(size for size in BATCHES if size >= count)
        batch = np.zeros((size, *sizes.input, 3), np.float32)
        batch[:count] = windows[:count]
        del windows[:count]
        cells.extend(np.asarray(network(batch))[:count])

    def finished() -> Iterator[np.ndarray]:
        while cut and len(cells) >= len(cut[0].corners):
            first = cut.popleft()
            yield _join(first, [cells.popleft() for _ in first.corners], sizes)

    for image in images:
        cut.append(_cut(image, sizes, windows))
        while len(windows) >= BATCHES[-1]:
            predict(BATCHES[-1])
        yield from finished()
    while windows:
        predict(min(len(windows), BATCHES[-1]))
    yield from finished()


class _Cut(NamedTuple):
    """An image that was cut: its size, that of the scaled one, the first pixels of its windows."""

    size: tuple[int, int]
    scaled: tuple[int, int]
    corners: list[tuple[int, int]]


def _cut(image: UInt8[np.ndarray, "H W 3"], sizes: Geometry, windows: list[np.ndarray]) -> _Cut:
    """Scales an image and adds its windows to `windows`."""
    (height, width), (rows, cols) = image.shape[:2], sizes.input
    factor = max(sizes.image[0] / height, sizes.image[1] / width)
    scaled = max(round(height * factor), sizes.image[0]), max(round(width * factor), sizes.image[1])
    pixels = np.asarray(Image.fromarray(image).resize(scaled[::-1], Image.Resampling.BILINEAR))
    corners = [
        (top, left) for top in _offsets(scaled[0], rows) for left in _offsets(scaled[1], cols)
    ]
    windows += [pixels[top : top + rows, left : left + cols] for top, left in corners]
    return _Cut((height, width), scaled, corners)


def _join(cut: _Cut, cells: list[Float[np.ndarray, "h w"]], sizes: Geometry) -> np.ndarray:
    """Depth of every pixel of the image, from the log depth of its windows."""
    log_depth, valid = _blend(cells, cut.corners, cut.scaled, sizes)
    first = int(np.argmax(valid.any(axis=1)))
    log_depth[:first] = log_depth[first]  # so that scaling does not mix in what is unknown
    wide_first = cut.size[1], cut.size[0]
    resized = Image.fromarray(log_depth).resize(wide_first, Image.Resampling.BILINEAR)
    known = Image.fromarray(valid).resize(wide_first, Image.Resampling.NEAREST)
    return np.where(np.asarray(known), np.exp(np.asarray(resized)), np.float32(np.nan))


def _offsets(total: int, window: int) -> list[int]:
    """First pixels of windows that cover `total` pixels and overlap by half or more."""
    count = 1 + -(-(total - window) // (window // 2))
    return [round(i * (total - window) / max(count - 1, 1)) for i in range(count)]


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
