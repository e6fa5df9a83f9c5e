"""The official split of the labelled pairs: `splits.mat` (MATLAB 5) or a list of indices."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np

from depthsi.data.formats.matlab_old import HEADER, read_stored, stored_arrays
from depthsi.errors import DepthsiError

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
        found = stored_arrays(data, strict=True)
        return {each.name: read_stored(path, each, len(data), LARGEST) for each in found}
    except (OSError, ValueError, struct.error, zlib.error, KeyError) as error:
        raise DepthsiError(
            f"{path} is not a MATLAB 5 file of numbers, or damaged ({error}); replace it."
        ) from error


def _listed(path: Path, data: bytes) -> list[int]:
    try:
        values = [int(word) for word in data.decode("ascii").split()]
    except ValueError as error:
        raise DepthsiError(
            f"{path} is neither a MATLAB 5 file nor a list of integers ({error})."
        ) from error
    if not values:
        raise DepthsiError(f"{path} lists no index.")
    return values
