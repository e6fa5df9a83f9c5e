"""Writing one predicted depth map in the formats people use."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from depthsi.errors import DepthsiError
from depthsi.files import write_bytes
from depthsi.viz.depth_maps import colour_depth, save_panel
from depthsi.viz.point_cloud import point_cloud, write_ply
from depthsi.viz.viewer import write_viewer

MOST_MILLIMETRES = 65_534  # 65535 is what others write for missing depth


def save_depth(
    directory: Path,
    name: str,
    image: UInt8[np.ndarray, "H W 3"],
    depth: Float32[np.ndarray, "H W"],
    kinds: Sequence[str],
    focal: float,
) -> list[Path]:
    """Writes a depth map in each of `kinds`, whole or not at all.

    Args:
      directory: an existing one.
      name: of the photo, from which those of the files are made.
      image: RGB.
      depth: metres, NaN where unknown.
      kinds: of `FORMATS`.
      focal: focal length in pixels of this image, by which the pixels are points in space.

    Returns:
      The files.

    Raises:
      DepthsiError: a package is missing that one of the formats needs.
      OSError: a file cannot be written.
    """
    written = []
    for kind in kinds:
        ending, write = FORMATS[kind]
        path = directory / f"{name}_{ending}"
        write(path, image, depth, focal)
        written.append(path)
    return written


def _png16(path: Path, image: np.ndarray, depth: np.ndarray, focal: float) -> None:
    """uint16 millimetres: 0 where unknown, 65.534 m at most."""
    del image, focal
    millimetres = np.clip(np.nan_to_num(depth * 1000), 0, MOST_MILLIMETRES)
    Image.fromarray(millimetres.round().astype(np.uint16)).save(buffer := io.BytesIO(), "PNG")
    write_bytes(path, buffer.getvalue())


def _npy(path: Path, image: np.ndarray, depth: np.ndarray, focal: float) -> None:
    del image, focal
    np.save(buffer := io.BytesIO(), depth.astype(np.float32))
    write_bytes(path, buffer.getvalue())


def _colour(path: Path, image: np.ndarray, depth: np.ndarray, focal: float) -> None:
    del image, focal
    Image.fromarray(colour_depth(depth)).save(buffer := io.BytesIO(), "PNG")
    write_bytes(path, buffer.getvalue())


def _panel(path: Path, image: np.ndarray, depth: np.ndarray, focal: float) -> None:
    del focal
    save_panel(path, image, depth, title=path.name.removesuffix("_panel.png"))


def _exr(path: Path, image: np.ndarray, depth: np.ndarray, focal: float) -> None:
    """One float32 channel Z, metres, as renderers write it."""
    del image, focal
    try:
        import OpenEXR
    except ImportError as error:
        raise DepthsiError("EXR files need OpenEXR: run pip install 'depthsi[data]'.") from error
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {"Z": np.ascontiguousarray(depth, np.float32)}
    temporary = path.with_name(f".{path.name}.tmp")  # OpenEXR writes to names only
    temporary.unlink(missing_ok=True)
    try:
        OpenEXR.File(header, channels).write(str(temporary))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _ply(path: Path, image: np.ndarray, depth: np.ndarray, focal: float) -> None:
    write_ply(path, point_cloud(depth, image, focal))


def _viewer(path: Path, image: np.ndarray, depth: np.ndarray, focal: float) -> None:
    write_viewer(path, depth, image, focal, title=path.name.removesuffix("_viewer.html"))


FORMATS: dict[str, tuple[str, Callable[[Path, np.ndarray, np.ndarray, float], None]]] = {
    "png16": ("depth.png", _png16),
    "npy": ("depth.npy", _npy),
    "colour": ("colour.png", _colour),
    "panel": ("panel.png", _panel),
    "exr": ("depth.exr", _exr),
    "ply": ("points.ply", _ply),
    "viewer": ("viewer.html", _viewer),
}
