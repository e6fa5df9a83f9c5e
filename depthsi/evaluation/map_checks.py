"""Recognises predictions in the wrong unit or the wrong space."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float64

from depthsi.errors import DepthsiError
from depthsi.metrics.protocols import AFFINE
from depthsi.valid import valid_depth

FACTORS = {
    10.0: "decimetres",
    100.0: "centimetres",
    256.0: "KITTI's 1/256 m",
    1000.0: "millimetres",
}
UNITS = (*FACTORS, 5000.0)  # of integers
NEAR = math.log(1.5)  # how far from such a factor the ratio to the truth may be
CLOSE = math.log(1.2)  # the same for a unit taken for another, whose factors are nearer to 1
INVERSE = -0.25  # correlation of log depths below which a prediction must be upside down


def check_units(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    where: str,
    *,
    units_per_metre: float | int | None = None,
    factors: bool = True,
    alignment: str = "none",
) -> None:
    """Refuses predictions that are evidently in the wrong unit or space.

    Args:
      pairs: predictions and ground truth of the same pixels of some images, in metres; if the
        predictions will be scaled and shifted, they may have any unit.
      where: name of the predictions in messages.
      units_per_metre: value by which the predictions were divided, if any.
      factors: whether a common factor matters.
      alignment: alignment that will be applied, one of `depthsi.metrics.protocols.ALIGNMENTS`.

    Raises:
      DepthsiError: predictions fall where the ground truth rises, or rise with it although they
        should be inverse depth, or `unit_doubt` reports a doubt.
    """
    pairs = list(pairs)
    _refuse_upside_down(pairs, where, alignment)
    if factors and (doubt := unit_doubt(pairs, where, units_per_metre)):
        raise DepthsiError(doubt)


def unit_doubt(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    where: str,
    units_per_metre: float | int | None = None,
) -> str:
    """A sentence if the median ratio of prediction and ground truth is close to one of `FACTORS`
    or its inverse, or to a factor that another of `UNITS` would correct; otherwise "".

    Args:
      pairs, where, units_per_metre: as for `check_units`.
    """
    ratios, _ = _relations(pairs)
    if not ratios.size:
        return ""
    ratio, given = float(np.median(ratios)), units_per_metre or 1.0
    if (units := _units_meant(ratio, given)) is None:
        return ""
    past = "" if units_per_metre else "if they are metres, give --units-per-metre 1; "
    share = f"{ratio:.3g} times" if ratio > 1 else f"1/{1 / ratio:.3g} of"
    unit = FACTORS.get(round(units, 9))
    return (
        f"{where}: the predictions are {share} the true depth (median over the images)"
        f"{f', as if they were {unit}' if unit else ''}: {past}if the unit is wrong, give "
        f"--units-per-metre {units:.6g}."
    )


def _refuse_upside_down(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], where: str, alignment: str
) -> None:
    """Refuses inverse depth instead of depth, or vice versa."""
    _, correlations = _relations(pairs, alignment)
    if not correlations.size or (middle := float(np.median(correlations))) >= INVERSE:
        return
    if alignment == "disparity":
        raise DepthsiError(
            f"{where}: the predictions rise with the true depth (correlation with its inverse "
            f"{middle:.2f}), but --alignment disparity is for inverse depth: give --alignment "
            "scale_shift for relative depth, or leave it out for metres."
        )
    what = "their values and it" if alignment == "scale_shift" else "their logarithms"
    raise DepthsiError(
        f"{where}: the predictions fall where the true depth rises (correlation of {what} "
        f"{middle:.2f}), as inverse depth or disparity does: convert them to metres, or give "
        "--alignment disparity for relative inverse depth."
    )


def _units_meant(ratio: float, given: float | int) -> float | None:
    """Units per metre that would bring the ratio close to 1, if a common mistake explains it."""
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
    """The message for integers without a unit; `pairs` has them unchanged."""
    ratios, _ = _relations(pairs)
    message = (
        f"{where} has values of type {dtype}, not metres: give the value of one metre with"
        " --units-per-metre."
    )
    if ratios.size:
        ratio = float(np.median(ratios))
        nearest = min((1.0, *UNITS), key=lambda units: abs(math.log(ratio / units)))
        message += (
            f" They are {ratio:.4g} times the true depth (median), which suggests {nearest:g}."
        )
    return DepthsiError(message)


def _relations(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], alignment: str = "none"
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " m"]]:
    """Per image: the median ratio to the ground truth, and the correlation of log depths if both
    vary. Predictions that will be scaled and shifted have no ratio, and the correlation is that of
    the values to which the line is fitted."""
    ratios, correlations = [], []
    for predicted, true in pairs:
        usable = np.isfinite(predicted) if alignment in AFFINE else valid_depth(predicted)
        both = usable & valid_depth(true)
        if not both.any():
            continue
        y, t = (each[both].astype(np.float64) for each in (predicted, true))
        if alignment in AFFINE:
            y, t = y / max(np.abs(y).max(), 1e-30), 1 / t if alignment == "disparity" else t
        else:
            y, t = np.log(y), np.log(t)
            ratios.append(float(np.exp(np.median(y - t))))
        if min(y.std(), t.std()) > 1e-6:
            correlations.append(float(np.corrcoef(y, t)[0, 1]))
    return np.array(ratios, np.float64), np.array(correlations, np.float64)
