"""A directory of images with depth, listed in an `index.csv` or paired by name.

See `depthsi.data.folder.index` and `depthsi.data.folder.names`.
"""

import copy
import os
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8

from depthsi.data.decode_all import decode_all
from depthsi.data.fitting import fit_sample
from depthsi.data.folder.files import existing, some_depth_files, unused_files
from depthsi.data.folder.index import COLUMNS, IndexRow, at_line, read_index
from depthsi.data.folder.names import EXAMPLE, find_pairs
from depthsi.data.folder.shares import Shares, group_of, share_out
from depthsi.data.folder.units import Coding, Guess, guess_units
from depthsi.data.formats import sun_rgbd
from depthsi.data.formats.decoding import (
    UNITS_PER_METRE,
    read_depth,
    read_image,
    stored_depth,
)
from depthsi.data.formats.missing import NO_LIMITS, DepthLimits
from depthsi.data.samples import Sample
from depthsi.errors import DepthsiError, DepthsiWarning, first_few

ALL = "all"
NO_SHARES = Shares()


class FolderSource:
    """The pairs of one split of a folder.

    Files are read when they are asked for; missing ones are found when the source is made.
    Missing depth is 0. Links are followed wherever they lead, since large data is often linked in
    from another disk or a cache; paths written in the index stay inside the folder.

    Attributes:
      names: the images' paths relative to the folder, unique, in the order of the index.
      scenes: what each image shows, "" if not known.
      assumed_units: per metre, of files of integers where no index says; None for none.
      coding: of integers, as it was given.
      assumed_coding: coding of the files of `assumed_units`.
      splits: the splits of the folder with their numbers of pairs, "" for pairs without one.
      pairs: those of all splits; not sent along to other processes.

    Example:
      >>> source = FolderSource("pairs", "train", size=(240, 320))  # doctest: +SKIP
      >>> source[0].depth.shape  # doctest: +SKIP
      (240, 320)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        *,
        size: tuple[int, int] | None = None,
        pattern: str = "",
        units_per_metre: float | int | None = None,
        limits: DepthLimits = NO_LIMITS,
        coding: Literal[Coding, "auto"] = "auto",
        shares: Shares = NO_SHARES,
    ) -> None:
        """Reads and checks the index, or lists the folder.

        Where files hold integers and nobody gives their unit, it is guessed from some of them,
        with a warning that says what was assumed.

        Args:
          root: the folder.
          split: name of a split, or "all" for every pair whatever its split.
          size: (H, W) every pair is brought to by `fit_to`; None leaves each as it is.
          pattern: how the files are named, as `find_pairs` takes it; "" for the index or, without
            one, for the usual names.
          units_per_metre: of depth files that hold integers, where the index does not say.
          limits: which numbers of the files are depth.
          coding: of 16-bit integers: "sunrgbd" for that of SUN RGB-D, in millimetres unless a
            unit is given; "auto" for what the guess of the unit finds, else "plain".
          shares: how much of a folder without splits goes into "val" and "test".

        Raises:
          DepthsiError: whatever `read_index`, `find_pairs` or `guess_units` refuses, an unknown
            split, or a missing file.
        """
        low, high = UNITS_PER_METRE
        if not (units_per_metre is None or low <= units_per_metre <= high):
            raise DepthsiError(
                f"--data.units-per-metre is {units_per_metre:g}; it must be positive."
            )
        self.root, self.size, self.limits = Path(root), size, limits
        self.index, self.pairs = _list_pairs(self.root, pattern)
        self.shares = shares
        if shares != NO_SHARES:
            self.pairs = share_out(self.pairs, shares, self.index)
        self.splits = dict(Counter(row.split for row in self.pairs))
        self._choose(split)
        self.coding: Literal[Coding, "auto"] = coding
        self.assumed_units, self.assumed_coding = units_per_metre, coding
        if units_per_metre is None and coding == "sunrgbd":
            self.assumed_units = sun_rgbd.UNITS_PER_METRE
        elif units_per_metre is None and (guess := self._guess()):
            self.assumed_units, self.assumed_coding = guess.units_per_metre, guess.coding

    def of_split(self, split: str) -> "FolderSource":
        """Another split of the same folder, without reading its list anew; raises as `__init__`.

        Args:
          split: name of a split, or "all".
        """
        other = copy.copy(self)
        other.pairs = self.pairs  # which no copy gets
        other._choose(split)
        return other

    def notes(self) -> list[str]:
        """What a user should know about the folder besides its samples, in sentences."""
        return [*self._note_on_shares(), *self._note_on_files()]

    def _note_on_shares(self) -> list[str]:
        if self.shares == NO_SHARES:
            return []
        groups = {group_of(row) for row in self.pairs}
        what = "scenes" if len(groups) < len(self.pairs) else "images"
        return [
            f"{self.root}: {len(groups)} {what} are split by a hash of their names, so that adding"
            f" {what} moves no others: val {self.shares.val:g}, test {self.shares.test:g} of them"
        ]

    def _note_on_files(self) -> list[str]:
        unpaired = list(unused_files(self.root, self.pairs))
        if not unpaired:
            return []
        endings = Counter(os.path.splitext(name)[1].lower() or "no ending" for name in unpaired)
        counts = first_few((f"{each} {count}" for each, count in endings.most_common()), 6)
        named = first_few(unpaired, 3)
        return [f"{self.root}: {len(unpaired)} files are in no pair ({counts}): {named}"]

    def _choose(self, split: str) -> None:
        rows = [row for row in self.pairs if split in (ALL, row.split or ALL)]
        if not rows:
            raise DepthsiError(
                f"{self.index} has no split {split!r}; it has {self._choices()}{self._remedy()}."
            )
        self._rows = tuple(existing(rows, self.root, self.index))
        self.names = tuple(row.rgb for row in self._rows)
        self.scenes = tuple(row.scene for row in self._rows)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"pairs": ()}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        """Reads pair `index`.

        Raises:
          DepthsiError: a file that `read_image` or `read_depth` refuses, or a pair that
            `validate_sample` refuses, before or after it is brought to `size`; names the row.
        """
        row = self._rows[index]
        with at_line(self.index, row.line):
            image = read_image(self.root / row.rgb)
            depth = read_depth(
                self.root / row.depth,
                row.units_per_metre,
                assumed=self.assumed_units,
                limits=self.limits,
                sun_rgbd="sunrgbd" in (self.coding, row.units_per_metre or self.assumed_coding),
            )
            return fit_sample(Sample(image, depth, row.rgb), self.size)

    def stored(self, index: int) -> np.ndarray:
        """The depth of pair `index` as it stands in its file; raises as `stored_depth`.

        Args:
          index: index of the pair.
        """
        return stored_depth(self.root / self._rows[index].depth)

    def arrays(
        self, progress: Callable[[int], object] | None = None
    ) -> tuple[UInt8[np.ndarray, "n h w 3"], Float32[np.ndarray, "n h w"]]:
        """All images and all depths (metres), in order, decoded on all cores.

        Args:
          progress: called with the number of samples finished since its last call, which is what
            a tqdm bar's `update` takes.

        Raises:
          DepthsiError: as `__getitem__`, or pairs of different size where no `size` was given.
        """
        return decode_all(
            self, self.size, lambda i: f"{self.index}, row {self._rows[i].line}", progress
        )

    def _choices(self) -> str:
        named = [f"{name} ({count})" for name, count in self.splits.items() if name]
        return f"{first_few(named)}{', ' if named else ''}{ALL} ({sum(self.splits.values())})"

    def _remedy(self) -> str:
        if self.shares != NO_SHARES:
            count = len({group_of(row) for row in self.pairs})
            return (
                f"; raise --data.val-share or --data.test-share, since there are only {count}"
                " scenes"
            )
        if set(self.splits) == {""}:
            return "; split them with --data.val-share 0.1 and --data.test-share 0.1"
        return ""

    def _guess(self) -> Guess | None:
        groups: dict[str, list[IndexRow]] = {}
        for row in self.pairs:
            if row.units_per_metre is None:
                groups.setdefault(row.split, []).append(row)
        # All splits are asked, and join_cluster, or each might be read in another unit.
        files = [some_depth_files(rows, self.root) for rows in groups.values()]
        guess = guess_units(files, self.limits.missing, coding=self.coding)
        if guess is not None:
            warnings.warn(guess.sentence, DepthsiWarning, stacklevel=3)
        return guess


def _list_pairs(root: Path, pattern: str) -> tuple[Path, tuple[IndexRow, ...]]:
    """What messages call the list, and its rows."""
    index = root / "index.csv"
    if pattern or (root.is_dir() and not index.exists()):
        rows = find_pairs(root, pattern)
        if not rows:
            raise DepthsiError(
                f"{index} does not exist; write it with the columns {', '.join(COLUMNS)}, name the "
                f"files {EXAMPLE!r}, or give the pattern of their names."
            )
        return root, rows
    return index, read_index(index)
