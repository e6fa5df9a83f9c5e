"""Runs an evaluation of a network or of external predictions."""

import shlex
from pathlib import Path
from typing import Any

from depthsi.errors import DepthsiError
from depthsi.evaluation.of_maps import evaluate_predictions
from depthsi.evaluation.of_run import evaluate_run
from depthsi.evaluation.report import SAMPLES, Evaluation, as_json, terminal, write
from depthsi.evaluation.request import EvaluationRequest
from depthsi.files import check_no_links_outside
from depthsi.output import STDOUT, write_numbers
from depthsi.runs import is_run
from depthsi.training.checkpoints.trained import is_model


def evaluate(request: EvaluationRequest, module: Any = None) -> Evaluation:
    """Evaluates a run, a weights file, or external predictions; writes nothing.

    Args:
      request: what to evaluate, how, and on which data.
      module: the network of settings of the kind custom.

    Raises:
      DepthsiError: the request cannot be evaluated.
    """
    if is_model(request.what):
        return evaluate_run(request, module)
    if request.mirrored:
        raise DepthsiError(
            f"--mirrored needs a network to run on flipped images, but {request.what} is not a run:"
            " leave it out."
        )
    if not request.data:
        raise DepthsiError(
            f"{request.what} is not a run: there is no config.json. If it has predictions, give"
            " their data with --data: a folder, prepared data or a run."
        )
    return evaluate_predictions(request)


def evaluate_and_report(request: EvaluationRequest) -> Evaluation:
    """Evaluates like `evaluate`, writes all files, and prints the table.

    Raises:
      DepthsiError: the request cannot be evaluated.
    """
    own = is_run(request.what) and not request.data
    out = Path(request.out or (request.what if own else "evaluation"))
    # of another directory than a run, nothing but this part is written into
    check_no_links_outside(out, () if is_run(str(out)) else (SAMPLES,))
    found = evaluate(request)
    files = write(found, out)  # before anything is printed, which may fail
    if request.json:
        write_numbers(request.json, as_json(found))
    if request.json == STDOUT:
        return found
    print(terminal(found))
    print("\nWritten: " + " ".join(map(str, files)))
    if is_run(str(out)):  # where a report looks for the numbers
        print(f"Next: depthsi report {shlex.quote(str(out))}")
    return found
