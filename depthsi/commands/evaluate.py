"""`depthsi evaluate`."""

from pathlib import Path

from depthsi.errors import DepthsiError
from depthsi.evaluation.report import Evaluation, terminal, write
from depthsi.evaluation.request import Request
from depthsi.viz.depth_maps import require_matplotlib


def evaluate(request: Request) -> Evaluation:
    """Prints the table and writes all files; returns what was found.

    Raises:
      DepthsiError: whatever cannot be evaluated, in one sentence.
    """
    from depthsi.evaluation.of_maps import evaluate_predictions
    from depthsi.evaluation.of_run import evaluate_run

    require_matplotlib()
    is_run = (Path(request.what) / "config.json").exists()
    if request.data and is_run:
        raise DepthsiError(
            f"{request.what} is a run, which has its own data: leave out --data, or give a folder"
            " of predictions in its place."
        )
    if request.mirrored and not is_run:
        raise DepthsiError(
            f"--mirrored needs a network that sees mirrored pictures, but {request.what} is no run:"
            " leave it out."
        )
    if not request.data and not is_run:
        raise DepthsiError(
            f"{request.what} holds no run: there is no config.json. If it holds predictions, say"
            " what of: --data, a folder, prepared data or a run."
        )
    found = evaluate_run(request) if is_run else evaluate_predictions(request)
    print(terminal(found))
    out = Path(request.out or (request.what if is_run else "evaluation"))
    files = write(found, out)
    print("\nWritten: " + " ".join(map(str, files)))
    return found
