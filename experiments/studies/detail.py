"""What the fine network adds to the coarse one.

Question:  the paper's fine network hardly changes its metrics, and its maps have been called devoid
           of details. Does the refinement make maps sharper, and are its edges where the true ones
           are?
Command:   python -m experiments.studies.detail --root ../shared/data/nyu_labelled
Hardware:  2 CPU cores; on a GPU, raise --width and --samples.
Time:      four trainings of three minutes of one core, and as much again for the edges.
Result:    experiments/results/studies/detail.md, .json and .png.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from depthsi.augment import centre
from depthsi.config import Config
from depthsi.data.pipeline import Samples, ordered_batches
from experiments.studies.figures import panels
from experiments.studies.lab import BATCH, PROTOCOL, Lab, conduct, main, markdown, spread

METRICS = (
    "rmse_log",
    "rmse_log_si",
    "d1",
    "sharpness",
    "slope_match",
    "boundary_f",
    "dbe_acc",
    "dbe_com",
)
SMOOTH = dataclasses.replace(PROTOCOL, resize="bilinear")  # the sides of cells are no edges


def slopes(first: ArrayLike, second: ArrayLike, valid: ArrayLike) -> Float[np.ndarray, " n"]:
    """Mean product of two maps' differences of neighbouring cells, where both are valid.

    Args:
      first, second: (n, h, w) log metres; the same map twice for its mean square slope.
      valid: bool (n, h, w).
    """
    valid = np.asarray(valid)
    total, count = np.zeros(len(valid)), np.zeros(len(valid))
    for axis in (1, 2):
        both = np.minimum(*_neighbours(valid, axis))
        one, other = (np.diff(np.asarray(x, np.float64), axis=axis) for x in (first, second))
        total += np.sum(np.where(both, one * other, 0), axis=(1, 2))
        count += both.sum(axis=(1, 2))
    return total / np.maximum(count, 1)


def _neighbours(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    size = values.shape[axis]
    return values.take(range(size - 1), axis), values.take(range(1, size), axis)


def detail(lab: Lab, config: Config, pairs: Samples, output: str) -> dict[str, float]:
    """How steep the predicted maps are beside the true ones, and how well the slopes agree."""
    predict, sizes = lab.predict(config.model, lab.params(config), output), config.model.sizes
    predicted, true, shared = 0.0, 0.0, 0.0
    for image, depth in ordered_batches(pairs, BATCH):
        batch = jax.device_get(centre(image, depth, sizes))
        found, truth = np.log(predict(image)), np.where(batch.valid, batch.log_depth, 0)
        predicted += slopes(found, found, batch.valid).sum()
        true += slopes(truth, truth, batch.valid).sum()
        shared += slopes(found, truth, batch.valid).sum()
    return {
        "sharpness": float(np.sqrt(predicted / true)),
        "slope_match": float(shared / np.sqrt(predicted * true)),
    }


def measure(lab: Lab) -> dict[str, Any]:
    """Data set -> network -> metric -> a number for each seed."""
    return {data: _networks(lab, data) for data in lab.data}


def settings(lab: Lab, data: str, seed: int) -> Config:
    """Both stages, the second half as long as the first."""
    config = lab.config(data, seed)
    schedule = dataclasses.replace(config.schedule, fine_samples=lab.options.samples // 2)
    return dataclasses.replace(config, schedule=schedule)


def _networks(lab: Lab, data: str) -> dict[str, Any]:
    found: dict[str, Any] = {"coarse": [], "coarse + fine": []}
    for seed in lab.options.seeds:
        config = settings(lab, data, seed)
        pairs = lab.pairs(config.data, "test")
        for row, output in zip(found, ("coarse", "fine"), strict=True):
            numbers = lab.scores(config, pairs, output, protocol=SMOOTH, edges=True).compute()
            found[row].append(numbers | detail(lab, config, pairs, output))
    return {
        row: {metric: [each[metric] for each in numbers] for metric in METRICS}
        for row, numbers in found.items()
    }


def report(found: dict[str, Any]) -> str:
    """A table for each data set."""
    parts = [
        "Mean over the test images, maps interpolated between the cells' centres; in brackets the"
        " seeds. `sharpness`: root mean square difference of neighbouring cells in log depth, over"
        " that of the true maps, so 0 is flat and 1 as steep as the truth, rightly or wrongly."
        " `slope_match`: correlation of these differences with the true ones (about 0)."
        " `boundary_f`: how well edges are met; `dbe_acc`, `dbe_com`: distances between predicted"
        " and true edges in pixels."
    ]
    for data, networks in found.items():
        rows = [
            [name, *(spread(numbers[metric]) for metric in METRICS)]
            for name, numbers in networks.items()
        ]
        parts.append(f"## {data}\n\n{markdown(['', *METRICS], rows)}")
    return "\n\n".join(parts)


def draw(found: dict[str, Any], path: Path) -> None:
    """Error, sharpness and agreement of the slopes, of both networks."""
    shown = {"rmse_log_si": "RMSE log SI", "sharpness": "sharpness", "slope_match": "slope match"}
    curves = {
        title: {
            data: ([0, 1], [numbers[metric] for numbers in networks.values()])
            for data, networks in found.items()
        }
        for metric, title in shown.items()
    }
    panels(path, curves, x="", y=list(shown.values()), ticks=["coarse", "coarse + fine"])


study = functools.partial(conduct, "detail", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__)
