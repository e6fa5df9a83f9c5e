"""Rows of metrics as aligned text for a terminal, or as a Markdown table."""

from collections.abc import Mapping
from typing import NamedTuple

Row = Mapping[str, float | None]
Intervals = Mapping[str, tuple[float, float]]


class Column(NamedTuple):
    """Heading of a metric, and its better direction ("" for neither)."""

    header: str
    better: str = "lower"


COLUMNS = {
    "d1": Column("d<1.25", "higher"),
    "d2": Column("d<1.25^2", "higher"),
    "d3": Column("d<1.25^3", "higher"),
    "abs_rel": Column("abs rel"),
    "sq_rel": Column("sq rel [m]"),
    "rmse": Column("RMSE [m]"),
    "rmse_log": Column("RMSE log"),
    "rmse_log_si": Column("RMSE log SI"),
    "mae": Column("MAE [m]"),
    "log10": Column("log10"),
    "silog": Column("SILog"),
    "sq_rel_squared": Column("sq rel/y*^2"),
    "irmse": Column("iRMSE"),
    "imae": Column("iMAE"),
    "scale_share": Column("scale share", ""),
    "boundary_f": Column("edge F", "higher"),
    "dbe_acc": Column("DBE acc"),
    "dbe_com": Column("DBE com"),
}
LEGEND = (
    "SILog: 100 x RMSE log SI; sq rel/y*^2: KITTI's divisor; iRMSE, iMAE in 1/km; scale share:"
    " share\n"
    "of squared log error that one factor per image removes; edge F, DBE (pixels): depth edges."
)
_ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}


def format_table(
    rows: Mapping[str, Row],
    *,
    intervals: Mapping[str, Intervals] | None = None,
    markdown: bool = False,
) -> str:
    """Lays out rows of metrics in columns, in the order of `COLUMNS`.

    Args:
      rows: row name -> metric -> value, in printing order. A metric that a row does not have, or
        has as None, prints as "-"; a metric that no row has gets no column; NaN prints as "nan".
      intervals: row name -> metric -> both ends of a 95 % interval, for any of the rows. They are
        printed on two lines under the row, or in brackets after the values of a Markdown table.
      markdown: whether to return a Markdown table with arrows in the header. Otherwise the text is
        plain ASCII (except for row names) and has a second header line for the better direction.

    Returns:
      The lines joined by newlines, without a newline at the end; values have 3 decimals.

    Raises:
      ValueError: a row has a metric that is not one of `COLUMNS`.
    """
    for name, row in rows.items():
        if unknown := sorted(set(row) - set(COLUMNS)):
            raise ValueError(f"`rows`: {name!r} has unknown metrics {unknown}")
    metrics = [metric for metric in COLUMNS if any(metric in row for row in rows.values())]
    columns = [COLUMNS[metric] for metric in metrics]
    ends = intervals or {}
    if markdown:
        body = [[name, *_cells(row, metrics, ends.get(name))] for name, row in rows.items()]
        return _markdown([column.header + _ARROWS[column.better] for column in columns], body)
    lines = [["", *(column.header for column in columns)]]
    lines.append(["better is", *(column.better or "-" for column in columns)])
    for name, row in rows.items():
        lines.append([name, *(_number(row.get(metric)) for metric in metrics)])
        for end, label in enumerate(("  95 % from", "       to")):
            if name in ends:
                given = [ends[name].get(metric, (None, None))[end] for metric in metrics]
                lines.append([label, *map(_number, given)])
    return _aligned(lines)


def _cells(row: Row, metrics: list[str], ends: Intervals | None) -> list[str]:
    cells = []
    for metric in metrics:
        interval = (ends or {}).get(metric)
        behind = f" [{_number(interval[0])}, {_number(interval[1])}]" if interval else ""
        cells.append(_number(row.get(metric)) + behind)
    return cells


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = []
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        texts.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(texts)


def _markdown(headers: list[str], body: list[list[str]]) -> str:
    lines = [["", *headers], ["---", *("---:" for _ in headers)]]
    lines += [[cell.replace("|", "\\|") for cell in cells] for cells in body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
