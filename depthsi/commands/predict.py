"""`depthsi predict`."""

import glob
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from depthsi.commands.predict_request import PredictRequest
from depthsi.data.formats.images import IMAGE_SUFFIXES, read_image
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.output import complain
from depthsi.predictor import is_model, load
from depthsi.viz.depth_maps import require_matplotlib
from depthsi.viz.save_depth import save_depth
from depthsi.weights.shipped import DEFAULT, shipped_names

AHEAD = 2  # photos decoded while the network computes


def predict(request: PredictRequest) -> int:
    """Predicts the photos one after another; a bad one is named and left out.

    Returns:
      How many photos could not be predicted.

    Raises:
      DepthsiError: what concerns all of them, before anything is written.
    """
    kinds = _kinds(request)
    model, words = _model_and_photos(request.words)
    photos = _photos(words)
    _check_names(photos)
    predictor = load(model, checkpoint=request.checkpoint)
    directory = Path(request.out)
    if directory.exists() and not directory.is_dir():
        raise DepthsiError(f"--out {directory}: File exists; choose a directory.")
    waiting: deque[tuple[Path, np.ndarray]] = deque()  # photos in the network

    def images() -> Iterator[np.ndarray]:
        for photo, image in _decoded(photos):
            waiting.append((photo, image))
            yield image

    bar = tqdm(total=len(photos), unit="photo", disable=len(photos) < 2 or not sys.stderr.isatty())
    done = 0
    with bar:
        for depth in predictor.stream(images()):
            photo, image = waiting.popleft()
            directory.mkdir(parents=True, exist_ok=True)
            focal = predictor.sizes.focal_length(depth.shape)
            written = save_depth(directory, photo.stem, image, depth, kinds, focal)
            done += 1
            bar.update()
            bar.write(" ".join(map(str, written)), file=sys.stdout)
    return len(photos) - done


def _kinds(request: PredictRequest) -> tuple[str, ...]:
    kinds = request.kinds()
    if {"colour", "panel"} & set(kinds):
        require_matplotlib()
    if kinds:
        return kinds
    try:
        require_matplotlib()
    except DepthsiError:
        text = "Without matplotlib no panels are drawn: pip install 'depthsi[plot]'."
        warnings.warn(text, DepthsiWarning, stacklevel=2)
        return ("png16", "npy")
    return ("png16", "npy", "panel")


def _model_and_photos(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    if not words:
        raise DepthsiError("Name a photo: depthsi predict [MODEL] PHOTO [PHOTO ...].")
    model, *photos = words
    if is_model(model):
        if not photos:
            raise DepthsiError(f"No photo was named: depthsi predict {model} PHOTO [PHOTO ...].")
        return model, photos
    if swapped := next(filter(is_model, photos), None):
        raise DepthsiError(f"The model comes first: depthsi predict {swapped} {model} ...")
    if not _may_be_photos(model):
        raise DepthsiError(
            f"{model} is neither a photo nor a model: no such file, no run (it has no config.json),"
            " no file of weights (.safetensors), no exported network (.stablehlo), and none of"
            f" {', '.join(shipped_names())}."
        )
    return DEFAULT, words


def _may_be_photos(word: str) -> bool:
    path = Path(word)
    if path.is_dir():
        return any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir())
    return word == "-" or path.exists() or any(sign in word for sign in "*?[")


def _photos(words: Sequence[str]) -> list[Path]:
    """The files that the words of the command line stand for."""
    photos: list[Path] = []
    for word in words:
        path = Path(word)
        if word == "-":
            photos += [Path(line.rstrip("\n")) for line in sys.stdin if line.strip()]
        elif path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
            if not found:
                raise DepthsiError(f"{path} holds no photos ({', '.join(IMAGE_SUFFIXES)}).")
            photos += found
        elif not path.exists() and any(sign in word for sign in "*?["):
            found = [Path(name) for name in sorted(glob.glob(word, recursive=True))]
            if not found:
                raise DepthsiError(f"No file matches {word!r}.")
            photos += found
        else:
            photos.append(path)
    return photos


def _check_names(photos: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for photo in photos:
        if (other := seen.setdefault(photo.stem, photo)) is not photo:
            raise DepthsiError(
                f"{other} and {photo} have the same name and would overwrite each other's results:"
                " predict them into different --out directories."
            )


def _decoded(photos: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray]]:
    """Each photo that can be read, decoded a little ahead in a thread; of others, says why not."""
    rest = iter(photos)
    with ThreadPoolExecutor(1) as pool:
        ahead: deque[tuple[Path, Future[np.ndarray]]] = deque()

        def submit() -> None:
            if (photo := next(rest, None)) is not None:
                ahead.append((photo, pool.submit(read_image, photo, exif=True)))

        for _ in range(AHEAD):
            submit()
        while ahead:
            photo, image = ahead.popleft()
            submit()
            try:
                yield photo, image.result()
            except DepthsiError as error:
                complain(str(error))
