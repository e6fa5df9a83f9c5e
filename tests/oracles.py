"""Slow references in float64 NumPy and the standard library, written from the definitions.

They share no code with the package and are written differently from it on purpose: loops over
pixels and pairs, exact fractions, least squares by the library.
"""

import itertools
import math
import statistics
from collections.abc import Callable

import numpy as np

# --- losses: one image at a time, (h, w) arrays and a boolean mask -------------------------------


def residuals(predictions, targets, where) -> list[float]:
    """prediction - target of the valid pixels, row by row."""
    return [
        float(p) - float(t)
        for p, t, valid in zip(
            np.ravel(predictions), np.ravel(targets), np.ravel(where), strict=True
        )
        if valid
    ]


def variance(predictions, targets, where) -> float:
    """Exactly rounded population variance (the statistics module computes it in fractions)."""
    d = residuals(predictions, targets, where)
    return statistics.pvariance(d) if d else 0.0


def log_scale(predictions, targets, where) -> float:
    """The constant that, added to the predictions, comes nearest to the targets (least squares)."""
    d = residuals(predictions, targets, where)
    if not d:
        return 0.0
    return float(np.linalg.lstsq(np.ones((len(d), 1)), -np.array(d), rcond=None)[0][0])


def equation_4(predictions, targets, where, lam) -> float:
    """mean(d^2) - lam/n^2 sum_ij d_i d_j, the double sum pair by pair."""
    d = residuals(predictions, targets, where)
    if not d:
        return 0.0
    plain = math.fsum(x * x for x in d) / len(d)
    cross = math.fsum(x * y for x, y in itertools.product(d, d)) / len(d) ** 2
    return plain - lam * cross


def pairs(predictions, targets, where, penalty: Callable[[float], float]) -> float:
    """(1/(2 n^2)) sum_ij penalty(d_i - d_j), pair by pair."""
    d = residuals(predictions, targets, where)
    if not d:
        return 0.0
    return math.fsum(penalty(x - y) for x, y in itertools.product(d, d)) / (2 * len(d) ** 2)


def huber(delta: float) -> Callable[[float], float]:
    """The Huber penalty: the integral of a slope clipped to +-delta."""
    return lambda x: x * min(max(x, -delta), delta) - min(max(x, -delta), delta) ** 2 / 2


def silog(predictions, targets, where, factor, lam, unbiased=False) -> float:
    """factor sqrt(variance + (1 - lam) mean^2)."""
    d = residuals(predictions, targets, where)
    if not d:
        return 0.0
    spread = statistics.variance if unbiased and len(d) > 1 else statistics.pvariance
    return factor * math.sqrt(spread(d) + (1 - lam) * statistics.fmean(d) ** 2)


def scale_shift(predictions, targets, where) -> tuple[float, float]:
    """Least squares of targets on (predictions, 1); (0, 0) where the predictions do not vary."""
    p, t = np.asarray(predictions, float)[where], np.asarray(targets, float)[where]
    if len(set(p)) < 2:
        return 0.0, 0.0
    scale, shift = np.linalg.lstsq(np.stack([p, np.ones_like(p)], axis=1), t, rcond=None)[0]
    return float(scale), float(shift)


def ssi(predictions, targets, where) -> float:
    """Half the mean square distance after the best scale and shift."""
    p, t = np.asarray(predictions, float)[where], np.asarray(targets, float)[where]
    scale, shift = scale_shift(predictions, targets, where)
    return 0.0 if not p.size else float(np.mean((scale * p + shift - t) ** 2) / 2)


