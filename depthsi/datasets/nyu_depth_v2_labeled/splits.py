"""The official split of the labelled pairs: `splits.mat` (MATLAB 5) or a list of indices."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np

from depthsi.errors import DepthsiError

HEADER = 128  # bytes before the first element of a MATLAB 5 file
MATRIX, COMPRESSED = 14, 15
NUMBERS = {
    1: "<i1",
    2: "<u1",
    3: "<i2",
    4: "<u2",
    5: "<i4",
    6: "<u4",
    7: "<f4",
    9: "<f8",
    12: "<i8",
    13: "<u8",
}
LARGEST = 2**24  # bytes of an uncompressed variable; the official ones have under 2 kB


def read_split(path: str | os.PathLike[str], count: int) -> list[str]:
    """The split of each of `count` pairs: "train" or "test".

    Args:
      path: the authors' `splits.mat` with `trainNdxs` and `testNdxs`, or a text file with one
        index of a training pair per line, which leaves all others to "test". Indices count from 1.
      count: number of pairs.

    Raises:
      DepthsiError: the file is missing, damaged or of another kind, or an index is out of range,
        repeated, in both splits or in neither.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DepthsiError(
            f"{path} cannot be read ({error}); give the authors' splits.mat, or a text file with "
            "the indices of the training pairs."
        ) from error
    if data.startswith(b"MATLAB 5.0"):
        parts = read_variables(path)
        if missing := {"trainNdxs", "testNdxs"} - set(parts):
            raise DepthsiError(f"{path} has no variable {min(missing)}.")
        train, test = (parts[name].ravel() for name in ("trainNdxs", "testNdxs"))
    else:
        train = _listed(path, data)
        test = sorted({*range(1, count + 1)} - {*train})
    split: dict[int, str] = {}
    for name, indices in (("train", train), ("test", test)):
        for index in indices:
            if index not in range(1, count + 1):
                raise DepthsiError(f"{path}: index {index} is not one of 1..{count}.")
            if index in split:
                raise DepthsiError(f"{path}: index {index} is listed twice.")
            split[int(index)] = name
    if missing := {*range(1, count + 1)} - {*split}:
        raise DepthsiError(f"{path}: index {min(missing)} is in no split.")
    return [split[index] for index in range(1, count + 1)]


def read_variables(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The real numeric arrays of a little-endian MATLAB 5 file, by name.

    Format: MathWorks, "MAT-File Format", chapter 1.

    Raises:
      DepthsiError: the file is missing, damaged, cut short, big-endian, or holds anything else.
    """
    try:
        data = Path(path).read_bytes()
        if len(data) < HEADER or data[124:128] != b"\x00\x01IM":
            raise ValueError("no header of little-endian MATLAB 5")
        return dict(_variable(kind, body) for kind, body in _elements(data[HEADER:]))
    except (OSError, ValueError, struct.error, zlib.error, KeyError) as error:
        raise DepthsiError(
            f"{path} is not a MATLAB 5 file of numbers, or damaged ({error}); replace it."
        ) from error


def _listed(path: Path, data: bytes) -> list[int]:
    try:
        values = [int(word) for word in data.decode("ascii").split()]
    except ValueError as error:
        raise DepthsiError(
            f"{path} is neither a MATLAB 5 file nor a list of whole numbers ({error})."
        ) from error
    if not values:
        raise DepthsiError(f"{path} lists no index.")
    return values


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Type and content of each data element; small ones keep their content in the tag."""
    found, start = [], 0
    while start < len(data):
        (kind,) = struct.unpack_from("<I", data, start)
        if kind >> 16:
            length, body, end = kind >> 16, start + 4, start + 8
            kind &= 0xFFFF
            if length > 4:
                raise ValueError(f"a small element of {length} bytes")
        else:
            (length,) = struct.unpack_from("<I", data, start + 4)
            body, end = start + 8, start + 8 + length
            end += 0 if kind == COMPRESSED else -length % 8
        if body + length > len(data):
            raise ValueError("cut short")
        found.append((kind, data[body : body + length]))
        start = end
    return found


def _variable(kind: int, body: bytes) -> tuple[str, np.ndarray]:
    if kind == COMPRESSED:
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(body, LARGEST)
        if not unpacker.eof:
            raise ValueError("a compressed element that is cut short or too large")
        ((kind, body),) = _elements(unpacked)
    if kind != MATRIX:
        raise ValueError(f"an element of type {kind} where a matrix should be")
    flags, dimensions, name, real = _elements(body)  # a fourth: the imaginary part, or a structure
    if struct.unpack_from("<I", flags[1])[0] & 0x0800:
        raise ValueError("complex numbers")
    shape = np.frombuffer(dimensions[1], "<i4")
    values = np.frombuffer(real[1], NUMBERS[real[0]])
    return name[1].decode("ascii"), values.reshape(shape, order="F")
