"""What `depthsi predict` is asked to do; imports nothing slow, since the command line shows it."""

import dataclasses
import math
import re
from typing import Annotated, Literal

import tyro

from depthsi.errors import DepthsiError

KNOWN = re.compile(r"\s*([^\s,=]+)\s*,\s*([^\s,=]+)\s*=\s*([^\s,=]+?)\s*m?\s*")
SAVED = ("png16", "npy", "colour", "panel", "exr", "ply", "viewer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictRequest:
    """Write depth maps of photos and videos of any size."""

    words: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[MODEL] PHOTO [PHOTO ...]")
    ] = ()
    """A model: a run, a weights file, an exported network, hf://USER/REPOSITORY, or a name of
    `depthsi models` (default: unet_nyu). Then photos (JPEG, PNG, WebP, BMP, TIFF or HEIC) and
    videos (such as MP4, MOV or MKV; these need the extra video): files, folders, patterns such as
    'trip/*.jpg', or - to read file names from standard input, one per line."""
    out: Annotated[str, tyro.conf.arg(metavar="DIR")] = "out"
    """Directory for the results."""
    checkpoint: str = "newest"
    """Checkpoint of a run: newest, best, or a step."""
    save: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="KIND[,KIND...]")
    ] = ()
    """What to write for each photo: png16 (16-bit PNG in millimetres, 0 where unknown), npy
    (float32 metres), colour (the map in colour), panel (photo and map side by side), exr (float32
    metres, needs the extra data), ply (a coloured point cloud in metres; x to the right, y down, z
    forward), viewer (an interactive page of the point cloud). Default: png16,npy,panel. For a
    video, colour and panel write one MP4 without sound, and png16, npy, exr and ply write a folder
    of numbered frames; the default is panel."""
    known: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="X,Y=METRES")
    ] = ()
    """True depth at a point of the photo, used to rescale the whole map; repeat the option for more
    points. X runs to the right and Y down from the top left: whole numbers are pixels, and two
    decimals from 0 to 1 such as 0.5,0.25 are fractions of width and height. Only for a single photo
    or video. In a video the point lies in the first frame, and its factor rescales all frames."""
    known_fit: Literal["exact", "weighted"] = "exact"
    """exact: scale by the factor that fits the known distances best. weighted: go only part of the
    way, depending on how accurate the network was on its validation images; this gives a smaller
    error on average, especially with a single point."""
    focal: Annotated[float | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Focal length of the photos or frames in pixels."""
    fov: Annotated[float | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Horizontal field of view of the photos, instead of --focal."""
    camera: Literal["exif", "training"] = "exif"
    """Used without --focal and --fov. exif: the 35 mm equivalent focal length, which most phones
    and cameras write into photos. training: assume that the training camera took every photo."""
    upsample: Literal["guided", "bilinear", "nearest"] = "guided"
    """How to upsample from the network's cells (4x4 pixels of a small image) to the photo's pixels.
    guided: follow the edges of the photo. bilinear: interpolate. nearest: repeat."""
    colour_map: Annotated[str, tyro.conf.arg(metavar="NAME")] = "turbo_r"
    """Colour map for colour and panel, from near to far: turbo, turbo_r, RdBu or, with the extra
    plot, any of matplotlib's."""
    limits: Annotated[
        tuple[float, float] | Literal["each", "shared"],
        tyro.conf.arg(metavar="{NEAR FAR | each | shared}"),
    ] = "each"
    """Depth of the first and the last colour, in metres. each: limits chosen for each photo, and
    for each video as a whole from 16 to 32 of its frames. shared: one scale for all files, for
    which photos are predicted twice."""
    quiet: bool = False
    """Print only errors: no files, notes or progress."""

    def __post_init__(self) -> None:
        if self.focal is not None and self.fov is not None:
            raise DepthsiError("--focal and --fov say the same: give one of them.")
        if self.known_fit == "weighted" and not self.known:
            raise DepthsiError("--known-fit weighted needs a distance: give --known X,Y=METRES.")
        if self.focal is not None and not 0 < self.focal < math.inf:
            raise DepthsiError(f"--focal {self.focal:g} must be a positive number of pixels.")
        if self.fov is not None:
            from depthsi.camera import focal_from_fov  # imports NumPy

            try:
                focal_from_fov(self.fov, 1)
            except DepthsiError as error:
                raise DepthsiError(f"--fov: {error}") from error
        if isinstance(self.limits, tuple) and not 0 < self.limits[0] < self.limits[1] < math.inf:
            near, far = self.limits
            raise DepthsiError(
                f"--limits {near:g} {far:g}: the first must be positive and the second larger."
            )

    def kinds(self) -> tuple[str, ...]:
        """The parts of `save`, each once; none if it was not given.

        Raises:
          DepthsiError: one of them is unknown.
        """
        save = ",".join(self.save)
        named = (kind.strip() for kind in save.split(","))
        kinds = tuple(dict.fromkeys(kind for kind in named if kind))
        for kind in kinds:
            if kind not in SAVED:
                raise DepthsiError(
                    f"--save {save} names {kind!r}: choose from {', '.join(SAVED)}, separated"
                    " by commas."
                )
        return kinds

    def known_distances(self) -> dict[tuple[float | int, float | int], float]:
        """The points and distances of `known`, as `depthsi.scale.known_scale` takes them.

        Raises:
          DepthsiError: one of them is not written as it must be, or a point is named twice.
        """
        found: dict[tuple[float | int, float | int], float] = {}
        for text in self.known:
            try:
                x, y, metres = KNOWN.fullmatch(text).groups()  # pyright: ignore
                point = _number(x), _number(y)
                metres = float(metres)
            except (AttributeError, ValueError):
                raise DepthsiError(
                    f"--known {text} is not of the form X,Y=METRES, such as 320,240=2.4 in pixels"
                    " or 0.5,0.5=2.4 in fractions."
                ) from None
            if point in found:
                raise DepthsiError(f"--known {text}: this point is named twice.")
            found[point] = metres
        return found


def _number(text: str) -> float | int:
    """A whole number as int, any other as float."""
    return int(text) if text.lstrip("+-").isdecimal() else float(text)
