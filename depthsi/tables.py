"""Rows of metrics as aligned text for a terminal, or as a Markdown table."""

from collections.abc import Mapping

from depthsi.paper_tables import BETTER

_HEADERS = {
    "d1": "d<1.25",
    "d2": "d<1.25^2",
    "d3": "d<1.25^3",
    "abs_rel": "abs rel",
    "sq_rel": "sq rel [m]",
    "rmse": "RMSE [m]",
    "rmse_log": "RMSE log",
    "rmse_log_si": "RMSE log SI",
}
_ARROWS = {"higher": "↑", "lower": "↓"}


def format_table(rows: Mapping[str, Mapping[str, float | None]], *, markdown: bool = False) -> str:
    """Lays out rows of metrics in columns, in the order of `depthsi.metrics.METRICS`.

    Args:
      rows: row name -> metric -> value, in printing order. A metric that a row does not have, or
        has as None, prints as "-"; a metric that no row has gets no column; NaN prints as "nan".
      markdown: a Markdown table with arrows in the header, in place of the terminal's plain ASCII
        (beyond the row names) with a second line that says which way is better.

    Returns:
      The lines joined by newlines, without a newline at the end; values have 3 decimals.

    Raises:
      ValueError: a row has a metric that is not one of the eight.
    """
    for name, row in rows.items():
        if unknown := sorted(set(row) - set(_HEADERS)):
            raise ValueError(f"`rows`: {name!r} has unknown metrics {unknown}")
    metrics = [metric for metric in _HEADERS if any(metric in row for row in rows.values())]
    body = [[name, *(_number(row.get(metric)) for metric in metrics)] for name, row in rows.items()]
    if markdown:
        return _markdown(
            [f"{_HEADERS[metric]} {_ARROWS[BETTER[metric]]}" for metric in metrics], body
        )
    header = ["", *(_HEADERS[metric] for metric in metrics)]
    better = ["better is", *(BETTER[metric] for metric in metrics)]
    return _aligned([header, better, *body])


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
