"""Samples each disparity map of a scene with the image nearest in time."""

import bisect
import re
from collections import Counter
from collections.abc import Sequence

NAME = re.compile(r"[rd]-(\d+\.\d+)-\d+\.(?:ppm|pgm)")


def timestamp(name: str) -> float | None:
    """Seconds from a name such as `d-1294886360.208451-2996770081.pgm`; None if it has none."""
    match = NAME.fullmatch(name)
    return float(match[1]) if match else None


def pair_nearest(depths: Sequence[float], pictures: Sequence[float]) -> list[tuple[int, int]]:
    """Indices (depth, image) of each depth with the image nearest in time.

    Where one image is nearest to several depths, all of those are dropped (paper,
    section 4.1). Of two images equally near the earlier one is taken.

    Args:
      depths: seconds, in any order.
      pictures: seconds, in any order.
    """
    if not pictures:
        return []
    order = sorted(range(len(pictures)), key=pictures.__getitem__)
    times = [pictures[i] for i in order]

    def nearest(time: float) -> int:
        right = bisect.bisect_left(times, time)
        candidates = [i for i in (right - 1, right) if 0 <= i < len(times)]
        return order[min(candidates, key=lambda i: abs(times[i] - time))]

    pairs = [(i, nearest(time)) for i, time in enumerate(depths)]
    served = Counter(picture for _, picture in pairs)
    return [(depth, picture) for depth, picture in pairs if served[picture] == 1]
