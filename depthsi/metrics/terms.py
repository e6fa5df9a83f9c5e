"""The numbers of an image, each a mean over its pixels and perhaps a root.

Depth is in metres. With y the predicted and y* the true depth of a pixel, d = ln y - ln y*, and
means taken over the n valid pixels of one image, the paper's eight (section 4.2) are

  d1, d2, d3      share of pixels with max(y/y*, y*/y) < 1.25, 1.25^2, 1.25^3 (strictly less)
  abs_rel         mean(|y - y*| / y*)
  sq_rel          mean((y - y*)^2 / y*), in metres: the divisor is y*, not y*^2
  rmse            sqrt(mean((y - y*)^2)), in metres
  rmse_log        sqrt(mean(d^2))
  rmse_log_si     sqrt(mean((d - mean(d))^2)), the root of the scale-invariant error (Eq. 1)

so that rmse_log^2 = rmse_log_si^2 + mean(d)^2 in every image; and those of other tables

  mae             mean(|y - y*|), in metres
  log10           mean(|log10 y - log10 y*|)
  silog           100 rmse_log_si, as KITTI's table of depth prediction and BTS print it
  sq_rel_squared  mean(((y - y*) / y*)^2), the divisor that KITTI's sqErrorRel has (a share, which
                  its table shows in percent)
  irmse, imae     root mean square and mean of |1/y - 1/y*|, in 1/km
  scale_share     mean(d)^2 / mean(d^2): the share of the squared log error that one factor on the
                  whole image would remove; 0 where there is no error
"""

import math
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

PAPER_METRICS = ("d1", "d2", "d3", "abs_rel", "sq_rel", "rmse", "rmse_log", "rmse_log_si")
METRICS = (
    *PAPER_METRICS,
    "mae",
    "log10",
    "silog",
    "sq_rel_squared",
    "irmse",
    "imae",
    "scale_share",
)
TERMS = (
    "d1",
    "d2",
    "d3",
    "absolute",
    "square",
    "abs_rel",
    "sq_rel",
    "sq_rel_squared",
    "absolute_log",
    "square_log",
    "variance",
    "scale",
    "absolute_inverse",
    "square_inverse",
)
_THRESHOLDS = {"d1": 1.25, "d2": 1.25**2, "d3": 1.25**3}
PER_KM = 1000.0  # 1/m in 1/km


@flax.struct.dataclass
class ImageTerms:
    """What is known of each image; arrays of shape (...), one entry an image.

    Attributes:
      pixels: number of valid pixels.
      unusable: of them, those where the prediction is not finite and positive.
      means: for each of `TERMS` the mean over the valid pixels, before any root; NaN in an image
        with an unusable pixel, 0 in one without a valid pixel.
    """

    pixels: Any
    unusable: Any
    means: dict[str, Any]


def valid_pixels(
    targets: ArrayLike, *, where: ArrayLike | None = None
) -> Bool[Array, "*batch h w"]:
    """Where the true depth is known: finite, positive, and not excluded by `where`.

    Args:
      targets: (..., h, w) true depth in metres; 0, negative, NaN or inf = missing.
      where: bool (..., h, w), False = leave this pixel out (a crop, a depth cap).

    Returns:
      bool (..., h, w); summed over the last two axes it counts the pixels behind each number.
    """
    targets = jnp.asarray(targets)
    known = jnp.isfinite(targets) & (targets > 0)
    return known if where is None else known & where


