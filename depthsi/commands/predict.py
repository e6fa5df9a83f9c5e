"""`depthsi predict`."""

import math
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from depthsi.camera import Photo
from depthsi.commands.predict_inputs import check_names, decoded, model_and_photos, named_photos
from depthsi.commands.predict_request import PredictRequest
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.inference import resampled_size
from depthsi.output import complain
from depthsi.predictor import Predictor, load, with_camera
from depthsi.scale import SHARE, known_scale
from depthsi.viz.depth_maps import Colours, check_colour_map, depth_limits, require_matplotlib
from depthsi.viz.save_depth import DepthMap, save_depth

UNKNOWN_CAMERA = (
    "The camera of {name} is unknown and assumed to be the training camera. If its focal length"
    " differs, depth is off by about the ratio of the two: give --focal PIXELS or --fov DEGREES, or"
    " --camera training to keep the assumption."
)
SCALE = (
    "The scale of a map: for {share:.0%} of {images} validation images the best factor for the"
    " whole map was between {low:.2f} and {high:.2f}."
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
    shared = request.limits == "shared" and len(photos) > 1 and {"colour", "panel"} & set(kinds)
    total = (2 if shared else 1) * len(photos)
    silent = request.quiet or total < 2 or not sys.stderr.isatty()
    bar = tqdm(total=total, unit="photo", disable=silent)
    limits = request.limits if isinstance(request.limits, tuple) else None
    good, done = photos, 0
    if not (known or request.quiet) and (interval := predictor.scale_interval):
        complain(SCALE.format(share=SHARE, **interval._asdict()))
    with bar:
        if shared:
            limits, good = _shared_limits(_maps(photos, request, predictor), bar)
            bar.total -= len(photos) - len(good)
        colours = Colours(limits, request.colour_map)
        for path, photo, depth in _maps(good, request, predictor, again=bool(shared)):
            if known:
                factor = _known_scale(depth, known)
                if not request.quiet:
                    complain(f"{path.name}: all depths are multiplied by {factor:.4g}.")
                depth = depth * np.float32(factor)
            directory.mkdir(parents=True, exist_ok=True)
            focal = photo.focal or predictor.sizes.focal_length(depth.shape)
            found = DepthMap(photo.image, depth, focal, colours)
            written = save_depth(directory, path.stem, found, kinds)
            done += 1
            bar.update()
            if not request.quiet:
                bar.write(" ".join(map(str, written)), file=sys.stdout)
    return len(photos) - done


Maps = Iterator[tuple[Path, Photo, np.ndarray]]


def _maps(
    photos: Sequence[Path], request: PredictRequest, predictor: Predictor, *, again: bool = False
) -> Maps:
    """The photos that can be predicted, with their maps in metres; few are held at a time."""
    waiting: deque[tuple[Path, Photo]] = deque()  # in the network

    def images() -> Iterator[Photo]:
        for path, photo in _with_cameras(decoded(photos), request, predictor, again):
            waiting.append((path, photo))
            yield photo

    for depth in predictor.stream(images(), upsample=request.upsample):
        yield *waiting.popleft(), depth


def _shared_limits(maps: Maps, bar: Any) -> tuple[tuple[float, float] | None, list[Path]]:
    """Limits of colour that suit all maps, of which none is kept, and the photos they are of."""
    nearest, farthest, good = math.inf, 0.0, []
    for path, _, depth in maps:
        if np.isfinite(depth).any():
            near, far = depth_limits(depth)
            nearest, farthest = min(near, nearest), max(far, farthest)
        good.append(path)
        bar.update()
    return (nearest, farthest) if farthest else None, good


def _with_cameras(
    photos: Iterator[tuple[Path, Photo]], request: PredictRequest, predictor: Predictor, said: bool
) -> Iterator[tuple[Path, Photo]]:
    """The photos with the focal lengths to use; names those that have an impossible one.

    Args:
      photos: as they were read.
      request: of the command.
      predictor: that will see them.
      said: whether it has been said that a camera is unknown.
    """
    said |= request.quiet or request.camera == "training"
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
        check_colour_map(request.colour_map)
    if kinds:
        return kinds
    try:
        require_matplotlib()
    except DepthsiError:
        text = "Without matplotlib no panels are drawn: pip install 'depthsi[plot]'."
        warnings.warn(text, DepthsiWarning, stacklevel=2)
        return ("png16", "npy")
    check_colour_map(request.colour_map)
    return ("png16", "npy", "panel")
