"""Reads an array of numbers out of a MATLAB file, of version 7.3 (HDF5) or older.

Axes come in MATLAB's order, and nothing but plain arrays of numbers is read.
"""

import os

import numpy as np

from depthsi.data.formats.hdf5 import check_extent, open_hdf5
from depthsi.data.formats.matlab_old import read_stored, stored_arrays
from depthsi.errors import DepthsiError
from depthsi.files import contents, decoding

HDF5_START = 512  # of a 7.3 file, whose HDF5 signature follows a block of text
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
    with decoding(path):
        arrays = {each.name: each for each in stored_arrays(data) if len(each.shape) in (2, 3)}
        name = _choose(path, list(arrays), variable)
        return read_stored(path, arrays[name], len(data))


def _choose(path: str | os.PathLike[str], names: list[str], variable: str) -> str:
    shown = (name if name.isprintable() else ascii(name) for name in sorted(names))
    there = ", ".join(shown) or "none"
    if variable and variable not in names:
        raise DepthsiError(f"{path} has no array {variable!r} of numbers; it has {there[:500]}.")
    if not variable and len(names) != 1:
        raise DepthsiError(
            f"{path} must have one depth array; it has {there[:500]}: select one with --variable."
        )
    return variable or names[0]
