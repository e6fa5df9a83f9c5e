"""Resizes predicted maps to the compared pixels."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64

from depthsi.data.samples import size_text
from depthsi.errors import DepthsiError
from depthsi.geometry import Crop, Size, crop
from depthsi.valid import valid_depth

ASPECT = 0.02  # largest relative difference of proportions that resizing may undo
STREET = (352, 1216)  # what networks for KITTI see of an image, its crop "kb"
ROUNDING = 1e-9  # of a pixel: shares below come from positions that are not exact
Shown = Literal["box", "picture", "kb"]
Usable = Callable[[Any], Any]


def shown_part(shape: Size, size: Size, box: Crop, *, street: bool = False) -> Shown | None:
    """The part of an image that a map of `shape` covers; None if its size fits no part.

    A map covers the whole image if it has the same proportions, or only the box if it has the box's
    size or an integer fraction of it, like the 55x74 cells of the paper's network. For KITTI it may
    also cover the bottom centre of size `STREET`, which BTS and AdaBins predict, at that size or an
    integer fraction of it.

    Args:
      shape: (h, w) of the map.
      size: (H, W) of the image.
      box: the compared pixels.
      street: whether the image is from KITTI.
    """
    if shape != size and _divides(shape, _size(box)):
        return "box"
    if abs(math.log(shape[0] * size[1] / (shape[1] * size[0]))) <= ASPECT:
        return "picture"
    larger = size[0] >= STREET[0] and size[1] >= STREET[1]
    return "kb" if street and larger and _divides(shape, STREET) else None


def in_box(
    depth: Float64[np.ndarray, "h w"],
    size: Size,
    box: Crop,
    resize: str,
    place: str,
    *,
    usable: Usable = valid_depth,
    street: bool = False,
) -> Float64[np.ndarray, "H W"]:
    """The predicted depth of the pixels in `box` of an image of `size`.

    Args:
      depth: metres, or values that will be aligned to metres.
      size: (H, W) of the image.
      box: the compared pixels.
      resize: resizing method, one of `depthsi.metrics.protocols.RESIZES`.
      place: name of the map in messages.
      usable: mask of the valid predictions, see `resized`.
      street: whether the image is from KITTI; pixels outside the part that `shown_part` calls "kb"
        then have no prediction (-inf), where BTS has 0.

    Raises:
      DepthsiError: the size of the map fits no part of the image.
    """
    shape, inner = (depth.shape[0], depth.shape[1]), _size(box)
    part = shown_part(shape, size, box, street=street)
    if part is None:
        others = f", or of KITTI's {size_text(np.empty(STREET))}" if street else ""
        raise DepthsiError(
            f"{place} has {size_text(depth)} pixels, but its image {size[0]}x{size[1]}: give maps"
            f" of that size or its proportions, or of the crop {inner[0]}x{inner[1]}{others}."
        )
    if part == "box":
        return resized(depth, inner, resize, usable=usable)
    whole = np.full(size, -np.inf)
    place_of_map = crop("kb" if part == "kb" else "none", size)
    inside = np.s_[place_of_map.top : place_of_map.bottom, place_of_map.left : place_of_map.right]
    whole[inside] = resized(depth, _size(place_of_map), resize, usable=usable)
    return whole[box.top : box.bottom, box.left : box.right]


def _size(box: Crop) -> Size:
    return box.bottom - box.top, box.right - box.left


def _divides(shape: Size, inner: Size) -> bool:
    factor = inner[0] // shape[0]
    return factor > 0 and (shape[0] * factor, shape[1] * factor) == inner


def resized(
    depth: Float64[np.ndarray, "h w"], size: Size, resize: str, *, usable: Usable = valid_depth
) -> Float64[np.ndarray, "H W"]:
    """A map resized to `size`.

    Args:
      depth: any unit.
      size: (H, W) of the result.
      resize: resizing method, one of `depthsi.metrics.protocols.RESIZES`.
      usable: mask of the valid predictions. Every result that an invalid value would contribute to
        is invalid, too: inf, 0 (for all finite ones), -inf or NaN, the last of these among its
        inputs.
    """
    if depth.shape == size:
        return depth
    known: Bool[np.ndarray, "h w"] = usable(depth)
    result = _stretched(np.where(known, depth, 0.0), size, resize)
    for value, kind in (
        (np.inf, depth == np.inf),
        (0.0, (depth <= 0) & np.isfinite(depth)),
        (-np.inf, depth == -np.inf),
        (np.nan, np.isnan(depth)),
    ):
        holes = (kind & ~known).astype(np.float64)
        if holes.any():
            result[_stretched(holes, size, resize) > ROUNDING] = value
    return result


def _stretched(values: np.ndarray, size: Size, resize: str) -> np.ndarray:
    # where the centres of the new pixels lie in the old map, and what is left and right of them
    if resize == "bilinear_corners":
        places = [np.linspace(0, m - 1, n) for n, m in zip(size, values.shape, strict=True)]
    else:
        pairs = zip(size, values.shape, strict=True)
        places = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in pairs]
    if resize == "nearest":
        rows, cols = (np.floor(at + 0.5).astype(int) for at in places)
        return values[np.ix_(rows, cols)]
    rows, cols = (np.clip(at, 0, m - 1) for at, m in zip(places, values.shape, strict=True))
    return _between(_between(values, rows).T, cols).T


def _between(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows of `values` at fractional positions."""
    low = np.minimum(np.floor(at).astype(int), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    share = (at - low)[:, None]
    return values[low] * (1 - share) + values[high] * share
