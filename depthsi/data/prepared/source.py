"""A prepared data set, as `depthsi.data.prepared.prepare` leaves it: random access to one split."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from depthsi.data.decode_all import decode_all
from depthsi.data.fitting import fit_sample
from depthsi.data.formats.missing import NO_LIMITS, DepthLimits
from depthsi.data.prepared.metadata import SUMMARY, read_metadata
from depthsi.data.prepared.records import StoredRecords
from depthsi.data.prepared.stored_frames import depth_metres
from depthsi.data.samples import Sample
from depthsi.errors import DepthsiError, first_few


class PreparedSource:
    """The samples of one split of a prepared data set.

    Safe to read from several threads, and to send to other processes, which open it anew.

    Attributes:
      names: names of the samples, unique, in order.
      scenes: scenes of the samples, in the same order; "" where unknown.
      splits: the splits with their numbers of samples.

    Example:
      >>> source = PreparedSource("data/nyu_depth_v2_labeled", "train")  # doctest: +SKIP
      >>> source.names[0], source[0].image.shape  # doctest: +SKIP
      ('train/00001', (480, 640, 3))
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        split: str,
        *,
        size: tuple[int, int] | None = None,
        depth: str | None = None,
        limits: DepthLimits = NO_LIMITS,
    ) -> None:
        """Opens it; samples are read when they are asked for.

        Args:
          directory: what `depthsi prepare` printed, or a directory above it with no other
            prepared data.
          split: its name.
          size: (H, W) every sample is brought to by `fit_to`; None leaves each as it is.
          depth: which of the stored depth maps; None: the first.
          limits: which of the stored numbers are depth.

        Raises:
          DepthsiError: not a prepared data set, a damaged one, or one that names classes other than
            those `depthsi prepare` writes; an unknown split or depth map, with the choices.
        """
        self.directory = _find(Path(directory))
        summary, rows = read_metadata(self.directory)
        self.depth: str = depth or summary["depth_names"][0]
        self.split, self.size, self.limits = split, size, limits
        self._units = summary["units_per_metre"]
        if self.depth not in summary["depth_names"]:
            raise DepthsiError(
                f"{self.directory} has no depth map {self.depth!r}; it has "
                f"{first_few(summary['depth_names'])}."
            )
        self.splits = dict(Counter(row["split"] for row in rows))
        if split not in self.splits:
            choices = first_few(f"{name} ({count})" for name, count in self.splits.items())
            raise DepthsiError(f"{self.directory} has no split {split!r}; it has {choices}.")
        rows = [row for row in rows if row["split"] == split]
        self.names = tuple(row["name"] for row in rows)
        self.scenes = tuple(row["scene"] for row in rows)
        self._records = StoredRecords(self.directory, summary, split, len(rows), self.depth)

    def __reduce__(self) -> Any:
        return _open, (self.directory, self.split, self.size, self.depth, self.limits)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Reads sample `index`.

        Raises:
          DepthsiError: a damaged file, named, or a sample that `validate_sample` refuses.
        """
        image, stored = self._record(index)
        depth = depth_metres(stored, self._units)
        if self.limits != NO_LIMITS:
            depth = np.where(self.limits.outside(stored, depth), np.float32(0), depth)
        return fit_sample(Sample(image, depth, self.names[index]), self.size)

    def stored(self, index: int) -> np.ndarray:
        """The depth of sample `index` as it is stored.

        Args:
          index: index of the sample.

        Raises:
          DepthsiError: a damaged file, named.
        """
        return self._record(index)[1]

    def _record(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self._records.read(index, self.names[index])

    def arrays(
        self, progress: Callable[[int], object] | None = None
    ) -> tuple[UInt8[np.ndarray, "n h w 3"], Float32[np.ndarray, "n h w"]]:
        """All images and all depths (metres), in order, decoded on all cores.

        Args:
          progress: called with the number of samples finished since its last call.

        Raises:
          DepthsiError: as `__getitem__`, or samples of different size where no `size` was given.
        """
        return decode_all(self, self.size, lambda _: str(self.directory), progress)


def _open(
    directory: Path, split: str, size: tuple[int, int] | None, depth: str, limits: DepthLimits
) -> PreparedSource:
    return PreparedSource(directory, split, size=size, depth=depth, limits=limits)


def _find(directory: Path) -> Path:
    """The directory itself, or the only prepared one at most two levels below."""
    try:
        found = [
            file.parent
            for pattern in (SUMMARY, f"*/{SUMMARY}", f"*/*/{SUMMARY}")
            for file in sorted(directory.glob(pattern))
            if not file.parent.parent.name.endswith(".partial")
        ]
    except (OSError, ValueError):  # ValueError: a name no directory can have
        found = []
    if not found:
        raise DepthsiError(
            f"{directory} has no prepared data: there is no {SUMMARY}. Create it with depthsi "
            "prepare."
        )
    if len(found) > 1:
        raise DepthsiError(
            f"{directory} has several prepared data sets; choose one: {first_few(map(str, found))}."
        )
    return found[0]
