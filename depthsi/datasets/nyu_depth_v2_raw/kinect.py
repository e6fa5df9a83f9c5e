"""From Kinect disparity to depth in the colour camera, with NYU Depth v2's calibration.

Constants and conventions are those of the data set's toolbox (Silberman et al. 2012,
`camera_params.m`, `project_depth_map.m`):

- a disparity n is 351.3 / (1092.5 - n) metres deep; under 600, and at the image's greatest value,
  nothing was measured; over 10 m counts as 10 m;
- lens distortion is Brown's model in OpenCV's order and signs, pixels counted from 0;
- back-projection and projection count pixels from 1, and the result is rounded half away from 0;
- the toolbox maps a point p of the depth camera to -M^-1 p + T with T = (t_x, t_z, t_y), in this
  order, and divides by a negative z. That is the point M^-1 p - T of an upright camera: what lies
  straight ahead of the depth camera lies 25 mm to the left of the colour camera's axis, as it
  must, for seen from behind the device the colour camera is on the right;
- the value stored is the depth camera's z, and the nearest surface wins a pixel.

Unlike the toolbox, lens distortion is taken out of disparities by the nearest pixel, so that
measurements are never mixed with each other or with holes.
"""

import dataclasses
import functools
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, UInt8, UInt16

from depthsi.errors import DepthsiError

SIZE = (480, 640)  # (H, W), pixels: what the calibration is for
FARTHEST = 10.0  # metres
LEAST_DISPARITY = 600
OUTSIDE = 255  # what the undistorted image shows beyond its edge: the data set's white frame

CameraName = Literal["depth", "colour"]


@dataclasses.dataclass(frozen=True)
class Camera:
    """Focal lengths and centre in pixels; radial k1, k2, tangential p1, p2, radial k3."""

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float]


COLOUR = Camera(
    5.1885790117450188e02,
    5.1946961112127485e02,
    3.2558244941119034e02,
    2.5373616633400465e02,
    (
        2.0796615318809061e-01,
        -5.8613825163911781e-01,
        7.2231363135888329e-04,
        1.0479627195765181e-03,
        4.9856986684705107e-01,
    ),
)
DEPTH = Camera(
    5.8262448167737955e02,
    5.8269103270988637e02,
    3.1304475870804731e02,
    2.3844389626620386e02,
    (
        -9.9897236553084481e-02,
        3.9065324602765344e-01,
        1.9290592870229277e-03,
        -1.9422022475975055e-03,
        -5.1031725053400578e-01,
    ),
)
ROTATION = (  # M, rows
    (9.9997798940829263e-01, 5.0518419386157446e-03, 4.3011152014118693e-03),
    (-5.0359919480810989e-03, 9.9998051861143999e-01, -3.6879781309514218e-03),
    (-4.3196624923060242e-03, 3.6662365748484798e-03, 9.9998394948385538e-01),
)
TRANSLATION = (2.5031875059141302e-02, -2.9342312935846411e-04, 6.6238747008330102e-04)  # metres


