"""Lists and reads the folders of the raw dump."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from depthsi.data.prepared.frame_changes import hold_out_scenes
from depthsi.data.prepared.frames import DataSet, Frame, Record
from depthsi.datasets.nyu_depth_v2_labeled.data_set import CITATION
from depthsi.datasets.nyu_depth_v2_raw.kinect import (
    SIZE,
    CameraName,
    project_disparity,
    undistort_picture,
)
from depthsi.datasets.nyu_depth_v2_raw.nearest_in_time import pair_nearest, timestamp
from depthsi.datasets.nyu_depth_v2_raw.netpbm import read_disparity, read_ppm
from depthsi.errors import DepthsiError

PathLike = str | os.PathLike[str]

UNITS_PER_METRE = 5000.0  # steps of 0.2 mm; 16 bits reach 13.1 m, the sensor 10 m
DESCRIPTION = """NYU Depth v2, raw recordings: Kinect images of rooms, undistorted, each with the
depth map nearest in time projected into it. Metres, depth camera z unless the options say
otherwise; 0 = missing."""


def open_nyu_depth_v2_raw(
    source: PathLike,
    scenes: PathLike = "",
    val_scenes: int = 0,
    z_of: CameraName = "depth",
    mask_extremes: bool = True,
) -> DataSet:
    """Lists the pairs of image and depth; a name is scene/time stamp of the depth.

    Symbolic links to directories are not followed; links to files are.

    Args:
      source: a directory; every directory in it, at any depth, that holds `d-*.pgm` is a scene.
      scenes: a text file with "scene split" on each line, for instance "kitchen_0004 test";
        other scenes are left out. None: every scene is in "train".
      val_scenes: so many whole scenes of the training split become the split "val".
      z_of: see `project_disparity`.
      mask_extremes: see `project_disparity`.

    Raises:
      DepthsiError: no scenes, two of one name, or a list that cannot be read.
    """
    folders = _folders(Path(source))
    split = _read_scenes(Path(scenes)) if os.fspath(scenes) else dict.fromkeys(folders, "train")
    read = functools.partial(read_pair, z_of=z_of, mask_extremes=mask_extremes)
    frames = tuple(
        frame
        for scene, folder in folders.items()
        if scene in split
        for frame in _scene_frames(folder, scene, split[scene], read)
    )
    if not frames:
        raise DepthsiError(f"{source} has no pair of image and depth in any listed scene.")
    return DataSet(
        name="nyu_depth_v2_raw",
        description=DESCRIPTION,
        citation=CITATION,
        size=SIZE,
        depth_names=("depth",),
        units_per_metre=UNITS_PER_METRE,
        frames=hold_out_scenes(frames, val_scenes),
        made_from={
            "source": str(Path(source).resolve()),
            "z_of": z_of,
            "mask_extremes": mask_extremes,
        },
    )


def read_pair(
    picture: PathLike, disparity: PathLike, *, z_of: CameraName, mask_extremes: bool
) -> Record:
    """The undistorted image and the depth projected into it.

    Raises:
      DepthsiError: a file is missing, damaged, or of another kind or size.
    """
    image, raw = read_ppm(picture), read_disparity(disparity)
    for path, array in ((picture, image), (disparity, raw)):
        if array.shape[:2] != SIZE:
            raise DepthsiError(
                f"{path} has {array.shape[0]}x{array.shape[1]} pixels; the calibration is for "
                f"{SIZE[0]}x{SIZE[1]}."
            )
    depth = project_disparity(raw, z_of=z_of, mask_extremes=mask_extremes)
    return Record(undistort_picture(image), {"depth": depth})


def _folders(source: Path) -> dict[str, Path]:
    """Directories with disparity maps, by their own names, sorted."""
    found: dict[str, Path] = {}
    for directory, below, files in os.walk(source):
        below.sort()
        if any(name.startswith("d-") and name.endswith(".pgm") for name in files):
            folder = Path(directory)
            if folder.name in found:
                raise DepthsiError(
                    f"Two scenes are called {folder.name}: {found[folder.name]} and {folder}."
                )
            found[folder.name] = folder
    if not found:
        raise DepthsiError(f"{source} has no directory with d-*.pgm files; check its name.")
    return dict(sorted(found.items()))


def _read_scenes(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DepthsiError(f"{path} cannot be read ({error}); list one scene per line.") from error
    split: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        scene, _, name = line.strip().rpartition(" ")
        scene = scene.strip()
        if not scene or name not in ("train", "val", "test"):
            raise DepthsiError(
                f"{path}, line {number}: give a scene and one of train, val, test, not {line!r}."
            )
        if split.setdefault(scene, name) != name:
            raise DepthsiError(f"{path}, line {number}: scene {scene} is in two splits.")
    return split


def _scene_frames(folder: Path, scene: str, split: str, read: Callable[..., Record]) -> list[Frame]:
    """The pairs of one scene, and a frame that raises for each file without a time stamp."""
    names = sorted(os.listdir(folder))
    depths = [name for name in names if name.startswith("d-") and name.endswith(".pgm")]
    pictures = [name for name in names if name.startswith("r-") and name.endswith(".ppm")]
    unnamed = [name for name in (*depths, *pictures) if timestamp(name) is None]
    frames = [
        Frame(f"{scene}/{name}", split, scene, functools.partial(_no_timestamp, folder / name))
        for name in unnamed
    ]
    timed = [
        [(time, name) for name in kind if (time := timestamp(name)) is not None]
        for kind in (depths, pictures)
    ]
    times = [[time for time, _ in kind] for kind in timed]
    for i, j in pair_nearest(*times):
        name, picture = timed[0][i][1], timed[1][j][1]
        load = functools.partial(read, folder / picture, folder / name)
        frames.append(Frame(f"{scene}/{name.removesuffix('.pgm')}", split, scene, load))
    return frames


def _no_timestamp(path: Path) -> NoReturn:
    raise DepthsiError(f"{path} has no time stamp in its name, such as d-1294886360.2-1.pgm.")
