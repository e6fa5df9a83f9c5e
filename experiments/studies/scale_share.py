"""How much of a network's error is one global scale.

Question:  the paper reports that the mean predictor would improve by a fifth if it knew each
           image's mean log depth. How much of the squared log error of a trained network is one
           factor per image, and does this depend on the kind of room?
Command:   python -m experiments.studies.scale_share --root ../shared/data/nyu_labelled
Hardware:  2 CPU cores; on a GPU, raise --width and --samples.
Time:      a minute after lam.py and detail.py, whose trainings it looks at.
Result:    experiments/results/studies/scale_share.md, .json and .png.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from depthsi.config import ScaleInvariantConfig
from depthsi.data.pipeline import Samples, ordered_batches
from depthsi.metrics import ImageScores
from depthsi.metrics.baselines import mean_depth
from depthsi.metrics.compare import map_batches
from depthsi.metrics.regions import evaluated_region
from depthsi.metrics.scorer import score
from experiments.studies.detail import settings
from experiments.studies.figures import panels
from experiments.studies.lab import BATCH, PROTOCOL, Lab, conduct, main, markdown, spread

LEAST = 8  # images of a kind of room that is told apart
ALL = "all"


def shares(scores: ImageScores, kinds: tuple[str, ...]) -> dict[str, float]:
    """Sum of mean(d)^2 over sum of mean(d^2), of the images of each kind and of all."""
    groups = {ALL: np.ones(len(scores), bool)}
    groups |= {
        kind: np.array([each == kind for each in kinds]) for kind in sorted(set(kinds) - {""})
    }
    return {
        kind: float(scores.means["scale"][these].sum() / scores.means["square_log"][these].sum())
        for kind, these in groups.items()
        if kind == ALL or these.sum() >= LEAST
    }


def kinds_of(scenes: tuple[str, ...], count: int) -> tuple[str, ...]:
    """ "kitchen" for the scene kitchen_0012; "" where scenes are only numbered, or not known."""
    names = tuple(scene.rsplit("_", 1)[0] for scene in scenes) or ("",) * count
    return tuple("" if name.isdecimal() else name for name in names)


def measure(lab: Lab) -> dict[str, Any]:
    """Data set -> "pictures" of each kind, and "shares": network -> kind -> one for each seed."""
    found = {}
    for data in lab.data:
        pairs = lab.pairs(lab.data[data], "test")
        kinds = kinds_of(pairs.scenes, len(pairs))
        by_network = {
            name: [shares(scores, kinds) for scores in of_seeds]
            for name, of_seeds in _networks(lab, data, pairs).items()
        }
        names = next(iter(by_network.values()))[0]
        found[data] = {
            "pictures": {name: kinds.count(name) if name != ALL else len(pairs) for name in names},
            "shares": {
                network: {name: [each[name] for each in of_seeds] for name in names}
                for network, of_seeds in by_network.items()
            },
        }
    return found


def _networks(lab: Lab, data: str, pairs: Samples) -> Mapping[str, list[ImageScores]]:
    mean = mean_depth(ordered_batches(lab.pairs(lab.data[data], "train"), BATCH))
    sizes, seeds = lab.config(data, 0).model.sizes, lab.options.seeds
    box = evaluated_region(PROTOCOL, sizes, sizes.image)
    same = score(map_batches(mean, ordered_batches(pairs, BATCH), box), PROTOCOL)
    found = {"mean predictor": [same]}
    for lam in lab.some((0.0, 0.5, 1.0)):
        loss = ScaleInvariantConfig(lam=lam)
        configs = [lab.config(data, seed, loss=loss) for seed in seeds]
        found[f"coarse, lam {lam:g}"] = [lab.scores(config, pairs) for config in configs]
    both = [settings(lab, data, seed) for seed in seeds]
    return found | {"coarse + fine": [lab.scores(config, pairs, "fine") for config in both]}


def report(found: dict[str, Any]) -> str:
    """A table for each data set."""
    parts = [
        "Share of the squared log error that one factor for each image would remove,"
        " sum mean(d)^2 / sum mean(d^2) over the test images; in brackets the seeds."
        f" Kinds of rooms with fewer than {LEAST} images count only under {ALL!r}."
    ]
    for data, each in found.items():
        names = list(each["shares"])
        rows = [
            [kind, str(count), *(spread(each["shares"][name][kind], 2) for name in names)]
            for kind, count in each["pictures"].items()
        ]
        parts.append(f"## {data}\n\n{markdown(['images of', 'count', *names], rows)}")
    return "\n\n".join(parts)


def draw(found: dict[str, Any], path: Path) -> None:
    """The shares by kind of room of the last data set, which has more than one kind if any has."""
    data, each = list(found.items())[-1]
    kinds = list(each["pictures"])
    curves = {
        name: (list(range(len(kinds))), [by_kind[kind] for kind in kinds])
        for name, by_kind in each["shares"].items()
    }
    panels(
        path, {data: curves}, x="", y=["share of one scale"], ticks=kinds, joined=False, width=9.0
    )


study = functools.partial(conduct, "scale_share", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__)
