"""Finds the images of drives that have depth."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import NoReturn

from depthsi.data.prepared.frames import Frame, Record
from depthsi.datasets.kitti_depth.drives import Drive
from depthsi.datasets.kitti_depth.loading import load_annotated, load_scan
from depthsi.datasets.kitti_depth.split_lists import ListedImage
from depthsi.errors import DepthsiError

ANNOTATED = "annotated"


@dataclasses.dataclass(frozen=True)
class DriveFrames:
    """Makes frames of images.

    Attributes:
      depth: "z", "lidar_x" or "annotated".
      conflict: "closest_time" or "nearest".
      size: (h, w) all are brought to, or None.
    """

    depth: str
    conflict: str
    size: tuple[int, int] | None

    def whole(
        self, drive: Drive, cameras: tuple[str, ...], split: str, *, drop_stationary: bool
    ) -> Iterator[Frame]:
        """All frames of a drive that have image and depth, camera by camera.

        Raises:
          DepthsiError: a camera has no images, the drive no scans or, if they are needed, no
            navigation records, or as `_loader`.
        """
        if drop_stationary and not drive.motion_folder.is_dir():
            raise DepthsiError(
                f"{drive.motion_folder} does not exist; complete the drive, or keep the images "
                "of a waiting car."
            )
        motion = cache(drive.motion)
        for camera in cameras:
            pictures, depths = drive.pictures[camera], self._depths(drive, camera)
            if not pictures:
                raise DepthsiError(
                    f"{drive.folder / camera / 'data'} has no images; complete the drive, "
                    "choose the other camera, or remove the drive."
                )
            if not (depths or self.depth == ANNOTATED):  # some drives have no annotated depth
                raise DepthsiError(
                    f"{drive.folder / 'velodyne_points' / 'data'} has no scans; complete the "
                    "drive or remove it."
                )
            for number in sorted(pictures.keys() & depths.keys()):
                load = self._loader(drive, camera, number)
                if drop_stationary:
                    try:
                        if motion(number).stationary:
                            continue
                    except DepthsiError as error:  # one bad file of many: left to the policy
                        load = partial(_refuse, str(error))
                yield _frame(drive, camera, number, split, load)

    def listed(self, drive: Drive, row: ListedImage, split: str) -> Iterator[Frame]:
        """The frame of a row; none if the list says that it has no depth of the chosen kind.

        Raises:
          DepthsiError: drive, image or depth is missing, naming the row, or as `_loader`.
        """
        if self.depth == ANNOTATED and not row.annotated:
            return
        name = f"{row.frame:010d}"
        if not drive.folder.is_dir():
            raise DepthsiError(f"{row.place}: {drive.folder} is missing; add it or remove the row.")
        if row.frame not in drive.pictures[row.camera]:
            folder = drive.folder / row.camera / "data"
            raise DepthsiError(
                f"{row.place}: there is no image {name} in {folder}; add it or remove the row."
            )
        if row.frame not in self._depths(drive, row.camera):
            what = "annotated depth" if self.depth == ANNOTATED else "scan"
            raise DepthsiError(
                f"{row.place}: {drive.name} has no {what} {name}; add it or remove the row."
            )
        load = self._loader(drive, row.camera, row.frame)
        yield _frame(drive, row.camera, row.frame, split, load)

    def _depths(self, drive: Drive, camera: str) -> dict[int, Path]:
        return drive.annotations[camera] if self.depth == ANNOTATED else drive.scans

    def _loader(self, drive: Drive, camera: str, number: int) -> Callable[[], Record]:
        """Raises DepthsiError if the drive's calibration or timestamps cannot be used."""
        picture, depth = drive.pictures[camera][number], self._depths(drive, camera)[number]
        if self.depth == ANNOTATED:
            return partial(load_annotated, picture, depth, size=self.size)
        return partial(
            load_scan,
            picture,
            depth,
            drive.cameras[camera],
            frame=number,
            size=self.size,
            kind=self.depth,
            conflict=self.conflict,
            timestamps=drive.timestamps if self.conflict == "closest_time" else None,
        )


def _frame(drive: Drive, camera: str, number: int, split: str, load: Callable[[], Record]) -> Frame:
    return Frame(f"{drive.name}/{camera}/{number:010d}", split, drive.name, load)


def _refuse(message: str) -> NoReturn:
    raise DepthsiError(message)
