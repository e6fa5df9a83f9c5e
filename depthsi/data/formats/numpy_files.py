"""Arrays in NumPy's files, `.npy` and `.npz`, without its reader.

Of a damaged header `np.load` warns, or allocates whatever size stands there, surplus bytes do not
disturb it, and what a member of an archive unpacks to is known only afterwards. Nothing here can
unpickle.
"""

import io
import math
import os
import re
import zipfile
from collections.abc import Container

import numpy as np

from depthsi.errors import DepthsiError
from depthsi.files import (
    MAX_ARRAY,
    MAX_BYTES,
    MAX_PIXELS,
    PathLike,
    check_pixels,
    check_unpacked,
    most_pixels,
    most_unpacked,
)

SIGNATURE = b"\x93NUMPY"
HEADER = re.compile(  # three fields in any order; Python 2 wrote 480L
    r"""
    \{ (?: \s* (?:
        ['"]descr['"] \s*:\s* ['"]([^'"\\]+)['"]
      | ['"]fortran_order['"] \s*:\s* (True|False)
      | ['"]shape['"] \s*:\s* \(( (?:[\dL\s]*,){0,64} [\dL\s]* )\)
    ) \s* (?: , | (?=\}) ) ){3} \s* \} \s*
    """,
    re.VERBOSE,
)
MAX_HEADER = 10_000  # bytes, about as in NumPy
FLOATS = tuple(order + kind for order in "<>" for kind in ("f2", "f4", "f8"))
NUMBERS = (
    *FLOATS,
    "|i1",
    "|u1",
    *(f"{o}{kind}{n}" for o in "<>" for kind in "iu" for n in (2, 4, 8)),
)
DEPTH_DTYPES = (*FLOATS, "<u2", ">u2")
MEMBER = "depth"  # of an archive with several arrays


def parse_npy(path: PathLike, data: bytes) -> np.ndarray:
    """The (H, W) array in the bytes of a `.npy` file: a float kind or uint16.

    Raises:
      DepthsiError: not a `.npy` file, or another shape or type.
      Exception: any exception, if the bytes are damaged.
    """
    if not data.startswith(SIGNATURE):
        raise DepthsiError(f"{path} is not a .npy file; convert it or correct its name.")
    advice = "save float32 metres of shape (H, W)"
    depth = npy_array(path, data, dtypes=DEPTH_DTYPES, ranks=(2,), advice=advice)
    check_pixels(path, *depth.shape)
    return depth


def parse_npz(path: PathLike, data: bytes) -> np.ndarray:
    """The only array in the bytes of a `.npz` archive, or the one called `depth`.

    Raises:
      DepthsiError: no such array, one that unpacks to more than any depth map, or whatever
        `parse_npy` refuses.
      Exception: any exception, if the bytes are damaged.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = next(iter(members)) if len(members) == 1 else MEMBER
        if chosen not in members or len(archive.infolist()) != len(members):
            raise DepthsiError(
                f"{path} has the arrays {', '.join(sorted(members))[:500] or 'none'}; "
                f"call the depth {MEMBER!r} or save it alone."
            )
        # The widest type, and a header.
        limit = 8 * min(MAX_PIXELS, most_pixels(len(data))) + 2**16
        with archive.open(members[chosen]) as member:
            # Reading to the end is what compares the checksum; a size in the archive may lie.
            values = member.read(limit + 1)
            if len(values) > limit or member.read(1):
                raise DepthsiError(f"{path} unpacks to over {limit} bytes; reduce it first.")
    return parse_npy(path, values)


def array_in_npz(path: PathLike, name: str) -> np.ndarray:
    """The array of numbers called `name` in a `.npz` archive, of 2 to 4 axes.

    What its header declares is believed only once so many bytes were unpacked.

    Raises:
      DepthsiError: another type or number of axes, or more than the archive can be meant to hold.
      Exception: any exception, if the bytes are damaged.
    """
    stored = os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        inside = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        limit = most_unpacked(stored) + 2**16  # a header
        with archive.open(inside[name]) as member:
            values = member.read(limit + 1)
            if len(values) > limit:
                check_unpacked(path, name, max(len(values), inside[name].file_size), stored)
    return npy_array(
        path,
        values,
        name=name,
        dtypes=NUMBERS,
        ranks=(2, 3, 4),
        advice="save float32 of shape (N, H, W)",
        max_bytes=MAX_ARRAY,
    )


def npy_array(
    path: PathLike,
    data: bytes,
    *,
    name: str = "",
    dtypes: Container[str],
    ranks: Container[int],
    advice: str,
    max_bytes: int = MAX_BYTES,
) -> np.ndarray:
    """The array in the bytes of a `.npy` file; it shares their memory.

    Args:
      path: for messages.
      data: all of the file, or of a member of an archive.
      name: that of the member, for messages.
      dtypes: accepted types of its values, such as "<f4".
      ranks: accepted numbers of axes.
      advice: what to save instead of another type or rank, the end of a sentence.
      max_bytes: the most its values may take.

    Raises:
      DepthsiError: another type or number of axes, or too large.
      Exception: any exception, if the bytes are damaged.
    """
    what = name or "it"
    if not data.startswith(SIGNATURE):
        raise ValueError(f"{what} is not a NumPy array")
    start = 10 if data[6] == 1 else 12  # version 1 has the shorter length field
    end = start + int.from_bytes(data[8:start], "little")
    header = HEADER.fullmatch(data[start:end].decode("latin1")) if end <= MAX_HEADER else None
    if header is None or None in header.groups():
        raise ValueError(f"{what} has a header that is not that of one array of numbers")
    dtype, fortran, sides = header.groups()
    shape = tuple(int(side.strip().removesuffix("L")) for side in sides.split(",") if side.strip())
    holds = f"{path} holds {f'{name} as ' if name else ''}{dtype} of shape {shape}"
    if dtype not in dtypes or len(shape) not in ranks:
        raise DepthsiError(f"{holds}; {advice}.")
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if needed > max_bytes:
        raise DepthsiError(f"{holds}: over the {max_bytes} bytes accepted.")
    if len(data) - end != needed:
        raise ValueError(f"{what} has {len(data) - end} bytes of values, not {needed}")
    order = "F" if fortran == "True" else "C"
    return np.frombuffer(data, dtype, offset=end).reshape(shape, order=order)
