"""Figures of the results of studies, drawn without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from depthsi.viz.colour_maps import require_matplotlib

Curves = Mapping[str, tuple[Sequence[float], Sequence[Sequence[float]]]]  # label -> x, seeds by x


def panels(
    path: Path,
    found: Mapping[str, Curves],
    *,
    x: str,
    y: Sequence[str],
    logarithmic: bool = False,
    ticks: Sequence[str] | None = None,
    joined: bool = True,
    width: float = 4.4,
) -> None:
    """One panel for each title, with a mark at the mean of the seeds and a dot for every one.

    Args:
      path: of the PNG.
      found: title -> label -> positions, and the values of all seeds at each of them.
      x: label of the horizontal axes.
      y: label of each panel's vertical axis.
      logarithmic: whether the horizontal axes are.
      ticks: names of the positions 0, 1, ... instead of numbers.
      joined: whether lines join the means; without, labels stand side by side.
      width: of a panel, inches.
    """
    require_matplotlib("A figure")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * len(found), 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for i, (title, curves) in enumerate(found.items()):
        axes: Any = figure.add_subplot(1, len(found), i + 1)
        for place, (label, (positions, values)) in enumerate(curves.items()):
            if not joined:
                positions = [x + 0.6 * ((place + 0.5) / len(curves) - 0.5) for x in positions]
            means = [sum(each) / len(each) if len(each) else float("nan") for each in values]
            style = "-" if joined else "_"
            (line,) = axes.plot(positions, means, style, label=label, markersize=9)
            for position, each in zip(positions, values, strict=True):
                axes.plot([position] * len(each), each, "o", color=line.get_color(), markersize=3.5)
        axes.set(title=title, xlabel=x, ylabel=y[i])
        if logarithmic:
            axes.set_xscale("log")
            numbers = sorted({x for positions, _ in curves.values() for x in positions})
            axes.set_xticks(numbers, [f"{x:g}" for x in numbers], fontsize=8)
            axes.minorticks_off()
        if ticks is not None:
            axes.set_xticks(range(len(ticks)), ticks, rotation=25, ha="right")
        axes.grid(alpha=0.3)
        if len(curves) > 1:
            beside = {} if joined else {"loc": "upper left", "bbox_to_anchor": (1, 1)}
            axes.legend(fontsize=8, **beside)
    figure.savefig(path)
