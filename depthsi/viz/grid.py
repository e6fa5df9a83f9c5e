"""A grid of images with headings and colour bars, written as PNG.

Grids are drawn by Pillow: importing matplotlib's figures takes as long as predicting a photo, and
drawing dozens of axes many times that. The font is matplotlib's where that is installed, the
histogram its figure on a canvas of its own: no display is needed and pyplot is left alone.
"""

import dataclasses
import importlib.util
import io
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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


class Rectangle(NamedTuple):
    """A rectangle in inches from the left and the top of the picture."""

    left: float
    top: float
    width: float
    height: float

    @property
    def dots(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, in whole dots."""
        ends = self.left, self.top, self.left + self.width, self.top + self.height
        left, top, right, bottom = map(_dots, ends)
        return left, top, right, bottom


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
    canvas = Canvas(total_width, total_height, _font_file())
    top = MARGIN
    for line in lines:
        canvas.text(line, (MARGIN, top), 11, "la")
        top += LINE
    for row, height, head in zip(rows, heights, heads, strict=True):
        top += head
        for cell, left in zip(row, lefts, strict=True):
            _draw_cell(canvas, cell, Rectangle(left, top, width, height))
            if cell.scale is not None:
                bar = Rectangle(left + width + BAR_GAP, top, BAR, height)
                _draw_scale(canvas, cell.scale, bar)
        top += height
    write_bytes(Path(path), canvas.png())


class Canvas:
    """A white picture that is drawn on in inches from its left and its top."""

    def __init__(self, width: float, height: float, font_file: Path | None) -> None:
        self._image = Image.new("RGB", (_dots(width), _dots(height)), "white")
        self._draw = ImageDraw.Draw(self._image)
        self._font_file = font_file

    def picture(self, picture: np.ndarray, place: Rectangle, *, smooth: bool = False) -> None:
        """Stretches a picture, uint8 (H, W, 3), over a rectangle."""
        left, top, right, bottom = place.dots
        resampling = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
        size = max(right - left, 1), max(bottom - top, 1)
        self._image.paste(Image.fromarray(picture).resize(size, resampling), (left, top))

    def frame(self, place: Rectangle) -> None:
        """A line around a rectangle."""
        self._draw.rectangle(place.dots, outline="black")

    def mark(self, left: float, top: float) -> None:
        """A short line to the right."""
        at = _dots(top)
        self._draw.line((_dots(left), at, _dots(left + MARK), at), fill="black")

    def text(self, text: str, at: tuple[float, float], points: int, anchor: str) -> None:
        """A line of text; the anchor is one of Pillow's.

        File names may contain line ends and bytes that are no text.
        """
        encoding = "utf-8" if self._font_file else "ascii"  # all that Pillow's own font can write
        text = text.replace("\n", " ").encode(encoding, "replace").decode(encoding)
        font = _font(self._font_file, round(points * DOTS_PER_INCH / 72))
        self._draw.text((_dots(at[0]), _dots(at[1])), text, fill="black", font=font, anchor=anchor)

    def png(self) -> bytes:
        self._image.save(buffer := io.BytesIO(), format="png", dpi=(DOTS_PER_INCH,) * 2)
        return buffer.getvalue()


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


def _draw_cell(canvas: Canvas, cell: Cell, place: Rectangle) -> None:
    canvas.picture(cell.picture, place, smooth=cell.smooth)
    if cell.heading:
        middle = place.left + place.width / 2
        canvas.text(cell.heading, (middle, place.top - HEADING), 10, "ms")


def _draw_scale(canvas: Canvas, scale: Scale, place: Rectangle) -> None:
    """A framed bar with its marks at the right."""
    canvas.picture(scale.colours[::-1], place)
    canvas.frame(place)
    right, kept = place.left + place.width, list[float]()
    for label, position in scale.marks.items():
        if all(abs(position - other) * place.height >= LABEL for other in kept):
            kept.append(position)
            at = place.top + (1 - float(position)) * place.height
            canvas.mark(right, at)
            canvas.text(label, (right + TICK, at), 9, "lm")


def _dots(inches: float) -> int:
    return round(float(inches) * DOTS_PER_INCH)


def _font_file() -> Path | None:
    """DejaVu Sans, which comes with matplotlib and has most alphabets; None without matplotlib."""
    found = importlib.util.find_spec("matplotlib")  # imports nothing
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return path if path.exists() else None


def _font(file: Path | None, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font of `size` dots: of the file, or Pillow's own."""
    if file is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)


def draw_histogram(
    path: str | os.PathLike[str], edges: np.ndarray, shares: Mapping[str, np.ndarray], title: str
) -> None:
    """Draws one outline for each of `shares` over a logarithmic axis of depth in metres."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, PercentFormatter

    figure = Figure(figsize=(7.2, 3.4), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
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
    figure.savefig(buffer := io.BytesIO(), format="png")
    write_bytes(Path(path), buffer.getvalue())
