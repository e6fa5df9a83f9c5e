"""Laser points as the depth map of a camera."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Int64

from depthsi.datasets.kitti_depth.sweeps import EVEN, Sweep, times

Kind = Literal["z", "lidar_x"]
Conflict = Literal["closest_time", "nearest"]


def project(
    points: np.ndarray,
    matrix: np.ndarray,
    camera_size: tuple[int, int],
    *,
    size: tuple[int, int] | None = None,
    kind: str = "z",
    conflict: str = "closest_time",
    sweep: Sweep = EVEN,
) -> Float32[np.ndarray, "h w"]:
    """Depth in metres at the pixels that some point hits, 0 at all others.

    A point at (u, v) falls into column round(u) - 1 and row round(v) - 1, halves to even. This is
    the convention of monodepth, hence of all results on Eigen's test images; it counts pixels
    from 1 as KITTI's MATLAB tools do. Points behind the scanner or the camera, and those that miss
    the image, are left out.

    Args:
      points: (n, 4), x forward, y left, z up in metres in the scanner's frame, and reflectance.
      matrix: (3, 4), see `depthsi.datasets.kitti_depth.calibration`.
      camera_size: (H, W) in pixels of the camera's rectified images.
      size: (h, w) of the result; None for `camera_size`. It shows what `fit_to` shows at that
        size, but each pixel draws on all points that hit its cell, so that fewer stay empty.
      kind: "z" is the camera's z. "lidar_x" is the scanner's x, 0.27 m more and tilted: an error
        of the first evaluations on Eigen's test images, for comparison with them.
      conflict: of several points at one pixel stays, with "closest_time", the one measured closest
        in time to the exposure (paper, KITTI data), of equally close ones the nearest; with
        "nearest", the one of smallest depth (monodepth).
      sweep: sweep of the scan; for "closest_time", see `depthsi.datasets.kitti_depth.sweeps.times`.

    Raises:
      ValueError: `points` or `matrix` of another shape, an unknown `kind` or `conflict`.
    """
    _check(points, matrix, kind, conflict)
    size = camera_size if size is None else size
    points = points[points[:, 0] > 0]
    homogeneous = np.column_stack([points[:, :3], np.ones(len(points))]) @ matrix.T
    seen, pixels = _pixels(homogeneous, camera_size, size)
    points, z = points[seen], homogeneous[seen, 2]
    depth = z if kind == "z" else points[:, 0].astype(np.float64)
    preference = np.abs(times(points, sweep)) if conflict == "closest_time" else depth
    order = np.lexsort((depth, preference, pixels))  # by pixel, the preferred point first
    hit, first = np.unique(pixels[order], return_index=True)
    result = np.zeros(size, np.float32)
    result.flat[hit] = depth[order][first]
    return result


def _check(points: np.ndarray, matrix: np.ndarray, kind: str, conflict: str) -> None:
    if points.ndim != 2 or points.shape[1] != 4:
        raise ValueError(f"`points` must be of shape (n, 4), got {points.shape}")
    if matrix.shape != (3, 4):
        raise ValueError(f"`matrix` must be of shape (3, 4), got {matrix.shape}")
    if kind not in get_args(Kind):
        raise ValueError(f"`kind` must be one of {get_args(Kind)}, got {kind!r}")
    if conflict not in get_args(Conflict):
        raise ValueError(f"`conflict` must be one of {get_args(Conflict)}, got {conflict!r}")


def _pixels(
    homogeneous: np.ndarray, camera_size: tuple[int, int], size: tuple[int, int]
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Which points are seen, and the index into the flat image of `size` of each of them."""
    seen = np.flatnonzero(homogeneous[:, 2] > 0)
    u, v = np.round(homogeneous[seen, :2] / homogeneous[seen, 2:]).T - 1
    inside = (u >= 0) & (u < camera_size[1]) & (v >= 0) & (v < camera_size[0])
    seen = seen[inside]
    # Camera pixels per pixel of the result, as `fit_to` has it: a / b.
    a, b = min(zip(camera_size, size, strict=True), key=lambda ratio: ratio[0] / ratio[1])
    row, column = (
        ((2 * at[inside].astype(np.int64) + 1 - length) * b + count * a) // (2 * a)
        for at, length, count in zip((v, u), camera_size, size, strict=True)
    )
    inside = (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
    return seen[inside], (row * size[1] + column)[inside]
