"""Metrics of depth edges: compares edges of the predicted map with edges of the true one.

After the depth boundary errors of iBims-1 (Koch et al. 2018, https://arxiv.org/abs/1805.01328),
which compares annotated edges with those a Canny detector finds in the prediction. Few data sets
have annotated edges, so here the same detector looks at both maps, and it looks at log depth, so
that a common scale changes nothing (after Canny 1986, https://doi.org/10.1109/TPAMI.1986.4767851):

  smoothing with a Gaussian of sigma sqrt(2) pixels over the valid pixels; central differences;
  thinning to the largest slope across the edge; hysteresis between the slopes `LOW` and `HIGH`,
  the latter being what a clean step of about 25 % has after the smoothing.

With distances in pixels of the compared maps:

  boundary_f  harmonic mean of precision (share of the predicted edge pixels that have a true one
              within `TOLERANCE`) and recall (share of the true ones that have a predicted one)
  dbe_acc     mean distance from predicted to true edge pixels, of those that are nearer than
              `REACH`; `REACH` if none is
  dbe_com     mean distance, at most `REACH`, from the edge pixels of either map to the other map's;
              `REACH` if no predicted one is near

These metrics depend on the size of the maps and on this detector, so only compare values computed
by this module. They need dense ground truth; images without a true edge have no value.
"""

import math

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import ArrayLike

from depthsi.array_checks import require_floating, require_one_map, require_pair, require_where
from depthsi.valid import valid_depth

BOUNDARY_METRICS = ("boundary_f", "dbe_acc", "dbe_com")
SIGMA = math.sqrt(2)  # pixels
HIGH = 0.25 * math.log(1.25)  # of log depth per pixel
LOW = HIGH / 2
TOLERANCE, REACH = 3.0, 10.0  # pixels
MARGIN = 2  # pixels: nearer to a missing one a slope is not trusted


