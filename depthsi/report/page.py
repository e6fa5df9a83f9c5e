"""The page: a header and the sections, with everything in one file."""

from collections.abc import Sequence

from depthsi.report import images, results, sections
from depthsi.report.collect import RunReport
from depthsi.report.curves import curve
from depthsi.report.markup import Html, tag
from depthsi.report.style import STYLE

PAPER = "https://arxiv.org/abs/1406.2283"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # nothing from elsewhere
SECTIONS = {
    "Curves": sections.curves,
    "Metrics": results.metrics,
    "Images": images.gallery,
    "Errors": images.errors,
    "Settings": sections.settings,
    "Repeat": sections.repeat,
}


def page(runs: Sequence[RunReport]) -> str:
    """The HTML of one or more runs, without scripts or external resources."""
    names = ", ".join(run.name for run in runs)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"{names}: depthsi report"),
        tag("style", STYLE),
    )
    links = [tag("a", name, href=f"#{name.lower()}") for name in SECTIONS]
    body = [
        tag("section", tag("h2", name), section(runs), id=name.lower())
        for name, section in SECTIONS.items()
    ]
    whole = tag("html", head, tag("body", _header(runs, names), tag("nav", links), body), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def _header(runs: Sequence[RunReport], names: str) -> Html:
    about = tag(
        "p",
        "Depth from a single image, after ",
        tag("a", "Eigen, Puhrsch & Fergus 2014", href=PAPER),
        ". ",
        "A training run of depthsi" if len(runs) == 1 else "Training runs of depthsi, side by side",
        ".",
        class_="soft",
    )
    lines = [
        tag("p", tag("b", f"{run.name}: ") if len(runs) > 1 else None, _lead(run)) for run in runs
    ]
    key = tag("ul", _key_numbers(runs[0]), class_="key") if len(runs) == 1 else None
    return tag("header", tag("h1", names), about, lines, key)


def _lead(run: RunReport) -> str:
    model, steps = run.config.model, run.stages[-1].end
    size = f", {run.analysis.parameters:,} parameters" if run.analysis else ""
    return (
        f"Network {model.kind} ({model.sizes.name}{size}), trained {run.step or 0} of {steps} steps"
        f" on data of kind {run.config.data.kind} with loss {run.config.loss.kind}, optimiser"
        f" {run.config.optim.kind}, seed {run.config.seed}."
    )


def _key_numbers(run: RunReport) -> list[Html]:
    """Of the evaluation, or else of the last one during training."""
    found, items = run.evaluation, []
    wanted = {"rmse_log_si": "RMSE log SI ↓", "rmse_log": "RMSE log ↓", "d1": "d<1.25 ↑"}
    for name, label in wanted.items():
        if found:
            value, where = found.values[found.main].get(name), f"{found.main}, {found.split}"
            ends = found.intervals[found.main].get(name)
            mean = found.values.get("mean predictor", {}).get(name)
            beside = f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else ""
            beside += f"; mean predictor {mean:.3f}" if mean is not None else ""
        else:
            steps, values = curve(run.rows, "val", name)
            value = float(values[-1]) if len(values) else None
            where, beside = "val, in training", f"step {steps[-1]:g}" if len(steps) else ""
        if value is not None:
            small = tag("span", f"{label} ({where}) {beside}", class_="soft")
            items.append(tag("li", tag("b", f"{value:.3f}"), small))
    return items
