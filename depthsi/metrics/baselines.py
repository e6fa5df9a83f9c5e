"""Baseline predictors that use the training depths but no image."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from depthsi.valid import valid_depth

Batches = Iterable[tuple[np.ndarray, np.ndarray]]  # batches: uint8 (B, H, W, 3), metres (B, H, W)


def mean_depth(batches: Batches) -> Float[np.ndarray, "H W"]:
    """The mean predictor: exp of the mean log depth at each pixel over a training set, in metres.

    A pixel where no image has depth gets the mean over all pixels.

    Args:
      batches: images and their depth, (b, H, W) metres; 0, negative, NaN or inf = missing.

    Example:
      >>> import numpy as np
      >>> from depthsi.metrics.baselines import mean_depth
      >>> depth = np.array([[[1.0, 2.0]], [[4.0, 0.0]]])
      >>> mean_depth([(np.zeros((2, 1, 2, 3), np.uint8), depth)]).round(4).tolist()
      [[2.0, 2.0]]
    """
    total = count = np.zeros(())
    for _, depth in batches:
        valid = valid_depth(depth)
        logs = np.log(np.where(valid, depth, 1.0).astype(np.float64))
        total, count = total + logs.sum(axis=0), count + valid.sum(axis=0)
    overall = total.sum() / count.sum()
    return np.exp(np.where(count > 0, total / np.maximum(count, 1), overall))


def constant_depth(mean: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """A constant map with the mean log depth of the mean predictor.

    Args:
      mean: (H, W) metres, from `mean_depth`.

    Example:
      >>> import numpy as np
      >>> from depthsi.metrics.baselines import constant_depth
      >>> constant_depth(np.array([[1.0, 4.0]])).round(4).tolist()
      [[2.0, 2.0]]
    """
    return np.full(mean.shape, np.exp(np.log(mean).mean()), mean.dtype)
