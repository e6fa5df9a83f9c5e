"""`depthsi prepare`: the options of each data set, and the preparation."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from depthsi.errors import DepthsiError

if TYPE_CHECKING:  # nothing heavy is loaded for the help of the command line
    from depthsi.data.prepared.frames import DataSet

Source = Annotated[str, tyro.conf.arg(metavar="PATH")]


@dataclasses.dataclass(frozen=True)
class NyuDepthV2Labeled:
    """NYU Depth v2: the 1449 labelled pairs, with filled and raw depth."""

    source: Source
    """The file nyu_depth_v2_labeled.mat."""
    splits: Source = ""
    """The file splits.mat, or a text file with the indices of the training pairs, counted from 1.
    Default: splits.mat next to the source."""
    val_scenes: int | None = None
    """Number of training scenes held out as the split val. Default: a tenth if there is no val."""

    def open(self) -> "DataSet":
        from depthsi.datasets.nyu_depth_v2_labeled import open_nyu_depth_v2_labeled

        return open_nyu_depth_v2_labeled(**dict(vars(self), val_scenes=self.val_scenes or 0))


@dataclasses.dataclass(frozen=True)
class NyuDepthV2Raw:
    """NYU Depth v2: the raw recordings, with depth projected into the image nearest in time."""

    source: Source
    """Directory of the scenes with their files r-*.ppm and d-*.pgm."""
    scenes: Source = ""
    """Text file with "scene split" on each line; other scenes are left out. Default: train on every
    scene."""
    val_scenes: int | None = None
    """Number of training scenes held out as the split val. Default: a tenth if there is no val."""
    z_of: Literal["depth", "colour"] = "depth"
    """Camera whose z is stored: depth, as in the data set's toolbox, or colour."""
    mask_extremes: bool = True
    """Treat the smallest and the largest depth of each frame as missing; on unless
    --no-mask-extremes is given."""

    def open(self) -> "DataSet":
        from depthsi.datasets.nyu_depth_v2_raw import open_nyu_depth_v2_raw

        return open_nyu_depth_v2_raw(**dict(vars(self), val_scenes=self.val_scenes or 0))


@dataclasses.dataclass(frozen=True)
class NyuFastdepth:
    """NYU Depth v2 in the HDF5 files of FastDepth."""

    source: Source
    """Directory with train/<scene>/*.h5 and val/official/*.h5."""
    val_scenes: int | None = None
    """Number of training scenes held out as the split val. Default: a tenth if there is no val."""

    def open(self) -> "DataSet":
        from depthsi.datasets.nyu_fastdepth import open_nyu_fastdepth

        return open_nyu_fastdepth(**dict(vars(self), val_scenes=self.val_scenes or 0))


@dataclasses.dataclass(frozen=True)
class KittiDepth:
    """KITTI: laser scans projected into the images of the raw drives, or the official maps."""

    source: Source
    """Directory with <date>/calib_*.txt and <date>/<drive>/."""
    depth: Literal["z", "lidar_x", "annotated"] = "z"
    """z: depth along the camera's axis. lidar_x: distance in front of the scanner (Eigen's
    protocol). annotated: the official maps."""
    conflict: Literal["closest_time", "nearest"] = "closest_time"
    """Which of two laser returns at one pixel is used. closest_time: the paper's rule. nearest:
    monodepth's."""
    annotated: Source = ""
    """Directory of the official maps. Default: the source."""
    train_list: Source = ""
    """File that lists the images of the split train, in monodepth's format. Default: Eigen's
    scenes."""
    val_list: Source = ""
    """The same for the split val."""
    test_list: Source = ""
    """The same for the split test."""
    cameras: tuple[Literal["image_02", "image_03"], ...] = ("image_02", "image_03")
    """Cameras to use: image_02 (left), image_03 (right) or both; ignored for lists."""
    drop_stationary: bool = True
    """Leave out images taken while the car stands still; on unless
    --no-drop-stationary is given; ignored for lists."""
    val_scenes: int | None = None
    """Number of training drives held out as the split val. Default: a tenth if there is no val."""

    def open(self, size: tuple[int, int] | None = None) -> "DataSet":
        from depthsi.datasets.kitti_depth import open_kitti_depth

        lists = {"train": self.train_list, "val": self.val_list, "test": self.test_list}
        return open_kitti_depth(
            self.source,
            depth=self.depth,
            conflict=self.conflict,
            annotated=self.annotated or None,
            split_files={split: path for split, path in lists.items() if path},
            cameras=self.cameras,
            size=size,
            drop_stationary=self.drop_stationary,
            val_scenes=self.val_scenes or 0,
        )


