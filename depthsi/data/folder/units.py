"""Guesses the unit of integers in depth files if it is not given.

The same median can be millimetres of a room and 1/256 m of a street, so the guess also asks how far
the depths reach and how many pixels have one. It is refused unless exactly one unit makes sense.
The coding of SUN RGB-D is known by its low bits, which are 0 in nearly every number.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from depthsi.data.formats import sun_rgbd
from depthsi.data.formats.decoding import stored_depth
from depthsi.data.formats.missing import unmeasured
from depthsi.errors import DepthsiError

FILES = 16  # looked at in each group, spread evenly
ADVICE = (
    "give the units per metre, in the column depth_units_per_metre of the index or by"
    " --data.units-per-metre (--units-per-metre of depthsi info)"
)
Range = tuple[float, float]
Coding = Literal["plain", "sunrgbd"]


class Habit(NamedTuple):
    """A unit in use, and what depth in it usually looks like.

    Attributes:
      units_per_metre: unit of the files.
      name: for messages.
      median: range of the median depth, metres.
      far: range of the 99th percentile, metres.
      share: range of the share of pixels with depth.
      coding: "plain", or "sunrgbd" for bits that are rotated.
    """

    units_per_metre: float
    name: str
    median: Range
    far: Range
    share: Range
    coding: Coding = "plain"


HABITS = (
    Habit(1000.0, "millimetres, as depth cameras count", (0.5, 4.0), (1.0, 12.0), (0.5, 1.0)),
    Habit(256.0, "1/256 m, as KITTI counts", (4.0, 40.0), (15.0, 130.0), (0.0, 0.4)),
    Habit(5000.0, "1/5000 m, as TUM counts", (0.8, 5.0), (2.4, 13.2), (0.5, 1.0)),
    Habit(100.0, "centimetres", (4.0, 100.0), (200.0, 656.0), (0.5, 1.0)),
)
SUN_RGBD = Habit(
    sun_rgbd.UNITS_PER_METRE,
    "millimetres with their bits rotated, as SUN RGB-D codes them",
    (0.5, 5.0),
    (1.0, 16.0),
    (0.4, 1.0),
    "sunrgbd",
)
ALIKE = 8  # different numbers, from which on their low bits say something
CLEAR = 32  # from which on they leave no doubt, if no greater power of 2 divides them all


class Guess(NamedTuple):
    """A unit, how numbers in it are coded, and the sentence that says what was assumed and why."""

    units_per_metre: float
    sentence: str
    coding: Coding = "plain"


def guess_units(
    groups: Sequence[Sequence[Path]],
    missing: Sequence[float | int] = (),
    *,
    coding: Literal[Coding, "auto"] = "auto",
) -> Guess | None:
    """The unit of depth files that hold integers; None if they hold floats, that is metres.

    Files that cannot be read are passed over: whoever reads them in earnest will say so.

    Args:
      groups: files that are looked at apart and must agree, such as those of each split.
      missing: numbers in them that mean no depth; none: what `unmeasured` recognises.
      coding: "plain" if that of SUN RGB-D is out of the question.

    Raises:
      DepthsiError: no unit makes sense, or several do, or groups disagree.
    """
    found = [_guess(files, missing, coding) for files in groups if files]
    guesses = [guess for guess in found if guess is not None]
    if len({(guess.units_per_metre, guess.coding) for guess in guesses}) > 1:
        raise DepthsiError(
            " But: ".join(guess.sentence for guess in guesses)
            + f" These contradict each other: {ADVICE}."
        )
    return guesses[0] if guesses else None


def _guess(
    files: Sequence[Path], missing: Sequence[float | int], coding: Literal[Coding, "auto"]
) -> Guess | None:
    counts, pixels = _look(files, missing)
    if pixels == 0:
        return None
    fitting = _fitting(counts, pixels, coding) if counts.size else []
    median = np.median(counts) if counts.size else 0
    depths = [_median(counts, habit) for habit in fitting]
    if len(fitting) != 1:
        names = {"plain": "", "sunrgbd": "SUN RGB-D's "}
        what = [f"{names[habit.coding]}{habit.units_per_metre:g}" for habit in fitting]
        makes = " or ".join(f"{depth:.2f} m" for depth in depths)
        raise DepthsiError(
            f"{files[0]} and similar files have integers without a unit, whose median {median:g} "
            f"suggests {' or '.join(what) or 'no common unit'} per metre"
            f"{f', that is a median depth of {makes}' if makes else ''}; {ADVICE}."
        )
    (habit,), (depth,) = fitting, depths
    units = habit.units_per_metre
    sentence = (
        f"The unit of {files[0]} and similar files is not given; assuming {units:g} per metre "
        f"({habit.name}), which makes the median depth {depth:.2f} m."
    )
    return Guess(units, sentence, habit.coding)


def _look(files: Sequence[Path], missing: Sequence[float | int]) -> tuple[np.ndarray, int]:
    """The integers that are depth in some of the files, and the pixels those files have."""
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


def _fitting(counts: np.ndarray, pixels: int, coding: Literal[Coding, "auto"]) -> list[Habit]:
    plain = [habit for habit in HABITS if _fits(counts, pixels, habit)]
    rotated = "no" if coding == "plain" else _rotated(counts)
    if rotated == "no" or not _fits(counts, pixels, SUN_RGBD):
        return plain
    return [SUN_RGBD] if rotated == "yes" else [*plain, SUN_RGBD]


def _rotated(counts: np.ndarray) -> Literal["yes", "perhaps", "no"]:
    """What the low bits of numbers say about the coding of SUN RGB-D.

    Depth that was measured in steps, or stored with few bits before, has low bits of 0 as well.
    """
    if counts.dtype != np.uint16:
        return "no"
    low = counts & sun_rgbd.MASK
    if np.mean(low == 0) < 0.9 or np.mean(low <= 1) < 0.999:
        return "no"
    numbers = np.unique(counts[low == 0])
    if numbers.size < ALIKE:
        return "no"
    one_step = np.gcd.reduce(numbers) == sun_rgbd.MASK + 1
    return "yes" if one_step and numbers.size >= CLEAR else "perhaps"


def _fits(counts: np.ndarray, pixels: int, habit: Habit) -> bool:
    median, far = np.percentile(_plain(counts, habit), (50, 99)) / habit.units_per_metre
    found = ((median, habit.median), (far, habit.far), (counts.size / pixels, habit.share))
    return all(low <= value <= high for value, (low, high) in found)


def _median(counts: np.ndarray, habit: Habit) -> float:
    return float(np.median(_plain(counts, habit)) / habit.units_per_metre)


def _plain(counts: np.ndarray, habit: Habit) -> np.ndarray:
    return sun_rgbd.unrotated(counts) if habit.coding == "sunrgbd" else counts
