"""Resizes an image and its depth map to a given size."""

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from depthsi.data.samples import Sample, validate_sample


def fit_to(
    image: np.ndarray, depth: np.ndarray, size: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
    """Scales both by the factor at which they just cover `size`, then crops to the centre.

    The image is resampled by antialiased bilinear interpolation. Each output depth is the input
    depth at that pixel's centre (nearest; the upper or left one of two equally near), so missing
    depth never mixes with measured depth. Depth values do not change, because the same view is
    merely sampled at another resolution. If the factor is 1, the result is only cropped.

    Args:
      image: uint8 (H, W, 3).
      depth: float32 (H, W) metres.
      size: (h, w) of the result in pixels.

    Raises:
      ValueError: image and depth differ in size, or `size` is not positive.

    Example:
      >>> import numpy as np
      >>> from depthsi.data import fit_to
      >>> image, depth = np.zeros((8, 16, 3), np.uint8), np.ones((8, 16), np.float32)
      >>> image, depth = fit_to(image, depth, (4, 4))
      >>> image.shape, depth.shape
      ((4, 4, 3), (4, 4))
    """
    if image.shape[:2] != depth.shape:
        raise ValueError(f"`image` {image.shape} and `depth` {depth.shape} must have the same size")
    if min(size) < 1:
        raise ValueError(f"`size` (={size}) must be positive")
    # Input pixels per output pixel, the same along both axes, as an exact fraction a / b.
    a, b = min(zip(depth.shape, size, strict=True), key=lambda ratio: ratio[0] / ratio[1])
    rows, cols = (_nearest(n, m, a, b) for n, m in zip(depth.shape, size, strict=True))
    nearest = np.ix_(rows, cols)
    if a == b:
        return image[nearest], depth[nearest]
    box = _box(depth.shape, size, a / b)
    height, width = size
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.array(resized), depth[nearest]


def fit_sample(sample: Sample, size: tuple[int, int] | None) -> Sample:
    """`sample`, checked, brought to `size` by `fit_to`, and checked again; None leaves its size.

    Raises:
      DepthsiError: as `validate_sample`.
    """
    validate_sample(sample)
    if size is None:
        return sample
    return validate_sample(Sample(*fit_to(sample.image, sample.depth, size), sample.name))


def _nearest(length: int, count: int, a: int, b: int) -> np.ndarray:
    """Indices, out of `length`, nearest to the centres of `count` centred cells of a / b each.

    Centre i lies at (length - count a/b) / 2 + (i + 1/2) a/b. Integers, because rounding would
    decide the many ties otherwise.
    """
    centres = length * b + (2 * np.arange(count) + 1 - count) * a  # in units of 1 / (2 b)
    return (centres - 1) // (2 * b)


def _box(
    shape: tuple[int, ...], size: tuple[int, int], step: float
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the centred region that `size` cells of `step` cover."""
    top, left = (max(0.0, (n - m * step) / 2) for n, m in zip(shape, size, strict=True))
    return left, top, shape[1] - left, shape[0] - top
