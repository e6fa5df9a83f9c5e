"""A point cloud as a single HTML page with an interactive viewer that works offline."""

import base64
import html
import json
import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from depthsi.files import write_text
from depthsi.viz.point_cloud import point_cloud

MOST_POINTS = 150_000  # of a page, which then has 3 MB


def write_viewer(
    path: Path,
    depth: Float[np.ndarray, "H W"],
    image: UInt8[np.ndarray, "H W 3"],
    focal: float,
    title: str,
) -> None:
    """Writes a page that shows the point cloud of a depth map, atomically.

    Args:
      path: path of the page.
      depth: depth along the optical axis, metres; pixels where it is not finite are left out.
      image: RGB.
      focal: focal length in pixels of this image.
      title: title of the page.

    Raises:
      OSError: the file cannot be written.

    Example:
      >>> import numpy as np
      >>> from pathlib import Path
      >>> image, depth = np.zeros((24, 32, 3), np.uint8), np.ones((24, 32))
      >>> write_viewer(Path("a.html"), depth, image, focal=30.0, title="a")  # doctest: +SKIP
    """
    write_text(path, viewer_page(depth, image, focal, title))


def viewer_page(
    depth: Float[np.ndarray, "H W"], image: UInt8[np.ndarray, "H W 3"], focal: float, title: str
) -> str:
    """The text of the page.

    Large images are reduced to every second row and column, every third, and so on, so that there
    are at most `MOST_POINTS` points.

    Args:
      depth: depth along the optical axis, metres; pixels where it is not finite are left out.
      image: RGB.
      focal: focal length in pixels of this image.
      title: title of the page.
    """
    step = _step(np.isfinite(depth))
    height, width = depth.shape
    centre = (height - 1) / 2 / step, (width - 1) / 2 / step
    cloud = point_cloud(depth[::step, ::step], image[::step, ::step], focal / step, centre)
    about = {
        "spacing": cloud.spacing,
        "focal": focal,
        "size": [height, width],
        "pivot": float(np.median(cloud.positions[:, 2])) if len(cloud.positions) else 1.0,
    }
    values = {
        "TITLE": html.escape(title),
        "COUNT": str(len(cloud.positions)),
        "ABOUT": json.dumps(about),
        "POSITIONS": _base64(cloud.positions.astype("<f4")),
        "COLOURS": _base64(cloud.colours),
    }
    page = resources.files("depthsi.viz").joinpath("viewer.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], page)


def _step(known: np.ndarray) -> int:
    """The least step through rows and columns that leaves few enough of the known pixels."""
    step = max(1, math.isqrt(int(known.sum()) // MOST_POINTS))
    while known[::step, ::step].sum() > MOST_POINTS:
        step += 1
    return step


def _base64(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
