"""The eight numbers of the paper (section 4.2), per image and over a whole set.

Depth is in metres. With y the predicted and y* the true depth of a pixel, d = ln y - ln y*, and
means taken over the n valid pixels of one image:

  d1, d2, d3    share of pixels with max(y/y*, y*/y) < 1.25, 1.25^2, 1.25^3 (strictly less)
  abs_rel       mean(|y - y*| / y*)
  sq_rel        mean((y - y*)^2 / y*), in metres: the divisor is y*, not y*^2
  rmse          sqrt(mean((y - y*)^2)), in metres
  rmse_log      sqrt(mean(d^2))
  rmse_log_si   sqrt(mean((d - mean(d))^2)), the root of the scale-invariant error (Eq. 1)

so that rmse_log^2 = rmse_log_si^2 + mean(d)^2 in every image.
"""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from depthsi.errors import DepthsiError

METRICS = ("d1", "d2", "d3", "abs_rel", "sq_rel", "rmse", "rmse_log", "rmse_log_si")
_THRESHOLDS = {"d1": 1.25, "d2": 1.25**2, "d3": 1.25**3}
_ROOTED = ("rmse", "rmse_log", "rmse_log_si")


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
    """The eight numbers of each image, computed in float32 (float64 if the input is).

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
    predictions, targets, valid = _checked(predictions, targets, where)
    return _rooted(_mean_terms(predictions, targets, valid), jnp.sqrt)


@flax.struct.dataclass
class DepthMetrics:
    """Sums over a set of images, from which the eight numbers of the set follow.

    A pytree of scalars that merges by addition, in any order: `merge`, `jax.lax.psum` over devices,
    or a carry of `jax.lax.scan`. Counts are exact up to 2^31 on the device. A total that starts
    from `empty()` outside `jit` is kept on the host in float64, which holds any number of images.

    Attributes:
      images: number of images with a valid pixel.
      pixels: number of valid pixels.
      unusable: number of valid pixels where the prediction is not finite and positive. If it is
        not 0, every number of the set is NaN (see `depth_metrics`).
      image_sums: for each metric, the sum over images of its value in the image.
      pixel_sums: for each metric, the sum over pixels of what is averaged, before any root.
    """

    images: Any
    pixels: Any
    unusable: Any
    image_sums: dict[str, Any]
    pixel_sums: dict[str, Any]

    @classmethod
    def empty(cls) -> "DepthMetrics":
        """The sums of no image."""
        zero = np.zeros((), np.float64)
        zeros: dict[str, Any] = {name: zero for name in METRICS}
        return cls(images=zero, pixels=zero, unusable=zero, image_sums=zeros, pixel_sums=zeros)

    @classmethod
    def from_batch(
        cls, predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
    ) -> "DepthMetrics":
        """The sums of one batch; arguments and errors as for `depth_metrics`. Pure, jittable."""
        predictions, targets, valid = _checked(predictions, targets, where)
        terms = _mean_terms(predictions, targets, valid)
        counts = jnp.sum(valid, axis=(-2, -1))
        return cls(
            images=jnp.sum(counts > 0),
            pixels=jnp.sum(counts),
            unusable=jnp.sum(valid & ~_usable(predictions)),
            image_sums=jax.tree.map(jnp.sum, _rooted(terms, jnp.sqrt)),
            pixel_sums=jax.tree.map(lambda mean: jnp.sum(counts * mean), terms),
        )

    def merge(self, other: "DepthMetrics") -> "DepthMetrics":
        """The sums of both sets; waits for device values only if the total lives on the host."""
        return jax.tree.map(_add, self, other)

    def compute(self, aggregation: str = "image") -> dict[str, float]:
        """The eight numbers of the set.

        Args:
          aggregation: "image" averages the numbers of the images, each image counting the same;
            "pixel" averages over all valid pixels of the set before the root. In the pixel form of
            rmse_log_si every image keeps its own best scale, sqrt(sum n var(d) / sum n): with one
            mean of d for the whole set, rescaling single images would change the number.

        Raises:
          ValueError: unknown aggregation.
          DepthsiError: no image has a valid pixel.
        """
        if aggregation not in ("image", "pixel"):
            raise ValueError(f"`aggregation` must be 'image' or 'pixel', got {aggregation!r}")
        host = jax.tree.map(_on_host, self)
        if host.images == 0:
            raise DepthsiError(
                "no image of the evaluated set has a pixel with known depth: nothing to average; "
                "check the depth files, the crop and the depth caps"
            )
        if aggregation == "image":
            means = {name: total / host.images for name, total in host.image_sums.items()}
        else:
            means = {name: total / host.pixels for name, total in host.pixel_sums.items()}
            means = _rooted(means, np.sqrt)
        return {name: float(means[name]) for name in METRICS}


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


def _usable(predictions: Array) -> Array:
    return jnp.isfinite(predictions) & (predictions > 0)


def _mean_terms(predictions: Array, targets: Array, valid: Array) -> dict[str, Array]:
    """What each metric averages over the pixels of an image, (...) each, still without the root."""
    usable = _usable(predictions)
    # Replaced before the arithmetic: what stands outside `valid` may be anything.
    y = jnp.where(valid & usable, predictions, 1)
    true = jnp.where(valid, targets, 1)
    count = jnp.maximum(jnp.sum(valid, axis=(-2, -1)), 1)

    def mean(values: Array) -> Array:
        return jnp.sum(values, axis=(-2, -1), where=valid, dtype=y.dtype) / count

    # One logarithm of the ratio: a difference of two would round at the size of each.
    error, d = y - true, jnp.log(y / true)
    worse = jnp.maximum(y / true, true / y)
    terms = {name: mean(worse < limit) for name, limit in _THRESHOLDS.items()}
    terms["abs_rel"] = mean(jnp.abs(error) / true)
    terms["sq_rel"] = mean(error**2 / true)
    terms["rmse"] = mean(error**2)
    terms["rmse_log"] = mean(d**2)
    # Centred before squaring: mean(d^2) - mean(d)^2 can round to less than nothing.
    terms["rmse_log_si"] = mean((d - mean(d)[..., None, None]) ** 2)
    unscorable = jnp.any(valid & ~usable, axis=(-2, -1))
    return {name: jnp.where(unscorable, jnp.nan, term) for name, term in terms.items()}


def _rooted(terms: dict[str, Any], sqrt: Callable[[Any], Any]) -> dict[str, Any]:
    return {name: sqrt(term) if name in _ROOTED else term for name, term in terms.items()}


def _on_host(value: Any) -> np.ndarray:
    return np.asarray(jax.device_get(value), np.float64)


def _add(left: Any, right: Any) -> Any:
    either = (left, right)
    traced = any(isinstance(value, Tracer) for value in either)
    if traced or all(isinstance(value, jax.Array) for value in either):
        return left + right
    return _on_host(left) + _on_host(right)
