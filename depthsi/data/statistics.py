"""Statistics of images with depth in one pass, as sums that can be merged in any order.

Colours are 8-bit, so their sums are exact integers. Log depth keeps count, mean and centred squares
in float64 and is merged as Chan, Golub and LeVeque (1979) do, which loses no digits to a large
mean. Quantiles come from a histogram of log depth with bins of 0.1 %.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from depthsi.data.samples import FARTHEST, NEAREST, Sample, size_text
from depthsi.valid import valid_depth

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 13_816  # of 0.1 % each, from `NEAREST` to `FARTHEST`; depths beyond count in the outermost
LOG_RANGE = (float(np.log(NEAREST)), float(np.log(FARTHEST)))


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Sums over some samples.

    Attributes:
      sizes: how many samples have each size, such as "240x320".
      scenes: how many show each scene, "" for those not known.
      pixels: of all images.
      rgb_sum: of each colour, 0..255.
      rgb_squares: sums of its squares.
      valid: pixels with depth.
      log_mean: mean of ln(depth / 1 m) over them.
      log_squares: sum of (ln depth - log_mean)^2.
      nearest: least depth, metres.
      farthest: greatest depth, metres.
      histogram: pixels in each of `BINS` equal bins of ln depth.
    """

    sizes: Counter[str]
    scenes: Counter[str]
    pixels: int
    rgb_sum: Int64[np.ndarray, "3"]
    rgb_squares: Int64[np.ndarray, "3"]
    valid: int
    log_mean: float
    log_squares: float
    nearest: float
    farthest: float
    histogram: Int64[np.ndarray, " bins"]

    @property
    def samples(self) -> int:
        """How many there are."""
        return self.sizes.total()

    def rgb(self) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
        """Mean and standard deviation of each colour, 0..255."""
        # Python's integers, since n sum(x^2) of a large set passes 64 bits
        sums, squares, n = self.rgb_sum.tolist(), self.rgb_squares.tolist(), self.pixels
        variances = [(n * q - s * s) / n**2 for s, q in zip(sums, squares, strict=True)]
        return np.array(sums) / n, np.sqrt(variances)

    def log_depth(self) -> tuple[float, float]:
        """Mean and standard deviation of ln(depth / 1 m) over the pixels that have one."""
        return self.log_mean, float(np.sqrt(self.log_squares / self.valid))

    def quantile(self, share: float | int) -> float:
        """The depth in metres that `share` of the valid pixels do not pass, to within 0.1 %."""
        below = np.concatenate([[0], np.cumsum(self.histogram)])
        log_depth = np.interp(share * self.valid, below, np.linspace(*LOG_RANGE, BINS + 1))
        return float(np.clip(np.exp(log_depth), self.nearest, self.farthest))


def sample_statistics(sample: Sample, scene: str = "") -> Statistics:
    """Of one sample that `validate_sample` accepts."""
    colours = sample.image.reshape(-1, 3).astype(np.int64)
    depths = sample.depth[valid_depth(sample.depth)].astype(np.float64)
    logs = np.log(depths)
    low, high = LOG_RANGE
    bins = ((logs - low) * (BINS / (high - low))).astype(np.int64).clip(0, BINS - 1)
    mean = float(logs.mean())
    return Statistics(
        sizes=Counter([size_text(sample.depth)]),
        scenes=Counter([scene]),
        pixels=sample.depth.size,
        rgb_sum=colours.sum(0),
        rgb_squares=(colours * colours).sum(0),
        valid=depths.size,
        log_mean=mean,
        log_squares=float(np.square(logs - mean).sum()),
        nearest=float(depths.min()),
        farthest=float(depths.max()),
        histogram=np.bincount(bins, minlength=BINS),
    )


def merge(a: Statistics, b: Statistics) -> Statistics:
    """Of the samples of both."""
    valid = a.valid + b.valid
    step = b.log_mean - a.log_mean
    return Statistics(
        sizes=a.sizes + b.sizes,
        scenes=a.scenes + b.scenes,
        pixels=a.pixels + b.pixels,
        rgb_sum=a.rgb_sum + b.rgb_sum,
        rgb_squares=a.rgb_squares + b.rgb_squares,
        valid=valid,
        log_mean=a.log_mean + step * (b.valid / valid),
        log_squares=a.log_squares + b.log_squares + step * step * (a.valid * b.valid / valid),
        nearest=min(a.nearest, b.nearest),
        farthest=max(a.farthest, b.farthest),
        histogram=a.histogram + b.histogram,
    )


def summary(statistics: Statistics) -> dict[str, Any]:
    """The numbers as plain values for JSON; depths in metres, colours 0..255."""
    rgb_mean, rgb_std = statistics.rgb()
    log_mean, log_std = statistics.log_depth()
    known = len(statistics.scenes) - ("" in statistics.scenes)
    return {
        "samples": statistics.samples,
        "sizes": dict(sorted(statistics.sizes.items())),
        "scenes": known,
        "valid_share": statistics.valid / statistics.pixels,
        "depth_min": statistics.nearest,
        "depth_quantiles": {f"{share:g}": statistics.quantile(share) for share in QUANTILES},
        "depth_max": statistics.farthest,
        "log_depth_mean": log_mean,
        "log_depth_std": log_std,
        "rgb_mean": rgb_mean.tolist(),
        "rgb_std": rgb_std.tolist(),
    }


def coarse_histogram(
    statistics: Statistics, edges: Sequence[float] | np.ndarray
) -> Float64[np.ndarray, " bins"]:
    """Share of the valid pixels between each two of the `edges` (metres, rising)."""
    below = np.concatenate([[0], np.cumsum(statistics.histogram)]) / statistics.valid
    return np.diff(np.interp(np.log(edges), np.linspace(*LOG_RANGE, BINS + 1), below))
