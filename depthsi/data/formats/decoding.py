"""Reads picture and depth files.

Safe to call from several threads: nothing global, such as the list of warning filters, is touched.
"""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from depthsi.data.formats.exr import parse_exr
from depthsi.data.formats.missing import NO_LIMITS, DepthLimits, say_if_doubtful, unmeasured
from depthsi.data.formats.numpy_files import parse_npy, parse_npz
from depthsi.data.formats.sun_rgbd import unrotated_map
from depthsi.data.formats.tiff import parse_tiff
from depthsi.errors import DepthsiError
from depthsi.files import PathLike, check_pixels, contents, decoding
from depthsi.valid import valid_depth

UNITS_PER_METRE = (1e-3, 1e8)  # beyond them every uint16 is over 1000 m or under 1 mm
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
JPEG_EXIF = re.compile(rb"(\xff\xe1..)Exif\0", re.DOTALL)  # these markers never occur in pixel data


def read_image(path: PathLike, *, exif: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes a JPEG or PNG picture to RGB.

    Greyscale becomes three equal channels, a palette is looked up, an alpha channel is dropped if
    it is opaque everywhere.

    Args:
      path: the file; its content, not its name, decides between JPEG and PNG.
      exif: turn the picture upright as its EXIF orientation says. Not for training pairs: their
        depth maps have no such tag and would stay as they are.

    Raises:
      DepthsiError: the file is missing, unreadable, damaged or cut short, neither JPEG nor PNG,
        too large, not 8-bit grey or RGB, or partly transparent.
    """
    data = contents(path)
    with decoding(path):
        if data.startswith(JPEG_SIGNATURE):
            image = _open_jpeg(path, data, exif)
        elif data.startswith(PNG_SIGNATURE):
            image = _open_png(path, data)
        else:
            raise DepthsiError(f"{path} is neither JPEG nor PNG; convert it to one of them.")
        if image.mode not in ("1", "L", "P", "RGB", "LA", "RGBA"):
            raise DepthsiError(f"{path} is of Pillow's mode {image.mode}; save it as 8-bit RGB.")
        if exif:
            image = ImageOps.exif_transpose(image)
        if image.mode in ("LA", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA")
            if np.asarray(image)[..., 3].min() < 255:
                raise DepthsiError(f"{path} is partly transparent; save it without transparency.")
        return np.array(image.convert("RGB"))


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
        one float channel, by OpenEXR. Floats are metres.
      units_per_metre: the value for one metre, for instance 1000 if a file counts millimetres;
        None for a file of floats.
      assumed: the same for a file of whole numbers if `units_per_metre` is None.
      limits: which numbers are depth, by what the user says.
      sun_rgbd: 16-bit whole numbers are in the coding of SUN RGB-D.

    Raises:
      DepthsiError: the file is missing, unreadable, damaged or cut short, too large, of another
        kind, or does not hold one channel of a type named above; whole numbers without a unit, or
        floats with one.
      ValueError: a unit outside `UNITS_PER_METRE`, or none for a PNG.
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
        raise DepthsiError(f"{path} holds {stored.dtype}, not metres; say how many are one metre.")
    if not whole_numbers and units not in (None, 1):
        raise DepthsiError(
            f"{path} holds {stored.dtype}, which is read as metres, but its unit is given as "
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
    image = _open_png(path, data)
    if image.mode != "I;16":
        raise DepthsiError(
            f"{path} is of Pillow's mode {image.mode} (8 bits per channel, or colour), which "
            "is too coarse for depth; save it as 16-bit greyscale PNG or float32 .npy."
        )
    return np.array(image)


def _open_png(path: PathLike, data: bytes) -> Image.Image:
    if not data.startswith(PNG_SIGNATURE):
        raise DepthsiError(f"{path} is not a PNG file; convert it or correct its name.")
    _check_png(data)
    return _checked_size(path, PngImageFile(io.BytesIO(data)))


def _open_jpeg(path: PathLike, data: bytes, exif: bool) -> Image.Image:
    if not exif:  # hidden, because Pillow looks in it for a resolution and warns if it is damaged
        data = JPEG_EXIF.sub(rb"\1Skip\0", data)
    # Not by Image.open, which warns of large pictures and of extras after the first one.
    return _checked_size(path, JpegImageFile(io.BytesIO(data)))


def _checked_size(path: PathLike, image: Image.Image) -> Image.Image:
    check_pixels(path, image.height, image.width)
    return image


def _check_png(data: bytes) -> None:
    """Raises ValueError or struct.error unless a PNG is whole.

    Pillow skips the checksum of pixel data, so changed bits there may decode without complaint.
    """
    start, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(memoryview(data)[start + 4 : end]) != checksum:
            raise ValueError(f"wrong checksum of its block {kind!r}")
        start = end + 4


PARSERS = {
    ".png": _parse_png16,
    ".npy": parse_npy,
    ".npz": parse_npz,
    ".tif": parse_tiff,
    ".tiff": parse_tiff,
    ".exr": parse_exr,
}
DEPTH_SUFFIXES = tuple(PARSERS)
