"""Reads videos one frame after another as RGB of 8 bits, upright, through PyAV, which is FFmpeg.

PyAV is what the extra `video` installs; only the functions here import it. A video is opened as a
file that is at hand, never by its name, which FFmpeg could take for an address, and only as one of
`CONTAINERS`, among which there are no lists of other files.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from depthsi.errors import DepthsiError
from depthsi.files import MAX_PIXELS, PathLike, check_pixels, decoding, open_regular

VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".m4v",
    ".mkv",
    ".webm",
    ".avi",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".m2ts",
    ".3gp",
    ".wmv",
    ".flv",
    ".ogv",
)
CONTAINERS = "mov,matroska,webm,avi,mpeg,mpegts,asf,flv,ogg"  # as FFmpeg calls them
RIFF = b"RIFF"  # first bytes of an AVI file
MATROSKA, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # of a file, and of its body


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame that is decoded, but not yet RGB.

    Attributes:
      at: its time stamp, in units of the video's `time_base` from the first frame.
    """

    at: int
    _decoded: Any

    def rgb(self) -> UInt8[np.ndarray, "H W 3"]:
        """Its pixels, upright as the video says it is to be shown."""
        return _upright(self._decoded.to_ndarray(format="rgb24"), self._decoded)


@dataclasses.dataclass(frozen=True)
class Video:
    """A video that is open.

    Attributes:
      frames: one after another, once; as the file is decoded, DepthsiError where it is damaged, cut
        short, or changes its size.
      rate: frames per second, on average.
      time_base: seconds, of which time stamps are multiples.
      count: how many frames there are by what the file says of itself; None if it does not.
    """

    frames: Iterator[Frame]
    rate: Fraction
    time_base: Fraction
    count: int | None


@contextlib.contextmanager
def open_video(path: PathLike) -> Iterator[Video]:
    """Opens a video; of several video streams it is the first.

    Raises:
      DepthsiError: PyAV is not installed, or the file is missing, damaged, cut short, without a
        video stream, or of too many pixels.
    """
    av = require_av(path)
    with open_regular(path) as file, contextlib.ExitStack() as stack:
        with _decoding(path):
            length = os.fstat(file.fileno()).st_size
            _check_end(_announced_end(file.read(4096)), length)
            file.seek(0)
            container = av.open(file, "r", options={"format_whitelist": CONTAINERS})
            stack.enter_context(container)
        # the picture of a piece of music is called a video stream as well
        covers = av.stream.Disposition.attached_pic
        streams = [each for each in container.streams.video if not each.disposition & covers]
        if not streams:
            raise DepthsiError(f"{path} has no video stream; check the file.")
        stream = streams[0]
        with _decoding(path):
            check_pixels(path, stream.height, stream.width)
            if "mov" in container.format.name:
                _check_end(_indexed_end(stream), length)
            stream.thread_type = "AUTO"
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            rate = _fraction(stream.average_rate) or _fraction(stream.guessed_rate) or Fraction(25)
            time_base = _fraction(stream.time_base) or 1 / rate
        seconds = container.duration / av.time_base if container.duration else 0
        count = stream.frames or round(seconds * rate) or None
        yield Video(
            _frames(path, container, stream, 1 / (rate * time_base)), rate, time_base, count
        )


def require_av(path: PathLike) -> Any:
    """PyAV, or DepthsiError with the remedy.

    Args:
      path: of the video that cannot be read without it.
    """
    try:
        import av
        import av.stream
    except ImportError as error:
        raise DepthsiError(
            f"{path} is a video, which needs PyAV: run pip install 'depthsi[video]'."
        ) from error
    return av


def _frames(path: PathLike, container: Any, stream: Any, step: Fraction) -> Iterator[Frame]:
    """The frames of a stream, with time stamps that always grow.

    Args:
      path, container, stream: where they are from.
      step: time stamps between two frames on average, for those that have none.
    """
    first = last = size = None
    decoded = container.decode(stream)
    while True:
        with _decoding(path):
            frame = next(decoded, None)
        if frame is None:
            break
        if (frame.height, frame.width) != (size := size or (frame.height, frame.width)):
            raise DepthsiError(
                f"{path} changes its size from {size[0]}x{size[1]} to {frame.height}x{frame.width}"
                " pixels between frames; convert it to one size."
            )
        stamp = frame.pts
        if stamp is None or (last is not None and stamp <= last):
            stamp = 0 if last is None else last + max(1, round(step))
        first, last = stamp if first is None else first, stamp
        yield Frame(stamp - first, frame)
    if first is None:
        raise DepthsiError(f"{path} holds no frame that can be decoded; check the file.")


@contextlib.contextmanager
def _decoding(path: PathLike) -> Iterator[None]:
    """Names the file in whatever FFmpeg raises, in its own words alone."""
    with decoding(path):
        try:
            yield
        except (DepthsiError, MemoryError):
            raise
        except Exception as error:
            raise ValueError(getattr(error, "strerror", None) or str(error)) from error


def _fraction(number: Any) -> Fraction | None:
    """A number of FFmpeg's, which PyAV shows as a fraction of its own from version 19 on."""
    return Fraction(number.numerator, number.denominator) if number and number.denominator else None


def _check_end(end: int, length: int) -> None:
    """Raises ValueError if a file ends early, which FFmpeg would take for the end of the video."""
    if end > length:
        raise ValueError(f"{end - length} of its bytes are missing")


def _indexed_end(stream: Any) -> int:
    """Where the last frame ends that the index of a file knows; 0 without one."""
    count = len(stream.index_entries)
    return max(
        (each.pos + each.size for each in stream.index_entries[max(0, count - 64) :]), default=0
    )


def _announced_end(start: bytes) -> int:
    """Where the body of a file should end by what stands at its start; 0 where nothing does.

    Sources: RFC 8794, sections 4 and 6 (https://www.rfc-editor.org/rfc/rfc8794), for Matroska and
    WebM: the size of an element follows its number, all its bits are set where it was not known;
    AVI RIFF File Reference
    (https://learn.microsoft.com/en-us/windows/win32/directshow/avi-riff-file-reference).

    Args:
      start: the first bytes of the file, some thousands.
    """
    if start.startswith(RIFF):
        size = int.from_bytes(start[4:8], "little")
        return 8 + size if size != 2**32 - 1 else 0  # which stands there where it was not known
    at = start.find(SEGMENT) + len(SEGMENT)
    if not start.startswith(MATROSKA) or at < len(SEGMENT) or not any(start[at : at + 1]):
        return 0
    length = 9 - start[at].bit_length()
    unknown = (1 << 7 * length) - 1
    size = int.from_bytes(start[at : at + length], "big") & unknown
    return 0 if size == unknown else at + length + size


def _upright(pixels: np.ndarray, frame: Any) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels turned and mirrored as the display matrix of their frame says, if it has one.

    Source: libavutil/display.h, where (x, y) is shown at (a x + c y, b x + d y) for a matrix of
    rows (a, b, u), (c, d, v) and (tx, ty, w). Of other angles than right ones the nearest is taken.
    """
    try:
        a, b, _, c, d = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)[
            :5
        ].tolist()
    except KeyError:
        return pixels
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def is_video(path: Path) -> bool:
    """Whether the name of a file is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES
