"""Lists of images, one per line, in the forms in which they are passed around."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from depthsi.datasets.kitti_depth.text import read_lines
from depthsi.errors import DepthsiError
from depthsi.files import PathLike

DRIVE = r"(?:(?:\d{4}_\d\d_\d\d/)?(?P<drive>\d{4}_\d\d_\d\d_drive_\d{4}_sync))"
BY_SIDE = re.compile(DRIVE + r" +(?P<frame>\d{1,10}) +(?P<side>[lr])(?: +(?P<truth>gt|nogt))?")
BY_PATH = re.compile(
    DRIVE + r"/image_0(?P<camera>[23])/data/(?P<frame>\d{1,10})\.(?:png|jpg)(?: +(?P<rest>\S.*))?"
)
SIDES = {"l": "image_02", "r": "image_03"}


@dataclasses.dataclass(frozen=True)
class ListedImage:
    """One image of a list.

    Attributes:
      place: file and line, for messages.
      drive: such as "2011_09_26_drive_0001_sync".
      camera: "image_02" (left) or "image_03" (right).
      frame: its number in the drive, from 0.
      annotated: False if the list says that the image has no annotated depth.
    """

    place: str
    drive: str
    camera: str
    frame: int
    annotated: bool

    @property
    def key(self) -> str:
        """Names the image, as the path of its file does."""
        return f"{self.drive}/{self.camera}/{self.frame:010d}"


def read_list(path: PathLike) -> tuple[ListedImage, ...]:
    """The images of a list, plain or `.gz`; blank lines are left out.

    A line is one of
      2011_09_26/2011_09_26_drive_0022_sync 473 r         (monodepth2; the date may be missing)
      2011_09_26_drive_0002_sync 0000000069 l gt          (with or without annotated depth: nogt)
      2011_09_26/2011_09_26_drive_0022_sync/image_03/data/0000000473.png ...
    where further paths, the other camera's image (monodepth) or the depth and the focal length
    (BTS), are not needed; "None" instead of the depth means the same as nogt.

    Raises:
      DepthsiError: the file is missing, unreadable or without rows, or, naming the line: another
        form, or an image that was listed before.
    """
    rows = tuple(
        _row(text, f"{path}, line {line}") for line, text in enumerate(read_lines(path), 1) if text
    )
    if not rows:
        raise DepthsiError(f"{path} lists no images; give one per line.")
    _check_unique(rows)
    return rows


def read_lists(paths: Mapping[str, PathLike]) -> dict[str, tuple[ListedImage, ...]]:
    """The lists of several splits, by split.

    Raises:
      DepthsiError: as `read_list`, or a drive is in two splits.
    """
    lists = {split: read_list(Path(path)) for split, path in paths.items()}
    first: dict[str, tuple[str, ListedImage]] = {}
    for split, rows in lists.items():
        for row in rows:
            other_split, other = first.setdefault(row.drive, (split, row))
            if other_split != split:
                raise DepthsiError(
                    f"{row.place}: drive {row.drive} is in split {split}, but in split "
                    f"{other_split} in {other.place}; a drive must be in one split only, so "
                    "correct the lists or prepare them separately."
                )
    return lists


def _row(text: str, place: str) -> ListedImage:
    if found := BY_SIDE.fullmatch(text):
        camera, annotated = SIDES[found["side"]], found["truth"] != "nogt"
    elif found := BY_PATH.fullmatch(text):
        camera = f"image_0{found['camera']}"
        annotated = (found["rest"] or "").split(" ")[0] != "None"
    else:
        raise DepthsiError(
            f"{place}: {text[:120]!r} does not have a known form; write drive, number of the image "
            "and l or r, such as '2011_09_26/2011_09_26_drive_0022_sync 473 r'."
        )
    return ListedImage(place, found["drive"], camera, int(found["frame"]), annotated)


def _check_unique(rows: tuple[ListedImage, ...]) -> None:
    first: dict[str, ListedImage] = {}
    for row in rows:
        if (other := first.setdefault(row.key, row)) is not row:
            raise DepthsiError(
                f"{row.place}: {row.key} is already in {other.place}; delete one of them."
            )
