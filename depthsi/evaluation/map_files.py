"""External predictions: a folder with one file per image, or a single file with all maps.

A file `NAME.png`, `.npy`, `.npz`, `.mat` (or any other depth file) belongs to the image whose
path inside its data set is `NAME` or ends in `/NAME`, ignoring file extensions. A single file may
contain all maps in the order of the images: (N, h, w) in `.npy` and `.npz`, (h, w, N) in `.mat`.
Integers need a unit, unless the ground truth implies it. 0, negative, NaN and inf are not depth.
"""

import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float64

from depthsi.data.formats.decoding import DEPTH_SUFFIXES, UNITS_PER_METRE, stored_depth
from depthsi.data.formats.images import IMAGE_SUFFIXES
from depthsi.data.formats.matlab import read_mat
from depthsi.data.formats.numpy_files import array_in_npz
from depthsi.errors import DepthsiError
from depthsi.files import decoding

SUFFIXES = (*DEPTH_SUFFIXES, ".mat")
NAME = "{name}"


class Folder:
    """A folder with one file for each of N images.

    Attributes:
      unused: number of files that belong to no image.
    """

    def __init__(self, root: Path, names: Sequence[str], pattern: str, variable: str) -> None:
        files = _depth_files(root, pattern)
        by_name: dict[str, list[Path]] = {}
        for name, file in files:
            by_name.setdefault(name, []).append(file)
        self._variable = variable
        self._files = [_file_of(name, by_name, root) for name in map(_without_ending, names)]
        missing = [name for name, file in zip(names, self._files, strict=True) if file is None]
        if missing:
            raise DepthsiError(
                f"{root} has no prediction for {len(missing)} of {len(names)} images, the first "
                f"{missing[0]}; it has {len(files)} depth files"
                + (f", the first {files[0][1].relative_to(root)}: " if files else ": ")
                + "name the files like the images, or give --pattern."
            )
        self._refuse_shared(names)
        self.unused = len(files) - len(self._files)

    def _refuse_shared(self, names: Sequence[str]) -> None:
        first: dict[Path | None, str] = {}
        for name, file in zip(names, self._files, strict=True):
            if first.setdefault(file, name) != name:
                raise DepthsiError(
                    f"{file} matches both {first[file]} and {name}: name the files by the images'"
                    " full paths."
                )

    def __len__(self) -> int:
        return len(self._files)

    def place(self, index: int) -> str:
        """Name of map `index` in messages."""
        return str(self._files[index])

    def stored(self, index: int) -> np.ndarray:
        """Map `index` as stored, (h, w); raises DepthsiError if it is not a depth map."""
        file = self._files[index]
        assert file is not None
        values = read_mat(file, self._variable) if file.suffix == ".mat" else stored_depth(file)
        return _flat(values, str(file))


class Stack:
    """A single file with the maps of N images, in order.

    Attributes:
      unused: 0; for compatibility with `Folder`.
    """

    def __init__(self, file: Path, count: int, variable: str) -> None:
        self._file, self.unused = file, 0
        suffix = file.suffix.lower()
        if suffix not in (".npy", ".npz", ".mat"):
            raise DepthsiError(
                f"{file} cannot contain the predictions of all images: give a folder, or a .npy, "
                ".npz or .mat file."
            )
        maps = read_mat(file, variable) if suffix == ".mat" else _numpy_array(file, variable)
        if suffix == ".mat":
            maps = np.moveaxis(maps, -1, 0)
        maps = maps[..., 0] if maps.ndim == 4 and maps.shape[-1] == 1 else maps
        order = "(h, w, N)" if suffix == ".mat" else "(N, h, w)"
        if maps.ndim != 3 or maps.dtype.kind not in "fiu":
            raise DepthsiError(
                f"{file} has {maps.dtype} values of shape {maps.shape}; give numbers of shape"
                f" {order}."
            )
        if len(maps) != count:
            raise DepthsiError(
                f"{file} has {len(maps)} maps, but the split has {count} images: give one map for"
                f" each, in the order of the images, as {order}."
            )
        self._maps = maps

    def __len__(self) -> int:
        return len(self._maps)

    def place(self, index: int) -> str:
        """Name of map `index` in messages."""
        return f"{self._file}, map {index}"

    def stored(self, index: int) -> np.ndarray:
        """Map `index` as stored, (h, w)."""
        return np.asarray(self._maps[index])


