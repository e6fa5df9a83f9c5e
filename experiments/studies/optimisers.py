"""Optimisers for the paper's coarse network.

Question:  with as many samples as a small machine can train on, how do the paper's SGD and its
           per-layer rates compare with AdamW and muon? The rate of each is varied, as the paper
           tuned the global scale of its rates "to a factor of 5".
Command:   python -m experiments.studies.optimisers
Hardware:  2 CPU cores; on a GPU, raise --width and --samples.
Time:      about two minutes of one core for each training.
Result:    experiments/results/studies/optimisers.md, .json and .png.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, Literal

from depthsi.config import LOG_STD, AdamWConfig, MuonConfig, ScaleInvariantConfig, SgdConfig
from experiments.studies.figures import panels
from experiments.studies.lab import Lab, conduct, main, markdown, spread

METRICS = ("rmse_log", "rmse_log_si", "d1", "abs_rel", "rmse")
Kind = Literal["sgd", "adamw", "muon"]
# Factors on the paper's table of rates, whose losses are of log depth over its deviation; rates.
RATES: dict[Kind, tuple[float, ...]] = {
    "sgd": (0.2, 1.0, 5.0),
    "adamw": (3e-4, 1e-3, 3e-3),
    "muon": (0.004, 0.012, 0.036),
}


def settings(lab: Lab, kind: Kind, rate: float) -> dict[str, Any]:
    """The sections of the configuration that belong to an optimiser."""
    usual = lab.config("rooms", 0).optim
    assert isinstance(usual, MuonConfig)
    if kind == "sgd":
        loss = ScaleInvariantConfig(reduction="authors", multiplier=1 / LOG_STD**2)
        return {"optim": SgdConfig(learning_rate=rate), "loss": loss}
    if kind == "muon":
        return {"optim": dataclasses.replace(usual, learning_rate=rate)}
    return {
        "optim": AdamWConfig(
            learning_rate=rate,
            weight_decay=0.05,
            rate_schedule=usual.rate_schedule,
            warmup=usual.warmup,
        )
    }


def measure(lab: Lab) -> dict[str, Any]:
    """Optimiser -> rate -> metric -> a number for each seed, on rooms."""
    return {
        kind: {
            str(rate): lab.numbers("rooms", METRICS, **settings(lab, kind, rate))
            for rate in lab.some(rates)
        }
        for kind, rates in RATES.items()
    }


def report(found: dict[str, Any]) -> str:
    """One table."""
    rows = [
        [f"{kind}, {rate}", *(spread(numbers[metric]) for metric in METRICS)]
        for kind, by_rate in found.items()
        for rate, numbers in by_rate.items()
    ]
    return (
        "Rooms; mean over the test images; in brackets the seeds. sgd: the paper's momentum 0.9,"
        " constant rates for each layer times this factor, the authors' weight decay and weighting;"
        " adamw and muon: this rate, falling to 0 as a cosine.\n\n"
        + markdown(["optimiser, rate", *METRICS], rows)
    )


def draw(found: dict[str, Any], path: Path) -> None:
    """Error over the rate's place in its range."""
    names = [f"{kind}, {rate}" for kind, by_rate in found.items() for rate in by_rate]
    curves, position = {}, 0
    for kind, by_rate in found.items():
        places = range(position, position + len(by_rate))
        curves[kind] = (list(places), [each["rmse_log_si"] for each in by_rate.values()])
        position += len(by_rate)
    panels(path, {"rooms": curves}, x="", y=["RMSE log SI"], ticks=names)


study = functools.partial(conduct, "optimisers", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__)