def undistort_picture(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image an ideal colour camera would have taken: bilinear, rounded, white outside.

    Raises:
      DepthsiError: not 480x640 pixels.
    """
    _check_size(image)
    rows, cols, inside = _source(COLOUR)
    top, left = np.floor(rows).astype(int), np.floor(cols).astype(int)
    down, right = ((rows - top)[..., None], (cols - left)[..., None])
    bottom, far = np.minimum(top + 1, SIZE[0] - 1), np.minimum(left + 1, SIZE[1] - 1)
    upper = image[top, left] * (1 - right) + image[top, far] * right
    lower = image[bottom, left] * (1 - right) + image[bottom, far] * right
    mixed = np.rint(upper * (1 - down) + lower * down)
    return np.where(inside[..., None], mixed, OUTSIDE).astype(np.uint8)


def project_disparity(
    disparity: UInt16[np.ndarray, "h w"], *, z_of: CameraName = "depth", mask_extremes: bool = True
) -> Float32[np.ndarray, "h w"]:
    """Depth in metres at the pixels of the undistorted image; 0 = missing.

    Args:
      disparity: 11-bit values of the depth camera.
      z_of: the camera whose z is stored: "depth" as in the toolbox and the labelled pairs, or
        "colour", which differs by less than 2 cm at 4 m.
      mask_extremes: pixels with the least or the greatest depth of the frame count as missing
        (paper, section 4.1); the latter are mostly windows and open doors, capped at 10 m.

    Raises:
      DepthsiError: not 480x640 pixels.
    """
    _check_size(disparity)
    z = _sensor_depth(disparity)
    rows, cols = np.nonzero(z)
    z = z[rows, cols]
    x, y, distance = _to_colour(rows, cols, z)
    inside = (x >= 0) & (x < SIZE[1]) & (y >= 0) & (y < SIZE[0])
    order = np.argsort(-z[inside], kind="stable")  # far to near: what is written last stays
    place = y[inside][order], x[inside][order]
    values = z if z_of == "depth" else distance
    result, sensor = np.zeros(SIZE), np.zeros(SIZE)
    result[place], sensor[place] = values[inside][order], z[inside][order]
    if mask_extremes and z.size:
        result[(sensor == z.min()) | (sensor == z.max())] = 0
    return result.astype(np.float32)


def _sensor_depth(disparity: np.ndarray) -> Float64[np.ndarray, "h w"]:
    """Undistorted depth in the depth camera, metres, 0 = missing."""
    rows, cols, inside = _source(DEPTH)
    nearest = disparity[np.rint(rows).astype(int), np.rint(cols).astype(int)].astype(np.float64)
    measured = inside & (nearest >= LEAST_DISPARITY) & (nearest < disparity.max())
    measured &= nearest < 1092.5
    depth = 351.3 / np.where(measured, 1092.5 - nearest, 1)
    return np.where(measured, np.minimum(depth, FARTHEST), 0)


def _to_colour(
    rows: np.ndarray, cols: np.ndarray, z: np.ndarray
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Column, row (from 0) and z in the colour camera of pixels of the depth camera."""
    x = (cols + 1 - DEPTH.cx) * z / DEPTH.fx
    y = (rows + 1 - DEPTH.cy) * z / DEPTH.fy
    points = np.linalg.inv(ROTATION) @ np.stack([x, y, z]) - np.array(TRANSLATION)[:, None]
    u = points[0] / points[2] * COLOUR.fx + COLOUR.cx
    v = points[1] / points[2] * COLOUR.fy + COLOUR.cy
    # Halves away from zero; those below zero are outside anyway.
    return (np.floor(u + 0.5) - 1).astype(int), (np.floor(v + 0.5) - 1).astype(int), points[2]


@functools.cache
def _source(
    camera: Camera,
) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Row and column in the recorded image of each pixel of the undistorted one.

    Positions outside the recorded image are moved to its edge and marked False in the third map.
    """
    k1, k2, p1, p2, k3 = camera.distortion
    v, u = np.indices(SIZE, dtype=np.float64)
    x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    col = camera.fx * (x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x)) + camera.cx
    row = camera.fy * (y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y) + camera.cy
    inside = (row >= 0) & (row <= SIZE[0] - 1) & (col >= 0) & (col <= SIZE[1] - 1)
    maps = row.clip(0, SIZE[0] - 1), col.clip(0, SIZE[1] - 1), inside
    for values in maps:
        values.flags.writeable = False
    return maps


def _check_size(array: np.ndarray) -> None:
    if array.shape[:2] != SIZE:
        raise DepthsiError(
            f"The frame has {array.shape[0]}x{array.shape[1]} pixels, but the calibration is for "
            f"{SIZE[0]}x{SIZE[1]}."
        )
