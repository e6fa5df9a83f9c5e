"""Writes a predicted depth map in common formats."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from depthsi.errors import DepthsiError
from depthsi.files import write_bytes
from depthsi.viz.depth_maps import Colours, colour_depth, save_panel
from depthsi.viz.point_cloud import point_cloud, write_ply
from depthsi.viz.viewer import write_viewer

MOST_MILLIMETRES = 65_534  # 65535 is what others write for missing depth


class DepthMap(NamedTuple):
    """A depth map with its image and camera.

    Attributes:
      image: RGB.
      depth: metres, NaN where unknown.
      focal: focal length in pixels of this image, for point clouds.
      colours: how depth is coloured.
    """

    image: UInt8[np.ndarray, "H W 3"]
    depth: Float32[np.ndarray, "H W"]
    focal: float
    colours: Colours = Colours()


def save_depth(directory: Path, name: str, depth_map: DepthMap, kinds: Sequence[str]) -> list[Path]:
    """Writes a depth map in each of `kinds`, atomically.

    Args:
      directory: an existing directory.
      name: name of the photo, from which the file names are made.
      depth_map: depth map to write.
      kinds: some of `FORMATS`.

    Returns:
      The paths of the files.

    Raises:
      DepthsiError: a package that one of the formats needs is missing.
      OSError: a file cannot be written.
    """
    written = []
    for kind in kinds:
        ending, write = FORMATS[kind]
        path = directory / f"{name}_{ending}"
        write(path, depth_map)
        written.append(path)
    return written


def _png16(path: Path, it: DepthMap) -> None:
    """uint16 millimetres: 0 where unknown, 65.534 m at most."""
    millimetres = np.clip(np.nan_to_num(it.depth * 1000), 0, MOST_MILLIMETRES)
    Image.fromarray(millimetres.round().astype(np.uint16)).save(buffer := io.BytesIO(), "PNG")
    write_bytes(path, buffer.getvalue())


def _npy(path: Path, it: DepthMap) -> None:
    np.save(buffer := io.BytesIO(), it.depth.astype(np.float32))
    write_bytes(path, buffer.getvalue())


def _colour(path: Path, it: DepthMap) -> None:
    coloured = colour_depth(it.depth, limits=it.colours.limits, cmap=it.colours.cmap)
    Image.fromarray(coloured).save(buffer := io.BytesIO(), "PNG")
    write_bytes(path, buffer.getvalue())


def _panel(path: Path, it: DepthMap) -> None:
    title = path.name.removesuffix("_panel.png")
    save_panel(path, it.image, it.depth, title=title, colours=it.colours)


def _exr(path: Path, it: DepthMap) -> None:
    """One float32 channel Z, metres, as renderers write it."""
    try:
        import OpenEXR
    except ImportError as error:
        raise DepthsiError("EXR files need OpenEXR: run pip install 'depthsi[data]'.") from error
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {"Z": np.ascontiguousarray(it.depth, np.float32)}
    temporary = path.with_name(f".{path.name}.tmp")  # OpenEXR writes to names only
    temporary.unlink(missing_ok=True)
    try:
        OpenEXR.File(header, channels).write(str(temporary))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _ply(path: Path, it: DepthMap) -> None:
    write_ply(path, point_cloud(it.depth, it.image, it.focal))


def _viewer(path: Path, it: DepthMap) -> None:
    title = path.name.removesuffix("_viewer.html")
    write_viewer(path, it.depth, it.image, it.focal, title=title)


FORMATS: dict[str, tuple[str, Callable[[Path, DepthMap], None]]] = {
    "png16": ("depth.png", _png16),
    "npy": ("depth.npy", _npy),
    "colour": ("colour.png", _colour),
    "panel": ("panel.png", _panel),
    "exr": ("depth.exr", _exr),
    "ply": ("points.ply", _ply),
    "viewer": ("viewer.html", _viewer),
}
