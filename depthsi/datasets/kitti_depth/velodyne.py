"""Scans of the spinning laser scanner."""

import numpy as np
from jaxtyping import Float32

from depthsi.errors import DepthsiError
from depthsi.files import PathLike, contents

POINT_BYTES = 16
FARTHEST = 250.0  # metres; twice the scanner's reach, and what uint16 in 1/256 m can hold


def read_scan(path: PathLike) -> Float32[np.ndarray, "n 4"]:
    """Reads a `.bin`: x forward, y left, z up in metres and the reflectance of each point.

    Raises:
      DepthsiError: the file is missing, unreadable, empty or cut inside a point, or a coordinate
        is not finite or beyond 250 m.
    """
    data = contents(path)
    if not data:
        raise DepthsiError(f"{path} is empty; replace it.")
    if len(data) % POINT_BYTES:
        raise DepthsiError(
            f"{path} has {len(data)} bytes, no multiple of a point's {POINT_BYTES}, so it is cut "
            "short; replace it."
        )
    points = np.frombuffer(data, "<f4").reshape(-1, 4).astype(np.float32)
    good = (np.abs(points[:, :3]) <= FARTHEST).all(axis=1)  # False for NaN as well
    if not good.all():
        first = int(np.argmin(good))
        x, y, z = points[first, :3]
        raise DepthsiError(
            f"{path}: point {first} lies at ({x:g}, {y:g}, {z:g}), not within {FARTHEST:g} m; "
            "the file is damaged, replace it."
        )
    return points
