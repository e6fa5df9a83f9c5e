"""The section with the metrics of the evaluations."""

from collections.abc import Sequence

from depthsi.report.collect import RunReport
from depthsi.report.markup import Html, join, tag
from depthsi.report.parts import problem, run_heading
from depthsi.report.tables import comparable_with, comparison_table, metrics_table


def metrics(runs: Sequence[RunReport]) -> Html:
    """Tables of the evaluations, side by side first."""
    evaluated = [run for run in runs if run.evaluation]
    parts: list[Html | None] = [problem(run, "metrics", runs) for run in runs]
    if len(evaluated) > 1:
        why = (
            "The last network of each run. Values are marked if their 95 % interval and that of"
            f" {evaluated[0].name} do not overlap."
        )
        parts += [tag("p", why), comparison_table(evaluated)]
        for run in evaluated[1:]:
            if reason := comparable_with(evaluated[0], run):
                text = f"{run.name} is not compared with {evaluated[0].name}: {reason}."
                parts.append(tag("p", text, class_="problem"))
    for run in evaluated:
        assert run.evaluation
        found = run.evaluation
        images = f"{found.images} image{'s'[: found.images != 1]} of split {found.split!r}"
        told = f"Step {found.step}, {images}. 95 % intervals over images are below each value."
        if run.step is not None and run.step != found.step:
            told += f" The newest checkpoint is of step {run.step}: evaluate it again."
        parts += [run_heading(run, runs), tag("p", told), metrics_table(found)]
        parts += [tag("p", line, class_="note") for line in found.notes.splitlines()]
    return join(parts)
