"""`depthsi evaluate`."""

import dataclasses
from pathlib import Path

from depthsi.errors import DepthsiError
from depthsi.evaluation_report import Evaluation, terminal, write
from depthsi.protocols import Protocol, protocol
from depthsi.viz import require_matplotlib


@dataclasses.dataclass(frozen=True)
class Request:
    """What to evaluate; empty strings stand for the usual.

    Attributes:
      what: directory of a run, or predictions made elsewhere.
      data: of predictions: a folder, prepared data or a run whose data it is.
      split: of the data.
      protocol: name of a protocol; "" for the paper's.
      crop, alignment, aggregation: in place of the protocol's.
      checkpoint: of a run: "newest", "best" or a step.
      out: directory for the results; "" for the run's, or `evaluation`.
      units_per_metre: of predictions; None for metres.
      pattern: how files of predictions are named.
      variable: array in files of predictions that hold several.
      baselines: split of the data whose mean depth is evaluated beside predictions; "" for none.
      mirrored: of a run: evaluate the mean log depth of each picture and its mirror image, too.
      edges: evaluate depth edges, too.
      seed: of the intervals.
    """

    what: str
    data: str = ""
    split: str = "test"
    protocol: str = ""
    crop: str = ""
    alignment: str = ""
    aggregation: str = ""
    checkpoint: str = "newest"
    out: str = ""
    units_per_metre: float | int | None = None
    pattern: str = "{name}"
    variable: str = ""
    baselines: str = ""
    mirrored: bool = False
    edges: bool = False
    seed: int = 0

    def rules(self, default: Protocol) -> Protocol:
        """The protocol asked for, with the changes asked for.

        Raises:
          DepthsiError: no such protocol, crop or alignment.
        """
        chosen = protocol(self.protocol) if self.protocol else default
        return chosen.with_changes(
            crop=self.crop or None,
            alignment=self.alignment or None,
            aggregation=self.aggregation or None,
        )


def evaluate(request: Request) -> Evaluation:
    """Prints the table and writes all files; returns what was found.

    Raises:
      DepthsiError: whatever cannot be evaluated, in one sentence.
    """
    from depthsi.commands.evaluate_predictions import evaluate_predictions
    from depthsi.commands.evaluate_run import evaluate_run

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
