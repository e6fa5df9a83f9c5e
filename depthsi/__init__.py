"""Depth from a single image with the scale-invariant error, in JAX and Flax.

The names below are loaded on first use, so that importing `depthsi` is fast.
"""

from typing import TYPE_CHECKING

from depthsi.lazy_names import lazy_names

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
    "config": "",
    "data": "",
    "depth_metrics": "metrics",
    "evaluate": "api",
    "evaluation": "",
    "export": "predictor",
    "geometry": "",
    "load": "predictor",
    "losses": "",
    "metrics": "",
    "models": "",
    "optimal_log_scale": "losses",
    "presets": "",
    "read_network": "weights.network_file",
    "reduce_images": "losses",
    "scale_invariant_alpha": "losses",
    "scale_invariant_closed": "losses",
    "scale_invariant_loss": "losses",
    "scale_invariant_pairwise": "losses",
    "train": "api",
    "training": "",
    "viz": "",
    "write_network": "weights.network_file",
}
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

__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
