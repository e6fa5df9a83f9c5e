"""What `depthsi predict` is to look at: the words of its command line, and the files they name."""

import dataclasses
import glob
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from depthsi.camera import Photo
from depthsi.commands.predict_request import PredictRequest
from depthsi.data.formats.images import IMAGE_SUFFIXES, read_photo
from depthsi.data.formats.video import is_video
from depthsi.errors import DepthsiError
from depthsi.geometry import Geometry
from depthsi.output import complain
from depthsi.photos import with_camera
from depthsi.predictor import Predictor, is_model
from depthsi.scale import known_scale
from depthsi.viz.depth_maps import Colours
from depthsi.viz.save_depth import DepthMap
from depthsi.weights.shipped import DEFAULT, shipped_names
from depthsi.windows import resampled_size

AHEAD = 2  # photos or frames decoded while the network computes
END = object()  # of items
UNKNOWN_CAMERA = (
    "The camera of {name} is unknown and assumed to be the training camera. If its focal length"
    " differs, depth is off by about the ratio of the two: give --focal PIXELS or --fov DEGREES, or"
    " --camera training to keep the assumption."
)
T = TypeVar("T")


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
        return bool(_in_folder(path))
    return word == "-" or path.exists() or any(sign in word for sign in "*?[")


def named_files(words: Sequence[str]) -> list[Path]:
    """The photos and videos that words of the command line stand for.

    Raises:
      DepthsiError: a folder without either, or a pattern without files.
    """
    files: list[Path] = []
    for word in words:
        path = Path(word)
        if word == "-":
            files += [Path(line.rstrip("\r\n")) for line in sys.stdin if line.strip()]
        elif path.is_dir():
            if not (found := _in_folder(path)):
                kinds = ", ".join(IMAGE_SUFFIXES)
                raise DepthsiError(f"{path} holds no photos ({kinds}) and no videos.")
            files += found
        elif not path.exists() and any(sign in word for sign in "*?["):
            matches = map(Path, sorted(glob.glob(word, recursive=True)))
            if not (found := [path for path in matches if not path.is_dir()]):
                raise DepthsiError(f"No file matches {word!r}.")
            files += found
        else:
            files.append(path)
    return files


def _in_folder(folder: Path) -> list[Path]:
    """The photos of a folder, or its videos if it holds no photo."""
    files = sorted(folder.iterdir())
    photos = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    return photos or [file for file in files if is_video(file)]


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
    """Each photo that can be read, decoded a little ahead; of others, says why not."""

    def read() -> Iterator[tuple[Path, Photo | DepthsiError]]:
        for path in photos:
            try:
                yield path, read_photo(path)
            except DepthsiError as error:
                yield path, error

    for path, photo in ahead(read()):
        if isinstance(photo, DepthsiError):
            complain(str(photo))
        else:
            yield path, photo


def ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items, made up to `AHEAD` early in a thread, one after another."""
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(next, items, END) for _ in range(AHEAD))
        while (item := coming.popleft().result()) is not END:
            coming.append(pool.submit(next, items, END))
            yield item  # pyright: ignore[reportReturnType]


class CommandError(DepthsiError):
    """A mistake in the command, which ends it, not in a file, which is left out."""


def known_factor(
    depth: np.ndarray, path: Path, request: PredictRequest, predictor: Predictor
) -> np.float32:
    """The factor that brings a map to scale by the known distances of a request; says it.

    Args:
      depth: metres (H, W).
      path: of what was predicted.
      request: of the command.
      predictor: that made the map.

    Raises:
      CommandError: a point or a distance that cannot be used.
    """
    try:
        prior = predictor.scale_prior(request.known_fit)
    except DepthsiError:
        raise CommandError(
            "--known-fit weighted needs the network's errors on validation images, which are not"
            " recorded with it: use --known-fit exact."
        ) from None
    try:
        factor = known_scale(depth, request.known_distances(), prior)
    except DepthsiError as error:
        raise CommandError(f"--known: {error}") from error
    if not request.quiet:
        complain(f"{path.name}: all depths are multiplied by {factor:.4g}.")
    return np.float32(factor)


class Cameras:
    """The focal lengths to use, of photos and of frames; says once where the camera is unknown."""

    def __init__(self, request: PredictRequest, sizes: Geometry) -> None:
        self._request, self._sizes = request, sizes
        self._said = request.quiet or request.camera == "training"

    def given(self, path: Path, photo: Photo) -> Photo:
        """The photo with the focal length to use.

        Raises:
          DepthsiError: an impossible one; it names the file.
        """
        request = self._request
        try:
            photo = with_camera(photo, request.focal, request.fov, request.camera)
            resampled_size(photo.image.shape[:2], photo.focal, self._sizes)
        except DepthsiError as error:
            raise DepthsiError(f"{path}: {error}") from error
        if photo.focal is None and not self._said:
            complain(UNKNOWN_CAMERA.format(name=path.name))
            self._said = True
        return photo


@dataclasses.dataclass
class Group:
    """The photos or the videos of a command, and what their maps are made with.

    Attributes:
      files: those to be predicted.
      kinds: of results.
      request: of the command.
      predictor: that makes the maps.
      cameras: the focal lengths to use.
    """

    files: list[Path]
    kinds: tuple[str, ...]
    request: PredictRequest
    predictor: Predictor
    cameras: Cameras

    def maps(self, photos: Iterable[tuple[T, Photo]]) -> Iterator[tuple[T, Photo, np.ndarray]]:
        """The same pairs, each with the map of its photo in metres; few are held at a time."""
        waiting: deque[tuple[T, Photo]] = deque()  # in the network

        def images() -> Iterator[Photo]:
            for pair in photos:
                waiting.append(pair)
                yield pair[1]

        for depth in self.predictor.stream(images(), upsample=self.request.upsample):
            yield *waiting.popleft(), depth

    def depth_map(
        self, photo: Photo, depth: np.ndarray, limits: tuple[float, float] | None
    ) -> DepthMap:
        """A map in metres (H, W) as it is written: with its photo, focal length and colours."""
        focal = photo.focal or self.predictor.sizes.focal_length(depth.shape)
        return DepthMap(photo.image, depth, focal, Colours(limits, self.request.colour_map))
