"""Depth maps in NumPy's files, `.npy` and `.npz`, without its reader.

Of a damaged header `np.load` warns, or allocates whatever size stands there, surplus bytes do not
disturb it, and what a member of an archive unpacks to is known only afterwards. Nothing here can
unpickle.
"""

import io
import re
import zipfile

import numpy as np

from depthsi.errors import DepthsiError
from depthsi.files import MAX_PIXELS, PathLike, check_pixels

SIGNATURE = b"\x93NUMPY"
HEADER = re.compile(
    r"\{'descr': *'([^']+)', *'fortran_order': *(True|False), *'shape': *\(([\d, ]*)\),? *\}\s*"
)
DTYPES = tuple(order + kind for order in "<>" for kind in ("f2", "f4", "f8", "u2"))
MEMBER = "depth"  # of an archive with several arrays


def parse_npy(path: PathLike, data: bytes) -> np.ndarray:
    """The (H, W) array in the bytes of a `.npy` file: a float kind or uint16.

    Raises:
      DepthsiError: not a `.npy` file, or another shape or type.
      Exception: of any kind, where the bytes are damaged.
    """
    if not data.startswith(SIGNATURE):
        raise DepthsiError(f"{path} is not a .npy file; convert it or correct its name.")
    start = 10 if data[6] == 1 else 12  # version 1 has the shorter length field
    end = start + int.from_bytes(data[8:start], "little")
    header = HEADER.fullmatch(data[start:end].decode("latin1"))
    if header is None:
        raise ValueError("its header is not that of one array of numbers")
    dtype, fortran, shape = header.groups()
    sides = [int(side) for side in shape.split(",") if side.strip()]
    if dtype not in DTYPES or len(sides) != 2:
        raise DepthsiError(
            f"{path} holds {dtype} of shape ({shape}); save float32 metres of shape (H, W)."
        )
    check_pixels(path, *sides)
    values = np.frombuffer(data, dtype, offset=end)
    return values.reshape(sides, order="F" if fortran == "True" else "C")


def parse_npz(path: PathLike, data: bytes) -> np.ndarray:
    """The only array in the bytes of a `.npz` archive, or the one called `depth`.

    Raises:
      DepthsiError: no such array, one that unpacks to more than any depth map, or whatever
        `parse_npy` refuses.
      Exception: of any kind, where the bytes are damaged.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = next(iter(members)) if len(members) == 1 else MEMBER
        if chosen not in members or len(archive.infolist()) != len(members):
            raise DepthsiError(
                f"{path} holds the arrays {', '.join(sorted(members)) or 'none'}; "
                f"call the depth {MEMBER!r} or save it alone."
            )
        limit = 8 * MAX_PIXELS + 2**16  # the widest type, and a header
        with archive.open(members[chosen]) as member:
            # Reading to the end is what compares the checksum; a size in the archive may lie.
            values = member.read(limit + 1)
            if len(values) > limit or member.read(1):
                raise DepthsiError(f"{path} unpacks to over {limit} bytes; reduce it first.")
    return parse_npy(path, values)
