"""What `depthsi predict` is asked to do; imports nothing slow, since the command line shows it."""

import dataclasses
from typing import Annotated

import tyro

from depthsi.errors import DepthsiError

SAVED = ("png16", "npy", "colour", "panel", "exr", "ply", "viewer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictRequest:
    """Write depth maps of photos of any size."""

    words: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[MODEL] PHOTO [PHOTO ...]")
    ] = ()
    """A run, a file of weights, an exported network, hf://USER/REPOSITORY, or a name of `depthsi
    models`, unet_nyu if none is given; then photos (JPEG, PNG, WebP, BMP, TIFF or HEIC): files,
    folders, patterns such as 'trip/*.jpg', or - for a list of files on standard input, one a
    line."""
    out: Annotated[str, tyro.conf.arg(metavar="DIR")] = "out"
    """Directory for the results."""
    checkpoint: str = "newest"
    """Which checkpoint of a run: newest, best, or a step."""
    save: Annotated[str, tyro.conf.arg(metavar="KIND[,KIND...]")] = ""
    """What to write of each photo: png16 (16-bit PNG in millimetres, 0 where unknown), npy (float32
    metres), colour (the map in colour), panel (photo and map side by side), exr (float32 metres,
    needs the extra data), ply (coloured points in metres; x to the right, y down, z forward, with
    the focal length of the training data), viewer (a page that turns these points). Default:
    png16,npy,panel, without panel where matplotlib is missing."""

    def kinds(self) -> tuple[str, ...]:
        """The parts of `save`; none if it was not given.

        Raises:
          DepthsiError: one of them is unknown.
        """
        kinds = tuple(kind.strip() for kind in self.save.split(",") if kind.strip())
        for kind in kinds:
            if kind not in SAVED:
                raise DepthsiError(
                    f"--save {self.save} names {kind!r}: choose from {', '.join(SAVED)}, separated"
                    " by commas."
                )
        return kinds
