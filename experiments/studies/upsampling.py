"""Which upsampling from cells of 4x4 pixels to pixels loses least.

Question:  the networks predict one depth for 4x4 pixels. If all of these were correct, how far from
           the ground truth would the full-size map be when cells are repeated, interpolated, or
           upsampled guided by the image?
Command:   python -m experiments.studies.upsampling --root ../shared/data/nyu_labelled
Hardware:  one CPU core.
Time:      half a minute; nothing is trained.
Result:    experiments/results/studies/upsampling.md, .json and .png.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from depthsi.data.pipeline import Samples
from depthsi.geometry import CELL_STRIDE
from depthsi.metrics import boundary_metrics
from depthsi.upsampling import SIGMA, guided, resized
from depthsi.valid import valid_depth
from experiments.studies.figures import panels
from experiments.studies.lab import Lab, conduct, main, markdown

PICTURES = 50
SIGMAS = (0.03, 0.06, 0.12, 0.25, 0.5)
STEP, REACH = 0.1, 3  # a true edge is a step of 10 %; pixels up to 3 from one are near it
METRICS = {
    "rmse_log": "RMSE log",
    "near_edges": "RMSE log near edges",
    "elsewhere": "elsewhere",
    "dbe_acc": "edges off by (pixels)",
}


def cells_of(depth: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "h w"]:
    """Mean log depth of the known pixels of each cell, NaN where there is none."""
    known = valid_depth(depth)

    def sums(values: np.ndarray) -> np.ndarray:
        rows, cols = (n // CELL_STRIDE for n in depth.shape)
        return values.reshape(rows, CELL_STRIDE, cols, CELL_STRIDE).sum(axis=(1, 3))

    count = sums(known.astype(np.float64))
    total = sums(np.where(known, np.log(np.where(known, depth, 1).astype(np.float64)), 0))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def near_edges(depth: Float[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels near a step of the true depth."""
    from scipy import ndimage

    known = valid_depth(depth)
    log_depth = np.where(known, np.log(np.where(known, depth, 1)), np.nan)
    steps = np.zeros(depth.shape, bool)
    steps[:, 1:] |= np.abs(np.diff(log_depth, axis=1)) > STEP
    steps[1:] |= np.abs(np.diff(log_depth, axis=0)) > STEP
    return ndimage.binary_dilation(steps, iterations=REACH)


def ways(lab: Lab) -> dict[str, Any]:
    """Name -> function of cells and image to log depth."""
    found: dict[str, Any] = {
        "nearest": lambda cells, image: resized(cells, image.shape[:2], smooth=False),
        "bilinear": lambda cells, image: resized(cells, image.shape[:2]),
    }
    for sigma in lab.some(SIGMAS):
        found[f"guided, sigma {sigma:g}"] = functools.partial(guided, sigma=sigma)
    return found


def errors(way: Any, image: np.ndarray, depth: np.ndarray) -> dict[str, float]:
    """The metrics of one image; NaN for those that it has not."""
    found = way(cells_of(depth), image).astype(np.float64)
    known, near = valid_depth(depth) & np.isfinite(found), near_edges(depth)
    d = np.where(known, found - np.log(np.where(known, depth, 1)), 0)

    def root(where: np.ndarray) -> float:
        return float(np.sqrt(np.mean(d[where] ** 2))) if where.any() else float("nan")

    maps = np.exp(np.where(known, found, 0)), np.where(known, depth, 0).astype(np.float64)
    edges = boundary_metrics(*maps)["dbe_acc"]
    values = root(known), root(known & near), root(known & ~near), edges
    return dict(zip(METRICS, values, strict=True))


def measure(lab: Lab) -> dict[str, Any]:
    """Data set -> way -> metric -> mean over images."""
    found: dict[str, Any] = {}
    for name, data in lab.data.items():
        pairs: Samples = lab.pairs(data, "val" if lab.options.root else "test")
        count = min(PICTURES, len(pairs))
        images, depths = pairs.read(np.linspace(0, len(pairs) - 1, count).astype(int))
        found[name] = {}
        for way, function in ways(lab).items():
            rows = [errors(function, *pair) for pair in zip(images, depths, strict=True)]
            found[name][way] = {
                metric: float(np.nanmean([row[metric] for row in rows])) for metric in METRICS
            }
    return found


def report(found: dict[str, Any]) -> str:
    """A table for each data set."""
    parts = [
        f"True maps of up to {PICTURES} images, brought to cells by the mean log depth and back."
        f" Near edges: up to {REACH} pixels from a step of {STEP:.0%}. depthsi uses sigma"
        f" {SIGMA:g}."
    ]
    for data, by_way in found.items():
        rows = [
            [way, *(f"{values[metric]:.4f}" for metric in METRICS)]
            for way, values in by_way.items()
        ]
        parts.append(f"## {data}\n\n{markdown(['way', *METRICS.values()], rows)}")
    return "\n\n".join(parts)


def draw(found: dict[str, Any], path: Path) -> None:
    """RMSE log of each way, near edges and elsewhere."""
    names = list(next(iter(found.values())))
    shown = {
        data: {
            METRICS[metric]: (
                list(range(len(names))),
                [[by_way[name][metric]] for name in names],
            )
            for metric in ("near_edges", "rmse_log", "elsewhere")
        }
        for data, by_way in found.items()
    }
    panels(path, shown, x="", y=["RMSE log"] * len(shown), ticks=names, joined=False, width=6.0)


study = functools.partial(conduct, "upsampling", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__)
