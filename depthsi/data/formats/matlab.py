"""Reads an array of numbers out of a MATLAB file, of version 7.3 (HDF5) or older.

Axes come in MATLAB's order, and nothing but plain arrays of numbers is read.
"""

import math
import os
import struct
import zlib
from io import BytesIO

import numpy as np

from depthsi.data.formats.hdf5 import check_extent, open_hdf5
from depthsi.errors import DepthsiError
from depthsi.files import check_unpacked, contents, decoding

HDF5_START = 512  # of a 7.3 file, whose HDF5 signature follows a block of text
COMPRESSED = 15  # type of an element
MAX_ELEMENTS = 2**16
KINDS = {"double": "f8", "single": "f4", "int8": "i1", "int16": "i2", "int32": "i4"}
KINDS |= {"uint8": "u1", "uint16": "u2", "uint32": "u4"}
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def read_mat(path: str | os.PathLike[str], variable: str = "") -> np.ndarray:
    """The array called `variable`, or the only one of numbers with two or three axes.

    Raises:
      DepthsiError: h5py is missing for a 7.3 file; a missing, damaged or other file; no such array,
        or several to choose from.
    """
    data = contents(path)
    if data[HDF5_START:].startswith(HDF5_SIGNATURE) or data.startswith(HDF5_SIGNATURE):
        return _read_hdf5(path, variable)
    return _read_old(path, data, variable)


def _read_hdf5(path: str | os.PathLike[str], variable: str) -> np.ndarray:
    with open_hdf5(path) as file:
        import h5py

        def plain(name: str) -> bool:  # links and storage that lead out of the file are left alone
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                return False
            found = file[name]
            return (
                isinstance(found, h5py.Dataset)
                and not (found.external or found.is_virtual)
                and found.dtype.kind in "fiu"
                and found.ndim in (2, 3)
            )

        name = _choose(path, [name for name in file if plain(name)], variable)
        check_extent(path, name, file[name])
        return np.asarray(file[name]).T  # MATLAB counts the axes from the other end


def _read_old(path: str | os.PathLike[str], data: bytes, variable: str) -> np.ndarray:
    from scipy import io

    with decoding(path):
        _check_elements(path, data)
        try:
            listed = io.whosmat(BytesIO(data))
            kinds = {name: kind for name, shape, kind in listed if len(shape) in (2, 3)}
            name = _choose(path, [name for name, kind in kinds.items() if kind in KINDS], variable)
            values = math.prod(next(shape for each, shape, _ in listed if each == name))
            needed = values * np.dtype(KINDS[kinds[name]]).itemsize
            check_unpacked(path, name, needed, len(data))
            return np.asarray(io.loadmat(BytesIO(data), variable_names=[name])[name])
        except MemoryError:  # of a size in the file, which does not have as many bytes
            raise ValueError("an element larger than the memory") from None


def _check_elements(path: str | os.PathLike[str], data: bytes) -> None:
    """Raises unless the elements of a version 5 file are few, and unpack to what it can hold.

    An element begins with its type and its size in bytes:
    https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:  # of version 4, which packs nothing
        return
    at = 128
    for _ in range(MAX_ELEMENTS):
        if at + 8 > len(data):
            return
        kind, size = struct.unpack_from(f"{order}II", data, at)
        rest, at = data[at + 8 : at + 8 + size], at + 8 + size
        if kind != COMPRESSED:
            continue
        packed, unpacked = zlib.decompressobj(), 0
        while rest and not packed.eof:
            unpacked += len(packed.decompress(rest, 2**20))
            check_unpacked(path, "an array", unpacked, len(data))
            rest = packed.unconsumed_tail
    raise ValueError(f"over {MAX_ELEMENTS} elements")


def _choose(path: str | os.PathLike[str], names: list[str], variable: str) -> str:
    there = ", ".join(sorted(names)) or "none"
    if variable and variable not in names:
        raise DepthsiError(f"{path} has no array {variable!r} of numbers; it has {there[:500]}.")
    if not variable and len(names) != 1:
        raise DepthsiError(
            f"{path} must hold one array of depth; it has {there[:500]}: name one with --variable."
        )
    return variable or names[0]
