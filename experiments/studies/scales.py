"""Is scale learnt as a rule, or by enumeration?

Question:  an image enlarged by s shows a world s times nearer. A network trained on a narrow range
           of s could learn the rule, or only the distances it has seen. What does it predict
           outside that range, trained with the scale (lambda 0) and without (1)? And what happens
           to rooms that are larger as a whole, which no image shows?
Command:   python -m experiments.studies.scales
Hardware:  2 CPU cores; on a GPU, raise --width and --samples.
Time:      four trainings of about two minutes of one core.
Result:    experiments/results/studies/scales.md, .json and .png.
"""

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from depthsi.augment import centre
from depthsi.config import AugmentConfig, Config, ScaleInvariantConfig
from depthsi.data.pipeline import Samples, ordered_batches
from experiments.studies.figures import panels
from experiments.studies.lab import BATCH, Lab, changed, conduct, main, markdown, spread

TRAINED = (1.0, 1.2)  # enlargements
ZOOMS = (1.0, 1.1, 1.2, 1.5, 2.0, 2.5, 3.0)
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
LAMBDAS = (0.0, 1.0)


def zoomed_pictures(
    images: UInt8[np.ndarray, "n H W 3"], zoom: float
) -> UInt8[np.ndarray, "n H W 3"]:
    """The middle of each image, enlarged to the whole image's size."""
    height, width = images.shape[1:3]
    box = _middle(height, width, zoom)
    size = (width, height)
    return np.stack(
        [
            np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR, box))
            for one in images
        ]
    )


def zoomed_depths(
    depths: Float32[np.ndarray, "n H W"], zoom: float
) -> Float32[np.ndarray, "n H W"]:
    """The same of depth maps: the nearest pixel's depth, divided by the enlargement."""
    height, width = depths.shape[1:]
    left, top, _, _ = _middle(height, width, zoom)
    rows = np.floor(top + (np.arange(height) + 0.5) / zoom).astype(int)
    cols = np.floor(left + (np.arange(width) + 0.5) / zoom).astype(int)
    return depths[:, rows[:, None], cols[None]] / np.float32(zoom)


def _middle(height: int, width: int, zoom: float) -> tuple[float, float, float, float]:
    top, left = height / 2 * (1 - 1 / zoom), width / 2 * (1 - 1 / zoom)
    return left, top, width - left, height - top


def offset(lab: Lab, config: Config, pairs: Samples) -> float:
    """Mean over images of mean(d): 0.1 is a prediction 10 % too far."""
    predict = lab.predict(config.model, lab.params(config))
    found = []
    for image, depth in ordered_batches(pairs, BATCH):
        batch = centre(image, depth, config.model.sizes)
        d = np.where(batch.valid, np.log(predict(image)) - batch.log_depth, 0)
        found += list(d.sum(axis=(1, 2)) / np.maximum(np.sum(batch.valid, axis=(1, 2)), 1))
    return float(np.mean(found))


def measure(lab: Lab) -> dict[str, Any]:
    """Kind of change -> lambda -> amount -> metric -> a number for each seed."""
    test = lab.pairs(lab.config("rooms", 0).data, "test")
    cases = {
        "enlarged": {
            str(zoom): changed(
                test,
                functools.partial(zoomed_pictures, zoom=zoom),
                functools.partial(zoomed_depths, zoom=zoom),
            )
            for zoom in lab.some(ZOOMS)
        },
        "larger rooms": {
            str(factor): changed(test, lambda images: images, lambda d, f=factor: np.float32(f) * d)
            for factor in lab.some(FACTORS)
        },
    }
    return {
        kind: {
            str(lam): {amount: _numbers(lab, lam, pairs) for amount, pairs in amounts.items()}
            for lam in LAMBDAS
        }
        for kind, amounts in cases.items()
    }


def _numbers(lab: Lab, lam: float, pairs: Samples) -> dict[str, list[float]]:
    augment = AugmentConfig(scale=TRAINED)
    found = []
    for seed in lab.options.seeds:
        config = lab.config("rooms", seed, augment=augment, loss=ScaleInvariantConfig(lam=lam))
        numbers = lab.scores(config, pairs).compute()
        found.append({"offset": offset(lab, config, pairs)} | numbers)
    return {name: [each[name] for each in found] for name in ("offset", "rmse_log", "rmse_log_si")}


def report(found: dict[str, Any]) -> str:
    """A table for each kind of change."""
    titles = {
        "enlarged": "Images enlarged, which shows: depth is divided by as much. Trained on"
        f" {TRAINED[0]:g} to {TRAINED[1]:g}",
        "larger rooms": "Rooms larger as a whole, which does not show: the images are the same",
    }
    parts = [
        "Rooms never seen. `offset`: mean of d = log(prediction / truth). A network that has the"
        " rule keeps the offset it has within the range; one that repeats the distances it has"
        " seen is off by the logarithm of what is new. In brackets the seeds."
    ]
    for kind, by_lam in found.items():
        rows = [
            [
                amount,
                f"{_expected(kind, float(amount)):.3f}",
                *(
                    spread(by_lam[lam][amount][name])
                    for lam in by_lam
                    for name in ("offset", "rmse_log", "rmse_log_si")
                ),
            ]
            for amount in next(iter(by_lam.values()))
        ]
        headers = ["change", "log of what is new"]
        headers += [
            f"lam {float(lam):g}, {name}"
            for lam in by_lam
            for name in ("offset", "RMSE log", "RMSE log SI")
        ]
        parts.append(f"## {titles[kind]}\n\n{markdown(headers, rows)}")
    return "\n\n".join(parts)


def _expected(kind: str, amount: float) -> float:
    """How far a prediction is off that stays at the nearest distance of the trained range."""
    if kind == "enlarged":
        return math.log(max(amount / TRAINED[1], 1.0))
    return math.log(1 / amount)


def draw(found: dict[str, Any], path: Path) -> None:
    """Offsets over the change, with and without the scale."""
    curves = {
        kind: {
            f"lam {float(lam):g}": (
                [float(amount) for amount in by_amount],
                [numbers["offset"] for numbers in by_amount.values()],
            )
            for lam, by_amount in by_lam.items()
        }
        | {
            "what is new": (
                [float(amount) for amount in by_lam[str(LAMBDAS[0])]],
                [[_expected(kind, float(amount))] for amount in by_lam[str(LAMBDAS[0])]],
            )
        }
        for kind, by_lam in found.items()
    }
    y = ["mean log(prediction / truth)"] * len(curves)
    panels(path, curves, x="enlargement or factor", y=y, logarithmic=True)


study = functools.partial(conduct, "scales", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__)
