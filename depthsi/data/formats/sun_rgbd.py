"""The coding of depth in SUN RGB-D: millimetres whose 16 bits are rotated to the left by three.

Source: `read3dPoints.m` of the data set's toolbox (https://rgbd.cs.princeton.edu), which computes
`bitor(bitshift(depth, -3), bitshift(depth, 16 - 3))` and divides by 1000.
"""

import numpy as np
from jaxtyping import UInt16

from depthsi.errors import DepthsiError
from depthsi.files import PathLike

BITS = 3
UNITS_PER_METRE = 1000.0
# Every millimetre below 8192 has three low bits of 0, and every one below 16384 at most a 1.
MASK = (1 << BITS) - 1


def unrotated(stored: UInt16[np.ndarray, "*any"]) -> UInt16[np.ndarray, "*any"]:
    """Millimetres of numbers in this coding."""
    return (stored >> BITS) | (stored << (16 - BITS))


def unrotated_map(path: PathLike, stored: np.ndarray) -> np.ndarray:
    """The same of a depth file's numbers; floats are metres and stay as they are.

    Raises:
      DepthsiError: integers of another type than uint16.
    """
    if stored.dtype.kind == "f":
        return stored
    if stored.dtype != np.uint16:
        raise DepthsiError(
            f"{path} holds {stored.dtype}, but the coding of SUN RGB-D is one of 16-bit numbers:"
            " leave --data.depth-coding out."
        )
    return unrotated(stored)
