"""What a known distance gains.

Question:  an image leaves its scale open, and one factor for each image is half of the squared
           log error (scale_share.py). How much of that do 1, 2 or 5 points with a known distance
           win back, if the distances are right to 1, 5 or 20 %?
Command:   python -m experiments.studies.known_points --model RUN --root ../shared/data/nyu_labelled
Hardware:  one CPU core.
Time:      three minutes; nothing is trained.
Result:    experiments/results/studies/known_points.md, .json and .png.
"""

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from depthsi.data.samples import Source
from depthsi.errors import DepthsiError
from depthsi.predictor import Predictor, load
from depthsi.scale import log_scale_at
from depthsi.valid import valid_depth
from experiments.script import run_script
from experiments.studies.figures import panels
from experiments.studies.lab import Lab, Options, conduct, markdown, spread

POINTS = (1, 2, 5)
NOISES = (0.01, 0.05, 0.2)
DRAWS = 10  # of points and noise, for each image and seed
METRICS = ("rmse_log", "abs_rel")


@dataclasses.dataclass(frozen=True)
class KnownPoints(Options):
    """The model, and the data on whose split val it is studied."""

    model: str = ""
    """A run, a weights file or an exported network."""
    pictures: int = 0
    """Number of images of the split, evenly spaced; 0 for all."""


def errors(depth: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]) -> dict[str, float]:
    """Of the valid pixels of one image."""
    d = np.log(depth / truth)
    return {"rmse_log": float(np.sqrt(np.mean(d**2))), "abs_rel": float(np.mean(abs(np.expm1(d))))}


def with_points(
    depth: np.ndarray, truth: np.ndarray, count: int, noise: float, rng: np.random.Generator
) -> dict[str, float]:
    """The errors after scaling by `count` pixels drawn at random, mean over `DRAWS`.

    Args:
      depth: (H, W) predicted metres.
      truth: (H, W) metres.
      count: points of known distance.
      noise: standard deviation of the logarithm of the distances: 0.05 is 5 %.
      rng: for points and noise.
    """
    rows, cols = np.nonzero(valid_depth(truth) & np.isfinite(depth))
    log_depth, known = np.log(np.where(np.isfinite(depth), depth, 1)), truth[rows, cols]
    found = []
    for _ in range(DRAWS):
        at = rng.choice(len(rows), count, replace=False)
        metres = known[at] * np.exp(rng.normal(0, noise, count))
        shift = log_scale_at(log_depth, rows[at].tolist(), cols[at].tolist(), metres.tolist())
        found.append(errors(np.exp(float(shift)) * depth[rows, cols], known))
    return {name: float(np.mean([each[name] for each in found])) for name in METRICS}


def picture(
    depth: np.ndarray, truth: np.ndarray, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Case -> metric, of one image."""
    where = valid_depth(truth) & np.isfinite(depth)
    predicted, known = depth[where].astype(np.float64), truth[where].astype(np.float64)
    best = np.exp(np.mean(np.log(known / predicted)))
    found = {"no point": errors(predicted, known), "true scale": errors(best * predicted, known)}
    for count in POINTS:
        for noise in NOISES:
            case = f"{count} of {noise:.0%}"
            found[case] = with_points(depth, truth.astype(np.float64), count, noise, rng)
    return found


def of_source(
    predictor: Predictor, source: Source, indices: Iterable[int], seed: int
) -> dict[str, dict[str, float]]:
    """Case -> metric, mean over images.

    Raises:
      DepthsiError: no image has known depth.
    """
    rng, rows = np.random.default_rng(seed), []
    for index in indices:
        sample = source[index]
        depth = predictor(sample.image, camera="training")
        if np.sum(valid_depth(sample.depth) & np.isfinite(depth)) >= max(POINTS):
            rows.append(picture(depth, sample.depth, rng))
    if not rows:
        raise DepthsiError("No image of the split val has known depth.")
    return {
        case: {name: float(np.mean([row[case][name] for row in rows])) for name in METRICS}
        for case in rows[0]
    }


def measure(lab: Lab) -> dict[str, Any]:
    """Data set -> case -> metric -> a number for each seed."""
    options = lab.options
    assert isinstance(options, KnownPoints)
    if not options.model:
        raise DepthsiError("Name a run, a weights file or an exported network: --model RUN.")
    predictor = load(options.model)
    name, data = list(lab.data.items())[-1]  # the real images, if they are named
    source = data.open("val", predictor.sizes.image)
    count = min(2 if options.fast else options.pictures or len(source), len(source))
    indices = np.linspace(0, len(source) - 1, count).round().astype(int).tolist()
    of_seeds = [of_source(predictor, source, indices, seed) for seed in options.seeds]
    cases = {
        case: {metric: [each[case][metric] for each in of_seeds] for metric in METRICS}
        for case in of_seeds[0]
    }
    return {name: {"pictures": count, "cases": cases}}


def report(found: dict[str, Any]) -> str:
    """A table for each data set."""
    parts = [
        "`2 of 5%`: two random pixels whose distance is known with an error of 5 % (standard"
        " deviation of its logarithm) and the map scaled by the mean of their log ratios, mean over"
        f" {DRAWS} draws of each image. `true scale`: by the mean log ratio of all pixels. In"
        " brackets the seeds."
    ]
    for name, each in found.items():
        rows = [
            [case, *(spread(values[metric]) for metric in METRICS)]
            for case, values in each["cases"].items()
        ]
        title = f"## {name}, {each['pictures']} images of the split val"
        parts.append(f"{title}\n\n{markdown(['known', 'RMSE log', 'abs rel'], rows)}")
    return "\n\n".join(parts)


def draw(found: dict[str, Any], path: Path) -> None:
    """RMSE log against the number of points, for each noise."""
    shown = {}
    for name, each in found.items():
        cases = each["cases"]
        shown[name] = {
            f"{noise:.0%}": (
                [0, *POINTS],
                [
                    cases["no point"]["rmse_log"],
                    *(cases[f"{count} of {noise:.0%}"]["rmse_log"] for count in POINTS),
                ],
            )
            for noise in NOISES
        }
        best = cases["true scale"]["rmse_log"]
        shown[name]["true scale"] = ([0, POINTS[-1]], [best, best])
    panels(path, shown, x="known points", y=["RMSE log"] * len(shown))


study = functools.partial(conduct, "known_points", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    run_script(study, KnownPoints, __doc__)
