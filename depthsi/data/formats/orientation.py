"""Which way up a photo is, by the one EXIF tag that says so.

Pillow would parse all of EXIF, where a small block can refer to itself thousands of times.
"""

import struct

import numpy as np
from jaxtyping import UInt8

TAG, SHORT = 0x0112, 3
UPRIGHT = 1


def exif_orientation(exif: bytes) -> int:
    """The orientation in an EXIF block, 1 to 8; 1, upright, if it is not there or damaged."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number, value = struct.unpack_from(order + "HHIH", exif, at)
            if tag == TAG:
                fits = (kind, number) == (SHORT, 1) and UPRIGHT <= value <= 8
                return value if fits else UPRIGHT
    except struct.error:
        pass
    return UPRIGHT


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