def depth_metrics(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> dict[str, Float[Array, "*batch"]]:
    """The numbers of each image, computed in float32 (float64 if the input is).

    Args:
      predictions: (..., h, w) predicted depth in metres, any floating type.
      targets: (..., h, w) true depth in metres; see `valid_pixels`.
      where: bool (..., h, w), False = leave this pixel out whatever stands there.

    Returns:
      A dict with the keys of `METRICS`, each of shape (...). An image without a valid pixel has 0
      everywhere: exclude it from averages, as `DepthMetrics` does. An image whose prediction is
      not finite and positive at some valid pixel has NaN everywhere: a pixel that could not be
      scored is not dropped silently, which would flatter the result.

    Raises:
      TypeError: depth is not floating, or `where` is not boolean.
      ValueError: the shapes differ, or have fewer than two axes.
    """
    return finished(image_terms(predictions, targets, where=where).means, jnp)


def image_terms(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> ImageTerms:
    """What everything else is computed from; arguments and errors as for `depth_metrics`."""
    predictions, targets, valid = _checked(predictions, targets, where)
    usable = jnp.isfinite(predictions) & (predictions > 0)
    pixels = jnp.sum(valid, axis=(-2, -1))
    unusable = jnp.sum(valid & ~usable, axis=(-2, -1))
    # Replaced before the arithmetic: what stands outside `valid` may be anything.
    y = jnp.where(valid & usable, predictions, 1)
    means = _means(y, jnp.where(valid, targets, 1), valid, jnp.maximum(pixels, 1))
    scorable = {name: jnp.where(unusable > 0, jnp.nan, mean) for name, mean in means.items()}
    return ImageTerms(pixels=pixels, unusable=unusable, means=scorable)


def finished(means: Mapping[str, Any], numpy: Any) -> dict[str, Any]:
    """The numbers that follow from means over pixels, of one image or of a whole set.

    Args:
      means: as in `ImageTerms`.
      numpy: the module to compute with, `jax.numpy` or `numpy`.
    """
    si = numpy.sqrt(means["variance"])
    square = means["square_log"]
    result = {name: means[name] for name in ("d1", "d2", "d3", "abs_rel", "sq_rel")}
    result |= {"rmse": numpy.sqrt(means["square"]), "rmse_log": numpy.sqrt(square)}
    result |= {"rmse_log_si": si, "mae": means["absolute"]}
    result |= {"log10": means["absolute_log"] / math.log(10), "silog": 100 * si}
    result["sq_rel_squared"] = means["sq_rel_squared"]
    result["irmse"] = PER_KM * numpy.sqrt(means["square_inverse"])
    result["imae"] = PER_KM * means["absolute_inverse"]
    result["scale_share"] = means["scale"] / numpy.where(square == 0, 1, square)
    return {name: result[name] for name in METRICS}


def _checked(
    predictions: ArrayLike, targets: ArrayLike, where: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Both depths in the type of the computation, and the valid pixels."""
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    _require_same_shape("targets", targets, predictions)
    for name, depth in (("predictions", predictions), ("targets", targets)):
        if not jnp.issubdtype(depth.dtype, jnp.floating):
            raise TypeError(f"`{name}` must be floating metres, got {depth.dtype}")
    if where is not None:
        where = jnp.asarray(where)
        _require_same_shape("where", where, predictions)
        if where.dtype != jnp.bool_:
            raise TypeError(f"`where` must be boolean, got {where.dtype}")
    dtype = jnp.promote_types(jnp.promote_types(predictions.dtype, targets.dtype), jnp.float32)
    valid = valid_pixels(targets, where=where)
    return predictions.astype(dtype), targets.astype(dtype), valid


def _require_same_shape(name: str, array: Array, predictions: Array) -> None:
    if array.shape != predictions.shape or array.ndim < 2:
        raise ValueError(
            f"`{name}` and `predictions` must have the same shape (..., h, w), "
            f"got {array.shape} and {predictions.shape}"
        )


def _means(y: Array, true: Array, valid: Array, count: Array) -> dict[str, Array]:
    def mean(values: Array) -> Array:
        return jnp.sum(values, axis=(-2, -1), where=valid, dtype=y.dtype) / count

    # One logarithm of the ratio: a difference of two would round at the size of each.
    error, d = y - true, jnp.log(y / true)
    inverse = error / (y * true)
    worse = jnp.maximum(y / true, true / y)
    offset = mean(d)
    means = {name: mean(worse < limit) for name, limit in _THRESHOLDS.items()}
    means |= {"absolute": mean(jnp.abs(error)), "square": mean(error**2)}
    means |= {"abs_rel": mean(jnp.abs(error) / true), "sq_rel": mean(error**2 / true)}
    means["sq_rel_squared"] = mean((error / true) ** 2)
    means |= {"absolute_log": mean(jnp.abs(d)), "square_log": mean(d**2)}
    # Centred before squaring: mean(d^2) - mean(d)^2 can round to less than nothing.
    means |= {"variance": mean((d - offset[..., None, None]) ** 2), "scale": offset**2}
    means |= {"absolute_inverse": mean(jnp.abs(inverse)), "square_inverse": mean(inverse**2)}
    return means
