"""A grid of images with headings and colour bars, written as PNG.

Figures are drawn on their own Agg canvas: no display is needed and pyplot is left alone. matplotlib
is imported only here in functions; `depthsi.viz.depth_maps` says how to install it.
"""

import dataclasses
import io
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from depthsi.files import write_bytes

DOTS_PER_INCH = 120
# Inches: width of a colour bar, space before it, its marks and how far from it their labels are, a
# letter and a line of the labels.
BAR, BAR_GAP, MARK, TICK, LETTER, LABEL = 0.14, 0.08, 0.04, 0.1, 0.085, 0.16
# Inches: between cells, over a cell with a heading, from a cell to its heading, a line of the
# title, around everything.
GAP, HEAD, HEADING, LINE, MARGIN = 0.15, 0.26, 0.056, 0.24, 0.12


@dataclasses.dataclass(frozen=True)
class Scale:
    """A colour bar.

    Attributes:
      colours: uint8 (n, 1, 3), from bottom to top.
      marks: label and height of each mark, 0 = bottom, 1 = top; the first are kept where a bar is
        too short for all.
    """

    colours: np.ndarray
    marks: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One image of a grid.

    Attributes:
      picture: uint8 (H, W, 3).
      heading: the text over it, may be empty.
      scale: the colour bar at its right.
      smooth: whether resampling may mix neighbours; in a map, a mixed colour is no value.
    """

    picture: np.ndarray
    heading: str
    scale: Scale | None = None
    smooth: bool = False


class _Box(NamedTuple):
    """A rectangle in inches from the left and the bottom of the figure."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def top(self) -> float:
        return self.bottom + self.height


def save_grid(
    path: str | os.PathLike[str],
    rows: Sequence[Sequence[Cell]],
    title: str,
    *,
    width: float,
    heights: Sequence[float],
) -> None:
    """Draws rows of cells, replacing the file at `path` in one move.

    Args:
      path: path of the PNG file, in an existing directory.
      rows: of equal length.
      title: a line over everything, wrapped if it is long; may be empty.
      width: of every image, in inches; whatever its own proportions, it is stretched to that.
      heights: heights of the images of each row, in inches.
    """
    lefts, total_width = _columns(rows, width)
    heads = [HEAD if any(cell.heading for cell in row) else GAP for row in rows]
    lines = textwrap.wrap(title, width=int(10 * total_width))
    total_height = sum(heights) + sum(heads) + LINE * len(lines) + 2 * MARGIN
    figure = _figure(total_width, total_height)
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
    for row, height, head in zip(rows, heights, heads, strict=True):
        top -= head + height
        for cell, left in zip(row, lefts, strict=True):
            _draw_cell(figure, cell, _Box(left, top, width, height))
            if cell.scale is not None:
                _draw_scale(figure, cell.scale, _Box(left + width + BAR_GAP, top, BAR, height))
    _write(path, figure)


def draw_histogram(
    path: str | os.PathLike[str], edges: np.ndarray, shares: Mapping[str, np.ndarray], title: str
) -> None:
    """Draws one outline for each of `shares` over a logarithmic axis of depth in metres."""
    from matplotlib.ticker import NullFormatter, PercentFormatter

    figure = _figure(7.2, 3.4)
    axes = figure.add_axes((0.8 / 7.2, 0.55 / 3.4, 6.2 / 7.2, 2.45 / 3.4))
    for name, share in shares.items():
        axes.stairs(share, edges, label=name, linewidth=1.6)
    decades = 10.0 ** np.arange(np.floor(np.log10(edges[0])), np.log10(edges[-1]) + 1)
    ticks = [s * d for d in decades for s in (1, 2, 5) if edges[0] <= s * d <= edges[-1]]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None), xlabel="depth (m)")
    axes.set_ylabel("share of pixels per bin")
    axes.set_title(title, size=11, loc="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    _write(path, figure)


def _columns(rows: Sequence[Sequence[Cell]], width: float) -> tuple[list[float], float]:
    """The left side of each column, and the width of the figure."""
    lefts, right = [], MARGIN - GAP
    for column in zip(*rows, strict=True):
        lefts.append(right + GAP)
        labels = [label for cell in column if cell.scale for label in cell.scale.marks]
        right = lefts[-1] + width
        if labels:
            right += BAR_GAP + BAR + TICK + LETTER * max(map(len, labels))
    return lefts, right + MARGIN


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


# Cells are drawn without matplotlib's axes: of a sheet's time, they took nine tenths.


def _draw_cell(figure: Any, cell: Cell, box: _Box) -> None:
    resampling = Image.Resampling.LANCZOS if cell.smooth else Image.Resampling.NEAREST
    _draw_picture(figure, cell.picture, box, resampling)
    if cell.heading:
        middle = box.left + box.width / 2
        _draw_text(figure, cell.heading, middle, box.top + HEADING, 10, "center")


def _draw_scale(figure: Any, scale: Scale, box: _Box) -> None:
    """A framed bar with its marks at the right."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    _draw_picture(figure, scale.colours[::-1], box, Image.Resampling.NEAREST)
    style = {"transform": figure.dpi_scale_trans, "linewidth": 0.8}
    frame = Rectangle((box.left, box.bottom), box.width, box.height, fill=False, **style)
    figure.add_artist(frame)
    kept: list[float] = []
    for label, position in scale.marks.items():
        if any(abs(position - other) * box.height < LABEL for other in kept):
            continue
        kept.append(position)
        right, at = box.left + box.width, box.bottom + float(position) * box.height
        figure.add_artist(Line2D((right, right + MARK), (at, at), color="black", **style))
        _draw_text(figure, label, right + TICK, at, 9, "left", "center_baseline")


def _draw_picture(figure: Any, picture: np.ndarray, box: _Box, resampling: Any) -> None:
    """Stretches a picture over whole pixels of the figure."""
    left, right, low, high = (
        round(inches * DOTS_PER_INCH)
        for inches in (box.left, box.left + box.width, box.bottom, box.top)
    )
    size = max(right - left, 1), max(high - low, 1)
    figure.figimage(np.asarray(Image.fromarray(picture).resize(size, resampling)), left, low)


def _draw_text(
    figure: Any, text: str, across: float, up: float, size: int, ha: str, va: str = "baseline"
) -> None:
    width, height = figure.get_size_inches()
    figure.text(across / width, up / height, text, size=size, ha=ha, va=va, parse_math=False)


def _write(path: str | os.PathLike[str], figure: Any) -> None:
    figure.savefig(buffer := io.BytesIO(), format="png")
    write_bytes(Path(path), buffer.getvalue())
