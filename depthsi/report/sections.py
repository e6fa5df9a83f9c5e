"""The sections made from a run's files: its curves, its settings, and how to reproduce it."""

import importlib.metadata as metadata
import shlex
from collections.abc import Sequence
from typing import Any

from depthsi.machine import describe_machine
from depthsi.report.charts import Line, line_chart
from depthsi.report.collect import RunReport
from depthsi.report.curves import PANELS, curve, is_number
from depthsi.report.markup import Html, join, tag
from depthsi.report.parts import legend, problem, run_heading
from depthsi.report.settings import compare_settings, given_parts, training_command
from depthsi.report.tables import plain_table

PACKAGES = ("depthsi", "flax", "optax", "numpy")


def curves(runs: Sequence[RunReport]) -> Html:
    """Loss, validation metrics, learning rate and speed by step."""
    problems = [problem(run, "curves", runs) for run in runs]
    marks = []
    if all(run.stages == runs[0].stages for run in runs):
        marks = [(float(stage.start), f"{stage.name} →") for stage in runs[0].stages[1:]]
    logged = [row["step"] for run in runs for row in run.rows if is_number(row["step"])]
    until = 1.02 * max([1.0, *logged])
    charts = []
    for panel in PANELS:
        lines = []
        for number, run in enumerate(runs):
            steps, values = curve(run.rows, panel.split, panel.name)
            name = panel.name if len(runs) == 1 else f"{run.name}, {panel.name}"
            lines.append(Line(name, steps, values, number))
        if any(len(line.x) for line in lines):
            drawn = line_chart(
                panel.label, lines, x_label="step", until=until, marks=marks, log=panel.log
            )
            charts.append(tag("figure", tag("figcaption", panel.label), drawn, class_="card"))
    stages = "; ".join(_stages(run, runs) for run in runs)
    return join(
        [
            tag("p", f"{stages}. Point at a line to see its values.", class_="soft"),
            problems,
            legend(runs),
            tag("div", charts, class_="grid-charts"),
        ]
    )


def settings(runs: Sequence[RunReport]) -> Html:
    """Every setting, with those that differ from the nearest preset marked."""
    parts = []
    for run in runs:
        near = compare_settings(run.config)
        changed = sum(setting.changed for setting in near.settings)
        text = f"Nearest preset: {near.preset}; {changed} settings differ from it"
        text += ", each marked ●." if changed else "."
        groups: dict[str, list] = {}
        for setting in near.settings:
            section, _, name = setting.name.rpartition(".")
            shown = _value(setting.value)
            if setting.changed:
                shown = f"{shown} (preset: {_value(setting.default)})"
            kind = "changed" if setting.changed else None
            row = tag("tr", tag("td", name), tag("td", shown), class_=kind)
            groups.setdefault(section or "run", []).append(row)
        tables = [
            tag("section", tag("h3", section), tag("table", tag("tbody", rows)))
            for section, rows in groups.items()
        ]
        parts += [run_heading(run, runs), tag("p", text, class_="soft")]
        parts.append(tag("div", tables, class_="settings"))
    return join(parts)


def repeat(runs: Sequence[RunReport]) -> Html:
    """Commands that reproduce the run, and the machine and versions that made the page."""
    parts = []
    for run in runs:
        new = f"{run.path}-again"
        lines = [
            training_command(run.config, new),
            shlex.join(["depthsi", "evaluate", new]),
            shlex.join(["depthsi", "report", run.path, new]),
        ]
        file = shlex.join(["depthsi", "train", "--config", f"{run.path}/config.json", "--run", new])
        block = join(join([line, Html("\n")]) for line in lines)
        parts += [run_heading(run, runs), tag("pre", block)]
        if given := given_parts(run.config):
            text = f"A program passed the {given} of this run: train it from Python, with"
            text += " depthsi.train."
            parts.append(tag("p", text, class_="problem"))
        parts.append(tag("p", "The same, from its own file: ", tag("code", file), class_="soft"))
    versions = {name: metadata.version(name) for name in PACKAGES}
    rows = list((describe_machine() | versions).items())
    return join([parts, tag("h3", "This page was made on"), plain_table(("", ""), rows)])


def _stages(run: RunReport, runs: Sequence[RunReport]) -> str:
    named = f"{run.name}: " if len(runs) > 1 else ""
    stages = (f"{each.name}, steps {each.start + 1} to {each.end}" for each in run.stages)
    return named + "; ".join(stages)


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_value, value)) or "none"
    return "none" if value == "" else f"{value:.6g}" if isinstance(value, float) else str(value)
