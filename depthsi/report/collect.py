"""Collects what a page shows of a run; missing or damaged parts are replaced by a sentence."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from depthsi.config import Config
from depthsi.errors import DepthsiError
from depthsi.report.analysis import Analyse, Analysis, analyse
from depthsi.report.evaluation_file import StoredEvaluation, read_evaluation
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.trained import latest_step
from depthsi.training.stages import Stage, make_stages


@dataclasses.dataclass(frozen=True, eq=False)
class RunReport:
    """A run as the page shows it.

    Attributes:
      name: name of the run on the page.
      path: of its directory, as it was given.
      config: its settings.
      stages: stages of its training.
      step: step of its newest checkpoint; None without one.
      rows: rows of metrics.jsonl.
      evaluation: results in evaluation.json; None if there are none.
      analysis: analysis of its network on a split; None if it failed.
      problems: section ("curves", "metrics" or "pictures") -> why it is empty or incomplete.
    """

    name: str
    path: str
    config: Config
    stages: tuple[Stage, ...]
    step: int | None
    rows: tuple[dict[str, Any], ...]
    evaluation: StoredEvaluation | None
    analysis: Analysis | None
    problems: Mapping[str, str]


def collect(paths: Sequence[str], split: str, analyse: Analyse = analyse) -> list[RunReport]:
    """Collects everything about the runs in these directories.

    Runs on the same data show the same images in their galleries, chosen for the first run.

    Args:
      paths: directories of the runs.
      split: split whose images are predicted.
      analyse: function that predicts them.

    Raises:
      DepthsiError: a directory is not a run, or its config.json cannot be used.
    """
    runs = [RunDirectory(path) for path in paths]
    configs = [run.config() for run in runs]  # refuses before anything is computed
    found: list[RunReport] = []
    for run, config, name in zip(runs, configs, _names(paths), strict=True):
        before = (one for one in found if same_data(one.config, config))
        shown = next((one.analysis.indices for one in before if one.analysis), None)
        found.append(_one(run, config, name, lambda *given, i=shown: analyse(*given, i), split))
    return found


def same_data(one: Config, other: Config) -> bool:
    """Whether two runs predict the same images of the same size."""
    return (one.data, one.model.sizes) == (other.data, other.model.sizes)


def _one(run: RunDirectory, config: Config, name: str, analyse: Analyse, split: str) -> RunReport:
    problems: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    evaluation = analysis = None
    try:
        rows, lost = run.rows_and_lost()
        problems |= _about_rows(run, lost)
    except OSError as error:
        problems["curves"] = f"{run.metrics} cannot be read ({error.strerror})."
    try:
        evaluation = read_evaluation(run)
    except DepthsiError as error:
        problems["metrics"] = str(error)
    try:
        analysis = analyse(run, split, evaluation and evaluation.protocol)
    except DepthsiError as error:
        problems["pictures"] = str(error)
    return RunReport(
        name=name,
        path=str(run.path),
        config=config,
        stages=make_stages(config),
        step=latest_step(run),
        rows=tuple(rows),
        evaluation=evaluation,
        analysis=analysis,
        problems=problems,
    )


def _about_rows(run: RunDirectory, lost: int) -> dict[str, str]:
    if not run.metrics.exists():
        return {"curves": f"{run.metrics} does not exist: the run has not logged anything yet."}
    if not lost:
        return {}
    return {"curves": f"{lost} lines of {run.metrics} cannot be read and are left out."}


def _names(paths: Sequence[str]) -> list[str]:
    names = [Path(path).resolve().name or path for path in paths]
    return [
        name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)
    ]
