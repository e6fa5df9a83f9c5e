"""Random changes of an image's colours and sharpness that leave its depth as it is.

Images are float (H, W, 3), RGB on the scale 0..255. All functions are pure.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from depthsi.config import AugmentConfig

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)  # JFIF, without the offset of 128
_MIDDLE = np.array([[[128, 0, 0]]], np.float32)  # luma is coded about its middle, as chroma is
_BLOCK = 8
# Annex K.1 of the JPEG standard, https://www.w3.org/Graphics/JPEG/itu-t81.pdf
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
_CHROMINANCE = np.full((8, 8), 99, np.float32)
_CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

Image = Float[Array, "H W 3"]
Scalar = Float[Array, ""]


def vary_appearance(key: Key[Array, ""], image: Image, config: AugmentConfig) -> Image:
    """Applies the changes of `config`, each with a random strength.

    They are applied in the order in which a camera causes them: exposure and colour, optics,
    sensor, compression.

    Args:
      key: determines the strengths and the noise.
      image: RGB on the scale 0..255.
      config: the ranges; a change whose range is neutral is not computed.

    Returns:
      The changed image, on the scale 0..255.
    """
    keys = jax.random.split(key, 7)

    def within(number: int, low: float, high: float) -> Scalar:
        return jax.random.uniform(keys[number], (), minval=low, maxval=high)

    if config.contrast != (1.0, 1.0):
        image = adjust_contrast(image, within(0, *config.contrast))
    if config.saturation != (1.0, 1.0):
        image = adjust_saturation(image, within(1, *config.saturation))
    if config.gamma != (1.0, 1.0):
        low, high = map(math.log, config.gamma)  # gamma and 1 / gamma are equally far from 1
        image = adjust_gamma(image, jnp.exp(within(2, low, high)))
    if config.blur:
        image = blur(image, within(3, 0.0, config.blur), config.blur)
    if config.noise:
        deviation = within(4, 0.0, config.noise)
        image = image + deviation * jax.random.normal(keys[5], image.shape)
    if config.jpeg_quality < 100:
        image = compress_jpeg(image, within(6, float(config.jpeg_quality), 100.0))
    return image


def adjust_contrast(image: Image, factor: Scalar | float) -> Image:
    """Moves every value away from the image's mean luma, or towards it where `factor` < 1."""
    mean = jnp.mean(image @ LUMA)
    return mean + factor * (image - mean)


def adjust_saturation(image: Image, factor: Scalar | float) -> Image:
    """Moves every colour away from the grey of its luma, or towards it where `factor` < 1."""
    grey = (image @ LUMA)[..., None]
    return grey + factor * (image - grey)


def adjust_gamma(image: Image, gamma: Scalar | float) -> Image:
    """255 (x / 255)^gamma of every value, which is first clipped to 0..255."""
    return 255 * (jnp.clip(image, 0, 255) / 255) ** gamma


def blur(image: Image, deviation: Scalar | float, largest: float) -> Image:
    """Convolution with a Gaussian; beyond the border the image goes on as at the border.

    Args:
      image: (H, W, 3).
      deviation: standard deviation of the Gaussian in pixels; 0 returns the image unchanged.
      largest: largest possible deviation in pixels; the Gaussian is cut off at three times this.
    """
    radius = math.ceil(3 * largest)
    steps = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    weights = jnp.exp(-0.5 * (steps / jnp.maximum(deviation, 1e-3)) ** 2)
    weights = weights / jnp.sum(weights)
    height, width = image.shape[:2]
    padded = jnp.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    rows = [weight * padded[i : i + height] for i, weight in enumerate(weights)]
    blurred = jnp.asarray(sum(rows))
    columns = [weight * blurred[:, i : i + width] for i, weight in enumerate(weights)]
    return jnp.asarray(sum(columns))


def compress_jpeg(image: Image, quality: Scalar | float) -> Image:
    """The image after JPEG compression without chroma subsampling.

    The discrete cosine transform of each 8x8 block of luma and chroma is rounded to multiples of
    the tables of the standard's Annex K.1, scaled for `quality` as the IJG's library does.
    https://www.w3.org/Graphics/JPEG/itu-t81.pdf

    Args:
      image: (H, W, 3).
      quality: 1 .. 100.

    Returns:
      The image as a reader would decode it, in 0..255 and not rounded to integers.
    """
    height, width = image.shape[:2]
    fill = [(0, -size % _BLOCK) for size in (height, width)]
    padded = jnp.pad(jnp.clip(image, 0, 255), (*fill, (0, 0)), mode="edge")
    ycbcr = padded @ _TO_YCBCR.T - _MIDDLE
    rows, cols = (size // _BLOCK for size in padded.shape[:2])
    blocks = ycbcr.reshape(rows, _BLOCK, cols, _BLOCK, 3)
    basis = _cosines()
    waves = jnp.einsum("ui,riwjc,vj->rwcuv", basis, blocks, basis)
    scale = jnp.where(quality < 50, 5000 / jnp.maximum(quality, 1.0), 200 - 2 * quality)
    tables = jnp.stack([_LUMINANCE, _CHROMINANCE, _CHROMINANCE])[None, None]
    tables = jnp.clip(jnp.floor((tables * scale + 50) / 100), 1, 255)
    waves = jnp.round(waves / tables) * tables
    blocks = jnp.einsum("ui,rwcuv,vj->riwjc", basis, waves, basis)
    ycbcr = blocks.reshape(padded.shape) + _MIDDLE
    decoded = ycbcr @ np.linalg.inv(_TO_YCBCR).T.astype(np.float32)
    return jnp.clip(decoded[:height, :width], 0, 255)


def _cosines() -> Float[np.ndarray, "8 8"]:
    """The orthonormal basis of the discrete cosine transform, one row for each frequency."""
    k, i = np.arange(_BLOCK)[:, None], np.arange(_BLOCK)[None, :]
    basis = np.cos(np.pi * (2 * i + 1) * k / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
    basis[0] /= math.sqrt(2)
    return basis.astype(np.float32)
