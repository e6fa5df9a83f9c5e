"""The official depth maps (`data_depth_annotated`), accumulated from several scans and cleaned."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from depthsi.data.formats.decoding import read_depth
from depthsi.datasets.kitti_depth.frame_files import by_frame
from depthsi.files import PathLike

UNITS_PER_METRE = 256.0
PARTS = ("train", "val")  # of the depth benchmark; Eigen's splits run across them


def list_annotated(root: PathLike, drive: str, camera: str) -> dict[int, Path]:
    """The depth maps of a camera of a drive by frame; none for drives that were left out.

    Args:
      root: the folder of `train` and `val`.
      drive: its name.
      camera: "image_02" or "image_03".

    Raises:
      DepthsiError: the folder cannot be listed.
    """
    found: dict[int, Path] = {}
    for part in PARTS:
        found |= by_frame(Path(root) / part / drive / "proj_depth/groundtruth" / camera, ".png")
    return found


def read_annotated(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Reads one depth map: camera z in metres, 0 = missing.

    The values are whole 256ths of a metre, which float32 represents exactly.

    Raises:
      DepthsiError: it is not a whole 16-bit greyscale PNG.
    """
    return read_depth(path, UNITS_PER_METRE)
