"""The raw drives: which there are, how Eigen et al. divided them, and where their files lie."""

import dataclasses
from functools import cached_property
from pathlib import Path

from depthsi.datasets.kitti_depth.annotated import list_annotated
from depthsi.datasets.kitti_depth.calibration import Camera, read_camera
from depthsi.datasets.kitti_depth.frame_files import by_frame
from depthsi.datasets.kitti_depth.oxts import Motion, read_motion
from depthsi.datasets.kitti_depth.sweeps import Timestamps, read_timestamps

CAMERAS = ("image_02", "image_03")  # the two that see colours: left, right

# The drives of the categories the paper uses, by date. Those of the split "test" are Eigen's; the
# remaining 33 are what everybody trains on. The paper counts 28 of those, and does not name them.
DRIVES = {
    "train": {
        "city": {
            "2011_09_26": "0001 0005 0011 0014 0017 0018 0051 0057 0060 0091 0095 0104 0113",
            "2011_09_28": "0001",
            "2011_09_29": "0026",
        },
        "residential": {
            "2011_09_26": "0019 0022 0035 0039 0061 0079 0087",
            "2011_09_30": "0020 0028 0033 0034",
            "2011_10_03": "0034",
        },
        "road": {
            "2011_09_26": "0015 0028 0032 0070",
            "2011_09_29": "0004",
            "2011_10_03": "0042",
        },
    },
    "test": {
        "city": {
            "2011_09_26": "0002 0009 0013 0048 0056 0059 0084 0093 0096 0106 0117",
            "2011_09_28": "0002",
            "2011_09_29": "0071",
        },
        "residential": {
            "2011_09_26": "0020 0023 0036 0046 0064 0086",
            "2011_09_30": "0018 0027",
            "2011_10_03": "0027",
        },
        "road": {
            "2011_09_26": "0027 0029 0052 0101",
            "2011_09_30": "0016",
            "2011_10_03": "0047",
        },
    },
}


def eigen_drives(split: str, *categories: str) -> tuple[str, ...]:
    """Names of the drives of Eigen's split "train" (33) or "test" (28), sorted.

    Args:
      split: "train" or "test".
      categories: of "city", "residential" and "road"; none means all.
    """
    return tuple(
        sorted(
            f"{date}_drive_{number}_sync"
            for category, dates in DRIVES[split].items()
            if not categories or category in categories
            for date, drive_numbers in dates.items()
            for number in drive_numbers.split()
        )
    )


@dataclasses.dataclass(frozen=True)
class Drive:
    """The files of one drive. Each folder is listed, and each file read, once and when needed.

    Attributes:
      source: the folder of the dates.
      name: such as "2011_09_26_drive_0001_sync".
      annotated: the folder of the official depth maps, if they are used.
    """

    source: Path
    name: str
    annotated: Path | None = None

    @property
    def folder(self) -> Path:
        return self.source / self.name[:10] / self.name

    @cached_property
    def pictures(self) -> dict[str, dict[int, Path]]:
        """The images of each camera by frame; PNG is preferred to JPEG.

        Frames count from 0 and are the same in all folders of a drive.
        """
        folders = {camera: self.folder / camera / "data" for camera in CAMERAS}
        return {
            camera: by_frame(folder, ".jpg") | by_frame(folder, ".png")
            for camera, folder in folders.items()
        }

    @cached_property
    def scans(self) -> dict[int, Path]:
        """The laser scans by frame; a few drives lack some."""
        return by_frame(self.folder / "velodyne_points" / "data", ".bin")

    @cached_property
    def annotations(self) -> dict[str, dict[int, Path]]:
        """The official depth maps of each camera by frame."""
        root = self.annotated or self.source
        return {camera: list_annotated(root, self.name, camera) for camera in CAMERAS}

    @cached_property
    def timestamps(self) -> Timestamps:
        """Of the scans."""
        return read_timestamps(self.folder / "velodyne_points")

    @cached_property
    def cameras(self) -> dict[str, Camera]:
        """How each camera sees the scanner's points, from the calibration of that date."""
        return {camera: read_camera(self.folder.parent, camera) for camera in CAMERAS}

    @property
    def motion_folder(self) -> Path:
        """Holds the navigation records."""
        return self.folder / "oxts" / "data"

    def motion(self, frame: int) -> Motion:
        """How the car moved."""
        return read_motion(self.motion_folder / f"{frame:010d}.txt")
