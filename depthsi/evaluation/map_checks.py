"""Brings predicted maps to the pixels that are compared, and recognises wrong units."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float64

from depthsi.data.samples import size_text
from depthsi.errors import DepthsiError
from depthsi.geometry import Crop, Size
from depthsi.valid import valid_depth

ASPECT = 0.02  # largest relative difference of proportions that resizing may undo
FACTORS = {
    10.0: "decimetres",
    100.0: "centimetres",
    256.0: "KITTI's 1/256 m",
    1000.0: "millimetres",
}
UNITS = (*FACTORS, 5000.0)  # of whole numbers
NEAR = math.log(1.5)  # how far from such a factor the ratio to the truth may be
CLOSE = math.log(1.2)  # the same for a unit taken for another, whose factors are nearer to 1
INVERSE = -0.25  # correlation of log depths below which a prediction must be upside down


def in_box(
    depth: Float64[np.ndarray, "h w"], size: Size, box: Crop, resize: str, place: str
) -> Float64[np.ndarray, "H W"]:
    """The predicted depth of the pixels in `box` of a picture of `size`.

    A map is taken to show the whole picture if it has its proportions, or just the box if it has
    its size or a whole fraction of it, as the 55x74 cells of the paper's network.

    Args:
      depth: metres, NaN = missing; a missing value makes all it is mixed with missing.
      size: (H, W) of the picture.
      box: what is compared.
      resize: how.
      place: what messages call the map.

    Raises:
      DepthsiError: a map of any other size.
    """
    inner = (box.bottom - box.top, box.right - box.left)
    shape = depth.shape
    if shape != size and _divides(shape, inner):
        return resized(depth, inner, resize)
    if abs(math.log(shape[0] * size[1] / (shape[1] * size[0]))) > ASPECT:
        raise DepthsiError(
            f"{place} has {size_text(depth)} pixels, but its picture {size[0]}x{size[1]}: give maps"
            f" of that size or its proportions, or of the crop, {inner[0]}x{inner[1]}."
        )
    return resized(depth, size, resize)[box.top : box.bottom, box.left : box.right]


def _divides(shape: tuple[int, ...], inner: Size) -> bool:
    factor = inner[0] // shape[0]
    return factor > 0 and (shape[0] * factor, shape[1] * factor) == inner


def resized(
    depth: Float64[np.ndarray, "h w"], size: Size, resize: str
) -> Float64[np.ndarray, "H W"]:
    """A map stretched to `size`: nearest pixel, or bilinear between pixel centres."""
    if depth.shape == size:
        return depth
    # where the centres of the new pixels lie in the old map, and what is left and right of them
    places = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(size, depth.shape, strict=True)]
    if resize == "nearest":
        rows, cols = (np.floor(at + 0.5).astype(int) for at in places)
        return depth[np.ix_(rows, cols)]
    rows, cols = (np.clip(at, 0, m - 1) for at, m in zip(places, depth.shape, strict=True))
    return _between(_between(depth, rows).T, cols).T


def _between(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows of `values` at fractional positions."""
    low = np.minimum(np.floor(at).astype(int), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    share = (at - low)[:, None]
    # not low + share * (high - low): a pixel that is not needed must not bring in its NaN
    mixed = values[low] * (1 - share) + np.where(share > 0, values[high] * share, 0)
    return np.where(share == 1, values[high], mixed)


def check_units(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    where: str,
    *,
    units_per_metre: float | int | None = None,
    factors: bool = True,
) -> None:
    """Refuses predictions that are evidently in another unit, or inverse depth.

    Args:
      pairs: predictions and truth of the same pixels of some images, metres.
      where: what messages call the predictions.
      units_per_metre: by which they were divided, if they were.
      factors: whether a common factor matters.

    Raises:
      DepthsiError: predictions fall where the truth rises; or the median ratio of prediction and
        truth is near one of `FACTORS` or its inverse, or what another of `UNITS` would mend.
    """
    ratios, correlations = _relations(pairs)
    if correlations.size and np.median(correlations) < INVERSE:
        raise DepthsiError(
            f"{where}: the predictions fall where the true depth rises (correlation of their "
            f"logarithms {np.median(correlations):.2f}), as inverse depth or disparity does: "
            "convert them to metres."
        )
    if not (factors and ratios.size):
        return
    ratio, given = float(np.median(ratios)), units_per_metre or 1.0
    if (units := _units_meant(ratio, given)) is None:
        return
    share = f"{ratio:.3g} times" if ratio > 1 else f"1/{1 / ratio:.3g} of"
    unit = FACTORS.get(round(units, 9))
    raise DepthsiError(
        f"{where}: the predictions are {share} the true depth (median over the pictures)"
        f"{f', as if they were {unit}' if unit else ''}: if the unit is to blame, give "
        f"--units-per-metre {units:.6g}."
    )


def _units_meant(ratio: float, given: float | int) -> float | None:
    """Units per metre that would bring the ratio near 1, if it has a usual reason to be far off."""
    distances = {
        given * factor: abs(math.log(ratio / factor))
        for each in FACTORS
        for factor in (each, 1 / each)
    }
    if given != 1:  # one usual unit taken for another
        mixed = {units: abs(math.log(ratio * given / units)) for units in UNITS if units != given}
        distances |= {units: far for units, far in mixed.items() if far < CLOSE}
    units = min(distances, key=lambda each: distances[each])
    return units if distances[units] < NEAR and abs(math.log(ratio)) > NEAR else None


def whole_numbers_problem(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], where: str, dtype: str
) -> DepthsiError:
    """What to say of whole numbers whose unit nobody gave; `pairs` hold them unchanged."""
    ratios, _ = _relations(pairs)
    message = f"{where} holds {dtype}, not metres: say how many are one metre, --units-per-metre."
    if ratios.size:
        ratio = float(np.median(ratios))
        nearest = min((1.0, *UNITS), key=lambda units: abs(math.log(ratio / units)))
        message += (
            f" They are {ratio:.4g} times the true depth (median), which would suit {nearest:g}."
        )
    return DepthsiError(message)


def _relations(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " m"]]:
    """Of each image: the median ratio to the truth, and the correlation of log depths if both
    vary."""
    ratios, correlations = [], []
    for predicted, true in pairs:
        both = valid_depth(predicted) & valid_depth(true)
        if not both.any():
            continue
        y, t = (np.log(each[both].astype(np.float64)) for each in (predicted, true))
        ratios.append(float(np.exp(np.median(y - t))))
        if min(y.std(), t.std()) > 1e-6:
            correlations.append(float(np.corrcoef(y, t)[0, 1]))
    return np.array(ratios, np.float64), np.array(correlations, np.float64)
