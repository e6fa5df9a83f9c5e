"""Single integers out of EXIF, which is a small TIFF file inside a photo.

Pillow would parse all of it, where a small block can refer to itself thousands of times.
Source of the layout: CIPA DC-008 (Exif 2.32), sections 4.5 and 4.6.
"""

import struct
from collections.abc import Iterator

SHORT, LONG = 3, 4  # types
CAMERA_PART, FOCAL_35MM = 0x8769, 0xA405  # tags


def exif_short(exif: bytes, tag: int) -> int | None:
    """The SHORT called `tag` of the first part; None if it is missing, of another type or damaged.

    Args:
      exif: a block, with or without its introduction "Exif".
      tag: its number.
    """
    return _find(exif, tag, SHORT)


def focal_35mm(exif: bytes) -> int | None:
    """Focal length in millimetres that gives the same view on 35 mm film; None if it is unknown.

    Source: FocalLengthIn35mmFilm of Exif 2.32, where 0 means unknown.
    """
    part = _find(exif, CAMERA_PART, LONG)
    return None if part is None else _find(exif, FOCAL_35MM, SHORT, part) or None


def _find(exif: bytes, tag: int, kind: int, start: int = 0) -> int | None:
    """The value of the first entry called `tag` in the part at `start`, 0 for the first one."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(order + "I", exif, 4)
        for found, of_kind, number, value in _entries(exif, order, start or first):
            if found == tag:
                if (of_kind, number) != (kind, 1):
                    return None
                (value,) = struct.unpack_from(order + ("H" if kind == SHORT else "I"), value)
                return value
    except struct.error:
        pass
    return None


def _entries(exif: bytes, order: str, start: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Tag, type, count and the four bytes of the value of each entry of the part at `start`."""
    (count,) = struct.unpack_from(order + "H", exif, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        yield struct.unpack_from(order + "HHI4s", exif, at)
