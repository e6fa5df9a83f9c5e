"""Depth maps in OpenEXR files: one part of scan lines, uncompressed or ZIP.

The wheels of OpenCV are built without OpenEXR, so the few fields a depth map needs are read here,
as the document "OpenEXR File Layout" describes them.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from depthsi.errors import DepthsiError
from depthsi.files import PathLike, check_pixels

SIGNATURE = b"\x76\x2f\x31\x01"
COMPRESSIONS = ("none", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB")
LINES = {0: 1, 2: 1, 3: 16}  # scan lines in a block of each compression that is read
PIXEL_TYPES = {0: "<u4", 1: "<f2", 2: "<f4"}
NOTHING = 1e10  # what Blender writes where it sees nothing


class Channel(NamedTuple):
    """Name and NumPy type of one channel."""

    name: str
    dtype: np.dtype


def parse_exr(path: PathLike, data: bytes) -> np.ndarray:
    """The (H, W) float32 array in the bytes of an EXR file; 0 where Blender saw nothing.

    It is the only channel, or else the only one called Z, or whose name has a last part Z or a part
    Depth, as in `ViewLayer.Depth.Z`.

    Raises:
      DepthsiError: not an EXR file; tiles, deep pixels, several parts, subsampling or another
        compression; a data window that is not the whole picture; no such channel, or not a float
        one; too large.
      Exception: of any kind, where the bytes are damaged.
    """
    if not data.startswith(SIGNATURE):
        raise DepthsiError(f"{path} is not an EXR file; convert it or correct its name.")
    if data[4] != 2 or data[5] & ~0x04:  # 4 only allows long names
        raise DepthsiError(f"{path} is not an EXR of one part of scan lines; convert it.")
    header, start = _header(data)
    (compression,) = header["compression"]
    if compression not in LINES:
        name = COMPRESSIONS[compression]
        raise DepthsiError(f"{path} is compressed by {name}, which is not read; save it with ZIP.")
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    height, width = bottom - top + 1, right - left + 1
    check_pixels(path, height, width)
    if header["dataWindow"] != header["displayWindow"]:
        raise DepthsiError(f"{path} holds only a part of the picture; save all of it.")
    channels = _channels(path, header["channels"])
    chosen = _depth_channel(path, channels)
    before = sum(channel.dtype.itemsize for channel in channels[:chosen]) * width
    line = sum(channel.dtype.itemsize for channel in channels) * width
    dtype = channels[chosen].dtype
    depth = np.empty((height, width), np.float32)
    for row, lines in _blocks(data, start, compression, height, line, top):
        pixels = lines[:, before : before + width * dtype.itemsize]
        depth[row : row + len(lines)] = np.ascontiguousarray(pixels).view(dtype)
    return np.where(depth < NOTHING, depth, np.float32(0))


def _header(data: bytes) -> tuple[dict[str, bytes], int]:
    """The attributes' bytes by name, and where the blocks' table begins."""
    attributes: dict[str, bytes] = {}
    at = 8
    while data[at] != 0:
        end = data.index(0, at)
        kind_end = data.index(0, end + 1)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        start = kind_end + 5
        if size < 0 or start + size >= len(data):
            raise ValueError("an attribute beyond its end")
        attributes[data[at:end].decode("latin1")] = data[start : start + size]
        at = start + size
    return attributes, at + 1


def _channels(path: PathLike, data: bytes) -> list[Channel]:
    channels, at = [], 0
    while data[at] != 0:
        end = data.index(0, at)
        kind, _, across, down = struct.unpack_from("<4i", data, end + 1)
        if (across, down) != (1, 1):
            raise DepthsiError(f"{path} has a subsampled channel; save it in full.")
        name = data[at:end].decode("latin1")
        channels.append(Channel(name, np.dtype(PIXEL_TYPES[kind])))
        at = end + 17
    return channels


def _depth_channel(path: PathLike, channels: list[Channel]) -> int:
    names = [channel.name for channel in channels]
    parts = [name.lower().split(".") for name in names]
    found = [i for i, part in enumerate(parts) if part[-1] == "z" or "depth" in part]
    found = [0] if len(channels) == 1 else found
    if len(found) != 1:
        raise DepthsiError(f"{path} has the channels {', '.join(names)}; call the depth Z.")
    if channels[found[0]].dtype.kind != "f":
        raise DepthsiError(f"{path} holds whole numbers; save float metres.")
    return found[0]


def _blocks(
    data: bytes, start: int, compression: int, height: int, line: int, top: int
) -> Iterator[tuple[int, np.ndarray]]:
    """First row and uint8 (lines, bytes of a line) of every block."""
    step = LINES[compression]
    count = -(-height // step)
    seen = set()
    for place in struct.unpack_from(f"<{count}Q", data, start):
        first, size = struct.unpack_from("<ii", data, place)
        row = first - top
        if row in seen or row % step or not 0 <= row < height:
            raise ValueError(f"a block at line {first}")
        seen.add(row)
        expected = min(step, height - row) * line
        block = data[place + 8 : place + 8 + size]
        whole = size == expected
        if len(block) != size or not (whole or (compression and 0 <= size < expected)):
            raise ValueError("a block of the wrong size")
        if not whole:  # a block that compression would make larger is stored as it is
            block = _unzipped(block, expected)
        yield row, np.frombuffer(block, np.uint8).reshape(-1, line)


def _unzipped(block: bytes, expected: int) -> bytes:
    """Undoes ZIP: bytes are stored as differences, those at even places before the others."""
    unpacker = zlib.decompressobj()
    coded = np.frombuffer(unpacker.decompress(block, expected + 1), np.uint8)
    if len(coded) != expected or not unpacker.eof:
        raise ValueError("a block of the wrong size")
    steps = coded.astype(np.int64)
    steps[1:] -= 128
    values = np.cumsum(steps).astype(np.uint8)
    half = (expected + 1) // 2
    plain = np.empty(expected, np.uint8)
    plain[0::2], plain[1::2] = values[:half], values[half:]
    return plain.tobytes()
