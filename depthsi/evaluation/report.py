"""The results of an evaluation as terminal text, Markdown, JSON, CSV and a contact sheet."""

import csv
import dataclasses
import functools
import io
import json
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from depthsi import files
from depthsi.evaluation.contact_sheet import ComparedImage, save_sheet
from depthsi.evaluation.paper_tables import PAPER_TABLES
from depthsi.evaluation.tables import LEGEND, format_table
from depthsi.metrics import AGGREGATIONS, BOUNDARY_METRICS, METRICS, PAPER_METRICS, ImageScores
from depthsi.metrics.bootstrap import RESAMPLES, Interval, bootstrap_intervals
from depthsi.metrics.protocols import Protocol

GROUPS = (PAPER_METRICS, METRICS[len(PAPER_METRICS) :], BOUNDARY_METRICS)
SAMPLES = "samples"  # directory of contact sheets, next to the tables
HOW = {"image": "Mean over images", "pixel": "Pooled over pixels"}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The scores of one or more predictors on the images of a split.

    Attributes:
      title: name of the evaluated run or predictions.
      split: name of the split.
      names: names of the images.
      protocol: the protocol of the evaluation.
      notes: lines that state what was compared, and how that differs from the protocol.
      scores: scores of every row, in printing order.
      main: the row whose worst and best images are shown.
      compared_image: maps the index of an image to the image, that row's prediction and the ground
        truth.
      context: further entries of the JSON.
      seed: seed of the bootstrap intervals.

    Example:
      >>> import depthsi
      >>> found = depthsi.evaluate("runs/rooms", protocol="eigen2014_nyu")  # doctest: +SKIP
      >>> found.results["coarse + fine"]["image"]["rmse_log"]  # doctest: +SKIP
      0.276
    """

    title: str
    split: str
    names: tuple[str, ...]
    protocol: Protocol
    notes: str
    scores: dict[str, ImageScores]
    main: str
    compared_image: Callable[[int], ComparedImage]
    context: dict[str, Any]
    seed: int = 0

    @functools.cached_property
    def results(self) -> dict[str, dict[str, dict[str, float]]]:
        """Row -> aggregation -> metric -> value."""
        return {
            row: {how: scores.compute(how) for how in AGGREGATIONS}
            for row, scores in self.scores.items()
        }

    @functools.cached_property
    def intervals(self) -> dict[str, dict[str, dict[str, Interval]]]:
        """Row -> aggregation -> metric -> both ends of its interval."""
        return {
            row: {how: bootstrap_intervals(scores, how, seed=self.seed) for how in AGGREGATIONS}
            for row, scores in self.scores.items()
        }

    def table(self, aggregation: str, *, markdown: bool = False) -> str:
        """The table of all rows, with the paper's eight metrics first.

        Args:
          aggregation: "image" (mean over images) or "pixel" (pooled over pixels).
          markdown: whether to format the table as Markdown instead of terminal text.
        """
        blocks = []
        for group in GROUPS:
            rows = {name: _only(group, row[aggregation]) for name, row in self.results.items()}
            ends = {name: _only(group, row[aggregation]) for name, row in self.intervals.items()}
            if any(rows.values()):
                blocks.append(format_table(rows, intervals=ends, markdown=markdown))
        return "\n\n".join(blocks)


def _only(group: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in group if name in values}


def clamped_notes(row: str, scores: ImageScores) -> list[str]:
    """A note if invalid predictions of a row were clamped to the protocol's limits."""
    images = int(np.sum(scores.clamped > 0))
    if not images:
        return []
    return [
        f"{row}: clamped 0, negative, infinite or NaN predictions at {scores.clamped.sum()} of"
        f" {scores.pixels.sum()} compared pixels, in {images} of {len(scores)} images."
    ]


def terminal(evaluation: Evaluation) -> str:
    """The text that `depthsi evaluate` prints.

    Args:
      evaluation: the evaluation to print.

    Example:
      >>> import depthsi
      >>> found = depthsi.evaluate("runs/rooms", protocol="eigen2014_nyu")  # doctest: +SKIP
      >>> print(terminal(found))  # doctest: +SKIP
    """
    paper = PAPER_TABLES[evaluation.protocol.data_set]
    return "\n".join(
        [
            _heading(evaluation),
            evaluation.notes,
            *textwrap.wrap(evaluation.protocol.unsure, 100),
            f"\n{evaluation.table(evaluation.protocol.aggregation)}\n",
            f"{LEGEND}\n\n{paper.title}:\n",
            format_table(paper.rows),
        ]
    )


