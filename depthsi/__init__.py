"""Depth from a single image with the scale-invariant error, in JAX and Flax.

The names below are loaded when they are first used, so that importing `depthsi` is instant.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "CoarseNet": "models",
    "FineNet": "models",
    "TwoScaleNet": "models",
    "DepthMetrics": "metrics",
    "depth_metrics": "metrics",
    "optimal_log_scale": "losses",
    "reduce_images": "losses",
    "scale_invariant_alpha": "losses",
    "scale_invariant_closed": "losses",
    "scale_invariant_loss": "losses",
    "scale_invariant_pairwise": "losses",
}
__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'depthsi' has no attribute {name!r}")
    return getattr(importlib.import_module(f"depthsi.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
