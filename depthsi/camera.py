"""Cameras, described by their focal length in pixels.

The camera is assumed to be a pinhole camera with square pixels and the optical axis at the centre
of the photo. Its focal length in pixels then describes it completely: an image scaled by s has s
times the focal length, and shows everything under the same angles.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from depthsi.errors import DepthsiError

FILM_DIAGONAL = math.hypot(36, 24)  # mm
FIELDS_OF_VIEW = (1.0, 160.0)  # degrees, horizontal: of what is taken for a camera


class Photo(NamedTuple):
    """An image with its focal length.

    Attributes:
      image: RGB.
      focal: focal length in pixels of this image; None if it is unknown.
    """

    image: UInt8[np.ndarray, "H W 3"]
    focal: float | int | None = None


def focal_from_fov(degrees: float | int, width: int) -> float:
    """Focal length in pixels of an image of this width and horizontal field of view.

    Raises:
      DepthsiError: the angle is outside `FIELDS_OF_VIEW`.

    Example:
      >>> from depthsi.camera import focal_from_fov
      >>> round(focal_from_fov(90.0, 640), 6)
      320.0
    """
    least, greatest = FIELDS_OF_VIEW
    if not least <= degrees <= greatest:
        raise DepthsiError(
            f"A horizontal field of view of {degrees:g} degrees cannot be used: give one from"
            f" {least:g} to {greatest:g}."
        )
    return width / 2 / math.tan(math.radians(degrees) / 2)


def focal_from_35mm(millimetres: float | int | None, size: tuple[int, ...]) -> float | None:
    """Focal length in pixels of an image (H, W), from its 35 mm equivalent focal length.

    The diagonals of both formats are equated, as CIPA DCG-001 defines the equivalent, so the photo
    must not be cropped. Implausible values count as unknown.
    """
    if not millimetres:
        return None
    focal = millimetres * math.hypot(*size[:2]) / FILM_DIAGONAL
    least, greatest = FIELDS_OF_VIEW
    return focal if least <= field_of_view(focal, size[1]) <= greatest else None


def field_of_view(focal: float | int, width: int) -> float:
    """The horizontal angle in degrees that an image of `width` pixels sees."""
    return math.degrees(2 * math.atan(width / 2 / focal))


def check_focal(focal: float | int, width: int) -> None:
    """Raises DepthsiError unless the focal length, in pixels, is plausible for a camera."""
    least, greatest = FIELDS_OF_VIEW
    if not (0 < focal < math.inf and least <= field_of_view(focal, width) <= greatest):
        lowest, highest = focal_from_fov(greatest, width), focal_from_fov(least, width)
        raise DepthsiError(
            f"A focal length of {focal:g} pixels cannot be used for an image that is {width} pixels"
            f" wide: give one from {math.ceil(lowest)} to {math.floor(highest)}."
        )
