"""Elements that several sections of the page share."""

from collections.abc import Sequence

from depthsi.report.charts import COLOURS
from depthsi.report.collect import RunReport
from depthsi.report.markup import Html, tag


def problem(run: RunReport, section: str, runs: Sequence[RunReport]) -> Html | None:
    """Why a section of a run is empty or not complete, if it is."""
    if section not in run.problems:
        return None
    named = f"{run.name}: " if len(runs) > 1 else ""
    return tag("p", named + run.problems[section], class_="problem")


def run_heading(run: RunReport, runs: Sequence[RunReport]) -> Html | None:
    """The name of a run over its part of a section; none on a page of one run."""
    return tag("h3", swatch(runs.index(run)), run.name) if len(runs) > 1 else None


def legend(runs: Sequence[RunReport]) -> Html | None:
    """The colours of several runs."""
    if len(runs) < 2:
        return None
    items = [tag("li", swatch(number), run.name) for number, run in enumerate(runs)]
    return tag("ul", items, class_="legend")


def swatch(number: int) -> Html:
    """A square of a run's colour."""
    return tag("span", class_=f"swatch back{number % COLOURS}")
