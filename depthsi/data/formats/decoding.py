"""Reads depth files; images are read by `depthsi.data.formats.images`.

Safe to call from several threads: nothing global, such as the list of warning filters, is touched.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from depthsi.data.formats.exr import parse_exr
from depthsi.data.formats.images import read_image as read_image
from depthsi.data.formats.missing import NO_LIMITS, DepthLimits, say_if_doubtful, unmeasured
from depthsi.data.formats.numpy_files import parse_npy, parse_npz
from depthsi.data.formats.png import open_png
from depthsi.data.formats.portable_maps import parse_portable_map
from depthsi.data.formats.sun_rgbd import unrotated_map
from depthsi.data.formats.tiff import parse_tiff
from depthsi.errors import DepthsiError
from depthsi.files import PathLike, contents, decoding
from depthsi.valid import valid_depth

UNITS_PER_METRE = (1e-3, 1e8)  # beyond them every uint16 is over 1000 m or under 1 mm


def read_depth(
    path: PathLike,
    units_per_metre: float | int | None = None,
    *,
    assumed: float | int | None = None,
    limits: DepthLimits = NO_LIMITS,
    sun_rgbd: bool = False,
) -> Float32[np.ndarray, "h w"]:
    """Decodes a depth map to metres; every missing depth becomes 0.

    Missing are 0, negative, NaN and inf; what `limits` says; and, if it names no values, what
    `unmeasured` recognises.

    Args:
      path: of one of `DEPTH_SUFFIXES`. `.png`: 16-bit greyscale; `.npy`, `.npz`: one (H, W) array
        of uint16 or a float kind; `.tif`, `.tiff`: one page of uint16, int32 or float32; `.exr`:
        one float channel, by OpenEXR; `.pfm`: one channel; `.pgm`: binary, 16 bits. Floats are
        metres.
      units_per_metre: the value for one metre, for instance 1000 if a file counts millimetres;
        None for a file of floats.
      assumed: the same for a file of integers if `units_per_metre` is None.
      limits: which numbers are depth, by what the user says.
      sun_rgbd: 16-bit integers are in the coding of SUN RGB-D.

    Raises:
      DepthsiError: the file is missing, unreadable, damaged or cut short, too large, of another
        kind, or does not have a single channel of a type named above; or it has integers without a
        unit, or floats with one.
      ValueError: a unit outside `UNITS_PER_METRE`, or none for a PNG.

    Example:
      >>> read_depth("depth.png", units_per_metre=1000).dtype  # doctest: +SKIP
      dtype('float32')
    """
    low, high = UNITS_PER_METRE
    suffix = Path(path).suffix.lower()
    for name, units in (("units_per_metre", units_per_metre), ("assumed", assumed)):
        if not (units is None or low <= units <= high):
            raise ValueError(f"`{name}` (={units}) must be in {low}..{high}")
    if suffix == ".png" and units_per_metre is None and assumed is None:
        raise ValueError(f"`units_per_metre` (=None) must be in {low}..{high} for {path}")
    stored = stored_depth(path)
    numbers = unrotated_map(path, stored) if sun_rgbd else stored
    whole_numbers = stored.dtype.kind != "f"
    units = assumed if units_per_metre is None and whole_numbers else units_per_metre
    if whole_numbers and units is None:
        raise DepthsiError(
            f"{path} has {stored.dtype} values, not metres; give the value of one metre."
        )
    if not whole_numbers and units not in (None, 1):
        raise DepthsiError(
            f"{path} has {stored.dtype} values, which are read as metres, but its unit is given as "
            f"{units:g} per metre; leave the unit empty, or convert the file."
        )
    with np.errstate(all="ignore"):  # overflow to inf, and odd NaN, are missing depth
        depth = (numbers / np.float64(units) if whole_numbers else stored).astype(np.float32)
    gone = limits.outside(stored, depth)
    if not limits.missing:
        gone |= (marked := unmeasured(stored))
        say_if_doubtful(path, stored, marked)
    return np.where(valid_depth(depth) & ~gone, depth, np.float32(0))


def stored_depth(path: PathLike) -> np.ndarray:
    """The (H, W) numbers of a depth file as they stand there, whole or floats.

    Raises:
      DepthsiError: as `read_depth`, units apart.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in DEPTH_SUFFIXES:
        kinds = ", ".join(DEPTH_SUFFIXES)
        raise DepthsiError(f"{path}: depth is read from {kinds}; convert it.")
    data = contents(path)
    with decoding(path):
        return PARSERS[suffix](path, data)


def _parse_png16(path: PathLike, data: bytes) -> np.ndarray:
    image = open_png(path, data)
    if image.mode != "I;16":
        raise DepthsiError(
            f"{path} is of Pillow's mode {image.mode} (8 bits per channel, or colour), which "
            "is too coarse for depth; save it as 16-bit greyscale PNG or float32 .npy."
        )
    return np.array(image)


PARSERS = {
    ".png": _parse_png16,
    ".npy": parse_npy,
    ".npz": parse_npz,
    ".tif": parse_tiff,
    ".tiff": parse_tiff,
    ".exr": parse_exr,
    ".pfm": parse_portable_map,
    ".pgm": parse_portable_map,
}
DEPTH_SUFFIXES = tuple(PARSERS)
