"""Lists and reads FastDepth's HDF5 files: `train/<scene>/*.h5` and `val/official/*.h5`."""

import functools
import os
from pathlib import Path

import numpy as np

from depthsi.data.formats.hdf5 import array_in, open_hdf5
from depthsi.data.prepared.frame_changes import hold_out_scenes
from depthsi.data.prepared.frames import DataSet, Frame, Record
from depthsi.datasets.nyu_depth_v2_labeled.data_set import CITATION
from depthsi.errors import DepthsiError

PathLike = str | os.PathLike[str]

SIDE = 10_000  # pixels; a larger one is damage
# What FastDepth calls val are the 654 official test pairs.
SPLITS = {"train": "train", "val": "test"}
DESCRIPTION = """NYU Depth v2 in FastDepth's form: frames of the raw recordings with in-painted
depth in metres (`train`) and the 654 labelled test pairs (`test`, called val there)."""


def open_nyu_fastdepth(source: PathLike, val_scenes: int = 0) -> DataSet:
    """Lists the files; a name is the path without its suffix, such as train/attic_0001/00001.

    Symbolic links to directories are not followed; links to files are.

    Args:
      source: the directory that holds `train` and `val`, or one of them.
      val_scenes: so many whole scenes of the training split become the split "val".

    Raises:
      DepthsiError: no such files.
    """
    source = Path(source)
    frames = []
    for folder, split in SPLITS.items():
        for directory, below, names in os.walk(source / folder):
            below.sort()
            scene = "" if folder == "val" else Path(directory).name
            for name in sorted(names):
                if name.endswith(".h5"):
                    path = Path(directory) / name
                    key = path.relative_to(source).with_suffix("").as_posix()
                    frames.append(Frame(key, split, scene, functools.partial(read_pair, path)))
    if not frames:
        raise DepthsiError(f"{source} has neither train/<scene>/*.h5 nor val/official/*.h5.")
    return DataSet(
        name="nyu_fastdepth",
        description=DESCRIPTION,
        citation=CITATION,
        size=None,
        depth_names=("depth",),
        units_per_metre=None,
        frames=hold_out_scenes(tuple(frames), val_scenes),
        made_from={"source": str(source.resolve())},
    )


def read_pair(path: PathLike) -> Record:
    """`rgb` (3, H, W) and `depth` (H, W) of one file.

    Raises:
      DepthsiError: the file is missing, damaged or of another layout.
    """
    with open_hdf5(path) as file:
        rgb, depth = array_in(file, "rgb", "uint8", 3), array_in(file, "depth", "float32", 2)
        if rgb.shape[0] != 3 or rgb.shape[1:] != depth.shape or max(rgb.shape) > SIDE:
            raise DepthsiError(
                f"{path}: 'rgb' has the shape {rgb.shape} and 'depth' {depth.shape}; expected "
                "(3, H, W) and (H, W)."
            )
        image, values = rgb[()].transpose(1, 2, 0), depth[()].astype(np.float32)
    return Record(np.ascontiguousarray(image), {"depth": values})
