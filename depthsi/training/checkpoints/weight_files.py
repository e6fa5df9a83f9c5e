"""Named arrays in files of weights, `.safetensors` and `.npz`, read without unpickling anything.

Safetensors (github.com/huggingface/safetensors, "Format") is the length of a JSON header in 8
bytes, little-endian; the header, which has type, shape and place of each array; the arrays' bytes.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from depthsi.data.formats.numpy_files import HEADER, SIGNATURE
from depthsi.errors import DepthsiError
from depthsi.files import PathLike, contents, decoding, write_bytes

MAX_ARRAY = 2**26  # bytes of one array, far more than the largest convolution here takes
SUFFIXES = (".safetensors", ".npz")
_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_NPY = tuple(order + kind for order in "<>" for kind in ("f2", "f4", "f8"))


def read_arrays(path: PathLike, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """The arrays of a file whose names are `wanted`.

    Args:
      path: of one of `SUFFIXES`.
      wanted: says of each name whether to read it; what it does not want is not looked at.

    Returns:
      Floats by name; float32 where the file has bfloat16.

    Raises:
      DepthsiError: another kind of file; missing, damaged or cut short; a wanted array that is not
        of floats or takes more than `MAX_ARRAY` bytes.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise DepthsiError(f"{path} is not one of {', '.join(SUFFIXES)}: convert the weights.")
    data = contents(path)
    with decoding(path):
        return (_parse_npz if suffix == ".npz" else _parse_safetensors)(path, data, wanted)


def write_safetensors(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes float32 arrays by name, whole or not at all."""
    header: dict[str, Any] = {}
    parts, start = [], 0
    for name, array in arrays.items():
        part = np.ascontiguousarray(array, "<f4").tobytes()
        place = [start, start + len(part)]
        header[name] = {"dtype": "F32", "shape": list(np.shape(array)), "data_offsets": place}
        parts.append(part)
        start += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    write_bytes(Path(path), b"".join([len(text).to_bytes(8, "little"), text, *parts]))


def _parse_safetensors(
    path: PathLike, data: bytes, wanted: Callable[[str], bool]
) -> dict[str, np.ndarray]:
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < start:
        raise ValueError(f"its header should end at byte {start} of {len(data)}")
    body = memoryview(data)[start:]
    arrays = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__" or not wanted(name):
            continue
        dtype, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if dtype not in _SAFETENSORS:
            raise DepthsiError(f"{path} holds {name} as {dtype}: save it as F32.")
        if not all(type(n) is int and n >= 0 for n in (*shape, first, last)) or last > len(body):
            raise ValueError(f"{name} does not lie within the file")
        array = _array(path, name, body[first:last], _SAFETENSORS[dtype], shape)
        bits = dtype == "BF16"  # the upper half of a float32
        arrays[name] = (array.astype("<u4") << 16).view("<f4") if bits else array
    return arrays


def _parse_npz(path: PathLike, data: bytes, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if wanted(name):
                with archive.open(info) as member:
                    # Reading to the end compares the checksum; a size in the archive may lie.
                    unpacked = member.read(MAX_ARRAY + 2**16)
                    member.read(1)
                if name in arrays:
                    raise ValueError(f"{name} is there twice")
                arrays[name] = _parse_npy(path, name, unpacked)
    return arrays


def _parse_npy(path: PathLike, name: str, data: bytes) -> np.ndarray:
    if not data.startswith(SIGNATURE):
        raise ValueError(f"{name} is not an array")
    start = 10 if data[6] == 1 else 12  # version 1 has the shorter length field
    end = start + int.from_bytes(data[8:start], "little")
    header = HEADER.fullmatch(data[start:end].decode("latin1"))
    if header is None:
        raise ValueError(f"the header of {name} is not that of one array of numbers")
    dtype, fortran, sides = header.groups()
    if dtype not in _NPY:
        raise DepthsiError(f"{path} holds {name} as {dtype}: save it as float32.")
    shape = [int(side) for side in sides.split(",") if side.strip()]
    order = "F" if fortran == "True" else "C"
    return _array(path, name, memoryview(data)[end:], dtype, shape, order)


def _array(
    path: PathLike, name: str, data: memoryview, dtype: str, shape: list[int], order: Any = "C"
) -> np.ndarray:
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if needed > MAX_ARRAY:
        raise DepthsiError(
            f"{path} holds {name} of shape {tuple(shape)}: over the {MAX_ARRAY} bytes accepted."
        )
    if len(data) != needed:
        raise ValueError(f"{name} has {len(data)} bytes, not the {needed} of its shape")
    return np.frombuffer(data, dtype).reshape(shape, order=order)
