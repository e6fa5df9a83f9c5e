"""Laser points of a real KITTI scan over the image taken with it, to check the projection by eye.

Question:  do the points lie on the things they measured: on cars, poles and the road's edge?
Command:   python -m experiments.pictures.kitti_projection_picture \\
               --source ../shared/data/kitti_velodyne --scan 000003 --out projection.png
Hardware:  any.
Time:      a second or two.
Result:    an image to look at: above, the points at full size; below, the depth map at the paper's
           half size, where the conflict rule matters more. KITTI's licence keeps it out of here.
           It prints how much of both maps is hit, and where the two conflict rules differ.
"""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from depthsi.data.formats.decoding import read_image
from depthsi.datasets.kitti_depth.calibration import object_matrix
from depthsi.datasets.kitti_depth.projection import project
from depthsi.datasets.kitti_depth.velodyne import read_scan
from depthsi.viz.depth_maps import colour_depth, depth_limits
from experiments.script import run_script

DOT = 1  # pixels around each point that take its colour


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Draws one scan."""

    source: str
    """Folder with SCAN.bin, SCAN.png and SCAN.calib.txt (object benchmark's form)."""
    out: str
    """PNG to write."""
    scan: str = "000003"
    """Name of the scan."""
    kind: str = "z"
    """Kind of depth: z or lidar_x."""


def dotted(image: np.ndarray, depth: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """The image with a dot of the depth's colour at each measured pixel, near over far."""
    rows, columns = np.nonzero(depth)
    order = np.argsort(-depth[rows, columns])
    rows, columns = rows[order], columns[order]
    colours = colour_depth(depth, limits=limits)[rows, columns]
    result = np.array(image)
    for down in range(-DOT, DOT + 1):
        for right in range(-DOT, DOT + 1):
            r = np.clip(rows + down, 0, depth.shape[0] - 1)
            c = np.clip(columns + right, 0, depth.shape[1] - 1)
            result[r, c] = colours
    return result


def main(arguments: Arguments) -> None:
    base = Path(arguments.source) / arguments.scan
    image = read_image(base.with_suffix(".png"))
    points, matrix = read_scan(base.with_suffix(".bin")), object_matrix(f"{base}.calib.txt")
    size = image.shape[:2]
    half = size[0] // 2, size[1] // 2
    maps = {}
    for name, shape in (("full", size), ("half", half)):
        closest, nearest = (
            project(points, matrix, size, size=shape, kind=arguments.kind, conflict=rule)
            for rule in ("closest_time", "nearest")
        )
        maps[name] = closest
        print(
            f"{name} size {shape[0]}x{shape[1]}: {np.mean(closest > 0):.2%} of the pixels hit, "
            f"{np.count_nonzero(closest != nearest)} differ between the conflict rules"
        )
    limits = depth_limits(maps["full"])
    below = colour_depth(maps["half"], limits=limits).repeat(2, 0).repeat(2, 1)
    below = np.pad(below, [(0, size[0] - below.shape[0]), (0, size[1] - below.shape[1]), (0, 0)])
    picture = np.vstack([dotted(image, maps["full"], limits), below])
    Image.fromarray(picture).save(arguments.out)


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
