"""Images of depth maps: coloured depth, a panel for one image, a contact sheet for several.

Depth is in metres; 0, negative, NaN and inf are missing and drawn grey. Colour is linear in log
depth, like the network and the loss, so that a step of 10 % looks the same at 1 m and at 8 m. The
colour map is turbo, from near (red) to far (blue). It is not perceptually uniform, but the eye
distinguishes far more of its steps than of a single ramp of lightness, which makes the difference
between a flat and a slanted wall visible.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, UInt8
from numpy.typing import ArrayLike

from depthsi.valid import valid_depth
from depthsi.viz.colour_maps import colours
from depthsi.viz.grid import Cell, Scale, save_grid

GREY = (128, 128, 128)  # of missing pixels; neither turbo nor the error's map comes near it
WIDE = 2.0  # images wider than this times their height are stacked, not set side by side
PANEL_INCHES, STACK_INCHES, SHEET_INCHES = 3.6, 7.0, 3.0  # width of an image


@dataclasses.dataclass(frozen=True)
class Colours:
    """How depth is shown.

    Attributes:
      limits: metres of the first and the last colour, as `colour_depth` takes them; None to choose
        them for each map.
      cmap: the name of a colour map, from near to far; all but turbo, turbo_r and RdBu are
        matplotlib's.
    """

    limits: tuple[float, float] | None = None
    cmap: str = "turbo_r"


def depth_limits(*depths: ArrayLike) -> tuple[float, float]:
    """Nearest and farthest depth of a colour scale that suits all the maps, in metres.

    It spans the 1st to 99th percentile of every map, so that a few outliers do not wash out the
    rest, and at least a range of 10 %; it is (1, 10) if no depth is known.

    Args:
      depths: maps (h, w) in metres, of any sizes.

    Example:
      >>> import numpy as np
      >>> from depthsi.viz import depth_limits
      >>> near, far = depth_limits(np.linspace(1, 5, 401)[None], np.full((2, 2), 3.0))
      >>> round(near, 2), round(far, 2)
      (1.04, 4.96)
    """
    maps = [values[valid_depth(values)] for values in map(_depth, depths)]
    spans = [np.percentile(values, (1, 99)) for values in maps if values.size]
    if not spans:
        return 1.0, 10.0
    near, far = min(span[0] for span in spans), max(span[1] for span in spans)
    widen = max(1.0, np.sqrt(1.1 * near / far))
    return float(near / widen), float(far * widen)


def colour_depth(
    depth: ArrayLike,
    *,
    limits: tuple[float | int, float | int] | None = None,
    cmap: str = "turbo_r",
) -> UInt8[np.ndarray, "h w 3"]:
    """Depth as colour, linear in log depth.

    Args:
      depth: (h, w) metres.
      limits: depths in metres of the first and the last colour, beyond which the colour does not
        change. Default: `depth_limits(depth)`. Use the same limits for maps to be compared.
      cmap: the name of a colour map, from near to far; all but turbo, turbo_r and RdBu are
        matplotlib's.

    Returns:
      RGB, uint8 (h, w, 3); grey where depth is missing.

    Raises:
      ValueError: depth is not two-dimensional, or the limits are not 0 < near < far < inf.
      DepthsiError: there is no such colour map, or it needs matplotlib, which is missing.

    Example:
      >>> import numpy as np
      >>> from depthsi.viz import colour_depth
      >>> colour_depth(np.array([[1.0, 0.0, 4.0]]), limits=(1, 4))[0, 1].tolist()  # missing
      [128, 128, 128]
    """
    depth = _depth(depth)
    near, far = depth_limits(depth) if limits is None else limits
    if not 0 < near < far < np.inf:
        raise ValueError(f"`limits` must be 0 < near < far, in metres, got ({near}, {far})")
    valid = valid_depth(depth)
    log_depth = np.log(np.where(valid, depth, near))
    return _coloured((log_depth - np.log(near)) / (np.log(far) - np.log(near)), valid, cmap)


def error_limit(depth: ArrayLike, target: ArrayLike) -> float:
    """The 98th percentile of |ln(depth / target)|, at least ln 1.1: the ends of an error scale.

    Args:
      depth: (h, w) predicted metres.
      target: (h, w) true metres.

    Example:
      >>> import numpy as np
      >>> from depthsi.viz import error_limit
      >>> round(error_limit(np.full((2, 2), 2.0), np.ones((2, 2))), 3)  # ln 2
      0.693
    """
    error = _log_error(depth, target)
    known = np.abs(error[np.isfinite(error)])
    return float(max(np.percentile(known, 98) if known.size else 0.0, np.log(1.1)))


def colour_error(
    depth: ArrayLike, target: ArrayLike, *, limit: float | int | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """ln(depth / target) as colour: white is correct, blue is too far, red is too near.

    Args:
      depth: (h, w) predicted metres.
      target: (h, w) true metres.
      limit: the absolute log error at both ends of the scale, `error_limit(depth, target)` by
        default.

    Returns:
      RGB, uint8 (h, w, 3); grey where either depth is missing.

    Raises:
      ValueError: the maps are not two-dimensional or differ in size, or the limit is not positive.

    Example:
      >>> import numpy as np
      >>> from depthsi.viz import colour_error
      >>> colour_error(np.ones((1, 2)), np.ones((1, 2)))[0, 0].min() > 240  # right: white
      np.True_
    """
    error = _log_error(depth, target)
    limit = error_limit(depth, target) if limit is None else limit
    if not limit > 0:
        raise ValueError(f"`limit` must be positive, got {limit}")
    valid = np.isfinite(error)
    return _coloured(0.5 + np.where(valid, error, 0) / (2 * limit), valid, "RdBu")


def save_panel(
    path: str | os.PathLike[str],
    image: ArrayLike,
    depth: ArrayLike,
    *,
    target: ArrayLike | None = None,
    title: str = "",
    colours: Colours = Colours(),
) -> None:
    """Writes a PNG: image, predicted depth and, with a target, true depth and the log error.

    Both depth maps share one colour scale. Wide images are stacked, others are placed side by side.
    The file is written atomically.

    Args:
      path: path of the PNG file, in an existing directory.
      image: (H, W, 3) RGB, 0..255.
      depth: (h, w) predicted metres, of any size, covering the same field of view as `image`.
      target: (h, w) true metres, of the size of `depth`.
      title: heading of the panel.
      colours: how depth is coloured.

    Raises:
      ValueError: an array has another shape.
      DepthsiError: as `colour_depth`.

    Example:
      >>> import numpy as np
      >>> from depthsi.viz import save_panel
      >>> image, depth = np.zeros((24, 32, 3), np.uint8), np.ones((24, 32))
      >>> save_panel("panel.png", image, depth)  # doctest: +SKIP
    """
    picture = as_picture(image)
    limits, cmap = colours.limits, colours.cmap
    if limits is None:
        limits = depth_limits(depth) if target is None else depth_limits(depth, target)
    scale = depth_scale(limits, cmap)
    cells = [
        Cell(picture, "image", smooth=True),
        Cell(colour_depth(depth, limits=limits, cmap=cmap), "predicted depth", scale),
    ]
    if target is not None:
        limit = error_limit(depth, target)
        error = colour_error(depth, target, limit=limit)
        true = colour_depth(target, limits=limits, cmap=cmap)
        cells.append(Cell(true, "true depth", scale))
        cells.append(Cell(error, "error: predicted / true", error_scale(limit)))
    stacked = picture.shape[1] > WIDE * picture.shape[0]
    rows = [[cell] for cell in cells] if stacked else [cells]
    width = STACK_INCHES if stacked else PANEL_INCHES
    save_grid(path, rows, title, width=width, heights=[relative_height(picture, width)] * len(rows))


def save_contact_sheet(
    path: str | os.PathLike[str],
    rows: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]],
    *,
    columns: tuple[str, str, str] = ("image", "predicted depth", "true depth"),
    title: str = "",
) -> None:
    """Writes a PNG with one sample per row; both depth maps of a row share a colour scale.

    Args:
      path: path of the PNG file, in an existing directory.
      rows: image, predicted and true depth of each sample, as `save_panel` takes them; the true
        depth may differ in size from the predicted one.
      columns: headings of the columns.
      title: heading of the sheet.

    Raises:
      ValueError: no rows, or an array has another shape.

    Example:
      >>> import numpy as np
      >>> from depthsi.viz import save_contact_sheet
      >>> image, depth = np.zeros((24, 32, 3), np.uint8), np.ones((24, 32))
      >>> save_contact_sheet("sheet.png", [(image, depth, depth)])  # doctest: +SKIP
    """
    if not rows:
        raise ValueError("`rows` is empty, there is nothing to draw")
    grid, heights = [], []
    for index, (image, depth, target) in enumerate(rows):
        limits = depth_limits(depth, target)
        headings = columns if index == 0 else ("", "", "")
        picture = as_picture(image)
        predicted, true = (colour_depth(each, limits=limits) for each in (depth, target))
        heights.append(relative_height(picture, SHEET_INCHES))
        grid.append(
            [
                Cell(picture, headings[0], smooth=True),
                Cell(predicted, headings[1]),
                Cell(true, headings[2], depth_scale(limits)),
            ]
        )
    save_grid(path, grid, title, width=SHEET_INCHES, heights=heights)


def relative_height(picture: np.ndarray, width: float) -> float:
    """Height at which an image (H, W, 3) of this width keeps its proportions."""
    return width * picture.shape[0] / picture.shape[1]


def depth_scale(limits: tuple[float, float], cmap: str = "turbo_r") -> Scale:
    """The colour bar of `colour_depth` with these limits, in metres."""
    near, far = limits
    colours = colour_depth(np.geomspace(near, far, 256)[:, None], limits=limits, cmap=cmap)
    marks = {f"{t:.4g} m": np.log(t / near) / np.log(far / near) for t in _round_depths(near, far)}
    return Scale(colours, marks)


def _round_depths(near: float, far: float) -> list[float]:
    """Four or more round depths between the limits, evenly spread on a log scale if they can be."""
    decades = 10.0 ** np.arange(np.floor(np.log10(near)), np.log10(far) + 1)
    inside: list[float] = []
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        inside = [s * d for d in decades for s in steps if near <= s * d <= far]
        if len(inside) >= 4:
            return inside
    least = (far - near) / 6
    decade = 10.0 ** np.floor(np.log10(least))
    step = min(s * decade for s in (1, 2, 2.5, 5, 10) if s * decade >= least)
    ticks = step * np.arange(np.ceil(near / step), np.floor(far / step) + 1)
    return [float(tick) for tick in ticks]


def error_scale(limit: float) -> Scale:
    """The colour bar of `colour_error` with this limit, in factors."""
    ramp = np.exp(np.linspace(-limit, limit, 256))[:, None]
    marks = {"right": 0.5}
    for factor in (1.05, 1.1, 1.25, 1.5, 2, 3, 5, 10, 100):
        offset = np.log(factor) / (2 * limit)
        if 0.1 <= offset <= 0.5:  # nearer to the middle they would crowd its own label
            marks[f"{factor:g}x too far"] = 0.5 + offset
            marks[f"{factor:g}x too near"] = 0.5 - offset
    return Scale(colour_error(ramp, np.ones_like(ramp), limit=limit), marks)


def _coloured(position: np.ndarray, valid: np.ndarray, cmap: str) -> np.ndarray:
    """Colours of positions 0..1 (clipped), grey where not valid."""
    return np.where(valid[..., None], colours(cmap, position), np.array(GREY, np.uint8))


def _depth(depth: ArrayLike) -> Float64[np.ndarray, "h w"]:
    values = np.asarray(depth, np.float64)
    if values.ndim != 2:
        raise ValueError(f"a depth map must have shape (h, w), got {values.shape}")
    return values


def _log_error(depth: ArrayLike, target: ArrayLike) -> Float64[np.ndarray, "h w"]:
    """ln(depth / target), NaN where either is missing."""
    predicted, true = _depth(depth), _depth(target)
    if predicted.shape != true.shape:
        raise ValueError(f"`depth` {predicted.shape} and `target` {true.shape} differ in size")
    valid = valid_depth(predicted) & valid_depth(true)
    ratio = np.where(valid, predicted, 1) / np.where(valid, true, 1)
    return np.where(valid, np.log(ratio), np.nan)


def as_picture(image: ArrayLike) -> UInt8[np.ndarray, "h w 3"]:
    """`image` (H, W, 3), 0..255 of any type, in 8 bits.

    Raises:
      ValueError: another shape.
    """
    picture = np.asarray(image)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"an image must have shape (H, W, 3), got {picture.shape}")
    return np.rint(picture.clip(0, 255)).astype(np.uint8)
