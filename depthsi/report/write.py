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
from depthsi.viz.depth_maps import require_matplotlib


def write_report(runs: Sequence[str], out: str = "", split: str = "test") -> Path:
    """Writes the page of one run, or of several side by side, and says where it is.

    Args:
      runs: their directories.
      out: the file; report.html in the directory of a single run, or else here, if none is given.
      split: whose images are predicted.

    Raises:
      DepthsiError: no run is named, a directory holds none, or `out` cannot be written.
      OSError: the file cannot be written.
    """
    if not runs:
        raise DepthsiError(
            "No run is named: give the directory of one or more, depthsi report RUN."
        )
    for run in runs:
        if not is_run(run):
            raise DepthsiError(f"{run} holds no run: there is no {Path(run) / 'config.json'}.")
    path = Path(out) if out else Path(runs[0] if len(runs) == 1 else ".") / "report.html"
    if path.is_dir():
        raise DepthsiError(f"--out {path} is a directory: name a file in it, {path}/report.html.")
    if not os.access(path.parent if path.parent.is_dir() else ".", os.W_OK):
        raise DepthsiError(f"{path} cannot be written: choose another place with --out.")
    require_matplotlib()
    found = collect(runs, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, page(found))
    for run in found:
        for section, reason in run.problems.items():
            complain(f"{run.name}, {section}: {reason}")
    print(f"Written: {path}")
    return path
