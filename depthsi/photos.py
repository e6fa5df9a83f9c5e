"""What a caller takes for an image, as a photo: pixels, and a focal length if one is known."""

import os
from typing import Literal

import jax
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from depthsi.camera import Photo, focal_from_35mm, focal_from_fov
from depthsi.data.formats import images
from depthsi.data.formats.exif import focal_35mm
from depthsi.errors import DepthsiError

ImageLike = str | os.PathLike[str] | Image.Image | np.ndarray | jax.Array | Photo
CameraSource = Literal["exif", "training"]


def as_photo(image: ImageLike) -> Photo:
    """What `Predictor` takes as an image, as RGB in 0..255, with the focal length if EXIF has it.

    Raises:
      DepthsiError: a file that cannot be read, or an array that is no such image, and what to do.
    """
    if isinstance(image, Photo):
        return image
    if isinstance(image, str | os.PathLike):
        return images.read_photo(image)
    if isinstance(image, Image.Image):
        pixels = images.as_rgb(ImageOps.exif_transpose(image))
        millimetres = focal_35mm(image.info.get("exif") or b"")
        return Photo(pixels, focal_from_35mm(millimetres, pixels.shape))
    return Photo(images.image_uint8(np.asarray(image)))


def as_rgb(image: ImageLike) -> UInt8[np.ndarray, "H W 3"]:
    """The pixels of `as_photo`."""
    return as_photo(image).image


def with_camera(
    photo: Photo, focal: float | int | None, fov: float | int | None, camera: CameraSource = "exif"
) -> Photo:
    """A photo whose focal length is the one given, by pixels or by angle, if one is.

    Args:
      photo: with the focal length that its EXIF has.
      focal: in pixels of this photo.
      fov: horizontal field of view in degrees, in its place.
      camera: "training" forgets the focal length of the photo.

    Raises:
      DepthsiError: both are given, or no camera has such an angle.
    """
    if focal is not None and fov is not None:
        raise DepthsiError("Give a focal length or a field of view, not both.")
    if fov is not None:
        focal = focal_from_fov(fov, photo.image.shape[1])
    if focal is not None:
        return photo._replace(focal=focal)
    return photo if camera == "exif" else photo._replace(focal=None)
