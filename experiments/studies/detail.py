"""What the fine network adds to the coarse one.

Question:  the paper's fine network hardly changes its numbers, and its maps have been called devoid
           of details. Does the refinement make maps sharper, and are its edges where the true ones
           are?
Command:   python experiments/studies/detail.py --root ../shared/data/nyu_labelled
Hardware:  2 CPU cores; --width and --samples raise it to a GPU.
Time:      four trainings of two minutes, and as much again for the edges.
Result:    experiments/results/studies/detail.md, .json and .png.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from figures import panels
from jax.typing import ArrayLike
from jaxtyping import Float
from lab import PROTOCOL, Lab, conduct, main, markdown, spread

from depthsi.augment import centre
from depthsi.commands.shared import BATCH
from depthsi.config import Config
from depthsi.data.pipeline import Pairs, ordered_batches

METRICS = ("rmse_log", "rmse_log_si", "d1", "sharpness", "boundary_f", "dbe_acc", "dbe_com")
SMOOTH = dataclasses.replace(PROTOCOL, resize="bilinear")  # the sides of cells are no edges


def slopes(log_depth: ArrayLike, valid: ArrayLike) -> Float[np.ndarray, " n"]:
    """Mean square difference of each map's neighbouring cells, where both are valid.

    Args:
      log_depth: (n, h, w) log metres.
      valid: bool (n, h, w).
    """
    log_depth, valid = np.asarray(log_depth, np.float64), np.asarray(valid)
    square, count = np.zeros(len(valid)), np.zeros(len(valid))
    for axis in (1, 2):
        both = np.minimum(*_neighbours(valid, axis))
        first, second = _neighbours(log_depth, axis)
        square += np.sum(np.where(both, second - first, 0) ** 2, axis=(1, 2))
        count += both.sum(axis=(1, 2))
    return square / np.maximum(count, 1)


def _neighbours(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    size = values.shape[axis]
    return values.take(range(size - 1), axis), values.take(range(1, size), axis)


def sharpness(lab: Lab, config: Config, pairs: Pairs, output: str) -> float:
    """Root of the predicted maps' mean square slope over that of the true ones: 0 flat, 1 alike."""
    predict, sizes = lab.predict(config.model, lab.params(config), output), config.model.sizes
    predicted, true = 0.0, 0.0
    for image, depth in ordered_batches(pairs, BATCH):
        batch = jax.device_get(centre(image, depth, sizes))
        predicted += slopes(np.log(predict(image)), batch.valid).sum()
        true += slopes(np.where(batch.valid, batch.log_depth, 0), batch.valid).sum()
    return float(np.sqrt(predicted / true))


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
            found[row].append(numbers | {"sharpness": sharpness(lab, config, pairs, output)})
    return {
        row: {metric: [each[metric] for each in numbers] for metric in METRICS}
        for row, numbers in found.items()
    }


def report(found: dict[str, Any]) -> str:
    """A table for each data set."""
    parts = [
        "Mean over the test pictures, maps interpolated between the cells' centres; in brackets the"
        " seeds. `sharpness`: root mean square difference of neighbouring cells in log depth, over"
        " that of the true maps, so 0 is flat and 1 as steep as the truth, rightly or wrongly."
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
    """Sharpness, edges and error of both networks."""
    shown = {"rmse_log_si": "RMSE log SI", "sharpness": "sharpness", "boundary_f": "edge F"}
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
