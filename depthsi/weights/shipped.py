"""The pretrained networks that ship with the package, by name."""

import os
from pathlib import Path

from depthsi.errors import DepthsiError
from depthsi.weights.network_file import SUFFIX, TrainedNetwork, read_description
from depthsi.weights.remote import fetch, is_remote

FOLDER = Path(__file__).parent / "files"
DEFAULT = "unet_nyu"  # what `depthsi.load()` and `depthsi predict PHOTO` use


def shipped_names() -> tuple[str, ...]:
    """The names, the default first."""
    names = sorted(file.stem for file in FOLDER.glob(f"*{SUFFIX}"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT))


def shipped_network(name: str) -> TrainedNetwork:
    """The metadata of a pretrained network; its parameters are not read.

    Raises:
      DepthsiError: there is no network of that name, or its file is damaged.
    """
    names = shipped_names()
    if name not in names:
        raise DepthsiError(f"There is no model {name!r}; choose one of {', '.join(names)}.")
    return read_description(FOLDER / f"{name}{SUFFIX}")


def named_file(model: str | os.PathLike[str]) -> Path:
    """The file of a pretrained network or of one on a server; `model` itself if it is a path.

    A file or directory of the user takes precedence over a pretrained network of the same name.

    Raises:
      DepthsiError: the model is on a server and cannot be downloaded.
    """
    if is_remote(model):
        return fetch(str(model))
    path = Path(model)
    if str(path) in shipped_names() and not path.exists():
        return FOLDER / f"{path}{SUFFIX}"
    return path
