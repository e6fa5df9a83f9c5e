"""Coloured depth, error maps, grids of images, and point clouds (`depthsi.viz.point_cloud`).

The names below are loaded on first use.
"""

from typing import TYPE_CHECKING

from depthsi.lazy_names import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _MODULES, __all__)
