"""Predicts depth for photos of any size and any camera, in windows of the network's input size.

A network predicts metres for the camera it was trained with. A photo whose focal length is known is
scaled until it has the focal length of the training images, so that everything appears under the
angle per pixel that the network was trained with. The predicted depth is then that of the photo,
without a further factor (Metric3D calls this transforming the image to a canonical camera,
https://arxiv.org/abs/2307.10984). A wide view takes more windows; a narrow one is smaller than a
window and is padded with its mirror images, which was better than repeated edges or grey
(experiments/studies/camera.py).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from depthsi.camera import Photo, check_focal
from depthsi.errors import DepthsiError
from depthsi.geometry import CELL_STRIDE, FOCAL_LENGTHS, Crop, Geometry
from depthsi.upsampling import Box, Upsampling, guided, resized

BATCHES = (1, 4, 16)  # windows predicted together, padded to the next of these
MAX_SCALED = 2**26  # pixels of a photo as the network sees it


def predict_depth(
    network: Callable[[Any], Any],
    image: UInt8[np.ndarray, "H W 3"] | Photo,
    sizes: Geometry,
    upsample: Upsampling = "bilinear",
) -> Float32[np.ndarray, "H W"]:
    """Depth of every pixel of an image.

    The image is scaled, its aspect kept, until its focal length is that of the training camera, or
    until it just covers the size the network was trained at; half-overlapping windows of the
    network's input size are predicted, interpolated between the centres of the output cells and
    averaged, all in log depth; the result is scaled back.

    Args:
      network: result of `depthsi.inference.make_window_network`, or a function with the same
        signature.
      image: RGB, or a photo with its focal length.
      sizes: the geometry of the network.
      upsample: "nearest" repeats the value of a cell, "bilinear" interpolates between the centres
        of cells, and "guided" interpolates along the edges of the image.

    Returns:
      Metres; NaN where no window predicts (on KITTI, above the rows the fine network sees).

    Raises:
      DepthsiError: the focal length is not plausible, see `resampled_size`.
    """
    return next(predict_depths(network, [image], sizes, upsample))


def predict_depths(
    network: Callable[[Any], Any],
    images: Iterable[UInt8[np.ndarray, "_ _ 3"] | Photo],
    sizes: Geometry,
    upsample: Upsampling = "bilinear",
) -> Iterator[Float32[np.ndarray, "_ _"]]:
    """Like `predict_depth` for each image in turn, with windows of several images in one batch.

    It only reads as many `images` as a batch needs, so there can be any number of them. Batches
    have one of the sizes `BATCHES`, for each of which the network is compiled once.
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
            yield _join(first, [cells.popleft() for _ in first.corners], sizes, upsample)

    for image in images:
        photo = image if isinstance(image, Photo) else Photo(image)
        cut.append(_cut(photo, sizes, windows))
        while len(windows) >= BATCHES[-1]:
            predict(BATCHES[-1])
        yield from finished()
    while windows:
        predict(min(len(windows), BATCHES[-1]))
    yield from finished()


def resampled_size(
    size: tuple[int, int], focal: float | int | None, sizes: Geometry
) -> tuple[int, int]:
    """(H, W) to which a photo is scaled before windows of it are predicted.

    Args:
      size: size of the photo, (H, W).
      focal: its focal length in pixels; None if unknown, in which case it is scaled to just cover
        `sizes.image`.
      sizes: the geometry of the network.

    Raises:
      DepthsiError: the focal length is not plausible, or the photo would become too large.
    """
    height, width = size
    if focal is None:
        factor = max(sizes.image[0] / height, sizes.image[1] / width)
        least = sizes.image
    else:
        check_focal(focal, width)
        factor, least = FOCAL_LENGTHS[sizes.name] / focal, (1, 1)
        if height * width * factor**2 > MAX_SCALED:
            raise DepthsiError(
                f"A photo of {height}x{width} pixels with a focal length of {focal:g} pixels sees"
                " too wide an angle for this network."
            )
    return max(round(height * factor), least[0]), max(round(width * factor), least[1])


def as_training_camera(photo: Photo, sizes: Geometry) -> UInt8[np.ndarray, "h w 3"]:
    """The photo scaled to `resampled_size`, as the training camera would see it.

    Raises:
      DepthsiError: as for `resampled_size`.
    """
    height, width = photo.image.shape[:2]
    rows, cols = resampled_size((height, width), photo.focal, sizes)
    scaled = Image.fromarray(photo.image).resize((cols, rows), Image.Resampling.BILINEAR)
    return np.asarray(scaled)


