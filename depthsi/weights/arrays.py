"""Reads named arrays from weights files, `.safetensors` and `.npz`, without unpickling."""

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike
from safetensors import safe_open
from safetensors.numpy import save

from depthsi.data.formats.numpy_files import FLOATS, npy_array
from depthsi.errors import DepthsiError
from depthsi.files import PathLike, contents, decoding, write_bytes

MAX_ARRAY = 2**26  # bytes of one array, far more than the largest convolution here takes
MAX_HEADER = 2**22  # bytes of a safetensors header, of which a hundred MB would take 10 s to read
SUFFIXES = (".safetensors", ".npz")
SAFETENSORS_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,  # safetensors knows it only where this module is imported
}
ADVICE = "save it as float32"


def read_arrays(
    path: PathLike, wanted: Callable[[str], bool], max_bytes: int = MAX_ARRAY
) -> dict[str, np.ndarray]:
    """The arrays of a file whose names are `wanted`.

    Args:
      path: path of the file, with one of `SUFFIXES`.
      wanted: returns whether to read the array of a name; other arrays are ignored.
      max_bytes: maximum size of an array.

    Returns:
      Floats by name; float32 where the file has bfloat16.

    Raises:
      DepthsiError: the file has another format, or is missing, damaged or cut short, or a wanted
        array does not have floats or takes more than `max_bytes`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise DepthsiError(f"{path} is not one of {', '.join(SUFFIXES)}: convert the weights.")
    with decoding(path):
        return (_read_npz if suffix == ".npz" else _read_safetensors)(path, wanted, max_bytes)


def read_metadata(path: PathLike) -> dict[str, str]:
    """The texts by name that a `.safetensors` file has beside its arrays.

    Raises:
      DepthsiError: missing, damaged or cut short.
    """
    with decoding(path), _open_safetensors(path) as file:
        return dict(file.metadata() or {})


def write_safetensors(
    path: PathLike,
    arrays: Mapping[str, np.ndarray],
    *,
    dtype: DTypeLike = np.float32,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes arrays by name, converted to `dtype`, and texts by name; whole or not at all."""
    plain = {name: np.asarray(array, dtype, order="C") for name, array in arrays.items()}
    write_bytes(Path(path), save(plain, None if metadata is None else dict(metadata)))


def _open_safetensors(path: PathLike) -> Any:
    length = int.from_bytes(contents(path, 8), "little")
    if length > MAX_HEADER:
        raise ValueError(f"a header of {length} bytes")
    return safe_open(path, framework="np")


def _read_safetensors(
    path: PathLike, wanted: Callable[[str], bool], max_bytes: int
) -> dict[str, np.ndarray]:
    arrays = {}
    with _open_safetensors(path) as file:
        for name in filter(wanted, file.keys()):
            entry = file.get_slice(name)
            dtype = entry.get_dtype()
            if dtype not in SAFETENSORS_DTYPES:
                raise DepthsiError(f"{path} holds {name} as {dtype}; {ADVICE}.")
            size = math.prod(entry.get_shape()) * np.dtype(SAFETENSORS_DTYPES[dtype]).itemsize
            if size > max_bytes:
                raise DepthsiError(
                    f"{path} holds {name}: {size} bytes, over the {max_bytes} accepted."
                )
            array = file.get_tensor(name)
            arrays[name] = array.astype(np.float32) if dtype == "BF16" else array
    return arrays


def _read_npz(
    path: PathLike, wanted: Callable[[str], bool], max_bytes: int
) -> dict[str, np.ndarray]:
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(contents(path))) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if wanted(name):
                with archive.open(info) as member:
                    # Reading to the end compares the checksum; a size in the archive may lie.
                    unpacked = member.read(max_bytes + 2**16)
                    member.read(1)
                if name in arrays:
                    raise ValueError(f"{name} appears twice")
                arrays[name] = npy_array(
                    path,
                    unpacked,
                    name=name,
                    dtypes=FLOATS,
                    ranks=range(65),
                    advice=ADVICE,
                    max_bytes=max_bytes,
                )
    return arrays
