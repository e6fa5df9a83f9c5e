"""What a known distance gains.

Question:  an image leaves its scale open, and one factor for each image is half of the squared
           log error (scale_share.py). How much of that do 1, 2 or 5 points with a known distance
           win back, if the distances are right to 1, 5 or 20 %? And how much if the factor they
           give is weighed against the network's own scale?
Command:   python -m experiments.studies.known_points --root ../shared/data/nyu_labelled
Hardware:  one CPU core.
Time:      three minutes; nothing is trained.
Result:    experiments/results/studies/known_points.md, .json and .png.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from depthsi.data.samples import Source
from depthsi.errors import DepthsiError
from depthsi.predictor import Predictor, load
from depthsi.scale import ScalePrior
from depthsi.valid import valid_depth
from depthsi.weights.shipped import DEFAULT
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

    model: str = DEFAULT
    """A shipped model, a run, a weights file or an exported network."""
    pictures: int = 0
    """Number of images of the split, evenly spaced; 0 for all."""


def errors(depth: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]) -> dict[str, float]:
    """Of the valid pixels of one image."""
    d = np.log(depth / truth)
    return {"rmse_log": float(np.sqrt(np.mean(d**2))), "abs_rel": float(np.mean(abs(np.expm1(d))))}


def prior_of(maps: Sequence[tuple[np.ndarray, np.ndarray]]) -> ScalePrior:
    """The prior that (depth, truth) of valid pixels, of at least two images, give."""
    logs = [np.log(truth / depth) for depth, truth in maps]
    scales = np.array([np.mean(each) for each in logs])
    pixels = float(np.mean([np.var(each) for each in logs]))
    return ScalePrior(float(scales.mean()), float(scales.var(ddof=1)), pixels)


def with_points(
    depth: np.ndarray,
    truth: np.ndarray,
    count: int,
    noise: float,
    rng: np.random.Generator,
    prior: ScalePrior | None = None,
) -> dict[str, float]:
    """The errors after scaling by `count` pixels drawn at random, mean over `DRAWS`.

    Args:
      depth: (n,) predicted metres of the valid pixels.
      truth: (n,) metres.
      count: points of known distance.
      noise: standard deviation of the logarithm of the distances: 0.05 is 5 %.
      rng: for points and noise.
      prior: weighs the points against it; None: the points alone decide.
    """
    found = []
    for _ in range(DRAWS):
        at = rng.choice(len(depth), count, replace=False)
        metres = truth[at] * np.exp(rng.normal(0, noise, count))
        shift = np.mean(np.log(metres / depth[at]))  # depthsi.scale.log_scale_at, without its wait
        if prior:
            shift = prior.mean + prior.weight(count, noise) * (shift - prior.mean)
        found.append(errors(np.exp(shift) * depth, truth))
    return {name: float(np.mean([each[name] for each in found])) for name in METRICS}


def picture(
    depth: np.ndarray, truth: np.ndarray, prior: ScalePrior, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Case -> metric, of the valid pixels of one image."""
    best = np.exp(np.mean(np.log(truth / depth)))
    found = {"no point": errors(depth, truth), "true scale": errors(best * depth, truth)}
    for count in POINTS:
        for noise in NOISES:
            for name, at in (case(count, noise), None), (case(count, noise, weighted=True), prior):
                found[name] = with_points(depth, truth, count, noise, rng, at)
    return found


def case(count: int, noise: float, *, weighted: bool = False) -> str:
    """The name of a row."""
    return f"{count} of {noise:.0%}{', weighted' if weighted else ''}"


def of_source(
    predictor: Predictor, source: Source, indices: Iterable[int], seeds: Sequence[int]
) -> dict[str, dict[str, list[float]]]:
    """Case -> metric -> mean over images, for each seed.

    Raises:
      DepthsiError: fewer than three images have known depth.
    """
    maps = []
    for index in indices:
        sample = source[index]
        depth = predictor(sample.image, camera="training")
        where = valid_depth(sample.depth) & np.isfinite(depth)
        if np.sum(where) >= max(POINTS):
            maps.append((depth[where].astype(np.float64), sample.depth[where].astype(np.float64)))
    if len(maps) < 3:
        raise DepthsiError("Fewer than three images of the split val have known depth.")
    # the prior of an image is that of the others
    priors = [prior_of(maps[:at] + maps[at + 1 :]) for at in range(len(maps))]
    of_seeds = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        rows = [
            picture(depth, truth, prior, rng)
            for (depth, truth), prior in zip(maps, priors, strict=True)
        ]
        of_seeds.append(
            {
                name: {m: np.mean([row[name][m] for row in rows]) for m in METRICS}
                for name in rows[0]
            }
        )
    return {
        name: {metric: [float(each[name][metric]) for each in of_seeds] for metric in METRICS}
        for name in of_seeds[0]
    }


def measure(lab: Lab) -> dict[str, Any]:
    """Data set -> case -> metric -> a number for each seed."""
    options = lab.options
    assert isinstance(options, KnownPoints)
    predictor = load(options.model)
    name, data = list(lab.data.items())[-1]  # the real images, if they are named
    source = data.open("val", predictor.sizes.image)
    count = min(3 if options.fast else options.pictures or len(source), len(source))
    indices = np.linspace(0, len(source) - 1, count).round().astype(int).tolist()
    cases = of_source(predictor, source, indices, options.seeds)
    return {name: {"pictures": count, "cases": cases}}


def report(found: dict[str, Any]) -> str:
    """A table for each data set."""
    parts = [
        "`2 of 5%`: two random pixels whose distance is known with an error of 5 % (standard"
        " deviation of its logarithm) and the map scaled by the mean of their log ratios, mean over"
        f" {DRAWS} draws of each image. `weighted`: scaled by a factor between that one and the"
        " mean factor of the other images, whose variances give the weight. `true scale`: scaled by"
        " the mean log ratio of all pixels. The range over the seeds is in brackets."
    ]
    for name, each in found.items():
        rows = [
            [name, *(spread(values[metric]) for metric in METRICS)]
            for name, values in each["cases"].items()
        ]
        title = f"## {name}, {each['pictures']} images of the split val"
        parts.append(f"{title}\n\n{markdown(['known', 'RMSE log', 'abs rel'], rows)}")
    return "\n\n".join(parts)


def draw(found: dict[str, Any], path: Path) -> None:
    """RMSE log against the number of points, for each noise, points alone and weighted."""
    shown = {}
    for data, each in found.items():
        cases = each["cases"]
        for weighted in (False, True):
            lines = {
                f"{noise:.0%}": (
                    [0, *POINTS],
                    [
                        cases["no point"]["rmse_log"],
                        *(cases[case(n, noise, weighted=weighted)]["rmse_log"] for n in POINTS),
                    ],
                )
                for noise in NOISES
            }
            best = cases["true scale"]["rmse_log"]
            lines["true scale"] = ([0, POINTS[-1]], [best, best])
            shown[f"{data}, {'weighted' if weighted else 'points alone'}"] = lines
    panels(path, shown, x="known points", y=["RMSE log"] * len(shown))


study = functools.partial(conduct, "known_points", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    run_script(study, KnownPoints, __doc__)
