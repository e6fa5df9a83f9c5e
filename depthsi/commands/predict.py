"""`depthsi predict`."""

import sys
import warnings
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from depthsi.camera import Photo
from depthsi.commands.predict_inputs import check_names, decoded, model_and_photos, named_photos
from depthsi.commands.predict_request import PredictRequest
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.inference import resampled_size
from depthsi.output import complain
from depthsi.predictor import Predictor, load, with_camera
from depthsi.scale import known_scale
from depthsi.viz.depth_maps import require_matplotlib
from depthsi.viz.save_depth import save_depth

UNKNOWN_CAMERA = (
    "The camera of {name} is unknown: it is taken for the camera of the training data, and metres"
    " are wrong by about the ratio of both focal lengths. Say --focal PIXELS or --fov DEGREES, or"
    " --camera training if it is the same."
)


def predict(request: PredictRequest) -> int:
    """Predicts the photos one after another; a bad one is named and left out.

    Returns:
      How many photos could not be predicted.

    Raises:
      DepthsiError: what concerns all of them, before anything is written.
    """
    kinds = _kinds(request)
    model, words = model_and_photos(request.words)
    photos = named_photos(words)
    check_names(photos)
    known = request.known_distances()
    if known and len(photos) != 1:
        raise DepthsiError(f"--known is about one photo, but {len(photos)} are named.")
    predictor = load(model, checkpoint=request.checkpoint)
    directory = Path(request.out)
    if directory.exists() and not directory.is_dir():
        raise DepthsiError(f"--out {directory}: File exists; choose a directory.")
    waiting: deque[tuple[Path, Photo]] = deque()  # photos in the network

    def images() -> Iterator[Photo]:
        for path, photo in _with_cameras(decoded(photos), request, predictor):
            waiting.append((path, photo))
            yield photo

    bar = tqdm(total=len(photos), unit="photo", disable=len(photos) < 2 or not sys.stderr.isatty())
    done = 0
    with bar:
        for depth in predictor.stream(images(), upsample=request.upsample):
            path, photo = waiting.popleft()
            if known:
                factor = _known_scale(depth, known)
                complain(f"{path.name}: all depths are multiplied by {factor:.4g}.")
                depth = depth * depth.dtype.type(factor)
            directory.mkdir(parents=True, exist_ok=True)
            focal = photo.focal or predictor.sizes.focal_length(depth.shape)
            written = save_depth(directory, path.stem, photo.image, depth, kinds, focal)
            done += 1
            bar.update()
            bar.write(" ".join(map(str, written)), file=sys.stdout)
    return len(photos) - done


def _with_cameras(
    photos: Iterator[tuple[Path, Photo]], request: PredictRequest, predictor: Predictor
) -> Iterator[tuple[Path, Photo]]:
    """The photos with the focal lengths to use; names those that have an impossible one."""
    said = request.camera == "training"
    for path, read in photos:
        try:
            photo = with_camera(read, request.focal, request.fov, request.camera)
            resampled_size(photo.image.shape[:2], photo.focal, predictor.sizes)
        except DepthsiError as error:
            complain(f"{path}: {error}")
            continue
        if photo.focal is None and not said:
            complain(UNKNOWN_CAMERA.format(name=path.name))
            said = True
        yield path, photo


def _known_scale(depth: np.ndarray, known: dict[tuple[float | int, float | int], float]) -> float:
    try:
        return known_scale(depth, known)
    except DepthsiError as error:
        raise DepthsiError(f"--known: {error}") from error


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
