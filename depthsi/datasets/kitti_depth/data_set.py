"""KITTI's raw drives as a data set of images with depth."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Literal, get_args

from depthsi.data.prepared.frame_changes import hold_out_scenes
from depthsi.data.prepared.frames import DataSet, Frame
from depthsi.datasets.kitti_depth.annotated import UNITS_PER_METRE
from depthsi.datasets.kitti_depth.drive_frames import DriveFrames
from depthsi.datasets.kitti_depth.drives import CAMERAS, Drive, eigen_drives
from depthsi.datasets.kitti_depth.projection import Conflict
from depthsi.datasets.kitti_depth.split_lists import read_lists
from depthsi.errors import DepthsiError
from depthsi.files import PathLike

Depth = Literal["z", "lidar_x", "annotated"]

SPLITS = ("train", "val", "test")
EIGEN_SPLITS = ("train", "test")
MEANING = {
    "z": "camera z of the laser points of one scan",
    "lidar_x": "the scanner's forward coordinate x of the laser points of one scan, not camera z",
    "annotated": "camera z of the official annotated maps",
}
RULE = {
    "closest_time": "; of several points at a pixel the one measured closest to the exposure",
    "nearest": "; of several points at a pixel the one of smallest depth",
}
CITATION = """@article{Geiger2013IJRR,
  author = {Andreas Geiger and Philip Lenz and Christoph Stiller and Raquel Urtasun},
  title = {Vision meets Robotics: The {KITTI} Dataset},
  journal = {International Journal of Robotics Research},
  year = {2013}
}"""


def open_kitti_depth(
    source: PathLike,
    *,
    depth: str = "z",
    conflict: str = "closest_time",
    annotated: PathLike | None = None,
    split_files: Mapping[str, PathLike] | None = None,
    cameras: Sequence[str] = CAMERAS,
    size: tuple[int, int] | None = None,
    drop_stationary: bool = True,
    val_scenes: int = 0,
) -> DataSet:
    """Lists the images of the raw drives that have depth, and checks the layout.

    A scene is a drive. Without lists the splits are Eigen's: "train" and "test" take every frame of
    their drives (categories city, residential and road) that has both an image and depth; the two
    cameras' images are unrelated ones (paper, KITTI data). Drives that are not there are left
    out. Balancing the drives at 800 images, as the paper does, is left to the sampling.

    Stored are 256 units per metre, those of the annotated maps, which therefore stay exact; scans
    are rounded to 1/512 m.

    Args:
      source: the folder with `<date>/calib_*.txt` and `<date>/<drive>/image_02`, `image_03`,
        `velodyne_points`, `oxts`.
      depth: "z" and "lidar_x" project scans, see `depthsi.datasets.kitti_depth.projection.project`;
        "annotated" takes the official depth maps. The records' depth map is called "depth_z",
        "depth_lidar_x" or "depth_annotated".
      conflict: "closest_time" or "nearest", see `project`; only for scans.
      annotated: the folder of the official maps' `train` and `val`; None for `source` itself.
      split_files: for each split in use ("train", "val", "test") the list of its images, see
        `depthsi.datasets.kitti_depth.split_lists.read_list`; they are taken as they stand.
      cameras: of "image_02" (left) and "image_03" (right); not for lists.
      size: (h, w) in pixels to which all images are resized; None keeps the original sizes, around
        375x1242. The paper's is (184, 612).
      drop_stationary: leave out images taken while the car stands still, see
        `depthsi.datasets.kitti_depth.oxts.Motion`; not for lists.

    Raises:
      DepthsiError: says what is missing in the layout, or what is wrong with an option, a list or
        a drive's calibration or timestamps.
    """
    root, maps = Path(source), None if annotated is None else Path(annotated)
    _check_folders(root, maps)
    _check_options(depth, conflict, cameras, size, split_files or {})
    listing = DriveFrames(depth, conflict, size)
    drive = cache(partial(Drive, root, annotated=maps))
    if split_files:
        lists = read_lists({split: split_files[split] for split in SPLITS if split in split_files})
        found = [
            listing.listed(drive(row.drive), row, split)
            for split, rows in lists.items()
            for row in rows
        ]
    else:
        found = [
            listing.whole(drive(name), tuple(cameras), split, drop_stationary=drop_stationary)
            for split in EIGEN_SPLITS
            for name in eigen_drives(split)
            if drive(name).folder.is_dir()
        ]
    frames = tuple(frame for some in found for frame in some)
    _check_found(frames, root)
    scans = depth != "annotated"
    return DataSet(
        name="kitti_depth",
        description=f"Street scenes of KITTI. Depth: {MEANING[depth]}"
        f"{RULE[conflict] if scans else ''}.",
        citation=CITATION,
        size=size,
        depth_names=(f"depth_{depth}",),
        units_per_metre=UNITS_PER_METRE,
        frames=hold_out_scenes(frames, val_scenes),
        made_from={
            "source": str(root),
            "annotated": None if maps is None else str(maps),
            "conflict": conflict if scans else None,
            "lists": {split: str(path) for split, path in (split_files or {}).items()},
            "drop_stationary": drop_stationary and not split_files,
        },
    )


def _check_folders(root: Path, maps: Path | None) -> None:
    for folder in (root, maps):
        if folder is not None and not folder.is_dir():
            raise DepthsiError(f"{folder} is not a folder; give the one with KITTI's data.")


def _check_options(
    depth: str,
    conflict: str,
    cameras: Sequence[str],
    size: tuple[int, int] | None,
    splits: Mapping[str, PathLike],
) -> None:
    wanted = [
        ("depth", [depth], get_args(Depth)),
        ("conflict rule", [conflict], get_args(Conflict)),
        ("camera", cameras, CAMERAS),
        ("split", splits, SPLITS),
    ]
    for what, values, choices in wanted:
        for value in values:
            if value not in choices:
                raise DepthsiError(
                    f"The {what} {value!r} is unknown; choose from {', '.join(choices)}."
                )
    if not cameras or len(set(cameras)) < len(cameras):
        raise DepthsiError("Name one or both cameras, each once.")
    if size is not None and min(size) < 1:
        raise DepthsiError(f"The size is {size[0]}x{size[1]}; give two numbers of at least 1.")


def _check_found(frames: tuple[Frame, ...], root: Path) -> None:
    if not frames:
        example = Path("2011_09_26", "2011_09_26_drive_0001_sync", "image_02")
        raise DepthsiError(
            f"No image with depth was found in {root}; give the folder that contains {example} "
            "and so on."
        )