def boundary_metrics(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> dict[str, float]:
    """How well the predicted depth edges of one image agree with the true ones.

    After Koch et al. 2018 (https://arxiv.org/abs/1805.01328); the module's docstring lists the
    differences.

    Args:
      predictions: (h, w) predicted depth in metres, any floating type.
      targets: (h, w) true depth in metres, any floating type; 0, negative, NaN or inf = missing.
      where: bool, broadcasts to `predictions`, False = ignore this pixel.

    Returns:
      A dict with the keys of `BOUNDARY_METRICS`: a share and two distances in pixels; NaN
      everywhere if the true map has no edge, or if the prediction is not finite and positive at a
      valid pixel.

    Raises:
      TypeError: depth is not floating point, or `where` is not boolean.
      ValueError: shapes differ or are not (h, w), or `where` does not fit.

    Example:
      >>> import numpy as np
      >>> from depthsi.metrics import boundary_metrics
      >>> columns = np.arange(40) * np.ones((30, 1))
      >>> true = np.where(columns < 20, 2.0, 3.0)  # a wall in front of another
      >>> predicted = np.where(columns < 23, 2.0, 3.0)  # its edge 3 pixels aside
      >>> boundary_metrics(predicted, true)
      {'boundary_f': 1.0, 'dbe_acc': 3.0, 'dbe_com': 3.0}
    """
    from scipy import ndimage

    predictions, targets = np.asarray(predictions), np.asarray(targets)
    require_pair(predictions, targets)
    require_one_map("predictions", predictions)
    predicted, true = predictions.astype(np.float64), targets.astype(np.float64)
    valid = _valid(true, where)
    true_edges = depth_edges(true, where=valid)
    if not true_edges.any() or not valid_depth(predicted)[valid].all():
        return dict.fromkeys(BOUNDARY_METRICS, math.nan)
    edges = depth_edges(predicted, where=valid)
    if not edges.any():
        return {"boundary_f": 0.0, "dbe_acc": REACH, "dbe_com": REACH}
    to_true = np.asarray(ndimage.distance_transform_edt(~true_edges))[edges]
    to_predicted = np.asarray(ndimage.distance_transform_edt(~edges))[true_edges]
    precision, recall = (np.mean(each <= TOLERANCE) for each in (to_true, to_predicted))
    near = to_true[to_true < REACH]
    both = np.concatenate([to_true, to_predicted])
    return {
        "boundary_f": float(2 * precision * recall / max(precision + recall, 1e-12)),
        "dbe_acc": float(near.mean()) if near.size else REACH,
        "dbe_com": float(np.minimum(both, REACH).mean()) if near.size else REACH,
    }


def depth_edges(depth: ArrayLike, *, where: ArrayLike | None = None) -> Bool[np.ndarray, "h w"]:
    """The edge pixels of a depth map, lines of one pixel's width.

    Args:
      depth: (h, w) metres, any floating type; 0, negative, NaN or inf = missing.
      where: bool, broadcasts to `depth`, False = leave this pixel out. No edge is found within
        `MARGIN` pixels of what is missing or left out.

    Returns:
      bool (h, w), True on an edge.

    Raises:
      TypeError: depth is not floating point, or `where` is not boolean.
      ValueError: the shape is not (h, w), or `where` does not fit.

    Example:
      >>> import numpy as np
      >>> from depthsi.metrics import depth_edges
      >>> depth = np.where(np.arange(20) < 10, 2.0, 3.0) * np.ones((7, 1))
      >>> np.flatnonzero(depth_edges(depth)[3]).tolist()
      [9]
    """
    from scipy import ndimage

    depth = np.asarray(depth)
    require_floating(depth=depth)
    require_one_map("depth", depth)
    metres = depth.astype(np.float64)
    valid = _valid(metres, where)
    smooth = _smoothed(np.log(np.where(valid, metres, 1.0)), valid)
    down, right = np.gradient(smooth)
    slope = np.hypot(down, right)
    slope[~ndimage.binary_erosion(valid, np.ones((3, 3)), iterations=MARGIN)] = 0
    ridge = _is_largest_across(slope, down, right)
    parts = np.empty(slope.shape, np.int32)
    ndimage.label(ridge & (slope >= LOW), np.ones((3, 3)), output=parts)
    strong = np.unique(parts[ridge & (slope >= HIGH)])
    return np.isin(parts, strong[strong > 0])


def _valid(metres: Float64[np.ndarray, "h w"], where: ArrayLike | None) -> Bool[np.ndarray, "h w"]:
    known = valid_depth(metres)
    if where is None:
        return known
    mask = np.asarray(where)
    require_where(mask, metres.shape)
    return known & mask


def _smoothed(
    values: Float64[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]
) -> Float64[np.ndarray, "h w"]:
    """Gaussian means of the valid values alone; 0 where there is none in reach."""
    from scipy import ndimage

    total = ndimage.gaussian_filter(np.where(valid, values, 0.0), SIGMA, mode="constant")
    weight = ndimage.gaussian_filter(valid.astype(np.float64), SIGMA, mode="constant")
    return np.where(weight > 1e-9, total / np.maximum(weight, 1e-9), 0.0)


def _is_largest_across(
    slope: Float64[np.ndarray, "h w"],
    down: Float64[np.ndarray, "h w"],
    right: Float64[np.ndarray, "h w"],
) -> Bool[np.ndarray, "h w"]:
    """Where the slope is at least that of both neighbours along its own direction.

    The direction is rounded to a multiple of 45 degrees. Of two equal neighbours, as on both sides
    of a clean step, the upper or left one is kept.
    """
    octant = np.rint(np.arctan2(down, right) / (np.pi / 4)).astype(int) % 4
    padded = np.pad(slope, 1)
    height, width = slope.shape
    keep = np.zeros(slope.shape, bool)
    for number, (row, col) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        after = padded[1 + row : 1 + row + height, 1 + col : 1 + col + width]
        before = padded[1 - row : 1 - row + height, 1 - col : 1 - col + width]
        tie = 1e-12  # rounding must not keep both sides of a step
        keep |= (octant == number) & (slope >= after - tie) & (slope > before + tie)
    return keep & (slope > 0)
