"""Reads an array of numbers out of a MATLAB file, of version 7.3 (HDF5) or older.

Axes come in MATLAB's order, and nothing but plain arrays of numbers is read.
"""

import os

import numpy as np

from depthsi.data.formats.hdf5 import open_hdf5
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
    return _read_old(path, variable)


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
        return np.asarray(file[name]).T  # MATLAB counts the axes from the other end


def _read_old(path: str | os.PathLike[str], variable: str) -> np.ndarray:
    from scipy import io

    with decoding(path):
        listed = io.whosmat(path)
        kinds = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32")
        names = [name for name, shape, kind in listed if len(shape) in (2, 3) and kind in kinds]
        name = _choose(path, names, variable)
        return np.asarray(io.loadmat(path, variable_names=[name])[name])


def _choose(path: str | os.PathLike[str], names: list[str], variable: str) -> str:
    there = ", ".join(sorted(names)) or "none"
    if variable and variable not in names:
        raise DepthsiError(f"{path} has no array {variable!r} of numbers; it has {there}.")
    if not variable and len(names) != 1:
        raise DepthsiError(
            f"{path} must hold one array of depth; it has {there}: name one with --variable."
        )
    return variable or names[0]
