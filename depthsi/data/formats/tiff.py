"""TIFF files, in strips or tiles; as depth maps, one page of uint16, int32 or float32."""

import io
import struct

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from depthsi.errors import DepthsiError
from depthsi.files import PathLike, check_pixels

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MODES = ("I;16", "I;16B", "I", "F")
OFFSETS, COUNTS = (273, 324), (279, 325)  # tags of strips and of tiles
COMPRESSION = 259
UNCOMPRESSED = 1
COMPRESSIONS = (UNCOMPRESSED, 5, 7, 8, 32773, 32946)  # LZW, JPEG, deflate, PackBits, old deflate
EXIF, PRIVATE = (34665, 34853, 40965), 65111  # tags of further lists; one that means nothing
MAX_TAGS = 2**12
MAX_PIECES = 2**17  # strips or tiles
SINGLE = (254, 255, 256, 257, 259, 262, 266, 274, 277, 278, 284, 296, 317, 322, 323)  # tags
# Bytes of each type of value.
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
TYPE_BYTES |= {16: 8, 17: 8, 18: 8}  # of BigTIFF
NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


def parse_tiff(path: PathLike, data: bytes) -> np.ndarray:
    """The (H, W) array in the bytes of a TIFF file: uint16, int32 or float32.

    Raises:
      DepthsiError: not a TIFF file, several pages, too large, or values of another type.
      Exception: any exception, if the bytes are damaged.
    """
    image = open_tiff(path, data, depth=True)
    if image.mode not in MODES:
        raise DepthsiError(
            f"{path} is of Pillow's mode {image.mode}, not one channel of uint16, int32 or "
            "float32; convert it."
        )
    return np.array(image)


def open_tiff(path: PathLike, data: bytes, *, depth: bool = False) -> TiffImageFile:
    """The first page, not decoded yet, which Pillow will turn upright.

    Args:
      path: for messages.
      data: all of the file.
      depth: a file of several pages is refused.

    Raises:
      DepthsiError: not a TIFF file, too large, or of a kind that is not read.
      Exception: any exception, if the bytes are damaged.
    """
    if data[:4] not in SIGNATURES:
        raise DepthsiError(f"{path} is not a TIFF file; convert it or correct its name.")
    data, following, compression = _checked(data)
    if depth and following:
        raise DepthsiError(f"{path} has several pages; save the depth alone.")
    if data[:4] == b"MM\0+" or (data[:2] == b"MM" and compression != UNCOMPRESSED):
        # Pillow 13 swaps the bytes of compressed floats once too often.
        raise DepthsiError(
            f"{path} is a big-endian BigTIFF or compressed; save it in little-endian order."
        )
    if compression not in COMPRESSIONS:
        raise DepthsiError(f"{path} is compressed in an unusual way; save it by LZW or deflate.")
    try:
        image = TiffImageFile(io.BytesIO(data))
    except SyntaxError:  # Pillow's word for a kind of pixel it does not know
        raise DepthsiError(
            f"{path} is of a type Pillow does not know, "
            + ("not one channel of uint16, int32 or float32" if depth else "not 8-bit RGB")
            + "; convert it."
        ) from None
    check_pixels(path, image.height, image.width, stored=len(data))
    return image


def _checked(data: bytes) -> tuple[bytes, int, int]:
    """Raises unless everything the first page refers to lies in the file.

    Returns the file with its EXIF hidden, where the next page begins, 0 for none, and the kind of
    compression.

    Pillow only warns of values that are cut off or too many, and goes on without them. It also
    copies the values of all tags, which may be the same bytes again and again, and follows EXIF
    into further lists of tags.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    place, entry = (8, 20) if big else (4, 12)
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    start += 8 if big else 2
    if count > MAX_TAGS:
        raise ValueError(f"{count} tags")
    shown, total = bytearray(data), 0
    pieces: dict[int, tuple[int, ...]] = {}
    for at in range(start, start + entry * count, entry):
        tag, size, values = _entry(data, at, order, big)
        if (total := total + size) > len(data):
            raise ValueError("tags that share their values")
        if tag in EXIF:
            struct.pack_into(order + "H", shown, at, PRIVATE)
        if tag in (*OFFSETS, *COUNTS, COMPRESSION):
            if tag in pieces:
                raise ValueError(f"two tags {tag}")
            pieces[tag] = values
    for offsets, counts in zip(OFFSETS, COUNTS, strict=True):
        for begin, length in zip(pieces.get(offsets, ()), pieces.get(counts, ()), strict=True):
            if begin + length > len(data):
                raise ValueError("pixel data beyond its end")
    if not any(pieces.get(tag) for tag in COUNTS):
        raise ValueError("no pixel data")
    (following,) = struct.unpack_from(order + ("Q" if big else "I"), data, start + entry * count)
    (compression,) = pieces.get(COMPRESSION, (UNCOMPRESSED,))
    return bytes(shown), following, compression


def _entry(data: bytes, at: int, order: str, big: bool) -> tuple[int, int, tuple[int, ...]]:
    """A tag, its bytes and, where integers of it are needed, its values."""
    tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, at)
    if kind not in TYPE_BYTES:
        raise ValueError(f"tag {tag} of unknown type {kind}")
    room = 8 if big else 4
    size, place = TYPE_BYTES[kind] * count, at + 4 + room
    if size > room:
        (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
    if place + size > len(data):
        raise ValueError(f"tag {tag} refers beyond its end")
    if tag in SINGLE and count != 1:
        raise ValueError(f"tag {tag} has {count} values")
    if kind not in NUMBERS or tag not in (*OFFSETS, *COUNTS, COMPRESSION):
        return tag, size, ()
    if count > MAX_PIECES:
        raise ValueError(f"{count} strips or tiles")
    return tag, size, struct.unpack_from(f"{order}{count}{NUMBERS[kind]}", data, place)
