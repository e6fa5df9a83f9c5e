"""Learning curves out of the lines of metrics.jsonl."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64


class Panel(NamedTuple):
    """A quantity to draw: where it stands, what to call it, whether its axis may be logarithmic."""

    split: str
    name: str
    label: str
    log: bool = False


PANELS = (
    Panel("train", "loss", "training loss, as the settings define it", log=True),
    Panel("val", "rmse_log_si", "val RMSE log SI, log metres (lower is better)"),
    Panel("val", "rmse_log", "val RMSE log, log metres (lower is better)"),
    Panel("val", "d1", "val d<1.25, share of pixels (higher is better)"),
    Panel("val", "abs_rel", "val abs rel (lower is better)"),
    Panel("val", "rmse", "val RMSE, metres (lower is better)"),
    Panel("train", "learning_rate", "learning rate"),
    Panel("train", "images_per_second", "speed, images/s"),
)


class Curve(NamedTuple):
    """Values of one quantity by step."""

    steps: Float64[np.ndarray, " n"]
    values: Float64[np.ndarray, " n"]


def curve(rows: Sequence[dict[str, Any]], split: str, name: str) -> Curve:
    """The finite values of `name` in the rows of a split, by step; a step's last row counts."""
    found = {
        row["step"]: float(row[name])
        for row in rows
        if row.get("split") == split and is_number(row.get(name)) and is_number(row["step"])
    }
    steps = sorted(found)
    return Curve(np.array(steps, float), np.array([found[step] for step in steps], float))


def is_number(value: Any) -> bool:
    """Whether a value out of a file is a finite number of reasonable size."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -1e300 < value < 1e300 and math.isfinite(value)
