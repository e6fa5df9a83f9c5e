"""Reads and checks the evaluation.json that `depthsi evaluate` writes into a run."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from depthsi import files
from depthsi.errors import DepthsiError
from depthsi.metrics import AGGREGATIONS
from depthsi.metrics.protocols import Protocol
from depthsi.report.curves import is_number
from depthsi.runs import RunDirectory

REFERENCES = ("oracle scale", "mean predictor", "constant")  # rows that are no network
Values = Mapping[str, float | None]
Intervals = Mapping[str, tuple[float, float]]


class StoredEvaluation(NamedTuple):
    """The metrics of one evaluation.

    Attributes:
      split: evaluated split.
      images: number of images.
      step: step of the checkpoint.
      notes: notes on the evaluation.
      protocol: protocol of the evaluation.
      values: row -> metric -> value, with the protocol's aggregation; None if missing.
      intervals: row -> metric -> both ends of the 95 % interval.
    """

    split: str
    images: int
    step: int
    notes: str
    protocol: Protocol
    values: Mapping[str, Values]
    intervals: Mapping[str, Intervals]

    @property
    def data(self) -> tuple[str, ...]:
        """The notes on which data was evaluated, if it was not the run's own."""
        return tuple(line for line in self.notes.splitlines() if line.startswith("Data: "))

    @property
    def main(self) -> str:
        """The row of the run's last network."""
        rows = list(self.values)
        return next((row for row in reversed(rows) if row not in REFERENCES), rows[-1])


def read_evaluation(run: RunDirectory) -> StoredEvaluation:
    """Reads a run's evaluation.json.

    Raises:
      DepthsiError: there is no such file, or `depthsi evaluate` did not write it.
    """
    file = run.path / "evaluation.json"
    if not file.exists():
        raise DepthsiError(f"Not evaluated yet: run depthsi evaluate {run.path}")
    try:
        return _read(json.loads(files.contents(file)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DepthsiError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DepthsiError(
            f"{file} is damaged ({type(error).__name__}: {reason}): run depthsi evaluate {run.path}"
        ) from error


def _read(values: Any) -> StoredEvaluation:
    protocol = _protocol(values["protocol"])
    how = protocol.aggregation
    results = {str(row): dict(each) for row, each in values["results"].items()}
    if not results:
        raise ValueError("no results")
    for name in ("images", "step"):
        if type(values[name]) is not int:
            raise TypeError(f"{name} is no integer")
    return StoredEvaluation(
        split=str(values["split"]),
        images=values["images"],
        step=values["step"],
        notes=str(values.get("notes", "")),
        protocol=protocol,
        values={row: _values(each[how]) for row, each in results.items()},
        intervals={row: _intervals(each[f"{how}_intervals"]) for row, each in results.items()},
    )


def _protocol(fields: Any) -> Protocol:
    """JSON has no infinity, and lists for tuples."""
    given = dict(fields)
    for name in ("clamp", "pictures"):
        if given.get(name) is not None:
            given[name] = tuple(given[name])
    if given.get("max_depth") is None:
        given["max_depth"] = math.inf
    found = Protocol(**given)
    if found.data_set not in ("nyu", "kitti") or found.aggregation not in AGGREGATIONS:
        raise ValueError("an unknown protocol")
    return found


def _values(given: Any) -> dict[str, float | None]:
    wrong = [name for name, value in given.items() if value is not None and not is_number(value)]
    if wrong:
        raise TypeError(f"{wrong[0]} is no number")
    return {str(name): None if value is None else float(value) for name, value in given.items()}


def _intervals(given: Any) -> dict[str, tuple[float, float]]:
    """Those with two ends."""
    return {
        str(name): (float(low), float(high))
        for name, (low, high) in given.items()
        if is_number(low) and is_number(high)
    }
