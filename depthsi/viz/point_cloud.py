"""Point clouds of depth maps, and PLY files.

Axes are those of the camera: x to the right, y down, z forward along the optical axis, which is
right-handed; the camera is at the origin. Units are metres.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8

from depthsi.files import write_bytes

VERTEX = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z")]
    + [(name, "u1") for name in ("red", "green", "blue")]
)


class PointCloud(NamedTuple):
    """Points with their colours and their spacing.

    Attributes:
      positions: x, y, z in metres.
      colours: RGB.
      spacing: distance of neighbouring points at a depth of 1 m, in metres; it grows with depth.
    """

    positions: Float32[np.ndarray, "n 3"]
    colours: UInt8[np.ndarray, "n 3"]
    spacing: float


def point_cloud(
    depth: Float[np.ndarray, "H W"],
    image: UInt8[np.ndarray, "H W 3"],
    focal: float,
    centre: tuple[float, float] | None = None,
) -> PointCloud:
    """The points of an image's pixels under the pinhole camera model.

    The pixel in row r and column c with depth z is the point (z (c - c0) / f, z (r - r0) / f, z).
    Source: Hartley and Zisserman, Multiple View Geometry, section 6.1,
    https://doi.org/10.1017/CBO9780511811685.

    Args:
      depth: depth along the optical axis, metres; pixels where it is not finite are left out.
      image: RGB.
      focal: focal length in pixels of this image, such as `sizes.focal_length((H, W))`.
      centre: (row, column) in pixels where the optical axis meets the image; the centre of the
        first pixel is (0, 0). Default: the centre of the image.

    Returns:
      A point for each pixel of known depth, row by row.

    Raises:
      ValueError: depth and image differ in size, or the focal length is not positive.

    Example:
      >>> import numpy as np
      >>> depth = np.array([[2.0, np.nan, 4.0]])
      >>> cloud = point_cloud(depth, np.zeros((1, 3, 3), np.uint8), focal=10.0)
      >>> cloud.positions.tolist()  # one pixel left and one right of the middle
      [[-0.20000000298023224, 0.0, 2.0], [0.4000000059604645, 0.0, 4.0]]
    """
    if image.shape[:2] != depth.shape:
        raise ValueError(f"`image` {image.shape} and `depth` {depth.shape} must have the same size")
    if not focal > 0:
        raise ValueError(f"`focal` (={focal}) must be positive")
    height, width = depth.shape
    row, col = centre or ((height - 1) / 2, (width - 1) / 2)
    known = np.isfinite(depth)
    rows, cols = np.nonzero(known)
    z = depth[known].astype(np.float64)
    positions = np.stack([z * (cols - col) / focal, z * (rows - row) / focal, z], axis=1)
    return PointCloud(positions.astype(np.float32), image[known], 1 / focal)


def write_ply(path: Path, cloud: PointCloud) -> None:
    """Writes the points as a binary PLY file, atomically.

    Source of the format: http://paulbourke.net/dataformats/ply/.

    Raises:
      OSError: the file cannot be written.
    """
    vertices = np.empty(len(cloud.positions), VERTEX)
    for index, name in enumerate(("x", "y", "z")):
        vertices[name] = cloud.positions[:, index]
    for index, name in enumerate(("red", "green", "blue")):
        vertices[name] = cloud.colours[:, index]
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment x to the right, y down, z forward from the camera at the origin; metres",
        f"element vertex {len(vertices)}",
        *(f"property float {name}" for name in ("x", "y", "z")),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        "end_header\n",
    ]
    write_bytes(path, "\n".join(lines).encode("ascii") + vertices.tobytes())
