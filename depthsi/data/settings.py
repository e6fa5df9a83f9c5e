"""Data on disk: one class of settings for each kind, which opens itself.

The comments below the fields are the help of the command line. Nothing here imports an array
library before something is opened.
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from depthsi.errors import DepthsiError, require_at_least

if TYPE_CHECKING:
    from depthsi.data.formats.missing import DepthLimits
    from depthsi.data.samples import Source

Size = tuple[int, int]


def check_shares(prefix: str, val: float, test: float) -> None:
    """Raises DepthsiError for shares of val and test that leave nothing for training."""
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise DepthsiError(
            f"{prefix}val_share is {val:g} and {prefix}test_share {test:g}; both must be at least"
            " 0, and together less than 1."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stored:
    """What settings of data on disk have in common."""

    on_bad: Literal["strict", "skip"] = "strict"
    """strict: stop at the first sample that cannot be used; skip: leave out up to 1 %."""
    even_scenes: int = 0
    """Samples of each scene in one pass over the training data, 1200 in the paper; 0: all once."""
    workers: int = 0
    """Processes that read training files too many for the memory; 0: threads of this process."""
    resident: bool = False
    """Keep the training pairs in device memory, depth in 16 bits, and sample them there."""
    missing: tuple[float, ...] = ()
    """Values in the depth files that mean no depth, such as 65535. Default: recognised where there
    is no doubt."""
    min_depth: float = 0.0
    """Least depth in metres; pixels below it count as missing."""
    max_depth: float = 0.0
    """Greatest depth in metres; pixels beyond it count as missing; 0: no limit."""

    endless: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_at_least("data", self, even_scenes=0, workers=0)
        if self.workers and self.resident:
            raise DepthsiError(
                f"data.workers is {self.workers}, but data.resident reads no files during"
                " training: set it to 0."
            )
        require_at_least("data", self, min_depth=0, max_depth=0)
        if self.max_depth and self.max_depth <= self.min_depth:
            raise DepthsiError(
                f"data.max_depth is {self.max_depth:g} m; it must be over data.min_depth,"
                f" {self.min_depth:g} m, or 0 for no limit."
            )

    def _limits(self) -> "DepthLimits":
        from depthsi.data.formats.missing import DepthLimits

        return DepthLimits(self.missing, self.min_depth, self.max_depth)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder(_Stored):
    """A folder of images with depth, listed in its index.csv or paired by their names."""

    kind: Literal["folder"] = "folder"
    """rooms, folder, prepared or custom; each kind has settings of its own."""
    root: str = ""
    """The folder."""
    pattern: str = ""
    """How pairs are named in a folder without index.csv, such as
    '{split}/rgb/{name}.jpg -> {split}/depth/{name}.png', which is also the default."""
    units_per_metre: float = 0.0
    """Value for one metre in depth files of whole numbers, where no index says; 0: guess it."""
    depth_coding: Literal["auto", "plain", "sunrgbd"] = "auto"
    """sunrgbd: depth of SUN RGB-D, whose bits are rotated; auto: where the unit is guessed, this
    coding is recognised as well."""
    val_share: float = 0.0
    """Part of the scenes of a folder without splits that becomes val, chosen by their names; of the
    images, if no scenes are known."""
    test_share: float = 0.0
    """The same for test; the rest is train."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares("data.", self.val_share, self.test_share)

    def open(self, split: str, size: Size | None = None) -> "Source":
        """The pairs of `split`, without bad ones if `on_bad` is "skip".

        Args:
          split: name of the split, or "all".
          size: (H, W) in pixels every pair is brought to; None leaves each as it is.

        Raises:
          DepthsiError: no folder is named, or whatever `FolderSource` refuses.
        """
        from depthsi.data.bad_samples import usable_samples
        from depthsi.data.folder.shares import Shares
        from depthsi.data.folder.source import FolderSource

        if not self.root:
            raise DepthsiError(
                "Data of kind 'folder' needs its directory: set --data.root to a folder of images"
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
    """A data set that `depthsi prepare` stored."""

    kind: Literal["prepared"] = "prepared"
    """rooms, folder, prepared or custom; each kind has settings of its own."""
    root: str = ""
    """The directory that depthsi prepare printed, or one above it."""
    depth: str = ""
    """Which of the stored depth maps to use; the first, if none is named."""

    def open(self, split: str, size: Size | None = None) -> "Source":
        """The samples of `split`, without bad ones if `on_bad` is "skip".

        Args:
          split: name of the split.
          size: (H, W) in pixels every sample is brought to; None leaves each as it is.

        Raises:
          DepthsiError: no directory is named, or whatever `PreparedSource` refuses.
        """
        from depthsi.data.bad_samples import usable_samples
        from depthsi.data.prepared.source import PreparedSource

        if not self.root:
            raise DepthsiError(
                "Data of kind 'prepared' needs its directory: set --data.root to what depthsi"
                " prepare printed."
            )
        source = PreparedSource(
            self.root, split, size=size, depth=self.depth or None, limits=self._limits()
        )
        return usable_samples(source, self.on_bad, split)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CustomData:
    """Samples that a program gives to `depthsi.train` itself."""

    kind: Literal["custom"] = "custom"
    """rooms, folder, prepared or custom; each kind has settings of its own."""
    name: str = ""
    """Name of what was given, for the record."""
    even_scenes: int = 0
    """Samples of each scene in one pass over the training data, 1200 in the paper; 0: all once."""
    resident: bool = False
    """Keep the training pairs in device memory, depth in 16 bits, and sample them there."""

    endless: ClassVar[bool] = False
    workers: ClassVar[int] = 0

    def __post_init__(self) -> None:
        require_at_least("data", self, even_scenes=0)

    def open(self, split: str, size: Size | None = None) -> "Source":
        """Raises DepthsiError: only the program that trained the run has its samples."""
        del size
        raise DepthsiError(
            f"The samples of {split} were given by a program ({self.name}) and not stored: train it"
            " from Python, with depthsi.train(config, train=SAMPLES), and evaluate it on other data"
            " with --data."
        )