class _Cut(NamedTuple):
    """A photo that is divided into windows.

    Attributes:
      image: the photo.
      pixels: the scaled photo with its padding.
      inside: position of the scaled photo in `pixels`.
      corners: the first pixels of its windows.
    """

    image: UInt8[np.ndarray, "H W 3"]
    pixels: UInt8[np.ndarray, "h w 3"]
    inside: Crop
    corners: list[tuple[int, int]]


def _cut(photo: Photo, sizes: Geometry, windows: list[np.ndarray]) -> _Cut:
    """Scales a photo and adds its windows to `windows`."""
    scaled, (rows, cols) = as_training_camera(photo, sizes), sizes.input
    height, width = scaled.shape[:2]
    padded = max(height, rows), max(width, cols)
    top, left = (padded[0] - height) // 2, (padded[1] - width) // 2
    around = (top, padded[0] - height - top), (left, padded[1] - width - left), (0, 0)
    pixels = np.pad(scaled, around, "symmetric")
    corners = [(row, col) for row in _offsets(padded[0], rows) for col in _offsets(padded[1], cols)]
    windows += [pixels[row : row + rows, col : col + cols] for row, col in corners]
    return _Cut(photo.image, pixels, Crop(top, top + height, left, left + width), corners)


def _join(
    cut: _Cut, cells: list[Float[np.ndarray, "h w"]], sizes: Geometry, upsample: Upsampling
) -> np.ndarray:
    """Depth of every pixel of the photo, from the log depth of its windows."""
    top, bottom, left, right = cut.inside
    log_depth = _blend(cells, cut, sizes, upsample)[top:bottom, left:right]
    if upsample == "guided":
        return np.exp(guided(log_depth, cut.image))
    return np.exp(resized(log_depth, cut.image.shape[:2], smooth=upsample == "bilinear"))


def _offsets(total: int, window: int) -> list[int]:
    """First pixels of windows that cover `total` pixels and overlap by half or more."""
    count = 1 + -(-(total - window) // (window // 2))
    return [round(i * (total - window) / max(count - 1, 1)) for i in range(count)]


def _blend(
    windows: list[Float[np.ndarray, "h w"]], cut: _Cut, sizes: Geometry, upsample: Upsampling
) -> Float32[np.ndarray, "H W"]:
    """Weighted mean of the windows' log depth, each weighted most at its centre; or NaN."""
    height, width = sizes.input
    weight = np.minimum(np.arange(height) + 1, height - np.arange(height))[:, None] * np.minimum(
        np.arange(width) + 1, width - np.arange(width)
    )
    weight[: sizes.fine_top] = 0  # the fine network has not seen these rows

    total, weights = np.zeros(cut.pixels.shape[:2]), np.zeros(cut.pixels.shape[:2])
    for cells, (top, left) in zip(windows, cut.corners, strict=True):
        inside = np.s_[top : top + height, left : left + width]
        total[inside] += weight * _at_pixels(cells, cut.pixels[inside], sizes, upsample)
        weights[inside] += weight
    return np.where(weights > 0, total / np.maximum(weights, 1), np.nan).astype(np.float32)


def _at_pixels(
    cells: Float[np.ndarray, "h w"],
    window: UInt8[np.ndarray, "H W 3"],
    sizes: Geometry,
    upsample: Upsampling,
) -> Float[np.ndarray, "H W"]:
    """Output cells at the pixels of their window; constant beyond the centres of the outer ones."""
    (first_row, first_col), (rows, cols) = sizes.cell_to_pixel(0, 0), cells.shape
    if upsample == "guided":
        top, left = (first + (1 - CELL_STRIDE) / 2 for first in (first_row, first_col))
        box = Box(top, left, top + CELL_STRIDE * rows, left + CELL_STRIDE * cols)
        return guided(cells, window, box)
    smooth = upsample == "bilinear"
    to_rows = _interpolation(rows, first_row, window.shape[0], smooth)
    return to_rows @ cells @ _interpolation(cols, first_col, window.shape[1], smooth).T


def _interpolation(
    count: int, first: int, length: int, smooth: bool
) -> Float[np.ndarray, "length count"]:
    """Matrix from values at `count` cell centres to `length` pixels; constant beyond the ends."""
    at = (np.arange(length) - first) / CELL_STRIDE  # counted in cells
    if not smooth:
        at = np.floor(at + 0.5)
    return np.stack([np.interp(at, np.arange(count), row) for row in np.eye(count)], axis=1)
