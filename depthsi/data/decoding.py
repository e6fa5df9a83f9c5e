"""Reads picture and depth files.

Safe to call from several threads: nothing global, such as the list of warning filters, is touched.
"""

import contextlib
import io
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from depthsi.data.samples import valid_depth
from depthsi.errors import DepthsiError

PathLike = str | os.PathLike[str]

DEPTH_SUFFIXES = (".png", ".npy")
UNITS_PER_METRE = (1e-3, 1e8)  # beyond them every uint16 is over 1000 m or under 1 mm
MAX_PIXELS = 89_478_485  # where Pillow, too, begins to suspect a decompression bomb
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
JPEG_EXIF = re.compile(rb"(\xff\xe1..)Exif\0", re.DOTALL)  # these markers never occur in pixel data
NPY_SIGNATURE = b"\x93NUMPY"
NPY_HEADER = re.compile(
    r"\{'descr': *'([^']+)', *'fortran_order': *(True|False), *'shape': *\(([\d, ]*)\),? *\}\s*"
)


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
    data = _contents(path)
    with _decoding(path):
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
    path: PathLike, units_per_metre: float | int | None = None
) -> Float32[np.ndarray, "h w"]:
    """Decodes a depth map to metres; every missing depth (0, negative, NaN, inf) becomes 0.

    Args:
      path: a 16-bit greyscale `.png`, or a `.npy` with a float32 (H, W) array of metres.
      units_per_metre: the PNG's value for one metre, for instance 1000 if it counts millimetres;
        None for `.npy`.

    Raises:
      DepthsiError: the file is missing, unreadable, damaged or cut short, too large, of another
        kind, or does not hold one channel of the stated type.
      ValueError: `units_per_metre` is missing, superfluous or outside `UNITS_PER_METRE`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in DEPTH_SUFFIXES:
        raise DepthsiError(f"{path}: depth is read from {' or '.join(DEPTH_SUFFIXES)}; convert it.")
    if suffix == ".npy":
        if units_per_metre is not None:
            raise ValueError(f"`units_per_metre` (={units_per_metre}) must be None for {path}")
        depth = _read_npy(path)
    else:
        low, high = UNITS_PER_METRE
        if units_per_metre is None or not low <= units_per_metre <= high:
            raise ValueError(f"`units_per_metre` (={units_per_metre}) must be in {low}..{high}")
        depth = _read_png16(path) / np.float64(units_per_metre)
    return np.where(valid_depth(depth), depth, 0).astype(np.float32)


def _read_png16(path: PathLike) -> np.ndarray:
    data = _contents(path)
    with _decoding(path):
        image = _open_png(path, data)
        if image.mode != "I;16":
            raise DepthsiError(
                f"{path} is of Pillow's mode {image.mode} (8 bits per channel, or colour), which "
                "is too coarse for depth; save it as 16-bit greyscale PNG or float32 .npy."
            )
        return np.array(image)


def _read_npy(path: PathLike) -> np.ndarray:
    # Not by np.load: of a damaged header it warns, or allocates whatever size stands there, and
    # surplus bytes do not disturb it.
    data = _contents(path)
    with _decoding(path):
        if not data.startswith(NPY_SIGNATURE):
            raise DepthsiError(f"{path} is not a .npy file; convert it or correct its name.")
        start = 10 if data[6] == 1 else 12  # version 1 has the shorter length field
        end = start + int.from_bytes(data[8:start], "little")
        header = NPY_HEADER.fullmatch(data[start:end].decode("latin1"))
        if header is None:
            raise ValueError("its header is not that of one array of numbers")
        dtype, fortran, shape = header.groups()
        sides = [int(side) for side in shape.split(",") if side.strip()]
        if dtype not in ("<f4", ">f4") or len(sides) != 2:
            raise DepthsiError(
                f"{path} holds {dtype} of shape ({shape}); save float32 metres of shape (H, W)."
            )
        values = np.frombuffer(data, dtype, offset=end)
        return values.reshape(sides, order="F" if fortran == "True" else "C")


def _contents(path: PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DepthsiError(f"{path} does not exist; check its name.") from None
    except (OSError, ValueError) as error:  # ValueError: a name no file can have
        raise DepthsiError(f"{path} cannot be opened ({error}); check the file.") from error


@contextlib.contextmanager
def _decoding(path: PathLike) -> Iterator[None]:
    """Names the file in whatever a decoder raises on damaged bytes, which can be any exception."""
    try:
        yield
    except (DepthsiError, MemoryError):
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise DepthsiError(f"{path} is damaged or cut short ({reason}); replace it.") from error


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
    if image.width * image.height > MAX_PIXELS:
        raise DepthsiError(
            f"{path} has {image.height}x{image.width} pixels, more than the {MAX_PIXELS} "
            "accepted; reduce it first."
        )
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
