"""The metrics of every image on the host, from which tables and intervals are computed."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64, Int64

from depthsi.errors import DepthsiError
from depthsi.metrics.terms import METRICS, TERMS, ImageTerms, finished
from depthsi.metrics.totals import NOTHING_VALID, check_aggregation


@dataclasses.dataclass(frozen=True)
class ImageScores:
    """The scores of N images in order; sets merge by joining their images.

    Attributes:
      pixels: number of valid pixels of each image.
      unusable: number of valid pixels whose prediction is not finite and positive.
      clamped: number of valid pixels whose prediction only became so by a protocol's limits.
      means: as in `ImageTerms`, float64.
      extras: metrics that are not means over pixels, such as `BOUNDARY_METRICS`; NaN for images
        without a value.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics import ImageScores, image_terms
      >>> targets = jnp.array([[[2.0, 4.0]], [[1.0, 0.0]]])  # metres; the last pixel is missing
      >>> scores = ImageScores.from_terms([image_terms(targets + 1, targets)])
      >>> scores.pixels.tolist(), scores.per_image()["mae"].tolist()
      ([2, 1], [1.0, 1.0])
      >>> scores.compute("pixel")["abs_rel"]  # (1/2 + 1/4 + 1)/3
      0.5833333333333334
    """

    pixels: Int64[np.ndarray, " N"]
    unusable: Int64[np.ndarray, " N"]
    clamped: Int64[np.ndarray, " N"]
    means: dict[str, Float64[np.ndarray, " N"]]
    extras: dict[str, Float64[np.ndarray, " N"]] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_terms(
        cls,
        batches: Iterable[ImageTerms],
        extras: Mapping[str, np.ndarray] | None = None,
        clamped: Iterable[Any] | None = None,
    ) -> "ImageScores":
        """The images of all batches, in their order.

        Args:
          batches: results of `image_terms`, arrays of shape (b,) each.
          extras: further metrics per image, (N,) over all batches; NaN for images without a value.
          clamped: the attribute of that name, (b,) for each batch; None for 0.

        Returns:
          The scores on the host, float64.
        """
        parts, counts = jax.device_get((list(batches), None if clamped is None else list(clamped)))

        def joined(values: Iterable[np.ndarray], dtype: type) -> np.ndarray:
            return np.concatenate([np.empty(0), *(np.ravel(each) for each in values)]).astype(dtype)

        return cls(
            pixels=joined((part.pixels for part in parts), np.int64),
            unusable=joined((part.unusable for part in parts), np.int64),
            clamped=joined(
                (np.zeros_like(part.pixels) for part in parts) if counts is None else counts,
                np.int64,
            ),
            means={n: joined((part.means[n] for part in parts), np.float64) for n in TERMS},
            extras={name: np.asarray(each, np.float64) for name, each in (extras or {}).items()},
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def per_image(self) -> dict[str, Float64[np.ndarray, " N"]]:
        """The metrics of each image.

        Returns:
          Arrays (N,) with the keys of `METRICS` and of the extras; NaN where an image has no valid
          pixel or could not be scored.
        """
        empty, numbers = self.pixels == 0, finished(self.means, np)
        return {n: np.where(empty, np.nan, each) for n, each in numbers.items()} | self.extras

    def compute(self, aggregation: str = "image") -> dict[str, float]:
        """The metrics of the set, as `DepthMetrics.compute`, and the means of the extras.

        Args:
          aggregation: "image" averages the metrics of the images; "pixel" averages over all valid
            pixels of the set before taking roots.

        Returns:
          Python floats with the keys of `METRICS` and of the extras.

        Raises:
          ValueError: unknown aggregation.
          DepthsiError: no image has a valid pixel.
        """
        once = np.ones((1, len(self)))
        return {name: float(values[0]) for name, values in self.weighted(once, aggregation).items()}

    def weighted(
        self, weights: Float64[np.ndarray, "R N"], aggregation: str
    ) -> dict[str, Float64[np.ndarray, " R"]]:
        """The metrics of R sets at once, in which image k occurs weights[r, k] times.

        An extra is averaged over the images that have it, whatever the aggregation. A metric that
        no image of a set has is NaN.

        Args:
          weights: (R, N) number of times each image occurs in each set, 0 or more.
          aggregation: "image" or "pixel", see `compute`.

        Returns:
          Arrays (R,) with the keys of `METRICS` and of the extras.

        Raises:
          ValueError: unknown aggregation.
          DepthsiError: no image has a valid pixel.
        """
        check_aggregation(aggregation)
        valid = self.pixels > 0
        if not valid.any():
            raise DepthsiError(NOTHING_VALID)
        kept = weights[:, valid]
        if aggregation == "image":
            per_image = finished({n: mean[valid] for n, mean in self.means.items()}, np)
            numbers = {name: _means(kept, values) for name, values in per_image.items()}
        else:
            by_pixels = kept * self.pixels[valid]
            pooled = {n: _means(by_pixels, mean[valid]) for n, mean in self.means.items()}
            numbers = finished(pooled, np)
        result = {name: numbers[name] for name in METRICS}
        for name, values in self.extras.items():
            has = np.isfinite(values)
            result[name] = _means(weights[:, has], values[has])
        return result


def _means(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted means, one for each row of `weights`; NaN for a row of zeros."""
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore"):  # some machines warn of the NaN of an unscored image
        return np.where(total > 0, weights @ values / np.where(total > 0, total, 1), np.nan)
