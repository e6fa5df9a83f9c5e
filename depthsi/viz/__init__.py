"""Depth as colour, error maps, grids of images, points in space.

The names below are loaded when they are first used. `depthsi.viz.point_cloud` has the points.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from depthsi.viz.depth_maps import (
        colour_depth,
        colour_error,
        depth_limits,
        error_limit,
        save_contact_sheet,
        save_panel,
    )
    from depthsi.viz.viewer import write_viewer

_MODULES = {
    "colour_depth": "depth_maps",
    "colour_error": "depth_maps",
    "depth_limits": "depth_maps",
    "error_limit": "depth_maps",
    "save_contact_sheet": "depth_maps",
    "save_panel": "depth_maps",
    "write_viewer": "viewer",
}
__all__ = [
    "colour_depth",
    "colour_error",
    "depth_limits",
    "error_limit",
    "save_contact_sheet",
    "save_panel",
    "write_viewer",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'depthsi.viz' has no attribute {name!r}")
    return getattr(importlib.import_module(f"depthsi.viz.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
