"""Pictures of depth maps: coloured depth, a panel for one picture, a contact sheet for several.

Depth is in metres; 0, negative, NaN and inf are missing and drawn grey. Colour runs with log depth,
as the network and the loss do, so that a step of 10 % looks the same at 1 m and at 8 m. The map is
turbo, near red to far blue: it is not perceptually uniform, but the eye parts far more of its steps
than of a single ramp of lightness, which is what shows a flat wall from a slanted one.

Figures are drawn on their own Agg canvas: no display is needed and pyplot is left alone.
"""

import dataclasses
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from numpy.typing import ArrayLike

from depthsi.data.samples import valid_depth
from depthsi.errors import DepthsiError

GREY = (128, 128, 128)  # of missing pixels; in neither colour map
DOTS_PER_INCH = 120
BAR, BAR_GAP, BAR_TEXT = 0.14, 0.08, 0.85  # inches: its width, space before it, room for its labels
GAP, HEAD, LINE, MARGIN = 0.15, 0.28, 0.24, 0.12  # inches: between cells, over a cell, of the title
WIDE = 2.0  # pictures wider than this times their height are stacked, not set side by side

Row = tuple[ArrayLike, ArrayLike, ArrayLike]


def depth_limits(*depths: ArrayLike) -> tuple[float, float]:
    """Nearest and farthest depth of a colour scale that suits all the maps, in metres.

    It spans the 1st to 99th percentile of every map, so that a few stray pixels do not wash out the
    rest, and at least a range of 10 %; (1, 10) if nothing is known.
    """
    maps = [values[valid_depth(values)] for values in map(_depth, depths)]
    spans = [np.percentile(values, (1, 99)) for values in maps if values.size]
    if not spans:
        return 1.0, 10.0
    near, far = min(span[0] for span in spans), max(span[1] for span in spans)
    widen = max(1.0, np.sqrt(1.1 * near / far))
    return float(near / widen), float(far * widen)


def colour_depth(
    depth: ArrayLike, *, limits: tuple[float, float] | None = None, cmap: str = "turbo_r"
) -> UInt8[np.ndarray, "h w 3"]:
    """Depth as colour, linear in log depth.

    Args:
      depth: (h, w) metres.
      limits: the depths in metres of the first and the last colour, beyond which colour stays the
        same; `depth_limits(depth)` by default. Give the same limits to maps to be compared.
      cmap: the name of a matplotlib colour map, from near to far.

    Raises:
      ValueError: depth is not two-dimensional, or the limits are not 0 < near < far < inf.
      DepthsiError: matplotlib is not installed.
    """
    depth = _depth(depth)
    near, far = depth_limits(depth) if limits is None else limits
    if not 0 < near < far < np.inf:
        raise ValueError(f"`limits` must be 0 < near < far, in metres, got ({near}, {far})")
    valid = valid_depth(depth)
    log_depth = np.log(np.where(valid, depth, near))
    return _coloured((log_depth - np.log(near)) / np.log(far / near), valid, cmap)


