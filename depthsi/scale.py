"""The scale that an image leaves open: from known distances, and as an interval."""

import math
import numbers
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Float32

from depthsi.errors import DepthsiError
from depthsi.losses import optimal_log_scale

SHARE = 0.9  # of the images, whose best factors an interval spans
LEAST_IMAGES = 20  # for an interval
ENTRY = "scale_interval"  # of what is known about a network
KnownFit = Literal["exact", "weighted"]


class ScaleInterval(NamedTuple):
    """Interval of the best scale factors for a network's maps on its validation images.

    Attributes:
      low: lower end of the central interval that contains `SHARE` of the images' factors.
      high: upper end.
      images: number of images.
    """

    low: float
    high: float
    images: int


class ScalePrior(NamedTuple):
    """What is expected of a network's maps, in log depth, before any distance is known.

    Attributes:
      mean: of the best log scale over the network's validation images.
      variance: of the same.
      pixel_variance: mean square of the log error that the best scale of an image leaves.
    """

    mean: float
    variance: float
    pixel_variance: float

    def weight(self, points: int, noise: float = 0.0) -> float:
        """Share of the points' mean log ratio in the log scale with the least expected error.

        The ratios vary about the scale by the error at the pixels and by the noise, so their mean
        has 1 / points of that variance; the posterior mean of a normal prior and normal errors.

        Args:
          points: number of known distances.
          noise: standard deviation of their logarithm.
        """
        around = (self.pixel_variance + noise**2) / points
        return self.variance / (self.variance + around) if self.variance + around else 1.0


def log_scale_range(log_scales: Float[np.ndarray, " n"]) -> dict[str, float]:
    """The central `SHARE` of the images' best log scales, as metrics of an evaluation.

    Args:
      log_scales: alpha of Eq. 1 of each image, mean(log target - log prediction).

    Returns:
      `log_scale_low` and `log_scale_high`, quantiles with linear interpolation, and
      `log_scale_images`; nothing for fewer than `LEAST_IMAGES` images or one that is not finite.
    """
    if len(log_scales) < LEAST_IMAGES or not np.isfinite(log_scales).all():
        return {}
    low, high = np.quantile(log_scales, (0.5 - SHARE / 2, 0.5 + SHARE / 2)).tolist()
    images = float(len(log_scales))
    return {"log_scale_low": low, "log_scale_high": high, "log_scale_images": images}


def describe_scale(val: Mapping[str, Any], output: str) -> dict[str, Any]:
    """The entries of `log_scale_range` to store with a network; empty if it was not measured.

    Args:
      val: metrics of an evaluation; its `rmse_log_si` is stored too.
      output: the evaluated output.
    """
    try:
        low, high = math.exp(val["log_scale_low"]), math.exp(val["log_scale_high"])
        images = int(val["log_scale_images"])
    except (KeyError, TypeError, ValueError, OverflowError):  # also where a log was edited by hand
        return {}
    interval = {"output": output, "share": SHARE, "low": low, "high": high, "images": images}
    if isinstance(error := val.get("rmse_log_si"), float) and math.isfinite(error):
        interval["pixel_error"] = error
    return {ENTRY: interval}


def stored_interval(about: Mapping[str, Any], output: str) -> ScaleInterval | None:
    """The interval stored by `describe_scale`; None if missing, invalid, or of another output."""
    found: Any = about.get(ENTRY)
    try:
        low, high, images = float(found["low"]), float(found["high"]), int(found["images"])
        fits = (found["output"], found["share"]) == (output, SHARE)
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    return ScaleInterval(low, high, images) if fits and 0 < low <= high < math.inf else None


def stored_prior(about: Mapping[str, Any], output: str) -> ScalePrior | None:
    """The prior that the interval and the error stored by `describe_scale` give; None as there.

    The best log scales are taken to be normal, so that the interval gives mean and variance.
    """
    interval = stored_interval(about, output)
    try:
        error = float(about[ENTRY]["pixel_error"])
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    if interval is None or not 0 <= error < math.inf:
        return None
    low, high = math.log(interval.low), math.log(interval.high)
    deviation = (high - low) / (2 * NormalDist().inv_cdf(0.5 + SHARE / 2))
    return ScalePrior((low + high) / 2, deviation**2, error**2)


