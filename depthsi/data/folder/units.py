"""Guesses what whole numbers in depth files count, where nobody says it.

The same median can be millimetres of a room and 1/256 m of a street, so the guess also asks how far
the depths reach and how many pixels have one. It is refused unless exactly one unit makes sense.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from depthsi.data.formats.decoding import stored_depth
from depthsi.data.formats.missing import unmeasured
from depthsi.errors import DepthsiError

FILES = 16  # looked at in each group, spread evenly
Range = tuple[float, float]


class Habit(NamedTuple):
    """A unit in use, and what depth in it usually looks like.

    Attributes:
      units_per_metre: of the files.
      name: for messages.
      median: range of the median depth, metres.
      far: range of the 99th percentile, metres.
      share: range of the share of pixels with depth.
    """

    units_per_metre: float
    name: str
    median: Range
    far: Range
    share: Range


HABITS = (
    Habit(1000.0, "millimetres, as depth cameras count", (0.5, 4.0), (1.0, 12.0), (0.5, 1.0)),
    Habit(256.0, "1/256 m, as KITTI counts", (4.0, 40.0), (15.0, 130.0), (0.0, 0.4)),
    Habit(5000.0, "1/5000 m, as TUM counts", (0.8, 5.0), (2.4, 13.2), (0.5, 1.0)),
    Habit(100.0, "centimetres", (4.0, 100.0), (200.0, 656.0), (0.5, 1.0)),
)


class Guess(NamedTuple):
    """A unit, and the sentence that says what was assumed and why."""

    units_per_metre: float
    sentence: str


def guess_units(
    groups: Sequence[Sequence[Path]], missing: Sequence[float | int] = ()
) -> Guess | None:
    """The unit of depth files that hold whole numbers; None if they hold floats, that is metres.

    Files that cannot be read are passed over: whoever reads them in earnest will say so.

    Args:
      groups: files that are looked at apart and must agree, such as those of each split.
      missing: numbers in them that mean no depth; none: what `unmeasured` recognises.

    Raises:
      DepthsiError: no unit makes sense, or several do, or groups disagree.
    """
    found = [_guess(files, missing) for files in groups if files]
    guesses = [guess for guess in found if guess is not None]
    if len({guess.units_per_metre for guess in guesses}) > 1:
        raise DepthsiError(
            " But: ".join(guess.sentence for guess in guesses)
            + " Both cannot be: give the units per metre."
        )
    return guesses[0] if guesses else None


def _guess(files: Sequence[Path], missing: Sequence[float | int]) -> Guess | None:
    counts, pixels = _look(files, missing)
    if pixels == 0:
        return None
    fitting = [habit for habit in HABITS if counts.size and _fits(counts, pixels, habit)]
    median = np.median(counts) if counts.size else 0
    if len(fitting) != 1:
        what = " or ".join(f"{habit.units_per_metre:g}" for habit in fitting) or "nothing usual"
        raise DepthsiError(
            f"{files[0]} and its like hold whole numbers without a unit, whose median {median:g} "
            f"suggests {what} per metre; give the units per metre."
        )
    units = fitting[0].units_per_metre
    sentence = (
        f"The unit of {files[0]} and its like is not given: {units:g} per metre assumed "
        f"({fitting[0].name}), which makes the median depth {median / units:.2f} m."
    )
    return Guess(units, sentence)


def _look(files: Sequence[Path], missing: Sequence[float | int]) -> tuple[np.ndarray, int]:
    """The whole numbers that are depth in some of the files, and the pixels those files have."""
    chosen = sorted({round(i) for i in np.linspace(0, len(files) - 1, FILES)})
    counted, pixels = [np.empty(0, np.uint16)], 0
    for index in chosen:
        try:
            stored = stored_depth(files[index])
        except DepthsiError:
            continue
        if stored.dtype.kind != "f":
            gone = np.isin(stored, missing) if missing else unmeasured(stored)
            counted.append(stored[(stored > 0) & ~gone])
            pixels += stored.size
    return np.concatenate(counted), pixels


def _fits(counts: np.ndarray, pixels: int, habit: Habit) -> bool:
    median, far = np.percentile(counts, (50, 99)) / habit.units_per_metre
    found = ((median, habit.median), (far, habit.far), (counts.size / pixels, habit.share))
    return all(low <= value <= high for value, (low, high) in found)
