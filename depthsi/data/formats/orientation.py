"""Which way up a photo is, by the one EXIF tag that says so."""

import numpy as np
from jaxtyping import UInt8

from depthsi.data.formats.exif import exif_short

TAG = 0x0112
UPRIGHT = 1


def exif_orientation(exif: bytes) -> int:
    """The orientation in an EXIF block, 1 to 8; 1, upright, if it is not there or damaged."""
    value = exif_short(exif, TAG)
    return value if value is not None and UPRIGHT <= value <= 8 else UPRIGHT


def turned_upright(pixels: np.ndarray, orientation: int) -> UInt8[np.ndarray, "h w 3"]:
    """A photo of some orientation as it is meant to be seen.

    Args:
      pixels: uint8 (H, W, 3) as they are stored.
      orientation: 1 to 8, as EXIF counts.
    """
    if orientation >= 5:  # rows and columns are exchanged
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
