"""Predicted against true depth per pixel: a joint histogram, and the error by distance."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from depthsi.valid import valid_depth

EDGES = np.geomspace(0.05, 500.0, 241)  # metres, of the histogram: steps of 4 %
DISTANCES = (0, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 60, 80, np.inf)  # metres


@dataclasses.dataclass(frozen=True)
class DepthTally:
    """Sums over pixels, which can be added over images.

    Attributes:
      pairs: (true, predicted) number of pixels in each cell between `EDGES`; depths beyond the ends
        count in the outermost cells.
      pixels: number of pixels per interval of `DISTANCES` of true depth (low <= depth < high); the
        attributes below have the same intervals.
      abs_rel: sums of |y - y*| / y*.
      log: sums of d = ln y - ln y*.
      square_log: sums of d^2.
    """

    pairs: Int64[np.ndarray, "n n"]
    pixels: Int64[np.ndarray, " k"]
    abs_rel: Float64[np.ndarray, " k"]
    log: Float64[np.ndarray, " k"]
    square_log: Float64[np.ndarray, " k"]

    def __add__(self, other: "DepthTally") -> "DepthTally":
        names = [field.name for field in dataclasses.fields(self)]
        return DepthTally(**{name: getattr(self, name) + getattr(other, name) for name in names})


def tally_depths(
    predictions: Float[np.ndarray, "b h w"],
    targets: Float[np.ndarray, "b h w"],
    where: Bool[np.ndarray, "b h w"],
) -> DepthTally:
    """Counts the pixels where both depths are known.

    Args:
      predictions: (b, h, w) metres; values that are not finite and positive are ignored.
      targets: (b, h, w) metres; as `predictions`.
      where: (b, h, w) mask of the pixels to count.
    """
    known = where & valid_depth(predictions) & valid_depth(targets)
    y, true = predictions[known].astype(np.float64), targets[known].astype(np.float64)
    cells = len(EDGES) - 1
    column, row = (np.clip(np.searchsorted(EDGES, v, "right") - 1, 0, cells - 1) for v in (y, true))
    pairs = np.bincount(row * cells + column, minlength=cells**2).reshape(cells, cells)
    bins = np.searchsorted(DISTANCES, true, "right") - 1
    d = np.log(y) - np.log(true)

    def sums(values: np.ndarray) -> np.ndarray:
        found = np.bincount(bins, weights=values, minlength=len(DISTANCES) - 1)
        return found.astype(np.float64)  # which the sums of nothing are not

    return DepthTally(
        pairs=pairs.astype(np.int64),
        pixels=np.bincount(bins, minlength=len(DISTANCES) - 1).astype(np.int64),
        abs_rel=sums(np.abs(y - true) / true),
        log=sums(d),
        square_log=sums(d**2),
    )


def occupied(tally: DepthTally, share: float = 5e-4) -> tuple[int, int]:
    """First cell and end (exclusive) of the cells that contain all but `share` of either depth.

    This is the whole range if nothing was counted.
    """
    spans = []
    for axis in (0, 1):
        total = np.cumsum(tally.pairs.sum(axis=axis))
        if total[-1] == 0:
            return 0, len(EDGES) - 1
        ends = np.searchsorted(total, [share / 2 * total[-1], (1 - share / 2) * total[-1]])
        spans.append(ends)
    first, last = min(int(span[0]) for span in spans), max(int(span[1]) for span in spans)
    return max(first - 1, 0), min(last + 2, len(EDGES) - 1)
