"""The metrics of an image: means over its pixels, some with a root.

Depth is in metres. With y the predicted and y* the true depth of a pixel, d = ln y - ln y*, and
means taken over the n valid pixels of one image, the paper's eight (section 4.2) are

  d1, d2, d3      share of pixels with max(y/y*, y*/y) < 1.25, 1.25^2, 1.25^3 (strictly less)
  abs_rel         mean(|y - y*| / y*)
  sq_rel          mean((y - y*)^2 / y*), in metres: the divisor is y*, not y*^2
  rmse            sqrt(mean((y - y*)^2)), in metres
  rmse_log        sqrt(mean(d^2))
  rmse_log_si     sqrt(mean((d - mean(d))^2)), the root of the scale-invariant error (Eq. 1)

so that rmse_log^2 = rmse_log_si^2 + mean(d)^2 in every image (https://arxiv.org/abs/1406.2283); and
those of other tables

  mae             mean(|y - y*|), in metres
  log10           mean(|log10 y - log10 y*|)
  silog           100 rmse_log_si, as KITTI's table of depth prediction and BTS print it
  sq_rel_squared  mean(((y - y*) / y*)^2), the divisor that KITTI's sqErrorRel has (a share, which
                  its table shows in percent)
  irmse, imae     root mean square and mean of |1/y - 1/y*|, in 1/km
  scale_share     mean(d)^2 / mean(d^2): the share of the squared log error that one factor on the
                  whole image would remove; 0 where there is no error

Sources of the latter: BTS (https://arxiv.org/abs/1907.10326) for log10 and silog, and KITTI's
benchmark of depth prediction (https://arxiv.org/abs/1708.06500) for silog, sq_rel_squared, irmse
and imae; scale_share is this library's.
"""

import math
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from depthsi.array_checks import as_pair, as_where, require_maps
from depthsi.valid import valid_depth

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
    "offset",
    "scale",
    "absolute_inverse",
    "square_inverse",
)
_THRESHOLDS = {"d1": 1.25, "d2": 1.25**2, "d3": 1.25**3}
PER_KM = 1000.0  # 1/m in 1/km


@flax.struct.dataclass
class ImageTerms:
    """Means over the pixels of each image; arrays of shape (...), with one entry per image.

    Attributes:
      pixels: number of valid pixels.
      unusable: number of valid pixels where the prediction is not finite and positive.
      means: for each of `TERMS` the mean over the valid pixels, before any root, in metres, log
        metres, 1/m or their squares; NaN in an image with an unusable pixel, 0 in one without a
        valid pixel.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics import image_terms
      >>> terms = image_terms(jnp.array([[2.0, 3.0, 9.0]]), jnp.array([[1.0, 3.0, 0.0]]))
      >>> int(terms.pixels), int(terms.unusable), float(terms.means["absolute"])
      (2, 0, 0.5)
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
      where: bool, broadcasts to `targets`, False = leave this pixel out (a crop, a depth cap).

    Returns:
      bool (..., h, w); its sum over the last two axes is the number of pixels of each image.

    Raises:
      TypeError: `where` is not boolean.
      ValueError: `where` does not broadcast to the shape of `targets`.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics import valid_pixels
      >>> targets = jnp.array([[1.5, 0.0, jnp.nan, 12.0]])
      >>> valid_pixels(targets).tolist()
      [[True, False, False, True]]
      >>> valid_pixels(targets, where=targets < 10).tolist()
      [[True, False, False, False]]
    """
    targets = jnp.asarray(targets)
    known, mask = valid_depth(targets), as_where(where, targets.shape)
    return known if mask is None else known & mask


def depth_metrics(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> dict[str, Float[Array, "*batch"]]:
    """The metrics of each image, computed in float32 (float64 if the input is).

    Args:
      predictions: (..., h, w) predicted depth in metres, any floating type.
      targets: (..., h, w) true depth in metres, any floating type; 0, negative, NaN or inf =
        missing.
      where: bool, broadcasts to `predictions`, False = ignore this pixel, whatever its value.

    Returns:
      A dict with the keys of `METRICS`, each of shape (...). An image without a valid pixel has 0
      for every metric; exclude it from averages, as `DepthMetrics` does. An image whose prediction
      is not finite and positive at some valid pixel has NaN for every metric, because silently
      dropping pixels that cannot be scored would improve the result.

    Raises:
      TypeError: depth is not floating point, or `where` is not boolean.
      ValueError: the shapes differ or have fewer than two axes, or `where` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics import depth_metrics
      >>> predictions = jnp.array([[[1.0, 3.0, 7.0]]])
      >>> targets = jnp.array([[[2.0, 3.0, 0.0]]])  # metres; the last pixel is missing
      >>> numbers = depth_metrics(predictions, targets)
      >>> print(numbers["d1"], numbers["abs_rel"], numbers["mae"])
      [0.5] [0.25] [0.5]
    """
    return finished(image_terms(predictions, targets, where=where).means, jnp)


def image_terms(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> ImageTerms:
    """Means over the pixels of each image, from which all metrics are computed.

    Args:
      predictions: (..., h, w) predicted depth in metres, any floating type.
      targets: (..., h, w) true depth in metres, any floating type; 0, negative, NaN or inf =
        missing.
      where: bool, broadcasts to `predictions`, False = ignore this pixel, whatever its value.

    Returns:
      Arrays of shape (...), computed in float32 (float64 if the input is).

    Raises:
      TypeError: depth is not floating point, or `where` is not boolean.
      ValueError: the shapes differ or have fewer than two axes, or `where` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics import image_terms
      >>> terms = image_terms(jnp.array([[2.0, jnp.nan]]), jnp.array([[1.0, 3.0]]))
      >>> int(terms.pixels), int(terms.unusable), float(terms.means["absolute"])
      (2, 1, nan)
    """
    predictions, targets = as_pair(predictions, targets)
    require_maps("predictions", predictions)
    valid = valid_pixels(targets, where=where)
    usable = valid_depth(predictions)
    pixels = jnp.sum(valid, axis=(-2, -1))
    unusable = jnp.sum(valid & ~usable, axis=(-2, -1))
    # Replaced before the arithmetic: what stands outside `valid` may be anything.
    y = jnp.where(valid & usable, predictions, 1)
    means = _means(y, jnp.where(valid, targets, 1), valid, jnp.maximum(pixels, 1))
    scorable = {name: jnp.where(unusable > 0, jnp.nan, mean) for name, mean in means.items()}
    return ImageTerms(pixels=pixels, unusable=unusable, means=scorable)


def finished(means: Mapping[str, Any], numpy: Any) -> dict[str, Any]:
    """The metrics that follow from means over the pixels of one image or of a whole set.

    Args:
      means: as in `ImageTerms`, arrays of any one shape.
      numpy: the module to compute with, `jax.numpy` or `numpy`.

    Returns:
      A dict with the keys of `METRICS`, each of the shape of the means; units as in the module's
      list.
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
    means |= {"variance": mean((d - offset[..., None, None]) ** 2)}
    means |= {"offset": offset, "scale": offset**2}
    means |= {"absolute_inverse": mean(jnp.abs(inverse)), "square_inverse": mean(inverse**2)}
    return means
