"""Every loss that can train, on the same network, data and protocol.

Question:  which loss gives the best depth maps, both as predicted and after fitting what the loss
           ignores (a factor, or a factor and an offset per image)?
Command:   python -m experiments.studies.losses
Hardware:  2 CPU cores; on a GPU, raise --width and --samples. --root adds the NYU pairs.
Time:      51 trainings of about a minute and a half of one core each.
Result:    experiments/results/studies/losses.md, .json and .png.

The optimiser normalises the gradient, so the units of a loss do not matter, and nothing else is
tuned for any of the losses.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

from depthsi.config import (
    BerhuConfig,
    EigenFergus2015Config,
    LossConfig,
    PairwiseConfig,
    RankingConfig,
    ScaleInvariantConfig,
    SilogConfig,
    SiMseConfig,
    SsiConfig,
    SumConfig,
)
from depthsi.data.pipeline import ordered_batches
from depthsi.geometry import nyu
from depthsi.metrics.baselines import mean_depth
from depthsi.metrics.compare import map_batches
from depthsi.metrics.regions import evaluated_region
from depthsi.metrics.scorer import score
from experiments.studies.aligned import ALIGNMENTS, aligned_protocol, aligned_tables
from experiments.studies.figures import panels
from experiments.studies.lab import BATCH, Lab, Options, conduct, main

LOSSES: dict[str, LossConfig] = {
    "scale_invariant, lam 0.5": ScaleInvariantConfig(lam=0.5),
    "scale_invariant, lam 0": ScaleInvariantConfig(lam=0.0),
    "scale_invariant, lam 1": ScaleInvariantConfig(lam=1.0),
    "silog, bts": SilogConfig(variant="bts"),
    "silog, adabins": SilogConfig(variant="adabins"),
    "silog, depth_anything": SilogConfig(variant="depth_anything"),
    "eigen_fergus_2015": EigenFergus2015Config(),
    "sum: lam 0.5 and gradients": SumConfig(),
    "berhu": BerhuConfig(),
    "pairwise, abs": PairwiseConfig(penalty="abs"),
    "pairwise, huber": PairwiseConfig(penalty="huber"),
    "si_mse": SiMseConfig(),
    "ssi": SsiConfig(),
    "ssi, trimmed": SsiConfig(trimmed=True),
    "ssi of log metres": SsiConfig(space="log"),
    "ssi of log metres, trimmed": SsiConfig(space="log", trimmed=True),
    "ranking": RankingConfig(),
}
METRICS = ("abs_rel", "d1", "rmse", "rmse_log", "rmse_log_si")
MEAN = "mean predictor"
TOO_LARGE = 1e4  # for an error of depths up to some ten metres


@dataclasses.dataclass(frozen=True)
class LossOptions(Options):
    """The options of this study: more seeds than the others, and shorter trainings."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds; each drives initialisation, order, augmentation and dropout."""
    samples: int = 4800
    """Training samples per network."""


def measure(lab: Lab) -> dict[str, Any]:
    """Data set -> loss -> alignment -> metric -> a number for each seed."""
    found = {}
    for data in lab.data:
        found[data] = {MEAN: _mean_predictor(lab, data)}
        for name, loss in lab.some(list(LOSSES.items())):
            seeds = lab.finite_seeds(data, loss=loss)
            lost, of = len(lab.options.seeds) - len(seeds), len(lab.options.seeds)
            found[data][f"{name} ({lost} of {of} diverged)" if lost else name] = {
                how: _in_range(
                    lab.numbers(
                        data, METRICS, protocol=aligned_protocol(how), seeds=seeds, loss=loss
                    )
                )
                for how in ALIGNMENTS
            }
    return found


def _in_range(numbers: dict[str, list[float]]) -> dict[str, list[float | None]]:
    """The same without what says no more than that the predictions have run away."""
    return {
        metric: [value if abs(value) < TOO_LARGE else None for value in values]
        for metric, values in numbers.items()
    }


def _mean_predictor(lab: Lab, data: str) -> dict[str, dict[str, list[float]]]:
    """The mean depth of the training images at each pixel, for every test image, by alignment."""
    train, test = (lab.pairs(lab.data[data], split) for split in ("train", "test"))
    mean, sizes, found = mean_depth(ordered_batches(train, BATCH)), nyu(), {}
    for how in ALIGNMENTS:
        protocol = aligned_protocol(how)
        box = evaluated_region(protocol, sizes, sizes.image)
        scores = score(map_batches(mean, ordered_batches(test, BATCH), box), protocol).compute()
        found[how] = {metric: [scores[metric]] for metric in METRICS}
    return found


def report(found: dict[str, Any]) -> str:
    """A table for each data set and alignment."""
    parts = [
        "Mean over the test images; in brackets the seeds. Predictions are compared as they are,"
        " with each image's true mean log depth, and with the scale and shift that fit it best"
        " (then kept within 0.1 to 20 m). scale_invariant with lam 1 and pairwise do not see a"
        " factor of an image's depths, si_mse does not see a constant added to them, ssi neither of"
        " the two for disparity, ranking nothing but the order: what they predict is no depth"
        " before it is aligned. A dash: all seeds diverged, or an error of one is beyond 10 000."
    ]
    return "\n\n".join([*parts, *aligned_tables(found, METRICS)])


def draw(found: dict[str, Any], path: Path) -> None:
    """d<1.25 of each loss by alignment."""
    curves, names = {}, [MEAN]
    for data, by_loss in found.items():
        names = list(by_loss)
        curves[data] = {
            title: (range(len(names)), [by_how[how]["d1"] for by_how in by_loss.values()])
            for how, title in ALIGNMENTS.items()
        }
    panels(path, curves, x="", y=["d<1.25"] * len(curves), ticks=names, joined=False, width=10.0)


study = functools.partial(conduct, "losses", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__, LossOptions)
