"""Writing what is predicted of a video: an mp4 of pictures, folders of numbered frames."""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from depthsi.data.formats.video import require_av
from depthsi.errors import DepthsiError
from depthsi.files import replacing
from depthsi.viz.depth_maps import WIDE, colour_depth
from depthsi.viz.save_depth import FORMATS, DepthMap

MOVIES = ("colour", "panel")  # kinds that are one mp4
FRAMES = ("png16", "npy", "exr", "ply")  # kinds that are one file for each frame
NUMBERED = re.compile(r"\d{6,}\.(png|npy|exr|ply)")
ENCODER = {"crf": "18", "preset": "veryfast"}  # hardly to be told from the pictures, and quick
BT709, LIMITED = 1, 1  # how FFmpeg numbers the colours of HD video, and their range


def movie_picture(kind: str, it: DepthMap) -> UInt8[np.ndarray, "h w 3"]:
    """The picture of one frame in an mp4 of a kind of `MOVIES`.

    colour is the map in colour; panel has the frame beside it, above it where frames are wide.
    """
    coloured = colour_depth(it.depth, limits=it.colours.limits, cmap=it.colours.cmap)
    if kind == "colour":
        return coloured
    stacked = it.image.shape[1] > WIDE * it.image.shape[0]
    return np.concatenate([it.image, coloured], axis=0 if stacked else 1)


@contextlib.contextmanager
def movie(
    path: Path, rate: Fraction, time_base: Fraction
) -> Iterator[Callable[[UInt8[np.ndarray, "h w 3"], int], None]]:
    """An mp4 (H.264, no sound) that appears at `path` if nothing goes wrong.

    Args:
      path: in an existing directory.
      rate: frames per second, on average.
      time_base: seconds, of which time stamps are multiples.

    Returns:
      What adds a picture, all of one size, with its time stamp. A last row or column is repeated
      where their number is odd, which H.264 does not do.

    Raises:
      DepthsiError: PyAV is not installed.
      OSError: the file cannot be written.
    """
    av = require_av(path)
    with (
        replacing(path) as file,
        _without_detour(av.FFmpegError),
        av.open(file, "w", format="mp4") as container,
    ):
        stream = container.add_stream("libx264", rate=rate, options=ENCODER)
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.colorspace = stream.codec_context.color_primaries = BT709
        stream.codec_context.color_trc, stream.codec_context.color_range = BT709, LIMITED

        def add(picture: np.ndarray, at: int) -> None:
            height, width = picture.shape[:2]
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
            if not stream.codec_context.is_open:
                stream.height, stream.width = even.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = at, time_base
            container.mux(stream.encode(frame))

        yield add
        container.mux(stream.encode())


@contextlib.contextmanager
def _without_detour(detour: type[Exception]) -> Iterator[None]:
    """Raises what went wrong with a file, such as a full disk, not what FFmpeg makes of it."""
    try:
        yield
    except detour as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


@contextlib.contextmanager
def numbered_frames(folder: Path, kind: str) -> Iterator[Callable[[DepthMap], None]]:
    """A folder of files 000000.png, 000001.png ... that appears if nothing goes wrong.

    Args:
      folder: in an existing directory; one that an earlier call made is replaced.
      kind: of `FRAMES`.

    Returns:
      What writes the next frame.

    Raises:
      DepthsiError: there is something else at `folder`.
      OSError: a file cannot be written.
    """
    _check_ours(folder)
    ending, write = FORMATS[kind]
    suffix, count = Path(ending).suffix, 0
    new, old = (folder.with_name(f".{folder.name}.{which}") for which in ("tmp", "old"))
    for left in (new, old):  # by a process that was killed
        if left.is_dir():
            shutil.rmtree(left)
    new.mkdir()

    def add(depth_map: DepthMap) -> None:
        nonlocal count
        write(new / f"{count:06}{suffix}", depth_map)
        count += 1

    try:
        yield add
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _check_ours(folder: Path) -> None:
    """Raises DepthsiError unless `folder` is free, or holds numbered frames alone."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DepthsiError(f"{folder} is where frames go, but not a folder: remove it.")
    if folder.is_dir():
        for file in folder.iterdir():
            if not NUMBERED.fullmatch(file.name):
                raise DepthsiError(
                    f"{folder} is where frames go, but holds {file.name} as well: move that away,"
                    " or choose another --out."
                )
