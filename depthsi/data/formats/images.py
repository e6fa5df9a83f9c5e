"""Reads photos in all common formats as 8-bit RGB.

Safe to call from several threads: nothing global, such as the list of warning filters, is touched.
"""

import io
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.WebPImagePlugin import WebPImageFile

from depthsi.camera import Photo, focal_from_35mm
from depthsi.data.formats import jpeg, png
from depthsi.data.formats.exif import focal_35mm
from depthsi.data.formats.orientation import UPRIGHT, exif_orientation, turned_upright
from depthsi.data.formats.tiff import SIGNATURES as TIFF_SIGNATURES
from depthsi.data.formats.tiff import open_tiff
from depthsi.errors import DepthsiError, warn_once
from depthsi.files import PathLike, check_pixels, contents, decoding

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif")
MODES = ("1", "L", "P", "RGB", "LA", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "I;16", "I;16B")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
BMP_PLAIN = (0, 3)  # kinds of compression: none, and none with other masks


class Opened(NamedTuple):
    """An image that is not decoded yet, which way up it is, as EXIF counts, and that EXIF."""

    image: Image.Image
    orientation: int = UPRIGHT
    deep: bool = False  # its channels have 16 bits, of which Pillow keeps 8
    exif: bytes = b""


def read_image(path: PathLike, *, exif: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes a JPEG, PNG, WebP, BMP, TIFF or HEIC image to RGB.

    Greyscale becomes three equal channels, 16 bits are scaled to 8, a palette is looked up, CMYK
    is converted without a colour profile, transparency is dropped, and of several images the
    first is taken. What is lost by that is said by one warning of each kind in a process.

    Args:
      path: the file; its content, not its name, decides what it is.
      exif: turn the image upright as its EXIF orientation says. Not for training pairs: their
        depth maps have no such tag and would stay as they are. TIFF and HEIC are always upright.

    Raises:
      DepthsiError: the file is missing, unreadable, damaged or cut short, of no such kind, too
        large, of other channels, or HEIC where pillow-heif is not installed.

    Example:
      >>> read_image("photo.jpg", exif=True).shape  # doctest: +SKIP
      (480, 640, 3)
    """
    return decode_image(contents(path), path, exif=exif)


def decode_image(data: bytes, path: PathLike, *, exif: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """Like `read_image`, of the bytes of a file.

    Args:
      data: the whole file.
      path: what messages call it.
      exif: as for `read_image`.

    Raises:
      DepthsiError: as `read_image`.
    """
    pixels, opened = _decoded(data, path)
    return turned_upright(pixels, opened.orientation) if exif else pixels


def read_photo(path: PathLike) -> Photo:
    """Like `read_image`, upright, with the focal length if EXIF has it as that of 35 mm film.

    TIFF is not asked for it.
    """
    pixels, opened = _decoded(contents(path), path)
    focal = focal_from_35mm(focal_35mm(opened.exif), pixels.shape[:2])
    return Photo(turned_upright(pixels, opened.orientation), focal)


def _decoded(data: bytes, path: PathLike) -> tuple[np.ndarray, Opened]:
    """The pixels as they are stored, and where they are from."""
    with decoding(path):
        opened = _open(path, data)
        if opened.image.mode not in MODES:
            raise DepthsiError(
                f"{path} is of Pillow's mode {opened.image.mode}; save it as 8-bit RGB."
            )
        pixels, lost = _converted(opened)
    for what in lost:
        warn_once(what, f"{path}: {what} (shown for the first such image only).")
    return pixels, opened


def _open(path: PathLike, data: bytes) -> Opened:
    if data.startswith(jpeg.SIGNATURE):
        image, block = jpeg.open_jpeg(path, data)
        return Opened(image, exif_orientation(block), exif=block)
    if data.startswith(png.SIGNATURE):
        image = png.open_png(path, data)
        deep = data[png.BITS_AT] == 16
        block = image.info.get("exif", b"")
        return Opened(image, exif_orientation(block), deep, block)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        check_pixels(path, *_webp_size(data), stored=len(data))
        image = WebPImageFile(io.BytesIO(data))
        check_pixels(path, image.height, image.width, stored=len(data))
        block = image.info.get("exif", b"")
        return Opened(image, exif_orientation(block), exif=block)
    if data[:2] == b"BM":
        image = BmpImageFile(io.BytesIO(data))
        check_pixels(path, image.height, image.width, stored=len(data))
        if image.info.get("compression", 0) not in BMP_PLAIN:
            raise DepthsiError(f"{path} is a compressed BMP; save it as PNG.")
        return Opened(image)
    if data[:4] in TIFF_SIGNATURES:
        image = open_tiff(path, data)
        bits = image.tag_v2.get(258, (8,))
        return Opened(image, deep=image.mode != "I;16" and max(bits) == 16)
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        image = _open_heif(path, data)
        return Opened(image, exif=image.info.get("exif") or b"")
    raise DepthsiError(
        f"{path} is neither JPEG nor PNG, WebP, BMP, TIFF or HEIC; convert it to one of them."
    )


def _open_heif(path: PathLike, data: bytes) -> Image.Image:
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise DepthsiError(
            f"{path}: reading HEIC needs pillow-heif; install it with pip install pillow-heif, or"
            " convert the photo to JPEG."
        ) from None
    picture = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    width, height = picture.size
    check_pixels(path, height, width, stored=len(data))
    return picture.to_pillow()


def _webp_size(data: bytes) -> tuple[int, int]:
    """(H, W) of the canvas, for which the decoder takes memory when it is made."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    else:
        raise ValueError("no image at its start")
    return height, width


def as_rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """An image that Pillow has opened or made, converted as `read_image` converts."""
    return _converted(Opened(image))[0]


def _converted(opened: Opened) -> tuple[np.ndarray, list[str]]:
    """The image as 8-bit RGB, and a description of what this drops."""
    image, lost = opened.image, []
    if getattr(image, "n_frames", 1) > 1:
        lost.append("only the first of its images is read")
    if image.mode.startswith("I;16") or opened.deep:
        lost.append("its 16 bits are scaled to 8")
    if image.mode == "CMYK":
        lost.append("its CMYK is converted to RGB without a colour profile")
    if image.mode.startswith("I;16"):
        grey = np.array(image).astype(np.uint32)  # Pillow would clip what is over 255
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, axis=2), lost
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            lost.append("its transparency is dropped")
    return np.array(image if image.mode == "RGB" else image.convert("RGB")), lost


def image_uint8(array: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """An RGB image (H, W, 3), uint8 in 0..255 or floats in 0..1, as uint8.

    Raises:
      DepthsiError: it is neither, and how to make it one.
    """
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise DepthsiError(
            f"An image must have shape (H, W, 3), not {array.shape}{_remedy(array)}."
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind != "f":
        raise DepthsiError(f"An image must be uint8 (0..255) or floats (0..1), not {array.dtype}.")
    if not (array.min() >= 0 and array.max() <= 1):  # NaN fails too
        raise DepthsiError(
            f"An image of floats must be in 0..1, but this one ranges from {array.min():g} to"
            f" {array.max():g}: convert 0..255 to uint8, and undo any other normalisation."
        )
    return np.round(array * 255).astype(np.uint8)


def _remedy(array: np.ndarray) -> str:
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1):
        return ": repeat a grey image three times along a last axis"
    if array.ndim == 3 and array.shape[0] == 3:
        return ": move the channels last, image.transpose(1, 2, 0)"
    if array.ndim == 3 and array.shape[2] == 4:
        return ": drop the alpha channel, image[..., :3]"
    return ": give several images to predictor.batch" if array.ndim == 4 else ""
