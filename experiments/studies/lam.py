"""The effect of lambda on training.

Question:  the paper trains with lambda = 0.5 and reports no results for other values. How do
  networks
           trained with 0, 0.25, 0.5, 0.75 and 1 compare, in error with and without the scale?
Command:   python -m experiments.studies.lam --root ../shared/data/nyu_labelled
Hardware:  2 CPU cores; on a GPU, raise --width and --samples.
Time:      20 trainings of about two minutes of one core, shared with the other studies.
Result:    experiments/results/studies/lam.md, .json and .png.
"""

import functools
from pathlib import Path
from typing import Any

from depthsi.config import ScaleInvariantConfig
from experiments.studies.figures import panels
from experiments.studies.lab import Lab, conduct, main, markdown, spread

LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0)
METRICS = ("rmse_log", "rmse_log_si", "d1", "abs_rel", "rmse", "scale_share")


def measure(lab: Lab) -> dict[str, Any]:
    """Data set -> lambda -> metric -> a number for each seed."""
    return {
        name: {
            str(lam): lab.numbers(name, METRICS, loss=ScaleInvariantConfig(lam=lam))
            for lam in lab.some(LAMBDAS)
        }
        for name in lab.data
    }


def report(found: dict[str, Any]) -> str:
    """A table for each data set."""
    parts = [
        "Mean over the test images; in brackets the seeds. `scale_share` is the share of the"
        " squared log error that one factor for each image would remove."
    ]
    for data, by_lam in found.items():
        rows = [
            [f"lam {lam}", *(spread(numbers[metric]) for metric in METRICS)]
            for lam, numbers in by_lam.items()
        ]
        parts.append(f"## {data}\n\n{markdown(['', *METRICS], rows)}")
    return "\n\n".join(parts)


def draw(found: dict[str, Any], path: Path) -> None:
    """Error with and without the scale over lambda."""
    curves = {
        data: {
            metric: ([float(lam) for lam in by_lam], [each[metric] for each in by_lam.values()])
            for metric in ("rmse_log", "rmse_log_si")
        }
        for data, by_lam in found.items()
    }
    panels(path, curves, x="lambda", y=["RMSE log"] * len(curves))


study = functools.partial(conduct, "lam", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__)
