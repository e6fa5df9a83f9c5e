"""Axes of charts: round ticks, linear and logarithmic scales."""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

LEAST = 1e-30  # what is smaller counts as 0
LOG_FROM = 50.0  # greatest over least value from which a positive quantity gets a log axis


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
      low, high: the numbers at its ends; low < high, and both over 0 if `log`.
      start, end: their places on the drawing.
      log: whether equal factors are equal lengths.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where `value` is drawn."""
        scale = math.log if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 6) -> list[float]:
        """Round numbers from low to high, about `count` of them."""
        wanted = _log_ticks if self.log else _ticks
        return wanted(self.low, self.high, count)


def axis(values: Iterable[float], start: float, end: float, *, log: bool = False) -> Axis:
    """An axis that suits the finite ones of `values`, with a margin; 0..1 if there are none.

    It is logarithmic where `log` allows it, all values are positive and span a factor over
    `LOG_FROM`.
    """
    known = np.asarray(list(values), np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return Axis(0.0, 1.0, start, end)
    low, high = float(known.min()), float(known.max())
    if log and low > LEAST and high / low > LOG_FROM:
        widen = (high / low) ** 0.04
        return Axis(low / widen, high * widen, start, end, log=True)
    spread = high - low
    same = spread < LEAST or spread < 1e-9 * max(abs(low), abs(high))
    margin = (0.1 * abs(high) if abs(high) > LEAST else 1.0) if same else 0.06 * spread
    floor = 0.0 if low >= 0 and low < 0.35 * high else low - margin
    return Axis(floor, high + margin, start, end)


def as_number(value: float) -> str:
    """A tick's label: at most four digits, thousands and millions as k and M."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if size <= abs(value) < 1000 * size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def _ticks(low: float, high: float, count: int) -> list[float]:
    step = 10.0 ** math.floor(math.log10((high - low) / count))
    step *= next((s for s in (1, 2, 5, 10) if (high - low) / (step * s) <= count), 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) if step > 1e-9 else k * step for k in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5)):
        found = [s * 10.0**k for k in decades for s in steps if low <= s * 10.0**k <= high]
        if len(found) >= 3:
            break
    return found[:: -(-len(found) // (count + 2))] if found else [low, high]