def colour_error(
    depth: ArrayLike, target: ArrayLike, *, limit: float | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """ln(depth / target) as colour: white = right, blue = predicted too far, red = too near.

    Args:
      depth: (h, w) predicted metres.
      target: (h, w) true metres.
      limit: the absolute value of the log error at both ends of the scale, above 0;
        `error_limit(depth, target)` by default.

    Raises:
      ValueError: the maps are not two-dimensional or differ in size.
      DepthsiError: matplotlib is not installed.
    """
    error = _log_error(depth, target)
    limit = error_limit(depth, target) if limit is None else limit
    valid = np.isfinite(error)
    return _coloured(0.5 + np.where(valid, error, 0) / (2 * limit), valid, "RdBu")


def error_limit(depth: ArrayLike, target: ArrayLike) -> float:
    """The 98th percentile of |ln(depth / target)|, at least ln 1.1: the ends of an error scale."""
    error = _log_error(depth, target)
    known = np.abs(error[np.isfinite(error)])
    return float(max(np.percentile(known, 98) if known.size else 0.0, np.log(1.1)))


def save_panel(
    path: str | os.PathLike[str],
    image: ArrayLike,
    depth: ArrayLike,
    *,
    target: ArrayLike | None = None,
    title: str = "",
) -> None:
    """Writes a PNG: picture, predicted depth and, with a target, true depth and the log error.

    Both depths share one colour scale. Wide pictures are stacked, others set side by side. The file
    appears whole or not at all.

    Args:
      path: of the PNG file, in an existing directory.
      image: (H, W, 3) RGB, 0..255.
      depth: (h, w) predicted metres, of any size, covering the same field of view as `image`.
      target: (h, w) true metres, of the size of `depth`.
      title: a line over the panel.

    Raises:
      ValueError: an array has another shape.
      DepthsiError: matplotlib is not installed.
    """
    picture = _picture(image)
    limits = depth_limits(depth) if target is None else depth_limits(depth, target)
    scale = _depth_scale(limits)
    cells = [
        _Cell(picture, "picture"),
        _Cell(colour_depth(depth, limits=limits), "predicted depth", scale),
    ]
    if target is not None:
        limit = error_limit(depth, target)
        error = colour_error(depth, target, limit=limit)
        cells.append(_Cell(colour_depth(target, limits=limits), "true depth", scale))
        cells.append(_Cell(error, "error: predicted / true", _error_scale(limit)))
    if picture.shape[1] > WIDE * picture.shape[0]:
        _save(path, [[cell] for cell in cells], title, width=7.0)
    else:
        _save(path, [cells], title, width=3.6)


def save_contact_sheet(
    path: str | os.PathLike[str],
    rows: Sequence[Row],
    *,
    columns: tuple[str, str, str] = ("picture", "predicted depth", "true depth"),
    title: str = "",
) -> None:
    """Writes a PNG with one sample per row; both depths of a row share its colour scale.

    Args:
      path: of the PNG file, in an existing directory.
      rows: (image, predicted depth, true depth) as `save_panel` takes them, sizes free.
      columns: headings.
      title: a line over the sheet.

    Raises:
      ValueError: no rows, or an array has another shape.
      DepthsiError: matplotlib is not installed.
    """
    if not rows:
        raise ValueError("`rows` is empty, there is nothing to draw")
    grid = []
    for index, (image, depth, target) in enumerate(rows):
        limits = depth_limits(depth, target)
        pictures = (
            _picture(image),
            colour_depth(depth, limits=limits),
            colour_depth(target, limits=limits),
        )
        headings = columns if index == 0 else ("", "", "")
        scales = (None, None, _depth_scale(limits))
        grid.append([_Cell(*cell) for cell in zip(pictures, headings, scales, strict=True)])
    _save(path, grid, title, width=3.0)


@dataclasses.dataclass(frozen=True)
class _Scale:
    """A colour bar from 0 (bottom) to 1: its colours and labelled marks."""

    colours: np.ndarray
    marks: Sequence[tuple[float, str]]


@dataclasses.dataclass(frozen=True)
class _Cell:
    picture: np.ndarray
    heading: str
    scale: _Scale | None = None


def _depth_scale(limits: tuple[float, float]) -> _Scale:
    from matplotlib.ticker import MaxNLocator

    near, far = limits
    rounds = [k * 10.0**e for e in range(-4, 6) for k in (1, 2, 5) if near <= k * 10.0**e <= far]
    if len(rounds) < 3:
        ticks = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(near, far)
        rounds = [float(tick) for tick in ticks if near <= tick <= far]
    ramp = np.geomspace(near, far, 256)[:, None]
    marks = [(np.log(depth / near) / np.log(far / near), f"{depth:.5g} m") for depth in rounds]
    return _Scale(colour_depth(ramp, limits=limits), marks)


def _error_scale(limit: float) -> _Scale:
    factors = [
        factor for factor in (1.05, 1.1, 1.25, 1.5, 2, 3, 5, 10, 100) if np.log(factor) <= limit
    ]
    marks = [(0.5, "right")]
    for factor in factors[-3:]:
        offset = np.log(factor) / (2 * limit)
        marks += [(0.5 + offset, f"{factor:g}x far"), (0.5 - offset, f"{factor:g}x near")]
    ramp = np.exp(np.linspace(-limit, limit, 256))[:, None]
    return _Scale(colour_error(ramp, np.ones_like(ramp), limit=limit), marks)


def _save(
    path: str | os.PathLike[str], grid: list[list[_Cell]], title: str, *, width: float
) -> None:
    """Draws the cells, `width` inches wide each and as high as the first picture of their row."""
    _require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bar = BAR_GAP + BAR + BAR_TEXT
    has_bar = [any(cell.scale for cell in column) for column in zip(*grid, strict=True)]
    lefts = MARGIN + np.cumsum([0.0, *(width + GAP + bar * wants for wants in has_bar)])
    heights = [width * row[0].picture.shape[0] / row[0].picture.shape[1] for row in grid]
    heads = [HEAD if any(cell.heading for cell in row) else GAP for row in grid]
    total_width = lefts[-1] - GAP + MARGIN
    lines = textwrap.wrap(title, width=int(10 * total_width))
    total_height = sum(heights) + sum(heads) + LINE * len(lines) + 2 * MARGIN
    figure = Figure(figsize=(total_width, total_height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)

    def axes(left: float, bottom: float, width: float, height: float) -> Any:
        return figure.add_axes(
            (left / total_width, bottom / total_height, width / total_width, height / total_height)
        )

    top = total_height - MARGIN
    figure.text(
        MARGIN / total_width,
        top / total_height,
        "\n".join(lines),
        va="top",
        size=11,
        parse_math=False,
    )
    top -= LINE * len(lines)
    for row, height, head in zip(grid, heights, heads, strict=True):
        top -= head + height
        for cell, left in zip(row, lefts, strict=False):
            _draw_picture(axes(left, top, width, height), cell)
            if cell.scale is not None:
                _draw_scale(axes(left + width + BAR_GAP, top, BAR, height), cell.scale)
    _write(path, figure)


def _draw_picture(axes: Any, cell: _Cell) -> None:
    # Nearest: an interpolated colour is no depth, and cells of the network stay visible.
    smooth = "nearest" if cell.heading != "picture" else "antialiased"
    axes.imshow(cell.picture, aspect="auto", interpolation=smooth)
    axes.set_axis_off()
    axes.set_title(cell.heading, size=10, pad=4, parse_math=False)


def _draw_scale(axes: Any, scale: _Scale) -> None:
    axes.imshow(scale.colours, origin="lower", extent=(0, 1, 0, 1), aspect="auto")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([position for position, _ in scale.marks], [text for _, text in scale.marks])
    axes.tick_params(labelsize=9, length=3)


def _write(path: str | os.PathLike[str], figure: Any) -> None:
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        figure.savefig(temporary, format="png")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _coloured(position: np.ndarray, valid: np.ndarray, cmap: str) -> np.ndarray:
    """Colours of positions 0..1 (clipped), grey where not valid."""
    _require_matplotlib()
    from matplotlib import colormaps

    colours = colormaps[cmap](np.clip(position, 0, 1), bytes=True)[..., :3]
    return np.where(valid[..., None], colours, np.array(GREY, np.uint8))


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise DepthsiError(
            "drawing pictures needs matplotlib; run: pip install 'depthsi[plot]'"
        ) from error


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


def _picture(image: ArrayLike) -> UInt8[np.ndarray, "h w 3"]:
    picture = np.asarray(image)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture must have shape (H, W, 3), got {picture.shape}")
    return picture.clip(0, 255).astype(np.uint8)