Predictions = Folder | Stack


def open_predictions(
    path: str | os.PathLike[str],
    names: Sequence[str],
    *,
    pattern: str = NAME,
    variable: str = "",
) -> Predictions:
    """Finds the map of every image.

    Args:
      path: a folder, or a file with all maps.
      names: names of the images.
      pattern: how files of a folder are named, such as "{name}_depth.npy".
      variable: name of the array in files that contain several.

    Raises:
      DepthsiError: no such path, images with no map or with several, a different number of maps
        than images, a pattern without {name}, or a damaged file.
    """
    path = Path(path)
    if path.is_file():
        return Stack(path, len(names), variable)
    if not path.is_dir():
        raise DepthsiError(f"{path} does not exist: give a folder or a file of predictions.")
    return Folder(path, names, pattern, variable)


def metres(stored: np.ndarray, units_per_metre: float | int | None) -> Float64[np.ndarray, "h w"]:
    """Converts stored values to metres; invalid values stay as they are, for the protocol to judge.

    Args:
      stored: (h, w).
      units_per_metre: the value that stands for one metre; None if values are metres.

    Raises:
      DepthsiError: the unit is not a positive number.
    """
    low, high = UNITS_PER_METRE
    if units_per_metre is not None and not low <= units_per_metre <= high:
        raise DepthsiError(f"--units-per-metre is {units_per_metre:g}; it must be positive.")
    return np.asarray(stored, np.float64) / (units_per_metre or 1.0)


def _depth_files(root: Path, pattern: str) -> list[tuple[str, Path]]:
    """Depth files below `root` that match the pattern, sorted, with what {name} stands for."""
    if pattern.count(NAME) != 1:
        raise DepthsiError(f"--pattern {pattern!r} must contain {NAME} once, as in '{NAME}_depth'.")
    before, after = map(re.escape, pattern.split(NAME))
    form = re.compile(f"{before}(.+?){after}", re.DOTALL)
    found = []
    for file in sorted(root.rglob("*")):
        if file.suffix.lower() not in SUFFIXES or file.name.startswith(".") or not file.is_file():
            continue
        text = file.relative_to(root).as_posix()
        fits = form.fullmatch(text) or form.fullmatch(_without_ending(text))
        if fits:
            found.append((_without_ending(fits[1]), file))
    return found


def _file_of(name: str, by_name: dict[str, list[Path]], root: Path) -> Path | None:
    """The file of the image `name`, matched by its full path or by as many parts as possible."""
    parts = PurePosixPath(name).parts
    for start in range(len(parts)):
        files = by_name.get("/".join(parts[start:]), [])
        if len(files) > 1:
            first, second = (file.relative_to(root) for file in files[:2])
            raise DepthsiError(
                f"{root} has several predictions for {name}, {first} and {second}: select one kind"
                f" with --pattern, such as '{NAME}{files[0].suffix}'."
            )
        if files:
            return files[0]
    return None


def _without_ending(name: str) -> str:
    """A path without its file extension, if that is one of an image or depth file."""
    path = PurePosixPath(name)
    known = (*SUFFIXES, *IMAGE_SUFFIXES)
    return path.with_suffix("").as_posix() if path.suffix.lower() in known else path.as_posix()


def _flat(values: np.ndarray, place: str) -> np.ndarray:
    values = np.squeeze(values) if values.ndim == 3 and 1 in values.shape else values
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DepthsiError(
            f"{place} has {values.dtype} values of shape {values.shape}; give one depth map (h, w)."
        )
    return values


def _numpy_array(file: Path, variable: str) -> np.ndarray:
    """The array of a `.npy` or `.npz` file; nothing is ever unpickled."""
    with decoding(file):
        if file.suffix.lower() == ".npy":
            return np.load(file, mmap_mode="r", allow_pickle=False)
        with zipfile.ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
        if variable not in names and (variable or len(names) != 1):
            there = ", ".join(names) or "none"
            raise DepthsiError(f"{file} has the arrays {there[:500]}: select one with --variable.")
        return array_in_npz(file, variable or names[0])
