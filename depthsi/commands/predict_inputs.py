"""What `depthsi predict` is to look at: the words of its command line, and the photos they name."""

import glob
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from depthsi.camera import Photo
from depthsi.data.formats.images import IMAGE_SUFFIXES, read_photo
from depthsi.errors import DepthsiError
from depthsi.output import complain
from depthsi.predictor import is_model
from depthsi.weights.shipped import DEFAULT, shipped_names

AHEAD = 2  # photos decoded while the network computes


def model_and_photos(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The model of the command line, or the default, and the words for photos.

    Raises:
      DepthsiError: there is no photo, or the first word is nothing known.
    """
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


def named_photos(words: Sequence[str]) -> list[Path]:
    """The files that words of the command line stand for.

    Raises:
      DepthsiError: a folder or pattern without photos.
    """
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


def check_names(photos: Sequence[Path]) -> None:
    """Raises DepthsiError if the results of two photos would have the same names."""
    seen: dict[str, Path] = {}
    for photo in photos:
        if (other := seen.setdefault(photo.stem, photo)) is not photo:
            raise DepthsiError(
                f"{other} and {photo} have the same name and would overwrite each other's results:"
                " predict them into different --out directories."
            )


def decoded(photos: Sequence[Path]) -> Iterator[tuple[Path, Photo]]:
    """Each photo that can be read, decoded a little ahead in a thread; of others, says why not."""
    rest = iter(photos)
    with ThreadPoolExecutor(1) as pool:
        ahead: deque[tuple[Path, Future[Photo]]] = deque()

        def submit() -> None:
            if (path := next(rest, None)) is not None:
                ahead.append((path, pool.submit(read_photo, path)))

        for _ in range(AHEAD):
            submit()
        while ahead:
            path, photo = ahead.popleft()
            submit()
            try:
                yield path, photo.result()
            except DepthsiError as error:
                complain(str(error))
