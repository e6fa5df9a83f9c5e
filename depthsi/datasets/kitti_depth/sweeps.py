"""When the scanner measured: the three timestamps of each of its revolutions."""

import dataclasses
import re
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from depthsi.datasets.kitti_depth.text import read_lines
from depthsi.errors import DepthsiError
from depthsi.files import PathLike

TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{1,9})")
FILES = ("timestamps_start.txt", "timestamps.txt", "timestamps_end.txt")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One revolution, which begins and ends facing backward.

    Attributes:
      before: seconds from its start until the scanner faces forward.
      after: seconds from then until its end.
    """

    before: float
    after: float


EVEN = Sweep(0.05, 0.05)  # ten revolutions a second


@dataclasses.dataclass(frozen=True)
class Timestamps:
    """The three timestamp files of a drive's scans, one line for each frame.

    Attributes:
      paths: paths of the start, of the instant the scanner faces forward, and of the end.
      lines: of each file.
    """

    paths: tuple[Path, ...]
    lines: tuple[list[str], ...]

    def sweep(self, frame: int) -> Sweep:
        """The revolution of a frame, counted from 0.

        Raises:
          DepthsiError: names file and line: no timestamp there, or they are out of order.
        """
        start, forward, end = (
            _timestamp(path, lines, frame)
            for path, lines in zip(self.paths, self.lines, strict=True)
        )
        if not start < forward < end:
            raise DepthsiError(
                f"{self.paths[1]}, line {frame + 1}: {forward} is not between start {start} and "
                f"end {end} of the scan; correct it, or choose the conflict rule 'nearest'."
            )
        nanosecond = np.timedelta64(1, "ns")
        before, after = (forward - start) / nanosecond, (end - forward) / nanosecond
        return Sweep(float(before) * 1e-9, float(after) * 1e-9)


def read_timestamps(folder: PathLike) -> Timestamps:
    """Reads the three files of a drive's `velodyne_points`.

    Raises:
      DepthsiError: one is missing or unreadable.
    """
    paths = tuple(Path(folder) / name for name in FILES)
    return Timestamps(paths, tuple(read_lines(path) for path in paths))


def times(points: np.ndarray, sweep: Sweep = EVEN) -> Float64[np.ndarray, " n"]:
    """Seconds from the cameras' exposure to the measurement of each point, negative if before.

    The scanner turns counter-clockwise at an even pace and triggers the cameras as it faces
    forward (readme of the raw recordings), so azimuth 0 is the exposure. That trigger is taken,
    and not the images' own timestamps, because those are taken to be the computer's, written
    when the images reached it.

    Args:
      points: (n, 4), x forward, y left.
      sweep: its two halves; by default they are equal, and the point closest in time is simply the
        one of smallest absolute azimuth.
    """
    turn = np.arctan2(points[:, 1].astype(np.float64), points[:, 0].astype(np.float64)) / np.pi
    return turn * np.where(turn < 0, sweep.before, sweep.after)


def _timestamp(path: Path, lines: list[str], frame: int) -> np.datetime64:
    text = lines[frame] if frame < len(lines) else ""
    found = TIMESTAMP.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        return np.datetime64("T".join(found.groups()), "ns")
    except ValueError:
        raise DepthsiError(
            f"{path}, line {frame + 1}: there is no timestamp of this frame but {text[:40]!r}; "
            "restore it, or choose the conflict rule 'nearest'."
        ) from None
