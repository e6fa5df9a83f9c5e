"""Lists and reads `nyu_depth_v2_labeled.mat` (MATLAB 7.3, which is HDF5).

MATLAB writes arrays with their axes reversed: what it calls H x W x 3 x N is (N, 3, W, H) here.
"""

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np

from depthsi.data.formats.hdf5 import array_in, open_hdf5
from depthsi.data.prepared.frame_changes import hold_out_scenes
from depthsi.data.prepared.frames import DataSet, Frame, Record
from depthsi.datasets.nyu_depth_v2_labeled.splits import read_split
from depthsi.errors import DepthsiError

PathLike = str | os.PathLike[str]

NAME_LENGTH = 1000  # characters; a longer scene name is damage
SIDE = 10_000  # pixels; a larger one is damage
DESCRIPTION = """NYU Depth v2, labelled pairs: Kinect images of rooms with depth in metres.
`depth` is the data set's in-painted depth, `depth_raw` what the sensor measured, projected into
the image (0 = missing). Official split by scene."""
CITATION = """@inproceedings{silberman2012indoor,
  title = {Indoor Segmentation and Support Inference from {RGBD} Images},
  author = {Silberman, Nathan and Hoiem, Derek and Kohli, Pushmeet and Fergus, Rob},
  booktitle = {European Conference on Computer Vision},
  year = {2012}
}"""


def open_nyu_depth_v2_labeled(
    source: PathLike, splits: PathLike = "", val_scenes: int = 0
) -> DataSet:
    """Lists the labelled pairs; their names are the official indices, counted from 1.

    Args:
      source: `nyu_depth_v2_labeled.mat`.
      splits: the authors' `splits.mat`, or a text file with the indices of the training pairs;
        none: `splits.mat` beside the source.
      val_scenes: so many whole scenes of the training split become the split "val".

    Raises:
      DepthsiError: h5py is missing; a file is missing, damaged, or of another layout.
    """
    source = Path(source)
    with open_hdf5(source) as file:
        count, size = _layout(file)
        scenes = _scenes(file, count)
    splits = Path(splits or source.with_name("splits.mat"))
    split = read_split(splits, count)
    frames = tuple(
        Frame(f"{i + 1:04d}", split[i], scenes[i], functools.partial(read_pair, source, i))
        for i in range(count)
    )
    return DataSet(
        name="nyu_depth_v2_labeled",
        description=DESCRIPTION,
        citation=CITATION,
        size=size,
        depth_names=("depth", "depth_raw"),
        units_per_metre=None,
        frames=hold_out_scenes(frames, val_scenes),
        made_from={"source": str(source.resolve()), "splits": str(splits.resolve())},
    )


def read_pair(source: PathLike, index: int) -> Record:
    """Pair `index`, counted from 0: its image, `depth` and `depth_raw`.

    Raises:
      DepthsiError: the file is damaged or of another layout.
    """
    with open_hdf5(source) as file:
        count, _ = _layout(file)
        if not 0 <= index < count:
            raise DepthsiError(f"{source} has no pair {index + 1}; it has {count}.")
        image = file["images"][index].transpose(2, 1, 0)  # (3, W, H) to (H, W, 3)
        depth = {
            name: file[array][index].T.astype(np.float32)
            for name, array in (("depth", "depths"), ("depth_raw", "rawDepths"))
        }
    return Record(np.ascontiguousarray(image), depth)


def _layout(file: Any) -> tuple[int, tuple[int, int]]:
    """Number of pairs and their (H, W), if all three arrays agree."""
    count, channels, width, height = array_in(file, "images", "uint8", 4).shape
    if channels != 3 or not (0 < width <= SIDE and 0 < height <= SIDE):
        raise DepthsiError(
            f"{file.filename}: 'images' has the shape {(count, channels, width, height)}; expected "
            "(N, 3, W, H)."
        )
    for name in ("depths", "rawDepths"):
        shape = array_in(file, name, "float32", 3).shape
        if shape != (count, width, height):
            raise DepthsiError(
                f"{file.filename}: {name!r} has the shape {shape}, but 'images' needs "
                f"{(count, width, height)}."
            )
    return count, (height, width)


def _scenes(file: Any, count: int) -> list[str]:
    """Names of the scenes: a MATLAB cell array, that is references to arrays of UTF-16 units."""
    cells = array_in(file, "scenes", "object", 2)
    if sorted(cells.shape) != [1, count]:
        raise DepthsiError(f"{file.filename}: 'scenes' has the shape {cells.shape}, not {count}.")
    names = []
    for reference in cells[()].ravel():
        text = file[reference]
        if text.dtype != np.uint16 or not 0 < text.size <= NAME_LENGTH:
            raise DepthsiError(f"{file.filename}: a name in 'scenes' is not text.")
        names.append(text[()].ravel().tobytes().decode("utf-16"))
    return names
