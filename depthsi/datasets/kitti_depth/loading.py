"""Reads one image with its depth."""

from pathlib import Path

import numpy as np

from depthsi.data.fitting import fit_to
from depthsi.data.formats.decoding import read_image
from depthsi.data.prepared.frames import Record
from depthsi.data.samples import size_text
from depthsi.datasets.kitti_depth.annotated import read_annotated
from depthsi.datasets.kitti_depth.calibration import Camera
from depthsi.datasets.kitti_depth.projection import project
from depthsi.datasets.kitti_depth.sweeps import EVEN, Timestamps
from depthsi.datasets.kitti_depth.velodyne import read_scan
from depthsi.errors import DepthsiError

Size = tuple[int, int]


def load_scan(
    picture: Path,
    scan: Path,
    camera: Camera,
    *,
    frame: int,
    size: Size | None,
    kind: str,
    conflict: str,
    timestamps: Timestamps | None,
) -> Record:
    """An image with the laser points of its scan; arguments as of `project`.

    Args:
      picture: image of the rectified camera.
      scan: laser scan of the same frame.
      camera: that took the image.
      frame: its number.
      size: (h, w) both are brought to as by `fit_to`, None to leave them.
      kind: of depth.
      conflict: rule.
      timestamps: timestamps of the scans; None for a scanner that turns evenly.

    Raises:
      DepthsiError: a file cannot be used, the image has not the camera's size, the frame has no
        timestamps, or no point falls into the image.
    """
    image = read_image(picture)
    if image.shape[:2] != camera.size:
        height, width = camera.size
        raise DepthsiError(
            f"{picture} has {size_text(image)} pixels, but {camera.file} says {height}x{width}; "
            "use the images as published."
        )
    points = read_scan(scan)
    sweep = EVEN if timestamps is None else timestamps.sweep(frame)
    depth = project(
        points, camera.matrix, camera.size, size=size, kind=kind, conflict=conflict, sweep=sweep
    )
    if not depth.any():
        raise DepthsiError(f"{scan}: no point falls into {picture}; one of them is damaged.")
    if size is not None:
        image, _ = fit_to(image, np.zeros(camera.size, np.float32), size)
    return Record(image, {f"depth_{kind}": depth})


def load_annotated(picture: Path, annotation: Path, *, size: Size | None) -> Record:
    """An image with its official depth map.

    Args:
      picture: image of the rectified camera.
      annotation: depth map of the same camera and frame.
      size: (h, w) both are brought to by `fit_to`, None to leave them.

    Raises:
      DepthsiError: a file cannot be used, or they differ in size.
    """
    image, depth = read_image(picture), read_annotated(annotation)
    if image.shape[:2] != depth.shape:
        raise DepthsiError(
            f"{annotation} has {size_text(depth)} pixels, but {picture} {size_text(image)}; "
            "they do not belong together."
        )
    if size is not None:
        image, depth = fit_to(image, depth, size)
    return Record(image, {"depth_annotated": depth})
