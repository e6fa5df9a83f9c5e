"""Linear probes: what can be read from a network's frozen features."""

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from depthsi.augment import centre
from depthsi.compilation import jit
from depthsi.config import ModelConfig
from depthsi.models import make_model
from experiments.studies.lab import BATCH

PENALTIES = tuple(10.0**power for power in range(-2, 5))
Labelled = tuple[Float[np.ndarray, "n k"], Bool[np.ndarray, " n"]]


def fc6_features(
    config: ModelConfig, params: Any, images: UInt8[np.ndarray, "n H W 3"]
) -> Float[np.ndarray, "n k"]:
    """What fc6 of the coarse network says of the centre of each image, rectified."""
    network = _fc6(config)
    parts = [
        np.asarray(network(params, images[i : i + BATCH])) for i in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts).astype(np.float64)


@functools.cache
def _fc6(config: ModelConfig) -> Any:
    model = make_model(config)

    def features(params: Any, image: jax.Array) -> jax.Array:
        batch = centre(image, jax.numpy.ones(image.shape[:3]), config.sizes)
        _, kept = model.apply(
            {"params": params},
            batch.image,
            output="coarse",
            capture_intermediates=lambda module, _: module.name == "fc6",
            mutable=["intermediates"],
        )
        found: Any = kept["intermediates"]["coarse"]["fc6"]["__call__"]
        return jax.nn.relu(found[0])

    return jit(features)


def probe_accuracy(train: Labelled, test: Labelled) -> float:
    """Share of the test images whose label ridge regression on the features gets right.

    Features are standardised; the penalty is the best on a fifth of the training images, which
    the fit that chooses it does not see.
    """
    (features, labels), (others, truth) = train, test
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1)
    features, others = (features - mean) / scale, (others - mean) / scale
    held_out = np.arange(len(features)) % 5 == 2
    penalty = max(
        PENALTIES,
        key=lambda p: _right(
            _ridge(features[~held_out], labels[~held_out], p), features[held_out], labels[held_out]
        ),
    )
    return _right(_ridge(features, labels, penalty), others, truth)


def _ridge(features: np.ndarray, labels: np.ndarray, penalty: float) -> np.ndarray:
    with_one = np.column_stack([features, np.ones(len(features))])
    normal = with_one.T @ with_one + penalty * np.eye(with_one.shape[1])
    return np.linalg.solve(normal, with_one.T @ np.where(labels, 1.0, -1.0))


def _right(weights: np.ndarray, features: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean((features @ weights[:-1] + weights[-1] > 0) == labels))
