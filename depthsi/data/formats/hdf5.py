"""Opens HDF5 files (also MATLAB 7.3) and refuses everything that is not plain arrays inside them.

Needs h5py, from the extra `data`.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from depthsi.errors import DepthsiError
from depthsi.files import check_unpacked

PathLike = str | os.PathLike[str]

MAX_CHUNKS = 2**20  # the library keeps a list of them, whether they are there or not


@contextlib.contextmanager
def open_hdf5(path: PathLike) -> Iterator[Any]:
    """The `h5py.File` at `path`, for reading; closed afterwards.

    Raises:
      DepthsiError: h5py is not installed, the file is missing or not HDF5, or whatever the HDF5
        library raises inside the block, which names the file.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise DepthsiError(
            'reading HDF5 needs h5py; install it with pip install "depthsi[data]".'
        ) from None
    if not os.path.isfile(path):
        raise DepthsiError(f"{path} does not exist; check its name.")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (DepthsiError, MemoryError):
        raise
    except Exception as error:  # of a damaged file the library raises almost any
        reason = str(error).split("\n")[0] or type(error).__name__
        raise DepthsiError(
            f"{path} is not HDF5, damaged or cut short ({reason}); replace it."
        ) from error


def array_in(file: Any, name: str, dtype: str, rank: int) -> Any:
    """The dataset `name` of an open file, unread, after a check of its kind.

    Links and storage that lead out of the file are refused, not followed.

    Raises:
      DepthsiError: no such dataset, another dtype or rank, or its values are in another file.
    """
    import h5py

    link = file.get(name, getlink=True)
    if link is None:
        there = ", ".join(sorted(file)) or "nothing"
        raise DepthsiError(f"{file.filename} has no dataset {name!r}; it has {there[:500]}.")
    found = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise DepthsiError(f"{file.filename}: {name!r} is not an array stored in this file.")
    if found.dtype.str.lstrip("<>=|") != np.dtype(dtype).str.lstrip("<>=|") or found.ndim != rank:
        raise DepthsiError(
            f"{file.filename}: {name!r} is {found.dtype} of shape {found.shape}; expected {dtype} "
            f"with {rank} axes."
        )
    check_extent(file.filename, name, found)
    return found


def check_extent(path: PathLike, name: str, array: Any) -> None:
    """Refuses an array by what it declares, before memory is taken for it.

    Args:
      path: path of the file.
      name: name of the array.
      array: a dataset of h5py's.

    Raises:
      DepthsiError: larger than is accepted, larger than so small a file can be meant to hold, or
        in too many pieces.
    """
    needed = math.prod(array.shape) * array.dtype.itemsize
    check_unpacked(path, name, needed, os.path.getsize(path))
    pieces = (
        -(-n // m) for n, m in zip(array.shape, array.chunks or array.shape, strict=True) if m
    )
    if math.prod(pieces) > MAX_CHUNKS:
        raise DepthsiError(
            f"{path}: {name!r} is stored in over {MAX_CHUNKS} pieces; save it in fewer."
        )
