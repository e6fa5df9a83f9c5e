"""`depthsi predict`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from depthsi.camera import Photo
from depthsi.commands.predict_inputs import (
    Cameras,
    Group,
    check_names,
    decoded,
    known_factor,
    model_and_photos,
    named_files,
)
from depthsi.commands.predict_request import PredictRequest
from depthsi.commands.predict_video import Videos, check_kinds
from depthsi.data.formats.video import is_video
from depthsi.errors import DepthsiError
from depthsi.output import complain
from depthsi.predictor import Predictor, load
from depthsi.scale import SHARE
from depthsi.viz.colour_maps import check_colour_map
from depthsi.viz.depth_maps import depth_limits
from depthsi.viz.save_depth import save_depth

SCALE = (
    "Absolute scale is uncertain: for {share:.0%} of {images} validation images, the factor that"
    " best corrects the whole map was between {low:.2f} and {high:.2f}."
)
MEASURE = " If you know a distance, set the scale with --known."
PICTURES = {"colour", "panel"}  # kinds of result that have a scale of colour


def predict(request: PredictRequest) -> int:
    """Predicts the photos one after another, then the videos; a bad file is named and left out.

    Returns:
      How many of the files could not be predicted.

    Raises:
      DepthsiError: what concerns all of them, before anything is written.
    """
    kinds = request.kinds()
    if not kinds or PICTURES & set(kinds):
        check_colour_map(request.colour_map)
    model, words = model_and_photos(request.words)
    files = named_files(words)
    named_photos = [path for path in files if not is_video(path)]
    named_videos = [path for path in files if is_video(path)]
    for group in (named_photos, named_videos):
        check_names(group)
    check_kinds(kinds, named_videos)
    if request.known_distances() and len(files) != 1:
        what = "photo or video" if named_videos else "photo"
        raise DepthsiError(f"--known is about one {what}, but {len(files)} are named.")
    predictor = load(model, checkpoint=request.checkpoint)
    directory = Path(request.out)
    if directory.exists() and not directory.is_dir():
        raise DepthsiError(f"--out {directory}: File exists; choose a directory.")
    if not (request.known or request.quiet):
        _say_scale(predictor, alone=len(files) == 1)
    cameras = Cameras(request, predictor.sizes)
    photos = _Photos(named_photos, kinds or ("png16", "npy", "panel"), request, predictor, cameras)
    videos = Videos(named_videos, kinds or ("panel",), request, predictor, cameras)
    limits = request.limits if isinstance(request.limits, tuple) else None
    coloured = [each for each in (photos, videos) if PICTURES & set(each.kinds)]
    if request.limits == "shared" and sum(len(each.files) for each in coloured) > 1:
        spans = [span for each in coloured for span in each.spans()]
        limits = (min(near for near, _ in spans), max(far for _, far in spans)) if spans else None
    if failed := len(files) - photos.predict(limits) - videos.predict(limits):
        complain(f"{failed} of the {'files' if named_videos else 'photos'} could not be predicted.")
    return failed


def _say_scale(predictor: Predictor, *, alone: bool) -> None:
    """Says how far the scale of maps is to trust, where that was measured.

    Args:
      predictor: that makes the maps.
      alone: whether there is one file, of which a distance can be given.
    """
    if interval := predictor.scale_interval:
        said = SCALE.format(share=SHARE, **interval._asdict())
        complain(said + MEASURE if alone else said)


class _Photos(Group):
    """The photos of a command."""

    def spans(self) -> list[tuple[float, float]]:
        """Limits of colour that suit each of the photos; no map is kept, and no bad photo."""
        good, spans = [], []
        with self._bar("finding the colours") as bar:
            for path, _, depth in self.maps(self._readable()):
                if np.isfinite(depth).any():
                    spans.append(depth_limits(depth))
                good.append(path)
                bar.update()
        self.files = good
        return spans

    def predict(self, limits: tuple[float, float] | None) -> int:
        """Writes the results and says their names.

        Args:
          limits: metres of the first and the last colour; None for those that suit each photo.

        Returns:
          Of how many photos.
        """
        directory, done = Path(self.request.out), 0
        with self._bar() as bar:
            for path, photo, depth in self.maps(self._readable()):
                if self.request.known:
                    depth = depth * known_factor(depth, path, self.request, self.predictor)
                directory.mkdir(parents=True, exist_ok=True)
                found = self.depth_map(photo, depth, limits)
                written = save_depth(directory, path.stem, found, self.kinds)
                done += 1
                bar.update()
                if not self.request.quiet:
                    bar.write(" ".join(map(str, written)), file=sys.stdout)
        return done

    def _readable(self) -> Iterator[tuple[Path, Photo]]:
        """The photos that can be predicted; bad ones are named and left out."""
        for path, read in decoded(self.files):
            try:
                yield path, self.cameras.given(path, read)
            except DepthsiError as error:
                complain(str(error))

    def _bar(self, what: str | None = None) -> tqdm:
        silent = self.request.quiet or len(self.files) < 2 or not sys.stderr.isatty()
        return tqdm(total=len(self.files), desc=what, unit="photo", disable=silent)
