"""Depth maps in the portable formats of Netpbm: PFM with floats, binary PGM with 16 bits.

PFM: https://www.pauldebevec.com/Research/HDR/PFM/. A negative scale means little-endian bytes. Its
absolute value is for light and is passed over, as MiDaS, Middlebury and Pillow do. Rows are stored
from the bottom up. PGM: https://netpbm.sourceforge.net/doc/pgm.html, high byte first, from the top
down.
"""

import math
import re

import numpy as np

from depthsi.errors import DepthsiError
from depthsi.files import PathLike, check_pixels

MAX_HEADER = 2**12  # bytes
_GAP = rb"(?:\s|#[^\n]*\n)+"  # comments reach to the end of their line
_SIZE = _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP
PFM_HEADER = re.compile(rb"Pf" + _SIZE + rb"([-+.\deE]{1,40})(\r\n|\s)")
PGM_HEADER = re.compile(rb"P5" + _SIZE + rb"(\d{1,9})(\r\n|\s)")
OTHERS = {
    b"PF": "is a PFM of three colours; save the depth alone, as one channel (Pf)",
    b"P2": "is a PGM of text; save it as binary PGM (P5)",
    b"P3": "is a colour image; save the depth as 16-bit PGM or PFM",
    b"P6": "is a colour image; save the depth as 16-bit PGM or PFM",
}


def parse_portable_map(path: PathLike, data: bytes) -> np.ndarray:
    """The (H, W) array in the bytes of a PFM (float32) or binary PGM file (uint16).

    Raises:
      DepthsiError: neither of them, colour, text, 8 bits per pixel, or too large.
      ValueError: the bytes are damaged.
    """
    kind = data[:2]
    if kind in OTHERS:
        raise DepthsiError(f"{path} {OTHERS[kind]}.")
    if kind not in (b"Pf", b"P5"):
        raise DepthsiError(f"{path} is neither PFM nor PGM; convert it or correct its name.")
    header = (PFM_HEADER if kind == b"Pf" else PGM_HEADER).match(data[:MAX_HEADER])
    if header is None:
        raise ValueError("a header that is not that of PFM or PGM")
    width, height = int(header[1]), int(header[2])
    check_pixels(path, height, width)
    if kind == b"Pf":
        order = "<" if _scale(header[3]) < 0 else ">"
        return _pixels(data, header, f"{order}f4", (height, width))[::-1]
    greatest = int(header[3])
    if 0 < greatest < 256:
        raise DepthsiError(f"{path} has 8 bits per pixel, too coarse for depth; save 16 bits.")
    if not 0 < greatest < 2**16:
        raise ValueError(f"a greatest value of {greatest}")
    counts = _pixels(data, header, ">u2", (height, width)).astype(np.uint16)
    if counts.max() > greatest:
        raise ValueError(f"a pixel of {counts.max()}, over its greatest value {greatest}")
    return counts


def _scale(text: bytes) -> float:
    scale = float(text)
    if scale == 0 or not math.isfinite(scale):
        raise ValueError(f"a scale of {scale}")
    return scale


def _pixels(data: bytes, header: re.Match[bytes], dtype: str, shape: tuple[int, int]) -> np.ndarray:
    need = math.prod(shape) * np.dtype(dtype).itemsize
    start = header.end()
    if header[4] == b"\r\n" and len(data) - start == need - 1:
        start -= 1  # one sign ends the header: here the \r, and the \n is the first of a pixel
    if len(data) - start != need:
        raise ValueError(f"{len(data) - start} bytes of pixels, not {need}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)
