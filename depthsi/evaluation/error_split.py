"""Splits a squared log error into errors of the scale, the layout of the scene, and its detail."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64

from depthsi.metrics.bootstrap import LEVEL, RESAMPLES
from depthsi.valid import valid_depth

BLOCKS = 8  # along the longer side of an image


class ErrorParts(NamedTuple):
    """Mean squared log errors of b images, (b,) each, in squared log metres.

    Attributes:
      whole: the whole error, rmse_log^2, which is the sum of the other three.
      scale: the part that one factor for the whole image would remove.
      layout: the part that one factor per block would remove beyond that.
      detail: the remaining error within the blocks.
    """

    whole: Float64[np.ndarray, " b"]
    scale: Float64[np.ndarray, " b"]
    layout: Float64[np.ndarray, " b"]
    detail: Float64[np.ndarray, " b"]


def split_error(
    predictions: Float[np.ndarray, "b h w"],
    targets: Float[np.ndarray, "b h w"],
    where: Bool[np.ndarray, "b h w"],
) -> ErrorParts:
    """Splits the mean squared log error of each image by cause, exactly.

    With d = ln y - ln y* at the n valid pixels of an image, m = mean(d), and m_B the mean of d over
    the valid pixels of the square block B that a pixel is in,

      mean(d^2) = m^2 + mean((m_B - m)^2) + mean((d - m_B)^2)
      whole     = scale + layout          + detail

    The means of blocks are the projection of d onto what is constant in each block, for the inner
    product over the valid pixels, so the parts add up whatever is missing. There are `BLOCKS`
    blocks along the longer side, beginning at the top left: layout is what varies over more than a
    quarter of that side (low frequencies), detail what varies over less. A slope of d across the
    whole side counts as layout but for 1/64 of it.

    Args:
      predictions: (b, h, w) metres.
      targets: (b, h, w) metres.
      where: (b, h, w) mask of the pixels that count; pixels without a finite, positive target do
        not count.

    Returns:
      The parts of each image; NaN for an image without a valid pixel, or with a valid one whose
      prediction is not finite and positive.
    """
    where = where & valid_depth(targets)
    usable = valid_depth(predictions)
    known = where & usable
    d = np.log(np.where(known, predictions, 1.0).astype(np.float64))
    d -= np.log(np.where(known, targets, 1.0).astype(np.float64))
    size = -(-max(d.shape[1:]) // BLOCKS)
    in_block = _block_sums(d, size) / np.maximum(_block_sums(known, size), 1)
    low = np.repeat(np.repeat(in_block, size, axis=1), size, axis=2)[:, : d.shape[1], : d.shape[2]]

    count = known.sum(axis=(1, 2))
    scored = (count > 0) & ~(where & ~usable).any(axis=(1, 2))

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.sum(values, axis=(1, 2), where=known)
        return np.where(scored, total / np.maximum(count, 1), np.nan)

    middle = mean(d)
    layout = mean((low - middle[:, None, None]) ** 2)
    return ErrorParts(mean(d**2), middle**2, layout, mean((d - low) ** 2))


def _block_sums(values: np.ndarray, size: int) -> Float64[np.ndarray, "b rows columns"]:
    sums = values.astype(np.float64)
    for axis in (1, 2):
        sums = np.add.reduceat(sums, np.arange(0, values.shape[axis], size), axis=axis)
    return sums


class Share(NamedTuple):
    """A part's share of the whole squared log error of a set, and its 95 % interval."""

    value: float
    low: float
    high: float


def error_shares(
    parts: ErrorParts, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Share]:
    """Shares of scale, layout and detail in the sum of whole over the images.

    Args:
      parts: result of `split_error` over all images of a set; images with NaN are left out.
      resamples: number of bootstrap resamples of the images, for percentile intervals.
      seed: seed of the bootstrap.

    Returns:
      The three shares by name; NaN if no image has an error.
    """
    known = np.isfinite(parts.whole)
    table = np.stack([parts.scale, parts.layout, parts.detail, parts.whole])[:, known]
    count = table.shape[1]
    if not count or not table[3].sum() > 0:
        return dict.fromkeys(ErrorParts._fields[1:], Share(np.nan, np.nan, np.nan))
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    sums = draws @ table.T
    drawn = sums[:, :3] / np.where(sums[:, 3:] > 0, sums[:, 3:], np.nan)
    low, high = np.nanquantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    values = table[:3].sum(axis=1) / table[3].sum()
    ends = zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    return {name: Share(*each) for name, each in zip(ErrorParts._fields[1:], ends, strict=True)}
