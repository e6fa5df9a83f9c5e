"""The sections made from a run's predictions: the gallery, and an analysis of the error."""

from collections.abc import Sequence

import numpy as np

from depthsi.evaluation.depth_tally import DISTANCES, EDGES, DepthTally, occupied
from depthsi.evaluation.error_split import BLOCKS, Share, error_shares
from depthsi.report import pictures
from depthsi.report.analysis import Analysis, ShownImage
from depthsi.report.charts import bar_chart, square_chart, stacked_bar
from depthsi.report.collect import RunReport, same_data
from depthsi.report.markup import Html, join, tag
from depthsi.report.parts import problem, run_heading, swatch
from depthsi.report.tables import plain_table
from depthsi.viz.depth_maps import WIDE

CAUSES = {
    "scale": "one global scale",
    "layout": "layout (low frequencies)",
    "detail": "detail (high frequencies)",
}


def gallery(runs: Sequence[RunReport]) -> Html:
    """Images with ground truth, predictions and log error, on common scales."""
    shown = [one for run in runs if run.analysis for one in run.analysis.shown]
    parts: list[Html | None] = [problem(run, "pictures", runs) for run in runs]
    if not shown:
        return join(parts)
    limits, error = pictures.common_limits(shown)
    scales = [pictures.depth_bar(limits), pictures.error_bar(error)]
    parts.append(tag("div", scales, class_="scales"))
    for run in runs:
        if run.analysis:
            first = next(one for one in runs if one.analysis and same_data(one.config, run.config))
            text = _which(run, run.analysis, first)
            parts += [run_heading(run, runs), tag("p", text, class_="soft")]
            parts += [_shown(one, limits, error) for one in run.analysis.shown]
    return join(parts)


def errors(runs: Sequence[RunReport]) -> Html:
    """Where the error comes from: by cause, by distance, predicted against true."""
    analysed = [(run, run.analysis) for run in runs if run.analysis]
    if not analysed:
        return tag("p", "There are no predictions, see Images.", class_="problem")
    parts = []
    for run, found in analysed:
        parts.append(run_heading(run, runs))
        cards = [_by_cause(found), _by_distance(found.tally), _joint(found.tally)]
        parts.append(tag("div", cards, class_="grid-charts"))
        parts += [tag("p", line, class_="note") for line in found.notes.splitlines()]
    return join(parts)


def _which(run: RunReport, found: Analysis, first: RunReport) -> str:
    """Which images of a run are shown; runs of the same data show those of the first one."""
    of = "" if first is run else f", as chosen for {first.name}"
    return (
        f"Worst, middle and best of {len(found.errors)} images of split {found.split!r} by RMSE"
        f" log{of}, at step {found.step}; only the compared part of each is shown."
    )


def _shown(one: ShownImage, limits: tuple[float, float], error: float) -> Html:
    last = list(one.predictions)[-1]
    cells = [
        ("image", pictures.photo(one.picture, "image")),
        ("true depth", pictures.depth_picture(one.true, limits, "true depth")),
        *(
            (row, pictures.depth_picture(each, limits, row))
            for row, each in one.predictions.items()
        ),
        (f"log error of {last}", pictures.error_picture(one, error, "log error")),
    ]
    kind = "images wide" if one.picture.shape[1] > WIDE * one.picture.shape[0] else "images"
    figures = [tag("figure", image, tag("figcaption", name)) for name, image in cells]
    heading = tag("h3", f"{one.kind}: {one.name}, RMSE log {one.error:.3f}")
    return tag("div", heading, tag("div", figures, class_=kind), class_="shown")


def _by_cause(found: Analysis) -> Html:
    shares = error_shares(found.parts)
    known = np.isfinite(found.parts.whole)
    means = {name: float(np.mean(each[known])) for name, each in found.parts._asdict().items()}
    bar = stacked_bar("squared log error by cause", [(CAUSES[n], means[n]) for n in CAUSES])
    rows = [
        [
            join([swatch(index), name]),
            f"{means[key]:.4f}",
            join([f"{shares[key].value:.1%}", tag("small", _ends(shares[key]))]),
        ]
        for index, (key, name) in enumerate(CAUSES.items())
    ]
    rows.append(["all: mean of RMSE log²", f"{means['whole']:.4f}", ""])
    note = (
        "Scale: the error that one factor per image would remove. Layout: what one factor per block"
        f" ({BLOCKS} along the longer side) would remove beyond that. Detail: the rest. The parts"
        " add up exactly; the 95 % interval over images is below each share."
    )
    table = plain_table(("cause", "log²", "share"), rows)
    caption = tag("figcaption", f"squared log error of {found.network} by cause")
    return tag("figure", caption, bar, table, tag("p", note, class_="note"), class_="card")


def _ends(share: Share) -> str:
    return f"{share.low:.1%} to {share.high:.1%}"


def _by_distance(tally: DepthTally) -> Html:
    names, heights, titles, rows = [], [], [], []
    total = int(tally.pixels.sum())
    for low, high, pixels, relative, log, square in zip(
        DISTANCES,
        DISTANCES[1:],
        tally.pixels,
        tally.abs_rel,
        tally.log,
        tally.square_log,
        strict=False,
    ):
        if pixels:
            name = f"{low:g} to {high:g}" if np.isfinite(high) else f"over {low:g}"
            rmse, bias = float(np.sqrt(square / pixels)), float(log / pixels)
            row = [f"{name} m", f"{pixels / total:.1%}", f"{relative / pixels:.3f}", f"{rmse:.3f}"]
            rows.append([*row, f"{bias:+.3f}"])
            names.append(name)
            heights.append(rmse)
            titles.append(f"{name} m: RMSE log {rmse:.3f}, mean log error {bias:+.3f}, {row[1]}")
    chart = bar_chart("RMSE log by distance", names, heights, titles, "true depth, metres")
    head = ("true depth", "pixels", "abs rel", "RMSE log", "mean log error")
    table = tag("details", tag("summary", "Numbers"), plain_table(head, rows))
    note = "Pooled over pixels. A mean log error above 0 means that predictions are too far."
    caption = tag("figcaption", "RMSE log by distance")
    return tag("figure", caption, chart, table, tag("p", note, class_="note"), class_="card")


def _joint(tally: DepthTally) -> Html:
    first, last = occupied(tally)
    counts = tally.pairs[first:last, first:last]
    limits = float(EDGES[first]), float(EDGES[last])
    chart = square_chart(
        "predicted against true depth",
        pictures.density(counts),
        limits,
        "true depth, metres",
        "predicted depth, metres",
    )
    total = int(tally.pairs.sum())
    outside = 1 - int(counts.sum()) / max(total, 1)
    note = f"{total:,} pixels, darker for more (log); {outside:.2%} lie outside the axes."
    caption = tag("figcaption", "predicted against true depth")
    return tag("figure", caption, chart, tag("p", note, class_="note"), class_="card")