def ssi_trimmed(predictions, targets, where) -> float:
    """Half the sum of the 80 % smallest distances of the normalised maps over all valid pixels."""

    def normalise(values):
        middle = statistics.median_low(values)
        size = max(statistics.fmean(abs(v - middle) for v in values), 1e-6)
        return [(v - middle) / size for v in values]

    p, t = (np.asarray(x, float)[where].tolist() for x in (predictions, targets))
    if not p:
        return 0.0
    distances = sorted(abs(a - b) for a, b in zip(normalise(p), normalise(t), strict=True))
    return math.fsum(distances[: len(p) * 4 // 5]) / (2 * len(p))


def neighbour_steps(predictions, targets, where, step=1) -> list[float]:
    """d of the next pixel right or down minus d of this one, of every `step`-th row and column."""
    d = np.where(where, np.asarray(predictions, float) - np.asarray(targets, float), np.nan)
    d = d[::step, ::step]
    height, width = d.shape
    found = []
    for row, col in itertools.product(range(height), range(width)):
        for other in ((row + 1, col), (row, col + 1)):
            if other[0] < height and other[1] < width:
                found.append(d[other] - d[row, col])
    return [x for x in found if not math.isnan(x)]


def gradient_matching(predictions, targets, where, scales=4) -> float:
    """Sum over scales of the mean absolute neighbour step (per valid pixel of the scale)."""
    total = 0.0
    for step in (2**k for k in range(scales)):
        steps = neighbour_steps(predictions, targets, where, step)
        total += math.fsum(map(abs, steps)) / max(int(np.sum(where[::step, ::step])), 1)
    return total


def eigen_fergus_2015(predictions, targets, where) -> float:
    """Eq. 4 with lam = 0.5 plus the mean square neighbour step (per valid pixel)."""
    steps = neighbour_steps(predictions, targets, where)
    smooth = math.fsum(x * x for x in steps) / max(int(np.sum(where)), 1)
    return equation_4(predictions, targets, where, 0.5) + smooth


def berhu(predictions, targets, where, threshold=None) -> float:
    """Mean of |x| up to the threshold c and (x^2 + c^2)/(2c) beyond; c = max |x| / 5 by default."""
    d = residuals(predictions, targets, where)
    if threshold is None:
        threshold = max(map(abs, d), default=0.0) / 5
    costs = [abs(x) if abs(x) <= threshold else (x * x + threshold**2) / (2 * threshold) for x in d]
    return math.fsum(costs) / max(len(d), 1)


def ordinal(difference: float, relation: int) -> float:
    """Chen et al. 2016: the three cases one by one."""
    if relation == 1:
        return math.log(1 + math.exp(-difference))
    if relation == -1:
        return math.log(1 + math.exp(difference))
    return difference**2


def reduced(values, counts, reduction) -> float:
    """Weighted mean over the images with a valid pixel, image by image."""
    weigh = {"image": lambda n: 1, "pixel": lambda n: n, "authors": lambda n: n * n}[reduction]
    seen = [(v, n) for v, n in zip(values, counts, strict=True) if n > 0]
    if not seen:
        return 0.0
    return math.fsum(weigh(n) * v for v, n in seen) / math.fsum(weigh(n) for _, n in seen)


def authors_cost(predictions, targets, where, lam) -> float:
    """The authors' cost of a batch: [sum_b n sum d^2 - lam sum_b (sum d)^2] / max(sum_b n^2, 1)."""
    batch = [residuals(*image) for image in zip(predictions, targets, where, strict=True)]
    squares = math.fsum(len(d) * math.fsum(x * x for x in d) for d in batch)
    sums = math.fsum(math.fsum(d) ** 2 for d in batch)
    return (squares - lam * sums) / max(sum(len(d) ** 2 for d in batch), 1)


def numerical_gradient(function: Callable[[np.ndarray], float], at, step=1e-5) -> np.ndarray:
    """Central differences in float64, one element at a time."""
    at = np.asarray(at, float)
    gradient = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        ends = []
        for sign in (1, -1):
            moved = at.copy()
            moved[index] += sign * step
            ends.append(function(moved))
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


# --- metrics: one image at a time in metres, pixel by pixel --------------------------------------


def metric_sums(predictions, targets, where) -> tuple[int, dict[str, float]]:
    """The number of valid pixels, and the sum over them of what each metric averages."""
    pixels = [
        (float(y), float(true))
        for y, true, valid in zip(
            np.ravel(predictions), np.ravel(targets), np.ravel(where), strict=True
        )
        if valid
    ]
    worse = [max(y, true) / min(y, true) for y, true in pixels]
    logs = [math.log(y / true) for y, true in pixels]
    sums = {f"d{k}": float(sum(w < 1.25**k for w in worse)) for k in (1, 2, 3)}
    sums["abs_rel"] = math.fsum(abs(y / true - 1) for y, true in pixels)
    sums["sq_rel"] = math.fsum(true * (y / true - 1) ** 2 for y, true in pixels)
    sums["rmse"] = math.fsum((true - y) ** 2 for y, true in pixels)
    sums["rmse_log"] = math.fsum(x * x for x in logs)
    # Half the mean square difference of pairs is the variance (Eq. 2 with 1/(2 n^2)).
    between = math.fsum((a - b) ** 2 for a, b in itertools.product(logs, logs))
    sums["rmse_log_si"] = between / (2 * max(len(logs), 1))
    sums["mae"] = math.fsum(abs(true - y) for y, true in pixels)
    sums["log10"] = math.fsum(abs(math.log10(y) - math.log10(true)) for y, true in pixels)
    sums["sq_rel_squared"] = math.fsum((y / true - 1) ** 2 for y, true in pixels)
    sums["irmse"] = math.fsum((1e3 / y - 1e3 / true) ** 2 for y, true in pixels)
    sums["imae"] = math.fsum(abs(1e3 / y - 1e3 / true) for y, true in pixels)
    return len(pixels), sums


def _means_to_metrics(means) -> dict[str, float]:
    values = {k: math.sqrt(v) if "rmse" in k else v for k, v in means.items()}
    values["silog"] = 100 * values["rmse_log_si"]
    # What is left of the squared log error when every image has its own best factor.
    values["scale_share"] = 1 - means["rmse_log_si"] / means["rmse_log"]
    return values


def image_metrics(predictions, targets, where) -> dict[str, float]:
    """The numbers of an image that has a valid pixel."""
    count, sums = metric_sums(predictions, targets, where)
    return _means_to_metrics({k: v / count for k, v in sums.items()})


def set_metrics(predictions, targets, where, aggregation) -> dict[str, float]:
    """The numbers of a set (N, h, w): "image" averages images, "pixel" pools pixels."""
    images = [image for image in zip(predictions, targets, where, strict=True) if image[2].any()]
    if aggregation == "image":
        rows = [image_metrics(*image) for image in images]
        return {k: statistics.fmean(row[k] for row in rows) for k in rows[0]}
    counts, sums = zip(*(metric_sums(*image) for image in images), strict=True)
    pooled = {k: math.fsum(s[k] for s in sums) / sum(counts) for k in sums[0]}
    return _means_to_metrics(pooled)
