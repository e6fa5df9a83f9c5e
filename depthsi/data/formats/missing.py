"""Which stored numbers are depth: values that mean "none", and a range in metres.

Besides 0, negative, NaN and infinity, which are missing everywhere, many data sets mark missing
depth by the greatest number their files can hold: 65535 in the 16-bit PNG of 2D-3D-S, Taskonomy and
DepthAI, and as the sky of Virtual KITTI; 65504, the greatest float16; 1e10 in Blender's floats.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool

from depthsi.errors import warn_once
from depthsi.files import PathLike

FAR_FLOAT = 1e10  # metres: Blender's "nothing"; the sun is 15 times as far away
EMPTY_FROM = 0.75  # of the greatest value: above it, nothing else stands in a file with a mark
NOTICEABLE = 0.01  # share of the pixels at the greatest value that is spoken of
MANY = 100  # pixels, without which even a large share of a tiny map is not


@dataclasses.dataclass(frozen=True)
class DepthLimits:
    """What a user says about which pixels have a depth; the others are missing, never clipped.

    Attributes:
      missing: numbers, as they stand in the files, that mean no depth; they replace those that
        `unmeasured` would recognise.
      min_depth: least depth, metres.
      max_depth: greatest depth, metres; 0: no limit.
    """

    missing: tuple[float | int, ...] = ()
    min_depth: float | int = 0.0
    max_depth: float | int = 0.0

    def outside(self, stored: np.ndarray, metres: np.ndarray) -> Bool[np.ndarray, "h w"]:
        """Where depth is missing by what the user says.

        Args:
          stored: (h, w), the numbers of the file.
          metres: (h, w), the same as depth.
        """
        with np.errstate(all="ignore"):  # of numbers that the type of `stored` cannot hold
            found = metres < self.min_depth
            if self.max_depth:
                found |= metres > self.max_depth
            for value in self.missing:
                found |= stored == value
        return found


NO_LIMITS = DepthLimits()


def unmeasured(stored: np.ndarray) -> Bool[np.ndarray, "h w"]:
    """Where a stored number is known to mark missing depth, without anybody saying so.

    Integers: the greatest of their type, if no other number of the file is in the upper
    quarter of the range. There is no doubt then: either it is a mark, or whatever was there lay
    beyond the range and was cut off, and neither is a depth. Where depth runs on up to the end of
    the range, as on a surface that leads there, the greatest number may be measured and is kept.

    Floats: float16 of 65504, the greatest there is, and anything from `FAR_FLOAT` on.

    Args:
      stored: (h, w), the numbers of one file.
    """
    if stored.dtype.kind == "f":
        limit = np.finfo(np.float16).max if stored.dtype.itemsize == 2 else FAR_FLOAT
        return stored >= limit
    greatest = np.iinfo(stored.dtype).max
    marked = stored == greatest
    if not marked.any():
        return marked
    others = np.where(marked, 0, stored).max()
    return marked if others <= EMPTY_FROM * greatest else np.zeros_like(marked)


def say_if_doubtful(path: PathLike, stored: np.ndarray, marked: np.ndarray) -> None:
    """Warns, once in a run, of many pixels at the greatest integer that are kept as depth.

    Args:
      path: path of the file.
      stored: (h, w), its numbers.
      marked: (h, w), what `unmeasured` says of them.
    """
    if stored.dtype.kind == "f" or marked.any():
        return
    greatest = np.iinfo(stored.dtype).max
    count = np.count_nonzero(stored == greatest)
    share = count / stored.size
    if share >= NOTICEABLE and count >= MANY:
        warn_once(
            "greatest value",
            f"{path}: {share:.1%} of its pixels hold {greatest}, the greatest {stored.dtype}, which"
            " is read as depth because others come close to it; if it means no depth, set"
            f" --data.missing {greatest}.",
        )