def log_scale_at(
    log_depth: Float[ArrayLike, "H W"],
    rows: Sequence[int],
    cols: Sequence[int],
    metres: Sequence[Any],
) -> Float[Array, ""]:
    """The constant to add to a log depth map so that its mean log error at some pixels is 0.

    It is `depthsi.losses.optimal_log_scale` of these pixels, the closed form of least squares:
    mean(ln metres - log_depth). Source: Eigen et al. 2014, Eq. 1 (https://arxiv.org/abs/1406.2283).

    Args:
      log_depth: log metres.
      rows: (n,) rows of the pixels.
      cols: (n,) columns of the pixels.
      metres: (n,) true depth of the pixels.

    Returns:
      log metres.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.scale import log_scale_at
      >>> log_depth = jnp.log(jnp.array([[1.0, 2.0]]))
      >>> print(jnp.exp(log_scale_at(log_depth, [0, 0], [0, 1], [2.0, 4.0])))
      2.0
    """
    at = jnp.asarray(log_depth)[np.array(rows), np.array(cols)]
    return optimal_log_scale(at, jnp.log(jnp.array(metres, at.dtype)), axis=-1)


def known_scale(
    depth: Float32[np.ndarray, "H W"],
    known: Mapping[Any, float | int],
    prior: ScalePrior | None = None,
) -> float:
    """The factor by which a depth map fits known distances best, in log depth.

    Without `prior` it is exp(mean d) with d = log(known / predicted). With it, the exponent is
    mean + w (mean d - mean), w = variance / (variance + pixel_variance / n) for n points: the
    posterior mean of the scale, if scales and the errors of pixels are normal and independent.

    Args:
      depth: metres, NaN where unknown.
      known: depth in metres, along the optical axis as in the map, at points (x, y) from the top
        left. Integers are pixels, the first of them 0; two decimals in 0..1, such as
        (0.5, 0.25), are fractions of width and height.
      prior: what is expected of the network's maps; a network errs at a pixel by more than the
        scale, so few points alone may give a worse map than none.

    Raises:
      DepthsiError: a point lies outside the image or where nothing is predicted, a distance is not
        positive, or there is no point.

    Example:
      >>> import numpy as np
      >>> from depthsi.scale import known_scale
      >>> depth = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
      >>> round(known_scale(depth, {(1, 0): 3.0}), 6), round(known_scale(depth, {(0.9, 0.1): 3}), 6)
      (1.5, 1.5)
    """
    if not known:
        raise DepthsiError("No known distance was given: give a point and its distance in metres.")
    pixels = [_pixel(point, depth.shape) for point in known]
    for point, pixel, metres in zip(known, pixels, known.values(), strict=True):
        if not 0 < metres < math.inf:
            raise DepthsiError(
                f"The distance {metres:g} of the point {_named(point)} must be a positive number of"
                " metres."
            )
        if not np.isfinite(depth[pixel]):
            raise DepthsiError(
                f"The network predicts nothing at the point {_named(point)}: choose another one."
            )
    rows, cols = zip(*pixels, strict=True)
    with np.errstate(invalid="ignore"):
        log_depth = np.log(depth)
    shift = float(log_scale_at(log_depth, rows, cols, [float(each) for each in known.values()]))
    if prior is not None:
        shift = prior.mean + prior.weight(len(known)) * (shift - prior.mean)
    return math.exp(shift)


def _pixel(point: Any, size: tuple[int, ...]) -> tuple[int, int]:
    """Row and column of a point."""
    height, width = size
    x, y = point
    if all(isinstance(each, numbers.Integral) for each in point):
        col, row = int(x), int(y)
    elif not any(isinstance(each, numbers.Integral) for each in point):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise DepthsiError(
                f"The point {_named(point)} is neither in whole pixels nor in fractions from 0 to"
                " 1."
            )
        col, row = min(int(x * width), width - 1), min(int(y * height), height - 1)
    else:
        raise DepthsiError(
            f"The point {_named(point)} mixes pixels and fractions: use only one of them."
        )
    if not (0 <= col < width and 0 <= row < height):
        raise DepthsiError(
            f"The point {_named(point)} lies outside the image, which is {width} pixels wide and"
            f" {height} high."
        )
    return row, col


def _named(point: Any) -> str:
    return ",".join(str(each) for each in point)
