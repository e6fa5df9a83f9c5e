"""Upsamples the network's coarse cells to the pixels of a photo, along the edges in the photo.

A network predicts one value for 4x4 pixels of a small image. Interpolating between the centres of
these cells turns the edges of objects into ramps. Here the weight of each of the four cells around
a pixel decreases with the difference between its colour and the pixel's, so that depth changes
where colours do: joint bilateral upsampling with the hat function of bilinear interpolation in
space. Every value lies between those of the four cells.

Source: Kopf, Cohen, Lischinski and Uyttendaele, Joint Bilateral Upsampling, 2007
(https://doi.org/10.1145/1276377.1276497).
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

Upsampling = Literal["nearest", "bilinear", "guided"]
UPSAMPLINGS: tuple[Upsampling, ...] = ("nearest", "bilinear", "guided")
SIGMA = 0.12  # of colour, channels in 0..1; chosen by experiments/studies/upsampling.py
LEAST = 1e-6  # weight of quite another colour: where all four are, they are interpolated
STRIP = 128  # rows computed at a time, so that large photos take little memory


class Box(NamedTuple):
    """A rectangle of an image in pixels, whose first one reaches from 0 to 1."""

    top: float
    left: float
    bottom: float
    right: float


def resized(
    values: Float[np.ndarray, "h w"], size: tuple[int, int], *, smooth: bool = True
) -> Float32[np.ndarray, "H W"]:
    """A map resized to (H, W).

    Args:
      values: NaN where unknown; unknown values stay NaN and do not affect their neighbours.
      size: (H, W).
      smooth: whether to interpolate between the centres of pixels or to repeat the nearest one.
    """
    known, wide_first = np.isfinite(values), (size[1], size[0])
    nearest = np.asarray(Image.fromarray(known).resize(wide_first, Image.Resampling.NEAREST))
    how = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    filled = np.where(known, values, 0).astype(np.float32)
    found = np.asarray(Image.fromarray(filled).resize(wide_first, how))
    if smooth and not known.all():  # the mean of what is known, by its share in the interpolation
        share = Image.fromarray(known.astype(np.float32)).resize(wide_first, how)
        found = found / np.maximum(np.asarray(share), np.float32(1e-6))
    return np.where(nearest, found, np.float32(np.nan))


def guided(
    values: Float[np.ndarray, "h w"],
    image: UInt8[np.ndarray, "H W 3"],
    box: Box | None = None,
    *,
    sigma: float = SIGMA,
) -> Float32[np.ndarray, "H W"]:
    """A map upsampled to the size of an image, with edges where the image has them.

    Args:
      values: log depth of the image, or of `box` in it, at a smaller size; NaN where unknown.
      image: RGB.
      box: the part of the image that `values` cover evenly. Default: the whole image. Values at its
        edges are continued beyond it.
      sigma: colour difference (root of the sum of squares over channels in 0..1) at which the
        weight of a cell is exp(-1/2).

    Returns:
      Log depth; NaN where the nearest of the values is, which changes nothing around it.
    """
    height, width = image.shape[:2]
    top, left, bottom, right = box or Box(0, 0, height, width)
    edges = left, top, right, bottom
    wide_first = values.shape[1], values.shape[0]
    small = Image.fromarray(image).resize(wide_first, Image.Resampling.BILINEAR, edges)
    colours, values = np.asarray(small, np.float32) / 255, values.astype(np.float32)
    rows = (np.arange(height) + 0.5 - top) * (values.shape[0] / (bottom - top)) - 0.5
    cols = (np.arange(width) + 0.5 - left) * (values.shape[1] / (right - left)) - 0.5
    found = np.empty((height, width), np.float32)
    for first in range(0, height, STRIP):
        strip = np.s_[first : first + STRIP]
        pixels = image[strip].astype(np.float32) / 255
        found[strip] = _joint_bilateral(values, colours, pixels, rows[strip], cols, sigma)
    return found


def _joint_bilateral(
    values: Float32[np.ndarray, "h w"],
    colours: Float32[np.ndarray, "h w 3"],
    pixels: Float32[np.ndarray, "H W 3"],
    rows: Float[np.ndarray, " H"],
    cols: Float[np.ndarray, " W"],
    sigma: float,
) -> Float32[np.ndarray, "H W"]:
    """Values at the positions `rows` and `cols`, counted in pixels of `values`."""
    total, weights = np.zeros((2, *pixels.shape[:2]), np.float32)
    for down, row_weights in _neighbours(rows, len(values)):
        for right, col_weights in _neighbours(cols, values.shape[1]):
            there, difference = np.ix_(down, right), 0
            for channel in range(3):
                difference = difference + (pixels[..., channel] - colours[(*there, channel)]) ** 2
            alike = np.exp(difference * np.float32(-0.5 / sigma**2)) + np.float32(LEAST)
            known = np.isfinite(values[there])
            weight = np.where(known, row_weights[:, None] * col_weights * alike, 0)
            total += weight * np.where(known, values[there], 0)
            weights += weight
    nearest = np.ix_(*(_nearest(at, n) for at, n in zip((rows, cols), values.shape, strict=True)))
    return np.where(
        np.isfinite(values[nearest]), total / np.where(weights > 0, weights, 1), np.float32(np.nan)
    )


def _neighbours(at: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two pixels around each position, and the weights of linear interpolation."""
    before = np.floor(at).astype(int)
    share = (at - before).astype(np.float32)
    pairs = ((before, 1 - share), (before + 1, share))
    return [(np.clip(place, 0, count - 1), weight) for place, weight in pairs]


def _nearest(at: np.ndarray, count: int) -> np.ndarray:
    return np.clip(np.floor(at + 0.5).astype(int), 0, count - 1)
