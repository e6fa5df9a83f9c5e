"""`depthsi predict` of videos: a movie of coloured depth, or a folder of numbered frames."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from depthsi.camera import Photo
from depthsi.commands.predict_inputs import CommandError, Group, ahead, known_factor
from depthsi.data.formats.video import Video, open_video, require_av
from depthsi.errors import DepthsiError
from depthsi.output import complain
from depthsi.viz.depth_maps import depth_limits
from depthsi.viz.save_depth import DepthMap
from depthsi.viz.save_video import FRAMES, MOVIES, movie, movie_picture, numbered_frames

SAMPLES = 16  # that the colours of a long video are chosen by, to twice as many
SAMPLE_SIDE = 640  # pixels at most, of such a frame


class Scan(NamedTuple):
    """What one look through a video finds.

    Attributes:
      limits: metres of the first and the last colour that suit all of it.
      frames: how many it has.
    """

    limits: tuple[float, float]
    frames: int


def check_kinds(kinds: Sequence[str], videos: Sequence[Path]) -> None:
    """Raises DepthsiError for a kind of result that no video has."""
    for kind in kinds:
        if videos and kind not in MOVIES + FRAMES:
            raise DepthsiError(
                f"--save {kind} is of photos, but {videos[0]} is a video: choose from"
                f" {', '.join(MOVIES + FRAMES)}, or name photos alone."
            )


@dataclasses.dataclass
class Videos(Group):
    """The videos of a command."""

    _scans: dict[Path, Scan] = dataclasses.field(default_factory=dict, init=False)

    def spans(self) -> list[tuple[float, float]]:
        """Limits of colour that suit each of the videos; bad ones are named and left out."""
        self.files = [path for path in self.files if self._succeeds(self._scan, path)]
        return [self._scans[path].limits for path in self.files]

    def predict(self, limits: tuple[float, float] | None) -> int:
        """Writes the results and says their names.

        Args:
          limits: metres of the first and the last colour; None for those that suit each video.

        Returns:
          Of how many videos.
        """
        return sum(self._succeeds(self._predict, path, limits) for path in self.files)

    def _succeeds(self, work: Callable[..., None], path: Path, *more: object) -> bool:
        """Whether `work` on a video can be done; says why not."""
        try:
            require_av(path)
            work(path, *more)
        except CommandError:
            raise
        except DepthsiError as error:
            complain(str(error))
            return False
        return True

    def _scan(self, path: Path) -> None:
        """Decodes a video to its end, and predicts few of its frames at even distances.

        Where its end is has to be found by decoding: what a file says of that may be wrong.
        """
        kept: list[Photo] = []
        count, stride = 0, 1
        with open_video(path) as video, self._bar(path, video.count, "choosing colours") as bar:
            for count, frame in enumerate(video.frames, 1):
                if (count - 1) % stride == 0:
                    kept.append(_reduced(self.cameras.given(path, Photo(frame.rgb()))))
                if len(kept) > 2 * SAMPLES:
                    kept, stride = kept[::2], 2 * stride
                bar.update()
        maps = self.predictor.stream(kept, upsample=self.request.upsample)
        self._scans[path] = Scan(depth_limits(*maps), count)

    def _predict(self, path: Path, limits: tuple[float, float] | None) -> None:
        """Writes the results of one video, all or none, and says their names."""
        chosen = limits is None and bool(set(MOVIES) & set(self.kinds))
        if chosen:
            if path not in self._scans:
                self._scan(path)
            limits = self._scans[path].limits
        with contextlib.ExitStack() as stack:
            video = stack.enter_context(open_video(path))
            count = self._scans[path].frames if path in self._scans else video.count
            # closed before the video is: a thread may be decoding it
            frames = stack.enter_context(contextlib.closing(_frames(video)))
            bar = stack.enter_context(self._bar(path, count))
            outputs, factor = None, np.float32(1)
            photos = ((at, self.cameras.given(path, Photo(image))) for at, image in frames)
            for at, photo, depth in self.maps(photos):
                if outputs is None:
                    if self.request.known:
                        factor = known_factor(depth, path, self.request, self.predictor)
                    if limits and chosen:
                        limits = limits[0] * float(factor), limits[1] * float(factor)
                        self._say_limits(path, limits)
                    outputs = _Outputs(stack, Path(self.request.out) / path.stem, self.kinds, video)
                outputs.add(self.depth_map(photo, depth * factor, limits), at)
                bar.update()
        if outputs and not self.request.quiet:
            print(" ".join(map(str, outputs.paths)), flush=True)

    def _say_limits(self, path: Path, limits: tuple[float, float]) -> None:
        if not self.request.quiet:
            near, far = limits
            complain(f"{path.name}: colours run from {near:.3g} m to {far:.3g} m.")

    def _bar(self, path: Path, count: int | None, what: str = "") -> tqdm:
        silent = self.request.quiet or not sys.stderr.isatty()
        name = f"{path.name}, {what}" if what else path.name
        return tqdm(total=count, desc=name, unit="frame", disable=silent, leave=not what)


class _Outputs:
    """The results of one video, which appear when `stack` ends well.

    Attributes:
      paths: of the movies and folders.
    """

    def __init__(
        self, stack: contextlib.ExitStack, stem: Path, kinds: Sequence[str], video: Video
    ) -> None:
        stem.parent.mkdir(parents=True, exist_ok=True)
        self.paths: list[Path] = []
        self._add: list[Callable[[DepthMap, int], None]] = []
        for kind in kinds:
            if kind in MOVIES:
                path = stem.with_name(f"{stem.name}_{kind}.mp4")
                show = stack.enter_context(movie(path, video.rate, video.time_base))
                self._add.append(lambda it, at, k=kind, show=show: show(movie_picture(k, it), at))
            else:
                path = stem.with_name(f"{stem.name}_{kind}")
                write = stack.enter_context(numbered_frames(path, kind))
                self._add.append(lambda it, at, write=write: write(it))
            self.paths.append(path)

    def add(self, depth_map: DepthMap, at: int) -> None:
        """Adds the next frame with its time stamp."""
        for add in self._add:
            add(depth_map, at)


def _frames(video: Video) -> Generator[tuple[int, np.ndarray], None, None]:
    """Time stamp and RGB of each frame, decoded a little ahead."""
    return ahead((frame.at, frame.rgb()) for frame in video.frames)


def _reduced(photo: Photo) -> Photo:
    """A smaller photo of the same view, that many of them take little memory."""
    factor = -(-max(photo.image.shape[:2]) // SAMPLE_SIDE)
    image = np.asarray(Image.fromarray(photo.image).reduce(factor))
    return Photo(image, photo.focal and photo.focal / factor)
