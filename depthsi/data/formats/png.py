"""Opens PNG files, after a check that they are whole."""

import io
import struct
import zlib

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from depthsi.errors import DepthsiError
from depthsi.files import PathLike, check_pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_BLOCKS = 2**17  # 1 GiB in the pieces that libpng writes
BITS_AT = 24  # where the bits per channel stand


def open_png(path: PathLike, data: bytes) -> Image.Image:
    """The image, not decoded yet.

    Raises:
      DepthsiError: not a PNG file, or too large.
      Exception: any exception, if the bytes are damaged.
    """
    if not data.startswith(SIGNATURE):
        raise DepthsiError(f"{path} is not a PNG file; convert it or correct its name.")
    _check_blocks(data)
    image = PngImageFile(io.BytesIO(data))
    check_pixels(path, image.height, image.width, stored=len(data))
    return image


def _check_blocks(data: bytes) -> None:
    """Raises ValueError or struct.error unless a PNG is whole.

    Pillow skips the checksum of pixel data, so changed bits there may decode without complaint.
    """
    start = len(SIGNATURE)
    for _ in range(MAX_BLOCKS):
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(memoryview(data)[start + 4 : end]) != checksum:
            raise ValueError(f"wrong checksum of its block {kind!r}")
        if kind == b"IEND":
            return
        start = end + 4
    raise ValueError(f"over {MAX_BLOCKS} blocks")
