"""Bootstrap intervals of metrics over the images of a set."""

import numpy as np

from depthsi.metrics import ImageScores

LEVEL = 0.95
RESAMPLES = 2000
Interval = tuple[float, float]


def bootstrap_intervals(
    scores: ImageScores,
    aggregation: str,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap intervals of every metric, over images.

    Each resample draws as many images with a valid pixel as there are, with replacement; pooled
    metrics are pooled anew from the sums of the drawn images. Images of the same scene are more
    similar than this assumes, so the intervals are rather too narrow than too wide.

    Source: Efron & Tibshirani 1993, chapter 13 (https://doi.org/10.1201/9780429246593).

    Args:
      scores: scores of the images.
      aggregation: "image" averages the metrics of the images, "pixel" pools all valid pixels, as in
        `ImageScores.compute`.
      level: share of the resampled values inside the interval, in (0, 1).
      resamples: number of resamples.
      seed: random seed; the same seed gives the same resamples for sets of the same size.

    Returns:
      The lower and upper end of each metric, in the metric's unit; NaN for a metric that no image
      has.

    Raises:
      ValueError: unknown aggregation, a level outside (0, 1), or no resamples.
      DepthsiError: no image has a valid pixel.

    Example:
      >>> import numpy as np
      >>> from depthsi.metrics import ImageScores, image_terms
      >>> from depthsi.metrics.bootstrap import bootstrap_intervals
      >>> targets = np.full((2, 1, 4), 2.0, np.float32)
      >>> predictions = targets + np.array([[[1]], [[3]]], np.float32)  # off by 1 m and by 3 m
      >>> scores = ImageScores.from_terms([image_terms(predictions, targets)])
      >>> bootstrap_intervals(scores, "image")["mae"]
      (1.0, 3.0)
    """
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"`level` (={level}) must be in (0, 1), `resamples` (={resamples}) >= 1")
    valid = scores.pixels > 0
    count = int(valid.sum())
    draws = np.zeros((resamples, len(scores)))
    if count:
        rng = np.random.default_rng(seed)
        draws[:, valid] = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    ends = ((1 - level) / 2, (1 + level) / 2)
    return {
        name: _ends(values, ends) for name, values in scores.weighted(draws, aggregation).items()
    }


def _ends(values: np.ndarray, ends: tuple[float, float]) -> Interval:
    # a draw may hold none of the few images that have the number
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, ends) if known.size else (np.nan, np.nan)
    return float(low), float(high)
