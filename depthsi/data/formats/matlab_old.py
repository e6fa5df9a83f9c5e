"""Arrays of numbers in MATLAB files older than 7.3, versions 4 and 5, without SciPy's reader.

Of damaged files, that of SciPy 1.17 reads beyond its memory. Format:
https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from depthsi.files import PathLike, check_unpacked, most_unpacked

HEADER = 128  # bytes of a version 5 file before its first element
MATRIX, PACKED = 14, 15  # types of elements
PARTS_HEADER = 2**12  # bytes in which flags, shape and name of a matrix lie
MAX_ELEMENTS = 2**16
MAX_AXES = 32
UNUSUAL = 0x0A00  # flags: complex, logical
CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
TYPES |= {12: "i8", 13: "u8"}
TYPES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")


class StoredArray(NamedTuple):
    """An array of numbers that is not read yet.

    Attributes:
      name: name of the variable.
      shape: in MATLAB's order.
      dtype: of its values.
      order: byte order of the file, "<" or ">".
      part: where its values are; of a version 5 file, its whole element.
      kind: type of that: of version 4 that of the values, of version 5 `MATRIX` or `PACKED`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    order: str
    part: bytes
    kind: str | int


def stored_arrays(data: bytes, *, strict: bool = False) -> list[StoredArray]:
    """All arrays of real numbers in the bytes of a file that have a MATLAB name.

    Args:
      data: the file.
      strict: refuse a version 5 file with anything else in it.

    Raises:
      ValueError, struct.error, zlib.error: not such a file, or damaged.
    """
    found = _version_4(data) if 0 in data[:4] else _version_5(data, strict)
    return [each for each in found if each.name.isascii() and each.name.isidentifier()]


def read_stored(
    path: PathLike, array: StoredArray, stored: int, limit: int | None = None
) -> np.ndarray:
    """The values of an array.

    Args:
      path: path of its file.
      array: one of `stored_arrays`.
      stored: bytes of the file.
      limit: bytes that the array may take, less than so small a file can be meant to hold.

    Raises:
      DepthsiError: more than so small a file can be meant to hold.
      ValueError, struct.error, zlib.error: the bytes are damaged.
    """
    needed = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    check_unpacked(path, array.name, needed, stored)
    if limit is not None and needed > limit:
        raise ValueError(f"{array.name} takes {needed} bytes, over {limit}")
    part, kind = array.part, array.kind
    if kind == PACKED:
        most = limit or most_unpacked(stored)
        unpacking = zlib.decompressobj()
        part = unpacking.decompress(part, most)
        if not unpacking.eof:
            if len(part) == most:
                check_unpacked(path, array.name, most + 1, stored)
            raise ValueError(f"the end of {array.name} is missing")
        (_, start, end, _) = _element(part, 0, array.order)
        part = part[start:end]
    if isinstance(kind, int):  # flags, shape and name come first
        values_at = next(itertools.islice(_parts(part, array.order), 3, None), None)
        if values_at is None:
            raise ValueError(f"{array.name} has no values")
        kind, part = TYPES[values_at[0]], part[slice(*values_at[1:])]
    values = np.frombuffer(part, f"{array.order}{kind}")
    with np.errstate(all="ignore"):  # numbers that the type of a damaged file cannot hold
        return values.astype(array.dtype).reshape(array.shape, order="F")


def _version_4(data: bytes) -> Iterator[StoredArray]:
    at = 0
    for _ in range(MAX_ELEMENTS):
        if at == len(data):
            return
        (first,) = struct.unpack_from("<i", data, at)
        order = "<" if 0 <= first <= 5000 else ">"
        kind, rows, cols, imaginary, length = struct.unpack_from(f"{order}5i", data, at)
        machine, precision, layout = kind // 1000, kind // 10 % 100, kind % 10
        if (machine, layout > 2) != (int(order == ">"), False) or precision >= len(TYPES_4):
            raise ValueError("an array of an unknown kind")
        if min(rows, cols, length) < 0 or at + 20 + length > len(data):
            raise ValueError("an array of an impossible size")
        name = data[at + 20 : at + 20 + length].partition(b"\0")[0].decode("latin1")
        start, dtype = at + 20 + length, TYPES_4[precision]
        size = rows * cols * np.dtype(dtype).itemsize
        at = start + size * (2 if imaginary else 1)
        if layout == 0 and not imaginary:
            part = data[start : start + size]
            yield StoredArray(name, (rows, cols), dtype, order, part, dtype)
        if at > len(data):  # what is declared is checked when the array is read
            return
    raise ValueError(f"over {MAX_ELEMENTS} arrays")


def _version_5(data: bytes, strict: bool) -> Iterator[StoredArray]:
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise ValueError("no header of MATLAB's")
    at = HEADER
    for _ in range(MAX_ELEMENTS):
        if at >= len(data):
            return
        kind, start, end, following = _element(data, at, order)
        part = data[start:end]
        at = end if kind == PACKED else following
        head = b""
        if kind == PACKED:
            head = zlib.decompressobj().decompress(part, PARTS_HEADER)
            inner, size = struct.unpack_from(f"{order}II", head)
            head = head[8 : 8 + size] if inner == MATRIX else b""
        elif kind == MATRIX:
            head = part[:PARTS_HEADER]
        if head and (about := _about(head, order)):
            yield StoredArray(*about, order, part, kind)
        elif strict:
            raise ValueError("something that is no array of real numbers")
    raise ValueError(f"over {MAX_ELEMENTS} elements")


def _about(head: bytes, order: str) -> tuple[str, tuple[int, ...], str] | None:
    """Name, shape and type of a matrix by its first three parts; None if it has no real numbers."""
    parts = _parts(head, order)
    flags, dims, name = (
        head[start:end] for _, (_, start, end) in zip(range(3), parts, strict=False)
    )
    (flag,) = struct.unpack_from(f"{order}I", flags)
    if flag & UNUSUAL or flag & 0xFF not in CLASSES:
        return None
    if not 8 <= len(dims) <= 4 * MAX_AXES or len(dims) % 4:
        raise ValueError("an array of an impossible number of axes")
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims)
    if min(shape) < 0:
        raise ValueError("an array of an impossible size")
    return name.decode("latin1"), shape, CLASSES[flag & 0xFF]


def _parts(data: bytes, order: str) -> Iterator[tuple[int, int, int]]:
    """Type, start and end of each element in a matrix."""
    at = 0
    while at < len(data):
        kind, start, end, at = _element(data, at, order)
        yield kind, start, end


def _element(data: bytes, at: int, order: str) -> tuple[int, int, int, int]:
    """Type, start and end of the element at a place, and where the next one begins."""
    (kind,) = struct.unpack_from(f"{order}I", data, at)
    if size := kind >> 16:  # a small one, in eight bytes with its type and size
        start, following = at + 4, at + 8
        kind &= 0xFFFF
    else:
        (size,) = struct.unpack_from(f"{order}I", data, at + 4)
        start = at + 8
        following = start + -(-size // 8) * 8
    if start + size > len(data) or start + size > following:
        raise ValueError(f"an element that is cut short, by {start + size - len(data)} bytes")
    return kind, start, start + size, following
