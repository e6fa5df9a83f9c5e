"""Depth from a single image with the scale-invariant error, in JAX and Flax.

The names below are loaded when they are first used, so that importing `depthsi` is instant.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from depthsi import (
        config,
        data,
        evaluation,
        geometry,
        losses,
        metrics,
        models,
        presets,
        training,
        viz,
    )
    from depthsi.api import Training, evaluate, train
    from depthsi.config import Config
    from depthsi.errors import DepthsiError, DepthsiWarning
    from depthsi.losses import (
        optimal_log_scale,
        reduce_images,
        scale_invariant_alpha,
        scale_invariant_closed,
        scale_invariant_loss,
        scale_invariant_pairwise,
    )
    from depthsi.metrics import DepthMetrics, depth_metrics
    from depthsi.models import CoarseNet, FineNet, TwoScaleNet
    from depthsi.predictor import Predictor, export, load
    from depthsi.weights.network_file import TrainedNetwork, read_network, write_network

__version__ = "0.1.0"

_HOMES = {
    "CoarseNet": "models",
    "Config": "config",
    "DepthMetrics": "metrics",
    "DepthsiError": "errors",
    "DepthsiWarning": "errors",
    "FineNet": "models",
    "Predictor": "predictor",
    "TrainedNetwork": "weights.network_file",
    "Training": "api",
    "TwoScaleNet": "models",
    "depth_metrics": "metrics",
    "evaluate": "api",
    "export": "predictor",
    "load": "predictor",
    "optimal_log_scale": "losses",
    "read_network": "weights.network_file",
    "reduce_images": "losses",
    "scale_invariant_alpha": "losses",
    "scale_invariant_closed": "losses",
    "scale_invariant_loss": "losses",
    "scale_invariant_pairwise": "losses",
    "train": "api",
    "write_network": "weights.network_file",
}
_PACKAGES = frozenset(
    [
        "config",
        "data",
        "evaluation",
        "geometry",
        "losses",
        "metrics",
        "models",
        "presets",
        "training",
        "viz",
    ]
)
__all__ = [
    "CoarseNet",
    "Config",
    "DepthMetrics",
    "DepthsiError",
    "DepthsiWarning",
    "FineNet",
    "Predictor",
    "TrainedNetwork",
    "Training",
    "TwoScaleNet",
    "__version__",
    "config",
    "data",
    "depth_metrics",
    "evaluate",
    "evaluation",
    "export",
    "geometry",
    "load",
    "losses",
    "metrics",
    "models",
    "optimal_log_scale",
    "presets",
    "read_network",
    "reduce_images",
    "scale_invariant_alpha",
    "scale_invariant_closed",
    "scale_invariant_loss",
    "scale_invariant_pairwise",
    "train",
    "training",
    "viz",
    "write_network",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"depthsi.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'depthsi' has no attribute {name!r}")
    return getattr(importlib.import_module(f"depthsi.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
