"""`depthsi report`: from the directories of runs to one HTML file."""

import os
from collections.abc import Sequence
from pathlib import Path

from depthsi import files
from depthsi.errors import DepthsiError
from depthsi.output import complain
from depthsi.report.collect import collect
from depthsi.report.page import page
from depthsi.runs import is_run


def write_report(runs: Sequence[str], out: str = "", split: str = "test") -> Path:
    """Writes the page of one or several runs and prints its path.

    Args:
      runs: directories of the runs.
      out: the file to write. Default: report.html in the directory of a single run, or in the
        working directory for several runs.
      split: split whose images are predicted.

    Raises:
      DepthsiError: no run is given, a directory is not a run, or `out` cannot be written.
      OSError: the file cannot be written.
    """
    if not runs:
        raise DepthsiError(
            "No run was given: give the directory of one or more, as in depthsi report RUN."
        )
    for run in runs:
        if not is_run(run):
            raise DepthsiError(f"{run} is not a run: there is no {Path(run) / 'config.json'}.")
    path = Path(out) if out else Path(runs[0] if len(runs) == 1 else ".") / "report.html"
    if path.is_dir():
        raise DepthsiError(
            f"--out {path} is a directory: give a file in it, such as {path}/report.html."
        )
    if not os.access(path.parent if path.parent.is_dir() else ".", os.W_OK):
        raise DepthsiError(f"{path} cannot be written: choose another place with --out.")
    found = collect(runs, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, page(found))
    for run in found:
        for section, reason in run.problems.items():
            complain(f"{run.name}, {section}: {reason}")
    print(f"Written: {path}")
    return path
