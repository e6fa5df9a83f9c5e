"""Sums over sets of images that merge by addition."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from depthsi.errors import DepthsiError
from depthsi.metrics.terms import METRICS, TERMS, ImageTerms, finished, image_terms

AGGREGATIONS = ("image", "pixel")


@flax.struct.dataclass
class DepthMetrics:
    """Sums over a set of images, from which the metrics of the set are computed.

    A pytree of scalars that merges by addition, in any order: `merge`, `jax.lax.psum` over devices,
    or a carry of `jax.lax.scan`. Counts are exact up to 2^31 on the device. A total that starts
    from `empty()` outside `jit` is kept on the host in float64, which holds any number of images.

    Attributes:
      images: number of images with a valid pixel.
      pixels: number of valid pixels.
      unusable: number of valid pixels where the prediction is not finite and positive. If it is
        not 0, every metric of the set is NaN (see `depth_metrics`).
      image_sums: for each metric, the sum over images of its value in the image.
      pixel_sums: for each of `TERMS`, the sum over pixels of the values that it averages.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics import DepthMetrics
      >>> targets = jnp.array([[[2.0, 4.0]], [[1.0, 0.0]]])  # metres; the last pixel is missing
      >>> total = DepthMetrics.empty()
      >>> for predictions in (targets + 1, targets + 4):  # two batches of two images
      ...     total = total.merge(DepthMetrics.from_batch(predictions, targets))
      >>> int(total.images), int(total.pixels), total.compute()["mae"]
      (4, 6, 2.5)
    """

    images: Any
    pixels: Any
    unusable: Any
    image_sums: dict[str, Any]
    pixel_sums: dict[str, Any]

    @classmethod
    def empty(cls) -> "DepthMetrics":
        """The sums of an empty set.

        Returns:
          Zeros, float64 on the host.
        """
        zero = np.zeros((), np.float64)
        per_image: dict[str, Any] = {name: zero for name in METRICS}
        per_pixel: dict[str, Any] = {name: zero for name in TERMS}
        return cls(zero, zero, zero, per_image, per_pixel)

    @classmethod
    def from_batch(
        cls, predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
    ) -> "DepthMetrics":
        """The sums of one batch. Pure, jittable.

        Args:
          predictions: (..., h, w) predicted depth in metres, any floating type.
          targets: (..., h, w) true depth in metres, any floating type; 0, negative, NaN or inf =
            missing.
          where: bool, broadcasts to `predictions`, False = leave this pixel out.

        Returns:
          Scalars on the device.

        Raises:
          TypeError: depth is not floating point, or `where` is not boolean.
          ValueError: the shapes differ or have fewer than two axes, or `where` does not fit.
        """
        return cls.from_terms(image_terms(predictions, targets, where=where))

    @classmethod
    def from_terms(cls, terms: ImageTerms) -> "DepthMetrics":
        """The sums of the images that `terms` describes. Pure, jittable.

        Args:
          terms: of `image_terms`, arrays of any one shape.

        Returns:
          Scalars on the device.
        """
        return cls(
            images=jnp.sum(terms.pixels > 0),
            pixels=jnp.sum(terms.pixels),
            unusable=jnp.sum(terms.unusable),
            image_sums=jax.tree.map(jnp.sum, finished(terms.means, jnp)),
            pixel_sums={n: jnp.sum(terms.pixels * mean) for n, mean in terms.means.items()},
        )

    def merge(self, other: "DepthMetrics") -> "DepthMetrics":
        """The sums of both sets; waits for device values only if the total is on the host.

        Args:
          other: the sums of other images.
        """
        return jax.tree.map(_add, self, other)

    def compute(self, aggregation: str = "image") -> dict[str, float]:
        """The metrics of the set, with the keys of `METRICS`.

        Args:
          aggregation: "image" averages the metrics of the images with equal weights; "pixel"
            averages over all valid pixels of the set before taking roots. In the pixel form of
            rmse_log_si (hence of silog and scale_share) every image keeps its own best scale,
            sqrt(sum n var(d) / sum n): with one mean of d for the whole set, rescaling single
            images would change the metric.

        Returns:
          Python floats; units as in `depthsi.metrics.terms`.

        Raises:
          ValueError: unknown aggregation.
          DepthsiError: no image has a valid pixel.
        """
        check_aggregation(aggregation)
        host = jax.tree.map(_on_host, self)
        if host.images == 0:
            raise DepthsiError(NOTHING_VALID)
        if aggregation == "image":
            numbers = {name: total / host.images for name, total in host.image_sums.items()}
        else:
            means = {name: total / host.pixels for name, total in host.pixel_sums.items()}
            numbers = finished(means, np)
        return {name: float(numbers[name]) for name in METRICS}


NOTHING_VALID = (
    "no image of the evaluated set has a pixel with known depth: nothing to average; check the "
    "depth files, the crop and the depth caps"
)


def check_aggregation(aggregation: str) -> None:
    """Raises ValueError unless `aggregation` is one of `AGGREGATIONS`."""
    if aggregation not in AGGREGATIONS:
        raise ValueError(f"`aggregation` must be 'image' or 'pixel', got {aggregation!r}")


def _on_host(value: Any) -> np.ndarray:
    return np.asarray(jax.device_get(value), np.float64)


def _add(left: Any, right: Any) -> Any:
    either = (left, right)
    traced = any(isinstance(value, Tracer) for value in either)
    if traced or all(isinstance(value, jax.Array) for value in either):
        return left + right
    return _on_host(left) + _on_host(right)
