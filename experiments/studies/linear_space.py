"""The scale-invariant error of depths or of their logarithms.

Question:  Domain Separation Networks (Bousmalis et al. 2016) use the formula without the logarithm,
           so that it ignores an added constant instead of a factor. What does a depth network lose
           or gain by this, once each image's free constant is fitted?
Command:   python -m experiments.studies.linear_space --root ../shared/data/nyu_labelled
Hardware:  2 CPU cores; on a GPU, raise --width and --samples.
Time:      about two minutes of one core for each training, half of which other studies share.
Result:    experiments/results/studies/linear_space.md, .json and .png.
"""

import functools
from pathlib import Path
from typing import Any

from depthsi.config import ScaleInvariantConfig
from experiments.studies.aligned import ALIGNMENTS, aligned_protocol, aligned_tables
from experiments.studies.figures import panels
from experiments.studies.lab import Lab, conduct, main

LOSSES = {
    "log, lam 0.5": ScaleInvariantConfig(lam=0.5),
    "log, lam 1": ScaleInvariantConfig(lam=1.0),
    "linear, lam 0.5": ScaleInvariantConfig(lam=0.5, space="linear"),
    "linear, lam 1 (si_mse)": ScaleInvariantConfig(lam=1.0, space="linear"),
}
METRICS = ("abs_rel", "d1", "rmse", "rmse_log")


def measure(lab: Lab) -> dict[str, Any]:
    """Data set -> loss -> alignment -> metric -> a number for each seed."""
    return {
        data: {
            name: {
                how: lab.numbers(data, METRICS, protocol=aligned_protocol(how), loss=loss)
                for how in ALIGNMENTS
            }
            for name, loss in lab.some(list(LOSSES.items()))
        }
        for data in lab.data
    }


def report(found: dict[str, Any]) -> str:
    """A table for each data set and alignment."""
    parts = [
        "Mean over the test images; in brackets the seeds. Predictions are compared as they are,"
        " with each image's true mean log depth, and with the scale and shift that fit it best"
        " (then kept within 0.1 to 20 m)."
    ]
    return "\n\n".join([*parts, *aligned_tables(found, METRICS)])


def draw(found: dict[str, Any], path: Path) -> None:
    """abs rel of each loss by alignment."""
    curves = {
        data: {
            name: (list(range(len(ALIGNMENTS))), [by_how[how]["abs_rel"] for how in ALIGNMENTS])
            for name, by_how in by_loss.items()
        }
        for data, by_loss in found.items()
    }
    panels(path, curves, x="", y=["abs rel"] * len(curves), ticks=list(ALIGNMENTS.values()))


study = functools.partial(conduct, "linear_space", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__)
