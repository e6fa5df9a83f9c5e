"""A sheet of the images of a split with the worst, median and best predictions."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from depthsi.viz.depth_maps import (
    SHEET_INCHES,
    as_picture,
    colour_depth,
    colour_error,
    depth_limits,
    depth_scale,
    error_limit,
    error_scale,
    relative_height,
)
from depthsi.viz.grid import Cell, save_grid

ENDS, MIDDLE = 3, 2  # number of worst and of best images; number of images from the middle


class ComparedImage(NamedTuple):
    """One compared image: the image, uint8 (h, w, 3), and two depth maps, metres (h, w)."""

    picture: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


def save_sheet(
    path: str | os.PathLike[str],
    names: Sequence[str],
    errors: Float64[np.ndarray, " N"],
    compared_image: Callable[[int], ComparedImage],
    title: str,
) -> None:
    """Writes a PNG with a row for each selected image: the image, both depth maps, the error.

    Args:
      path: path of the file, in an existing directory.
      names: names of the images.
      errors: RMSE log of each image; images with NaN are left out.
      compared_image: returns the maps of an image by its index.
      title: heading of the sheet.

    Raises:
      DepthsiError: matplotlib is not installed.
    """
    rows, heights = [], []
    for index, kind in chosen(errors):
        picture, predicted, true = compared_image(index)
        limits, worst = depth_limits(predicted, true), error_limit(predicted, true)
        cells = [
            Cell(as_picture(picture), f"{kind}: {names[index]}"[-44:], smooth=True),
            Cell(colour_depth(predicted, limits=limits), "predicted"),
            Cell(colour_depth(true, limits=limits), "true", depth_scale(limits)),
            Cell(
                colour_error(predicted, true, limit=worst),
                f"predicted / true, RMSE log {errors[index]:.3f}",
                error_scale(worst),
            ),
        ]
        rows.append(cells)
        heights.append(relative_height(picture, SHEET_INCHES))
    if rows:
        save_grid(path, rows, title, width=SHEET_INCHES, heights=heights)


def chosen(errors: Float64[np.ndarray, " N"]) -> list[tuple[int, str]]:
    """Indices of the images to show, worst first, each once, with their description."""
    order = np.argsort(-errors, kind="stable")  # NaN comes last
    order = order[: np.isfinite(errors).sum()].tolist()
    if len(order) <= 2 * ENDS + MIDDLE:
        return [(index, f"{place} of {len(order)}") for place, index in enumerate(order, 1)]
    middle = len(order) // 2
    return [
        *((index, "worst") for index in order[:ENDS]),
        *((index, "middle") for index in order[middle - MIDDLE // 2 : middle + MIDDLE // 2]),
        *((index, "best") for index in order[-ENDS:]),
    ]
