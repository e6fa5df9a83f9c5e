"""The effect of the random colour gain in training.

Question:  the paper multiplies red, green and blue by random factors in [0.8, 1.2]. Does that make
           a network robust to tints, also beyond that range? And does the network still notice a
           tint: can a linear probe of its frozen features tell a tinted image from a natural one?
Command:   python -m experiments.studies.colour --root ../shared/data/nyu_labelled
Hardware:  2 CPU cores; on a GPU, raise --width and --samples.
Time:      four trainings of about two minutes of one core, half of which other studies share.
Result:    experiments/results/studies/colour.md, .json and .png.

A tint of strength t multiplies the channels of an image by 1 + t u, where u is drawn for each
image from the surface of the cube [-1, 1]^3; what leaves 0..255 is cut off, as in a camera.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from depthsi.config import AugmentConfig, Config
from experiments.studies.figures import panels
from experiments.studies.lab import Lab, changed, conduct, main, markdown, spread
from experiments.studies.probe import fc6_features, probe_accuracy

STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)
PROBED = (0.1, 0.2, 0.4, 0.6)
GAINS = {"random gain": AugmentConfig(), "no gain": AugmentConfig(colour=(1.0, 1.0))}


def tinted(
    images: UInt8[np.ndarray, "n H W 3"], strength: float, seed: int = 0
) -> UInt8[np.ndarray, "n H W 3"]:
    """Each image under a tint of its own, the same direction for all strengths."""
    directions = np.random.default_rng(seed).uniform(-1, 1, (len(images), 3))
    directions /= np.abs(directions).max(axis=1, keepdims=True)
    gains = (1 + strength * directions).astype(np.float32)[:, None, None]
    return np.stack(
        [np.clip(one * gain, 0, 255).round() for one, gain in zip(images, gains, strict=True)]
    ).astype(np.uint8)


def colour_statistics(images: UInt8[np.ndarray, "n H W 3"]) -> Float[np.ndarray, "n k"]:
    """Mean and deviation of each channel and of the ratios between channels."""
    pixels = images[:, ::4, ::4].reshape(len(images), -1, 3).astype(np.float64) + 1
    logs = np.log(pixels)
    both = np.concatenate([pixels, logs - logs.mean(axis=2, keepdims=True)], axis=2)
    return np.concatenate([both.mean(axis=1), both.std(axis=1)], axis=1)


def measure(lab: Lab) -> dict[str, Any]:
    """ "error": network -> strength -> numbers; "probe": features -> strength -> accuracies."""
    data = list(lab.data)[-1]  # the real images, where they are at hand
    return {
        "data": data,
        "error": {
            name: {
                str(strength): _errors(lab, data, augment, strength)
                for strength in lab.some(STRENGTHS)
            }
            for name, augment in GAINS.items()
        },
        "probe": _probes(lab, data),
    }


def _errors(lab: Lab, data: str, augment: AugmentConfig, strength: float) -> dict[str, list[float]]:
    found = []
    for seed in lab.options.seeds:
        config = lab.config(data, seed, augment=augment)
        tint = functools.partial(tinted, strength=strength)
        pairs = changed(lab.pairs(config.data, "test"), tint, lambda depths: depths)
        found.append(lab.scores(config, pairs).compute())
    return {name: [each[name] for each in found] for name in ("rmse_log", "rmse_log_si", "d1")}


def _probes(lab: Lab, data: str) -> dict[str, Any]:
    train, test = (lab.pairs(lab.data[data], split) for split in ("train", "test"))
    pictures = {"train": train.read(slice(0, None))[0], "test": test.read(slice(0, None))[0]}
    found: dict[str, Any] = {}
    for strength in lab.some(PROBED):
        sets = {split: half_tinted(images, strength) for split, images in pictures.items()}

        def accuracy(features: Callable[[Any], Any], sets: Any = sets) -> float:
            return probe_accuracy(*((features(x), y) for x, y in sets.values()))

        for name, augment in GAINS.items():
            found.setdefault(f"fc6, {name}", {})[str(strength)] = [
                accuracy(_features(lab, lab.config(data, seed, augment=augment)))
                for seed in lab.options.seeds
            ]
        found.setdefault("colours of the picture", {})[str(strength)] = [
            accuracy(colour_statistics)
        ]
    return found


def half_tinted(
    images: UInt8[np.ndarray, "n H W 3"], strength: float
) -> tuple[UInt8[np.ndarray, "n H W 3"], Bool[np.ndarray, " n"]]:
    """Every other image tinted, and which: no image is there in both states."""
    which = np.arange(len(images)) % 2 == 0
    return np.where(which[:, None, None, None], tinted(images, strength), images), which


def _features(lab: Lab, config: Config) -> Callable[[Any], Any]:
    params = lab.params(config)
    return lambda images: fc6_features(config.model, params, images)


def report(found: dict[str, Any]) -> str:
    """Errors under tints, and what probes can tell."""
    error, probe = found["error"], found["probe"]
    strengths = list(next(iter(error.values())))
    rows = [
        [
            strength,
            *(
                spread(error[name][strength][metric])
                for name in error
                for metric in ("rmse_log", "rmse_log_si", "d1")
            ),
        ]
        for strength in strengths
    ]
    headers = [
        f"{name}, {metric}" for name in error for metric in ("RMSE log", "RMSE log SI", "d<1.25")
    ]
    probed = list(next(iter(probe.values())))
    return "\n\n".join(
        [
            f"Networks trained on {found['data']}; test images under tints; in brackets the"
            " seeds. A tint of strength t multiplies the channels by up to 1 - t or 1 + t; the"
            " random gain of the training reaches 0.2.",
            f"## Error\n\n{markdown(['strength', *headers], rows)}",
            "## Probe\n\nAccuracy of a linear probe that has to tell tinted from natural images,"
            " half of the test images each; it was fitted to training images. Chance is 0.5."
            " For comparison, the same probe of means and deviations of the image's own colours.",
            markdown(
                ["features", *(f"strength {strength}" for strength in probed)],
                [
                    [name, *(spread(by[strength]) for strength in probed)]
                    for name, by in probe.items()
                ],
            ),
        ]
    )


def draw(found: dict[str, Any], path: Path) -> None:
    """Both over the strength of the tint."""
    error, probe = found["error"], found["probe"]
    curves = {
        f"error, {found['data']}": {
            name: ([float(x) for x in by], [numbers["rmse_log"] for numbers in by.values()])
            for name, by in error.items()
        },
        "probe": {name: ([float(x) for x in by], list(by.values())) for name, by in probe.items()},
    }
    panels(path, curves, x="strength of the tint", y=["RMSE log", "accuracy"])


study = functools.partial(conduct, "colour", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__)
