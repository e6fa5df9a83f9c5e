"""Settings of data on disk, one class per kind, each with a method that opens the data.

The docstrings below the fields are the help of the command line. Nothing here imports an array
library before something is opened.
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from depthsi.errors import DepthsiError, require_at_least

if TYPE_CHECKING:
    from depthsi.data.formats.missing import DepthLimits
    from depthsi.data.samples import Source

Size = tuple[int, int]
SHARED = ("val", "test")  # splits that a share of a folder can become


def check_shares(prefix: str, val: float, test: float) -> None:
    """Raises DepthsiError if the shares of val and test leave nothing for training."""
    if not (val >= 0 and test >= 0 and val + test < 1):
        names = [f"{prefix}{split}_share" if prefix else f"--{split}-share" for split in SHARED]
        raise DepthsiError(
            f"{names[0]} is {val:g} and {names[1]} {test:g}; both must be at least 0, and together"
            " less than 1."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stored:
    """Settings that all kinds of data on disk share."""

    on_bad: Literal["strict", "skip"] = "strict"
    """strict: stop at the first sample that cannot be used. skip: leave out up to 1 % of them."""
    even_scenes: int = 0
    """Balance scenes: samples of each scene per pass over the training data (1200 in the paper); 0
    uses every sample once."""
    workers: int = 0
    """Processes that read training files if they do not fit in memory; 0 reads with threads."""
    resident: bool = False
    """Keep the training pairs in device memory, with depth in 16 bits, and sample them there."""
    missing: tuple[float, ...] = ()
    """Values in depth files that mark missing depth, such as 65535. Default: unambiguous values are
    recognised."""
    min_depth: float = 0.0
    """Minimum depth in metres; nearer pixels count as missing."""
    max_depth: float = 0.0
    """Maximum depth in metres; farther pixels count as missing; 0 sets no limit."""

    endless: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_at_least("data", self, even_scenes=0, workers=0)
        if self.workers and self.resident:
            raise DepthsiError(
                f"data.workers is {self.workers}, but with data.resident no files are read during"
                " training: set it to 0."
            )
        require_at_least("data", self, min_depth=0, max_depth=0)
        if self.max_depth and self.max_depth <= self.min_depth:
            raise DepthsiError(
                f"data.max_depth is {self.max_depth:g} m; it must be over data.min_depth"
                f" ({self.min_depth:g} m), or 0 for no limit."
            )

    def _limits(self) -> "DepthLimits":
        from depthsi.data.formats.missing import DepthLimits

        return DepthLimits(self.missing, self.min_depth, self.max_depth)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder(_Stored):
    """A folder of images with depth, listed in an index.csv or paired by name."""

    kind: Literal["folder"] = "folder"
    """Kind of data: rooms, folder, prepared or custom; each kind has its own settings."""
    root: str = ""
    """Directory with the images and depth files."""
    pattern: str = ""
    """How pairs are named in a folder without index.csv. Default:
    '{split}/rgb/{name}.jpg -> {split}/depth/{name}.png' and similar names."""
    units_per_metre: float = 0.0
    """Value that stands for one metre in integer depth files, unless an index gives it; 0 guesses
    it."""
    depth_coding: Literal["auto", "plain", "sunrgbd"] = "auto"
    """How integers encode depth. plain: as they are. sunrgbd: with the rotated bits of SUN RGB-D.
    auto: where the unit is guessed, recognise SUN RGB-D as well."""
    val_share: float = 0.0
    """Share of the scenes (or of the images, if scenes are not known) that becomes the split val
    of a folder without splits; chosen by name."""
    test_share: float = 0.0
    """The same for the split test; the rest becomes train."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares("data.", self.val_share, self.test_share)

    def open(self, split: str, size: Size | None = None) -> "Source":
        """The pairs of `split`, without bad ones if `on_bad` is "skip".

        Args:
          split: name of the split, or "all".
          size: (H, W) in pixels to which every pair is resized; None keeps the original sizes.

        Raises:
          DepthsiError: `root` is not set, or `FolderSource` refuses the folder.
        """
        from depthsi.data.bad_samples import usable_samples
        from depthsi.data.folder.shares import Shares
        from depthsi.data.folder.source import FolderSource

        if not self.root:
            raise DepthsiError(
                "Data of kind 'folder' needs a directory: set --data.root to a folder of images"
                " with depth (depthsi prepare --help lists the data sets that can be prepared)."
            )
        source = FolderSource(
            self.root,
            split,
            size=size,
            pattern=self.pattern,
            units_per_metre=self.units_per_metre or None,
            limits=self._limits(),
            coding=self.depth_coding,
            shares=Shares(self.val_share, self.test_share),
        )
        return usable_samples(source, self.on_bad, split)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared(_Stored):
    """A data set stored by `depthsi prepare`."""

    kind: Literal["prepared"] = "prepared"
    """Kind of data: rooms, folder, prepared or custom; each kind has its own settings."""
    root: str = ""
    """Directory that depthsi prepare printed, or one above it."""
    depth: str = ""
    """Name of the stored depth map to use. Default: the first one."""

    def open(self, split: str, size: Size | None = None) -> "Source":
        """The samples of `split`, without bad ones if `on_bad` is "skip".

        Args:
          split: name of the split.
          size: (H, W) in pixels to which every sample is resized; None keeps the original sizes.

        Raises:
          DepthsiError: `root` is not set, or `PreparedSource` refuses the directory.
        """
        from depthsi.data.bad_samples import usable_samples
        from depthsi.data.prepared.source import PreparedSource

        if not self.root:
            raise DepthsiError(
                "Data of kind 'prepared' needs a directory: set --data.root to the one that depthsi"
                " prepare printed."
            )
        source = PreparedSource(
            self.root, split, size=size, depth=self.depth or None, limits=self._limits()
        )
        return usable_samples(source, self.on_bad, split)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CustomData:
    """Samples that a program passes to `depthsi.train`."""

    kind: Literal["custom"] = "custom"
    """Kind of data: rooms, folder, prepared or custom; each kind has its own settings."""
    name: str = ""
    """Name of the samples; only recorded."""
    even_scenes: int = 0
    """Balance scenes: samples of each scene per pass over the training data (1200 in the paper); 0
    uses every sample once."""
    resident: bool = False
    """Keep the training pairs in device memory, with depth in 16 bits, and sample them there."""

    endless: ClassVar[bool] = False
    workers: ClassVar[int] = 0

    def __post_init__(self) -> None:
        require_at_least("data", self, even_scenes=0)

    def open(self, split: str, size: Size | None = None) -> "Source":
        """Raises DepthsiError: only the program that trained the run has its samples."""
        del size
        raise DepthsiError(
            f"The samples of {split} were passed by a program ({self.name}) and are not stored:"
            " train from Python, with depthsi.train(config, train=SAMPLES), and evaluate on other"
            " data with --data."
        )
