"""JPEG files without what surrounds the pixels, which can be far more than the pixels.

Photos carry metadata, previews and films, and Pillow joins and parses all of it: a file of a few
megabytes can hold it up for a minute. Here only what the pixels need is left.
"""

import io
import re
import struct
from typing import NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from depthsi.errors import DepthsiError
from depthsi.files import PathLike, check_pixels

SIGNATURE = b"\xff\xd8\xff"
MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # such bytes do not occur in pixel data
ALONE = (0x01, 0xD8)  # markers that no segment follows
SCAN, END, EXIF = 0xDA, 0xD9, 0xE1
METADATA = frozenset({*range(0xE1, 0xF0), 0xFE} - {0xEE})  # not what JFIF and Adobe say of colours
MAX_SEGMENTS = 2**12  # real photos have up to some hundreds
MAX_SCANNED = 2**31  # pixels times scans: a progressive image goes over them again and again


class Segments(NamedTuple):
    """What is left of a JPEG file.

    Attributes:
      data: the file without metadata.
      exif: the bytes of the first EXIF block, a small TIFF file; b"" if there is none.
      scans: how often the file goes over the pixels.
    """

    data: bytes
    exif: bytes
    scans: int


def open_jpeg(path: PathLike, data: bytes) -> tuple[Image.Image, bytes]:
    """The image, not decoded yet, and its EXIF block.

    Raises:
      DepthsiError: too large, or more segments or scans than any real image has.
      Exception: any exception, if the bytes are damaged.
    """
    found = without_metadata(path, data)
    # Not by Image.open, which warns of large images and of extras after the first one.
    image = JpegImageFile(io.BytesIO(found.data))
    check_pixels(path, image.height, image.width, stored=len(found.data))
    if found.scans * image.height * image.width > MAX_SCANNED:
        raise DepthsiError(
            f"{path} goes over its {image.height}x{image.width} pixels {found.scans} times; save it"
            " again as a plain JPEG."
        )
    return image, found.exif


def without_metadata(path: PathLike, data: bytes) -> Segments:
    """Leaves out metadata, and whatever follows the end of the image."""
    kept, exif, scans, at = [data[:2]], b"", 0, 2
    for _ in range(MAX_SEGMENTS):
        found = MARKER.search(data, at)
        if scans:  # pixels
            kept.append(data[at : found.start() if found else len(data)])
        marker = found[1][0] if found else END
        if found is None or marker == END:
            kept.append(b"\xff\xd9" if found else b"")
            return Segments(b"".join(kept), exif, scans)
        at = found.end()
        if marker in ALONE:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        segment, at = data[at : at + max(length, 2)], at + max(length, 2)
        if marker == EXIF and not exif and segment[2:8] == b"Exif\0\0":
            exif = segment[8:]
        if marker not in METADATA:
            kept.append(b"\xff" + found[1] + segment)
            scans += marker == SCAN
    raise DepthsiError(f"{path} has over {MAX_SEGMENTS} segments; save it again as a plain JPEG.")
