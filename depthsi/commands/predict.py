"""`depthsi predict`."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from depthsi import files
from depthsi.data.formats.decoding import read_image
from depthsi.errors import DepthsiError
from depthsi.inference import make_window_network, predict_depth
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.trained import trained_outputs, trained_params
from depthsi.viz.depth_maps import require_matplotlib, save_panel


def predict(path: str, photos: Sequence[str], out: str) -> None:
    """`depthsi predict`: depth maps and panels of photos into the directory `out`."""
    require_matplotlib()
    run = RunDirectory(path)
    config = run.config()
    names = [Path(photo).stem for photo in photos]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DepthsiError(
            f"Two photos are called {repeated[0]!r} and would overwrite each other's results:"
            " predict them into different --out directories."
        )
    pictures = [read_image(photo, exif=True) for photo in photos]
    params, step = trained_params(config, run)
    output = trained_outputs(config, step)[-1]
    network = make_window_network(config.model, params, output)
    directory = Path(out)
    directory.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures, strict=True):
        depth = predict_depth(network, picture, config.model.sizes)
        files = [directory / f"{name}_{kind}" for kind in ("depth.png", "depth.npy", "panel.png")]
        _save_depth(depth, *files[:2])
        save_panel(files[2], picture, depth, title=name)
        print(" ".join(map(str, files)))


def _save_depth(depth: np.ndarray, png: Path, npy: Path) -> None:
    """uint16 millimetres (0 where unknown, 65.535 m at most) and float32 metres (NaN there)."""
    millimetres = np.clip(np.nan_to_num(depth * 1000), 0, 65535).round().astype(np.uint16)
    Image.fromarray(millimetres).save(buffer := io.BytesIO(), format="PNG")
    files.write_bytes(png, buffer.getvalue())
    np.save(buffer := io.BytesIO(), depth.astype(np.float32))
    files.write_bytes(npy, buffer.getvalue())
