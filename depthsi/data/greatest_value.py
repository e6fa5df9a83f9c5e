"""Counts the pixels with the greatest value of their files, which often means "no depth"."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from depthsi.data.formats.missing import NOTICEABLE
from depthsi.data.samples import Source
from depthsi.errors import DepthsiError

FILES = 16  # looked at, spread evenly


@runtime_checkable
class StoredSource(Source, Protocol):
    """A source that can show a depth map as it is stored."""

    def stored(self, index: int) -> np.ndarray:
        """The numbers of depth map `index`, whole or floats, (H, W)."""
        ...


class GreatestValue(NamedTuple):
    """The greatest finite number in some depth maps.

    Attributes:
      value: the number, as it is stored.
      type_name: the type it is stored in, such as "uint16".
      is_last: whether that type holds no greater one.
      share: of all pixels, those that hold it.
      metres: what it is read as; 0: as missing.
      next_metres: greatest depth of the other pixels.
    """

    value: float
    type_name: str
    is_last: bool
    share: float
    metres: float
    next_metres: float

    def sentence(self) -> str:
        """A sentence about the value; "" if few pixels have it and it is not special."""
        if self.share < NOTICEABLE and not self.is_last:
            return ""
        what = f"{self.value:.9g}, the greatest " + (self.type_name if self.is_last else "there is")
        found = f"{self.share:.2%} of the pixels hold {what}"
        if not self.metres:
            return f"{found}, which counts as missing"
        limit = _rounded_up(self.next_metres)
        other = f" or --data.max-depth {limit:g}" if 0 < limit < self.metres else ""
        return (
            f"{found}, read as {self.metres:.5g} m; if it means no depth, set --data.missing"
            f" {self.value:.9g}{other}"
        )


def greatest_value(source: Source) -> GreatestValue | None:
    """The greatest number in some depth maps of a source, None if none can be looked at.

    Args:
      source: one that leaves its samples in the size of their files.
    """
    if not isinstance(source, StoredSource):
        return None
    found = []
    for index in np.unique(np.linspace(0, len(source) - 1, FILES).round().astype(int)).tolist():
        try:
            found.append(_of_map(source.stored(index), source[index].depth))
        except DepthsiError:  # named elsewhere
            continue
    if not found:
        return None
    value = max(each.value for each in found)
    holding = [each for each in found if each.value == value]
    others = [each.metres for each in found if each.value < value]
    return holding[0]._replace(
        share=sum(each.share for each in holding) / len(found),
        next_metres=max([*others, *(each.next_metres for each in found)]),
    )


def _of_map(stored: np.ndarray, depth: np.ndarray) -> GreatestValue:
    value = stored[np.isfinite(stored)].max(initial=0)
    at = stored == value
    if stored.dtype.kind == "f":
        last = float(np.finfo(stored.dtype).max)
    else:
        last = float(np.iinfo(stored.dtype).max)
    return GreatestValue(
        value=float(value),
        type_name=stored.dtype.name,
        is_last=float(value) == last,
        share=float(at.mean()),
        metres=float(depth[at].max(initial=0)),
        next_metres=float(depth[~at].max(initial=0)),
    )


def _rounded_up(metres: float) -> float:
    """To two digits, so that nothing measured is cut off."""
    if metres <= 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(metres)) - 1)
    return float(np.ceil(metres / step) * step)
