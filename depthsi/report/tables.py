"""The metrics of evaluations as HTML tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from depthsi.evaluation.paper_tables import PAPER_TABLES
from depthsi.evaluation.tables import COLUMNS, LEGEND, Column
from depthsi.metrics import PAPER_METRICS
from depthsi.report.collect import RunReport, same_data
from depthsi.report.evaluation_file import StoredEvaluation
from depthsi.report.markup import Html, tag

ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}


def metrics_table(found: StoredEvaluation) -> Html:
    """The paper's eight metrics of every row with their intervals, and the paper's own results."""
    paper = PAPER_TABLES[found.protocol.data_set]
    rest = [name for name in _metrics(found) if name not in PAPER_METRICS]
    return tag(
        "div",
        _table(PAPER_METRICS, found, (paper.title, paper.rows)),
        tag(
            "details",
            tag("summary", "Other metrics"),
            _table(rest, found),
            tag("p", LEGEND.replace("\n", " "), class_="note"),
        )
        if rest
        else None,
    )


def comparison_table(runs: Sequence[RunReport]) -> Html:
    """The last network of each evaluated run, metric by metric, against the first run's.

    Where the 95 % intervals of two runs do not overlap, the later one is marked better or worse;
    this asks for more than a test of the difference, since the runs saw the same images.
    """
    evaluated = [(run, run.evaluation) for run in runs if run.evaluation]
    (first, base), *_ = evaluated
    names = _metrics(*(found for _, found in evaluated))
    head = tag("tr", tag("th", ""), [tag("th", run.name, scope="col") for run, _ in evaluated])
    body = []
    for name in names:
        column = COLUMNS.get(name, Column(name, ""))
        cells = []
        for run, found in evaluated:
            value = found.values[found.main].get(name)
            ends = found.intervals[found.main].get(name)
            mark = None
            if run is not first and comparable_with(first, run) is None:
                mark = parted(base.intervals[base.main].get(name), ends, column.better)
            cells.append(_cell(value, ends, mark))
        body.append(tag("tr", tag("th", _heading(column), scope="row"), cells))
    table = tag("table", tag("thead", head), tag("tbody", body))
    return tag("div", table, class_="scroll")


def comparable_with(first: RunReport, other: RunReport) -> str | None:
    """Why the metrics of two evaluated runs cannot be compared; None if they can."""
    one, two = first.evaluation, other.evaluation
    if one is None or two is None:
        return "one of them is not evaluated"
    if not same_data(first.config, other.config):
        return "their data or image sizes differ"
    if (one.split, one.images) != (two.split, two.images):
        return f"one is of split {one.split!r}, the other of {two.split!r}, or of other images"
    if one.data != two.data:
        return "they were evaluated on other data"
    if one.protocol != two.protocol:
        return "their protocols differ"
    return None


def parted(
    first: tuple[float, float] | None, other: tuple[float, float] | None, better: str
) -> str | None:
    """better, worse or different if two intervals do not overlap; None if they do."""
    if first is None or other is None:
        return None
    if first[0] <= other[1] and other[0] <= first[1]:
        return None
    if not better:
        return "different"
    higher = other[0] > first[1]
    return "better" if higher == (better == "higher") else "worse"


def plain_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Html:
    """Rows of text, the first cell of each its heading."""
    body = [
        tag("tr", tag("th", first, scope="row"), [tag("td", each) for each in rest])
        for first, *rest in rows
    ]
    top = tag("tr", [tag("th", name, scope="col") for name in head])
    return tag("div", tag("table", tag("thead", top), tag("tbody", body)), class_="scroll")


def _metrics(*evaluations: StoredEvaluation) -> list[str]:
    """Every metric that some row has, those that are known first."""
    there = {n: None for each in evaluations for row in each.values.values() for n in row}
    return [n for n in COLUMNS if n in there] + [n for n in there if n not in COLUMNS]


def _table(
    names: Sequence[str],
    found: StoredEvaluation,
    paper: tuple[str, Mapping[str, Mapping[str, float | None]]] | None = None,
) -> Html:
    columns = [COLUMNS.get(name, Column(name, "")) for name in names]
    head = tag("tr", tag("th", ""), [tag("th", _heading(each), scope="col") for each in columns])
    body = []
    for row, values in found.values.items():
        ends = found.intervals.get(row, {})
        cells = [_cell(values.get(name), ends.get(name)) for name in names]
        kind = "main" if row == found.main else None
        body.append(tag("tr", tag("th", row, scope="row"), cells, class_=kind))
    if paper is not None:
        title, rows = paper
        body.append(
            tag("tr", tag("th", tag("span", title), colspan=len(names) + 1), class_="group")
        )
        for row, printed in rows.items():
            cells = [_cell(printed.get(name)) for name in names]
            body.append(tag("tr", tag("th", row, scope="row"), cells))
    return tag("div", tag("table", tag("thead", head), tag("tbody", body)), class_="scroll")


def _heading(column: Column) -> str:
    return column.header + ARROWS[column.better]


def _cell(
    value: float | None, ends: tuple[float, float] | None = None, mark: str | None = None
) -> Html:
    shown = "-" if value is None else f"{value:.3f}"
    interval = tag("small", f"{ends[0]:.3f} to {ends[1]:.3f}") if ends else None
    told = tag("small", mark, class_=mark) if mark else None
    return tag("td", shown, interval, told, class_=mark, data_value=value)
