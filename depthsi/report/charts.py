"""Charts as SVG inside a page: lines, bars, an image between two axes. Colours come from CSS."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from depthsi.report.axes import Axis, as_number, axis
from depthsi.report.markup import Html, join, tag

WIDTH, HEIGHT = 360, 220  # units; drawn on a page a unit is a pixel or a little more
LEFT, RIGHT, TOP, BOTTOM = 46.0, 350.0, 12.0, 182.0  # of the plot
MOST_POINTS = 400  # drawn of a line, the least and the greatest of each stretch among them
COLOURS = 6  # in the style sheet, which repeat


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
      name: for the legend and the titles that appear under the pointer.
      x, y: finite numbers, in the order of x.
      colour: number of its colour.
    """

    name: str
    x: Float64[np.ndarray, " n"]
    y: Float64[np.ndarray, " n"]
    colour: int = 0


def line_chart(
    label: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    until: float,
    marks: Sequence[tuple[float, str]] = (),
    log: bool = False,
) -> Html:
    """Lines over a common axis, with a title for each point.

    Args:
      label: what the chart shows, with the unit of y.
      lines: what to draw; those without points are left out.
      x_label: label of the x axis, with its unit.
      until: end of the x axis, over 0, which begins at 0.
      marks: places on the x axis where something begins, each a vertical line, and what.
      log: whether the y axis may be logarithmic.
    """
    drawn = [_thinned(line) for line in lines if len(line.x)]
    x = Axis(0.0, until, LEFT, RIGHT)
    y = axis([v for line in drawn for v in line.y], BOTTOM, TOP, log=log)
    inside = [(place, what) for place, what in marks if x.low < place < x.high]
    return chart(
        label,
        _frame(x, y, x_label),
        [_mark(x.place(place), what) for place, what in inside],
        [_line(line, x, y, x_label) for line in drawn],
    )


def bar_chart(
    label: str, names: Sequence[str], heights: Sequence[float], titles: Sequence[str], x_label: str
) -> Html:
    """A bar from 0 for each name; `titles` appear under the pointer."""
    y = axis([0.0, *heights], BOTTOM, TOP)
    y = dataclasses.replace(y, low=0.0)
    width = (RIGHT - LEFT) / max(len(names), 1)
    every = -(-len(names) // 7)
    bars, labels = [], []
    for index, (name, height, title) in enumerate(zip(names, heights, titles, strict=True)):
        left, top = LEFT + index * width, y.place(height)
        bars.append(
            tag(
                "rect",
                tag("title", title),
                class_="bar",
                x=_at(left + 0.1 * width),
                y=_at(top),
                width=_at(0.8 * width),
                height=_at(BOTTOM - top),
            )
        )
        if index % every == 0:
            labels.append(_label(left + width / 2, BOTTOM + 14, name, "middle"))
    return chart(label, _rows(y), bars, labels, _x_label(x_label), _base())


def square_chart(
    label: str, image: Html, limits: tuple[float, float], x_label: str, y_label: str
) -> Html:
    """An image between two equal logarithmic axes, with their diagonal.

    Args:
      label: what it shows.
      image: address of the image, whose lower left corner is the least of both.
      limits: of both axes, over 0.
      x_label, y_label: labels of the axes, with units.
    """
    side = 290
    x, y = Axis(*limits, LEFT, LEFT + side, log=True), Axis(*limits, TOP + side, TOP, log=True)
    ticks = [t for t in _depth_ticks(*limits)]
    lines = [
        (
            tag("line", class_="grid", x1=_at(x.place(t)), x2=_at(x.place(t)), y1=TOP, y2=y.start),
            tag("line", class_="grid", y1=_at(y.place(t)), y2=_at(y.place(t)), x1=LEFT, x2=x.end),
            _label(x.place(t), y.start + 14, as_number(t), "middle"),
            _label(LEFT - 5, y.place(t) + 4, as_number(t), "end"),
        )
        for t in ticks
    ]
    picture = tag(
        "image",
        href=image,
        x=LEFT,
        y=TOP,
        width=side,
        height=side,
        preserveAspectRatio="none",
        class_="sharp",
    )
    diagonal = tag("line", class_="diagonal", x1=LEFT, y1=y.start, x2=x.end, y2=TOP)
    names = _label(LEFT + side / 2, y.start + 30, x_label, "middle")
    up = f"translate(10 {TOP + side / 2}) rotate(-90)"
    upright = tag("text", y_label, text_anchor="middle", transform=up)
    return chart(label, lines, picture, diagonal, names, upright, height=345)


def stacked_bar(label: str, parts: Sequence[tuple[str, float]]) -> Html:
    """One horizontal bar of parts, each with its name and share of the whole."""
    total = sum(value for _, value in parts) or 1.0
    left, drawn = 0.0, []
    for index, (name, value) in enumerate(parts):
        width, share = WIDTH * value / total, f"{value / total:.1%}"
        title = tag("title", f"{name}: {value:.4f}, {share}")
        drawn.append(
            tag("rect", title, class_=f"fill{index}", x=_at(left), y=0, width=_at(width), height=26)
        )
        if width > 34:
            drawn.append(
                tag("text", share, class_="on", x=_at(left + width / 2), y=17, text_anchor="middle")
            )
        left += width
    return chart(label, drawn, height=26)


def chart(label: str, *parts: object, height: int = HEIGHT) -> Html:
    """An SVG element that is as wide as its place."""
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=label)