def _heading(evaluation: Evaluation) -> str:
    count = len(evaluation.names)
    return (
        f"{evaluation.title}: {count} image{'s'[: count > 1]} of split {evaluation.split!r}.\n"
        f"Intervals are 95 % bootstrap intervals over images ({RESAMPLES} resamples)."
    )


def write(evaluation: Evaluation, directory: Path) -> list[Path]:
    """Writes all files to `directory` and returns their paths.

    Args:
      evaluation: the evaluation to write.
      directory: an existing or new directory.

    Raises:
      DepthsiError: matplotlib is not installed.
      OSError: the directory cannot be written.

    Example:
      >>> import depthsi
      >>> found = depthsi.evaluate("runs/rooms", protocol="eigen2014_nyu")  # doctest: +SKIP
      >>> files = write(found, Path("evaluation"))  # doctest: +SKIP
    """
    sheet = directory / SAMPLES / f"{evaluation.split}.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    texts = {
        "evaluation.json": json.dumps(as_json(evaluation), indent=2) + "\n",
        "evaluation.md": as_markdown(evaluation),
        "evaluation.csv": summary_csv(evaluation),
        "evaluation_images.csv": images_csv(evaluation),
    }
    for name, text in texts.items():
        files.write_text(directory / name, text)
    main = evaluation.scores[evaluation.main].per_image()["rmse_log"]
    title = f"{evaluation.title}, split {evaluation.split}: {evaluation.main}, worst image first"
    save_sheet(sheet, evaluation.names, main, evaluation.compared_image, title)
    return [*(directory / name for name in texts), sheet]


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything except the results of single images; values that are not finite become null."""
    result = {
        **evaluation.context,
        "split": evaluation.split,
        "images": len(evaluation.names),
        "protocol": dataclasses.asdict(evaluation.protocol),
        "notes": evaluation.notes,
        "intervals": {"level": 0.95, "resamples": RESAMPLES, "seed": evaluation.seed},
        "results": {
            row: {
                "pixels": int(evaluation.scores[row].pixels.sum()),
                "clamped": int(evaluation.scores[row].clamped.sum()),
                **values,
            }
            | {f"{how}_intervals": evaluation.intervals[row][how] for how in AGGREGATIONS}
            for row, values in evaluation.results.items()
        },
    }
    return _plain(result)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_markdown(evaluation: Evaluation) -> str:
    """The tables of both aggregations, and the paper's table after them."""
    paper = PAPER_TABLES[evaluation.protocol.data_set]
    parts = [f"# {evaluation.title}\n", f"{_heading(evaluation)}\n\n{evaluation.notes}\n"]
    if evaluation.protocol.source:
        parts.append(f"{evaluation.protocol.source}. {evaluation.protocol.unsure}\n")
    for how in AGGREGATIONS:
        parts.append(f"## {HOW[how]}\n\n{evaluation.table(how, markdown=True)}\n")
    parts.append(f"{LEGEND}\n\n## {paper.title}\n\n{format_table(paper.rows, markdown=True)}\n")
    return "\n".join(parts)


def summary_csv(evaluation: Evaluation) -> str:
    """CSV with a line for each row, aggregation and metric."""
    lines: list[list[Any]] = [["row", "aggregation", "metric", "value", "low", "high"]]
    for row, by_how in evaluation.results.items():
        for how, values in by_how.items():
            for metric, value in values.items():
                low, high = evaluation.intervals[row][how][metric]
                lines.append([row, how, metric, *map(_number, (value, low, high))])
    return _csv(lines)


def images_csv(evaluation: Evaluation) -> str:
    """CSV with a line for each row and image; metrics that an image does not have are empty."""
    metrics = [*METRICS, *evaluation.scores[evaluation.main].extras]
    lines: list[list[Any]] = [["row", "image", "pixels", "unusable", "clamped", *metrics]]
    for row, scores in evaluation.scores.items():
        numbers = scores.per_image()
        for index, name in enumerate(evaluation.names):
            counts = [int(n[index]) for n in (scores.pixels, scores.unusable, scores.clamped)]
            values = (numbers[m][index] if m in numbers else np.nan for m in metrics)
            lines.append([row, name, *counts, *map(_number, values)])
    return _csv(lines)


def _number(value: float) -> str:
    return f"{value:.7g}" if math.isfinite(value) else ""


def _csv(lines: list[list[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()