@dataclasses.dataclass(frozen=True)
class Rooms:
    """The procedural rooms, rendered once."""

    train: int = 2000
    """Number of rooms to train on."""
    val: int = 64
    """Number of rooms for validation during training."""
    test: int = 256
    """Number of rooms for evaluation."""
    seed: int = 0
    """Seed of the rooms."""
    scale_range: tuple[float, float] = (1.0, 1.0)
    """Range of the log-uniform factor by which each whole room is enlarged."""

    def open(self) -> "DataSet":
        from depthsi.datasets.rooms import open_rooms

        return open_rooms(**vars(self))


DataSetOptions = (
    Annotated[NyuDepthV2Labeled, tyro.conf.subcommand("nyu_depth_v2_labeled")]
    | Annotated[NyuDepthV2Raw, tyro.conf.subcommand("nyu_depth_v2_raw")]
    | Annotated[NyuFastdepth, tyro.conf.subcommand("nyu_fastdepth")]
    | Annotated[KittiDepth, tyro.conf.subcommand("kitti_depth")]
    | Annotated[Rooms, tyro.conf.subcommand("rooms")]
)


def prepare(
    options: DataSetOptions,
    data_dir: str,
    *,
    size: tuple[int, int] | None,
    on_bad: Literal["strict", "skip"],
) -> Path:
    """Lists the source, stores every frame, and returns the directory of the result."""
    from depthsi.data.prepared.frame_changes import fit_frames
    from depthsi.data.prepared.prepare import prepare as prepare_data_set

    _check_paths(options)
    # Scans are projected at the size itself, which keeps more points than resizing their maps.
    data_set = options.open(size) if isinstance(options, KittiDepth) else options.open()
    if getattr(options, "val_scenes", 0) is None:
        data_set = _with_val(data_set)
    if size not in (None, data_set.size):
        data_set = fit_frames(data_set, size)
    directory = prepare_data_set(data_set, data_dir, on_bad=on_bad)
    preset = {"kitti_depth": "kitti", "rooms": "rooms"}.get(data_set.name, "nyu")
    print(f"Next: depthsi train {preset} --data.kind prepared --data.root {directory} --run DIR")
    return directory


def _check_paths(options: DataSetOptions) -> None:
    labelled = isinstance(options, NyuDepthV2Labeled)
    files = {"splits": "splits.mat or a text file", "scenes": "a text file"}
    files |= dict.fromkeys(("train_list", "val_list", "test_list"), "a text file")
    directories = {
        "source": "the directory of the data set",
        "annotated": "the directory of the official maps",
    }
    if labelled:
        files["source"] = "the file nyu_depth_v2_labeled.mat"
        del directories["source"]
    for name, wanted in (files | directories).items():
        path = Path(getattr(options, name, ""))
        flag = f"--{name.replace('_', '-')} {path}"
        if not getattr(options, name, ""):
            continue
        if not path.exists():
            raise DepthsiError(f"{flag} does not exist; check its name.")
        if path.is_dir() == (name in files):
            sort = "directory" if path.is_dir() else "file"
            raise DepthsiError(f"{flag} is a {sort}; give {wanted}.")


def _with_val(data_set: "DataSet") -> "DataSet":
    """The data set with a split "val", which training evaluates on."""
    from depthsi.data.prepared.frame_changes import hold_out_scenes, scenes_to_hold_out

    count = scenes_to_hold_out(data_set.frames)
    if count:
        print(
            f"The split val is {count} of the training scenes, held out (--val-scenes 0 keeps them"
            " in train)."
        )
    elif all(frame.split != "val" for frame in data_set.frames):
        print(
            "There is no split val, because there is only one training scene: train with"
            " --schedule.eval-every 0."
        )
    return dataclasses.replace(data_set, frames=hold_out_scenes(data_set.frames, count))
