"""Depth maps in OpenEXR files, read by the library OpenEXR from the extra `data`.

The library decodes all channels, and takes whatever size or number of things a header claims, so
the headers are looked at before it decodes anything.
"""

import io
import struct
from typing import Any, NamedTuple

import numpy as np

from depthsi.errors import DepthsiError
from depthsi.files import MAX_BYTES, PathLike, check_pixels

SIGNATURE = b"\x76\x2f\x31\x01"
# Not HTJ2K and LJ2K: of damaged files, their decoder in OpenEXR 3.5.3 writes beyond its buffers.
COMPRESSIONS = ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB", "ZSTD")
SEVERAL_PARTS = 0x10  # a flag in the sixth byte
NOTHING = 1e10  # what Blender writes where it sees nothing
NOTHING_IN_HALF = 65504  # as above, cut down to the largest float16

# Of larger ones the library makes minutes of work, or a line on standard error for each piece.
MAX_HEADERS = 2**22  # bytes
MAX_ATTRIBUTES = 2**12
MAX_CHANNEL_LIST = 2**16  # bytes
MAX_PIECES = 2**17  # rows or tiles


class Channel(NamedTuple):
    """Where a channel is in the file, and its name with that of its part."""

    part: int
    name: str
    full_name: str
    sampling: tuple[int, int]


def parse_exr(path: PathLike, data: bytes) -> np.ndarray:
    """The (H, W) float32 array in the bytes of an EXR file; 0 where Blender saw nothing.

    It is the only channel; or the only one with a part Depth in its name, such as
    `ViewLayer.Depth.Z`; or Z; or the only one whose last part is Z, such as `ViewLayer.Z`, unless
    it is beside X and Y, as in a normal, or is Mist, which is no distance. In a file of several
    parts, the name of the part comes before that of the channel.

    Raises:
      DepthsiError: OpenEXR is not installed; not an EXR file; deep pixels; a compression outside
        `COMPRESSIONS`; a data window that is not the whole image; no such channel, or a
        subsampled one, or not a float one; too large.
      Exception: any exception, if the bytes are damaged; the library also prints what it finds.
    """
    if not data.startswith(SIGNATURE):
        raise DepthsiError(f"{path} is not an EXR file; convert it or correct its name.")
    try:
        import OpenEXR
    except ModuleNotFoundError:
        raise DepthsiError(
            f"{path}: reading EXR needs OpenEXR; install it with pip install 'depthsi[data]'."
        ) from None
    _check_headers(data)
    # Without threads of its own, which several readers would share.
    options = {"separate_channels": True, "num_threads": 0}
    with OpenEXR.File(io.BytesIO(data), header_only=True, **options) as file:
        headers = [part.header for part in file.parts]
        _check_parts(path, headers, len(data))
        channel = _depth_channel(path, headers)
    with OpenEXR.File(io.BytesIO(data), **options) as file:
        if len(file.parts) < len(headers):  # it leaves out those that it fails to decode
            raise ValueError("pixels that cannot be decoded")
        depth = file.channels(channel.part)[channel.name].pixels
    if depth.dtype.kind != "f":
        raise DepthsiError(f"{path} has integers; save float metres.")
    nothing = NOTHING_IN_HALF if depth.dtype == np.float16 else NOTHING
    return np.where(depth < nothing, depth, 0).astype(np.float32)


def _check_headers(data: bytes) -> None:
    """Raises ValueError or struct.error unless the headers are small, also in number."""
    at, several = 8, data[5] & SEVERAL_PARTS
    for _ in range(MAX_ATTRIBUTES):
        if data[at] == 0:  # the end of a header, or of all
            at += 1
            if not several or data[at] == 0:
                return
        kind = data.index(0, at) + 1
        size_at = data.index(0, kind) + 1
        (size,) = struct.unpack_from("<i", data, size_at)
        at = size_at + 4 + size
        channels = data.startswith(b"chlist\0", kind)
        if not size_at < at <= MAX_HEADERS or (channels and size > MAX_CHANNEL_LIST):
            break
    raise ValueError("a header that is too long, or does not end")


def _check_parts(path: PathLike, headers: list[dict[str, Any]], stored: int) -> None:
    unpacked, pieces, sizes = 0, 0, []
    for header in headers:
        if header["type"].name not in ("scanlineimage", "tiledimage"):
            raise DepthsiError(f"{path} has deep pixels; save flat ones.")
        compression = header["compression"].name.removesuffix("_COMPRESSION")
        if compression not in COMPRESSIONS:
            raise DepthsiError(
                f"{path} is compressed with {compression}, which is not supported; use ZIP."
            )
        low, high = (corner.tolist() for corner in header["dataWindow"])
        width, height = (last - first + 1 for first, last in zip(low, high, strict=True))
        check_pixels(path, height, width)
        sizes.append((height, width))
        rows, cols = height, 1
        pixels = height * width
        if tile := header.get("tiles"):
            rows, cols = -(-height // tile.ySize), -(-width // tile.xSize)
            pixels = max(pixels, tile.ySize * tile.xSize)
        pieces += rows * cols
        unpacked += pixels * 4 * len(header["channels"])
    if unpacked > MAX_BYTES:
        raise DepthsiError(
            f"{path} unpacks to {unpacked} bytes, more than the {MAX_BYTES} accepted; save the "
            "depth alone."
        )
    if pieces > MAX_PIECES:
        raise DepthsiError(f"{path} has {pieces} rows or tiles, over {MAX_PIECES}; reduce it.")
    for height, width in sizes:
        check_pixels(path, height, width, stored=stored)


def _depth_channel(path: PathLike, headers: list[dict[str, Any]]) -> Channel:
    channels = [
        Channel(i, channel.name, f"{prefix}{channel.name}", (channel.xSampling, channel.ySampling))
        for i, header in enumerate(headers)
        for prefix in [f"{header['name']}." if len(headers) > 1 else ""]
        for channel in header["channels"]
    ]
    parts = [tuple(channel.full_name.lower().split(".")) for channel in channels]
    there = set(parts)

    def is_z(part: tuple[str, ...]) -> bool:
        vector = all((*part[:-1], axis) in there for axis in "xy")
        return part[-1] == "z" and not vector and "mist" not in part

    named_z = [i for i, part in enumerate(parts) if is_z(part)]
    by_rank = (
        [i for i, part in enumerate(parts) if "depth" in part],
        [i for i in named_z if len(parts[i]) == 1],
        named_z,
    )
    found = range(1) if len(channels) == 1 else next(filter(None, by_rank), [])
    if len(found) != 1:
        names = ", ".join(channel.full_name for channel in channels)
        raise DepthsiError(f"{path} has the channels {names[:500]}; call the depth Z.")
    chosen = channels[found[0]]
    if chosen.sampling != (1, 1):
        raise DepthsiError(f"{path} has a subsampled {chosen.full_name}; save it in full.")
    window, whole = (headers[chosen.part][name] for name in ("dataWindow", "displayWindow"))
    if not np.array_equal(window, whole):
        raise DepthsiError(f"{path} has only a part of the image; save all of it.")
    return chosen
