"""Reads the two Netpbm kinds of the raw dump: 8-bit colour P6 and 16-bit grey P5."""

import os
import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16

from depthsi.errors import DepthsiError

PathLike = str | os.PathLike[str]

LARGEST_DISPARITY = 2047  # 11 bits
SIDE = 10_000  # pixels; a larger one is damage
# A token ends at white space; comments reach to the end of their line.
_GAP = rb"(?:\s|#[^\n]*\n)+"
HEADER = re.compile(
    rb"(P[56])" + _GAP + rb"(\d{1,6})" + _GAP + rb"(\d{1,6})" + _GAP + rb"(\d{1,6})\s"
)


def read_ppm(path: PathLike) -> UInt8[np.ndarray, "h w 3"]:
    """An RGB image from a binary PPM of 8 bits.

    Raises:
      DepthsiError: the file is missing, cut short, too long, or of another kind.
    """
    height, width, values = _read(path, b"P6", 255)
    return _pixels(path, values, "u1", (height, width, 3))


def read_disparity(path: PathLike) -> UInt16[np.ndarray, "h w"]:
    """A Kinect disparity map, 11 bits per pixel, from a binary PGM of 16 bits.

    The format wants the high byte first, but the dump has the low byte first (hence `swapbytes`
    throughout the data set's toolbox). Disparities leave the upper five bits empty, which tells
    the two orders apart, so that files corrected by another tool are read as well.

    Raises:
      DepthsiError: the file is missing, cut short, too long, of another kind, or holds values of
        more than 11 bits in either order.
    """
    height, width, values = _read(path, b"P5", 65535)
    for order in ("<u2", ">u2"):
        pixels = _pixels(path, values, order, (height, width))
        if pixels.max() <= LARGEST_DISPARITY:
            return pixels.astype(np.uint16)
    raise DepthsiError(
        f"{path} has values over {LARGEST_DISPARITY}, which are not Kinect disparities."
    )


def _read(path: PathLike, kind: bytes, largest: int) -> tuple[int, int, bytes]:
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise DepthsiError(f"{path} cannot be opened ({error}); check the file.") from error
    header = HEADER.match(data)
    if header is None or header[1] != kind or int(header[4]) != largest:
        raise DepthsiError(
            f"{path} is empty, damaged, or no Netpbm file of kind {kind.decode()} with values to "
            f"{largest}."
        )
    width, height = int(header[2]), int(header[3])
    if not (0 < width <= SIDE and 0 < height <= SIDE):
        raise DepthsiError(f"{path}: a size of {height}x{width} pixels; the file is damaged.")
    return height, width, data[header.end() :]


def _pixels(path: PathLike, values: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    need = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if len(values) != need:
        what = "cut short" if len(values) < need else "too long"
        raise DepthsiError(f"{path} is {what}: {len(values)} bytes of pixels, not {need}.")
    return np.frombuffer(values, dtype).reshape(shape)