def _thinned(line: Line) -> Line:
    if len(line.x) <= MOST_POINTS:
        return line
    stretches = np.array_split(np.arange(len(line.x)), MOST_POINTS // 2)
    ends = {int(part[np.argmin(line.y[part])]) for part in stretches}
    ends |= {int(part[np.argmax(line.y[part])]) for part in stretches}
    kept = sorted(ends | {0, len(line.x) - 1})
    return dataclasses.replace(line, x=line.x[kept], y=line.y[kept])


def _line(line: Line, x: Axis, y: Axis, x_label: str) -> Html:
    colour = line.colour % COLOURS
    places = [(x.place(a), y.place(b)) for a, b in zip(line.x, line.y, strict=True)]
    points = " ".join(f"{_at(a)},{_at(b)}" for a, b in places)
    radius = 2.4 if len(places) < 40 else 1.6
    dots = [
        tag(
            "circle",
            tag("title", f"{line.name}, {x_label} {a:g}: {b:.5g}"),
            cx=_at(left),
            cy=_at(top),
            r=radius,
        )
        for (left, top), a, b in zip(places, line.x, line.y, strict=True)
    ]
    return tag("g", tag("polyline", points=Html(points)), dots, class_=f"line line{colour}")


def _frame(x: Axis, y: Axis, x_label: str) -> Html:
    below = [_label(x.place(t), BOTTOM + 14, as_number(t), "middle") for t in x.ticks()]
    return join([_rows(y), _base(), below, _x_label(x_label)])


def _rows(y: Axis) -> Html:
    return join(
        (
            tag("line", class_="grid", x1=LEFT, x2=RIGHT, y1=_at(y.place(t)), y2=_at(y.place(t))),
            _label(LEFT - 5, y.place(t) + 4, as_number(t), "end"),
        )
        for t in y.ticks()
    )


def _base() -> Html:
    return tag("line", class_="axis", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM)


def _x_label(name: str) -> Html:
    return _label((LEFT + RIGHT) / 2, BOTTOM + 32, name, "middle")


def _mark(place: float, what: str) -> Html:
    line = tag("line", class_="mark", x1=_at(place), x2=_at(place), y1=TOP, y2=BOTTOM)
    return join([line, _label(place + 3, TOP + 8, what, "start")])


def _label(x: float, y: float, name: str, anchor: str) -> Html:
    return tag("text", name, x=_at(x), y=_at(y), text_anchor=anchor)


def _depth_ticks(low: float, high: float) -> list[float]:
    wanted = (0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 80, 150, 300)
    found = [float(t) for t in wanted if low <= t <= high]
    return found if len(found) <= 8 else found[:: -(-len(found) // 8)]


def _at(value: float) -> str:
    return f"{value:.1f}"
