"""Images that describe a data set: samples with their depth, and a histogram of depths.

Colours and missing depth are as in `depthsi.viz.depth_maps`.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from depthsi.viz.colour_maps import require_matplotlib
from depthsi.viz.depth_maps import (
    WIDE,
    as_picture,
    colour_depth,
    depth_limits,
    depth_scale,
    relative_height,
)
from depthsi.viz.grid import Cell, draw_histogram, save_grid

SHEET, WIDE_SHEET = (1.9, 3), (3.0, 2)  # inches of an image's width, pairs in a row


def save_data_sheet(
    path: str | os.PathLike[str],
    splits: Mapping[str, Sequence[tuple[ArrayLike, ArrayLike]]],
    *,
    title: str = "",
) -> None:
    """Writes a PNG of images with their depth, two or three pairs in a row of one scale.

    Args:
      path: path of the PNG file, in an existing directory.
      splits: by heading: image (H, W, 3), 0..255, and depth (H, W) in metres of each sample.
      title: heading of the sheet.

    Raises:
      ValueError: no samples, or an array has another shape.
    """
    if not any(splits.values()):
        raise ValueError("`splits` has no samples, there is nothing to draw")
    tallest = max(
        relative_height(as_picture(image), 1.0) for some in splits.values() for image, _ in some
    )
    width, pairs = WIDE_SHEET if tallest * WIDE < 1 else SHEET
    grid = []
    for name, some in splits.items():
        for start in range(0, len(some), pairs):
            heading = name if start == 0 else ""
            grid.append(_data_row(some[start : start + pairs], pairs, tallest, heading))
    save_grid(path, grid, title, width=width, heights=[width * tallest] * len(grid))


def _data_row(
    row: Sequence[tuple[ArrayLike, ArrayLike]], pairs: int, tallest: float, heading: str
) -> list[Cell]:
    limits = depth_limits(*(depth for _, depth in row))
    cells = []
    for image, depth in row:
        picture = _letterbox(as_picture(image), tallest)
        cells.append(Cell(picture, heading, smooth=True))
        cells.append(Cell(_letterbox(colour_depth(depth, limits=limits), tallest), ""))
        heading = ""
    blank = Cell(np.full((1, 1, 3), 255, np.uint8), "")
    cells += [blank] * (2 * pairs - len(cells))
    cells[-1] = dataclasses.replace(cells[-1], scale=depth_scale(limits))
    return cells


def _letterbox(picture: np.ndarray, tallest: float) -> np.ndarray:
    """Adds white above and below until the height is `tallest` times the width."""
    missing = round(tallest * picture.shape[1]) - picture.shape[0]
    above = missing // 2
    return np.pad(picture, ((above, missing - above), (0, 0), (0, 0)), constant_values=255)


def save_histogram(
    path: str | os.PathLike[str],
    edges: ArrayLike,
    shares: Mapping[str, ArrayLike],
    *,
    title: str = "",
) -> None:
    """Writes a PNG of depth histograms over a logarithmic axis.

    Args:
      path: path of the PNG file, in an existing directory.
      edges: (bins + 1) depths in metres, rising.
      shares: by name: (bins) share of the pixels in each bin, 0..1.
      title: heading of the figure.

    Raises:
      DepthsiError: matplotlib is not installed.
    """
    require_matplotlib("A histogram")
    draw_histogram(path, np.asarray(edges), {k: np.asarray(v) for k, v in shares.items()}, title)
