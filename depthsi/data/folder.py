"""A directory of pictures with depth, listed in its `index.csv` (see `depthsi.data.index`)."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from depthsi.data.decoding import read_depth, read_image
from depthsi.data.fitting import fit_to
from depthsi.data.index import Row, at_line, read_index
from depthsi.data.samples import Sample, size_text, validate_sample
from depthsi.errors import DepthsiError

ALL = "all"


class FolderSource:
    """The pairs of one split of a folder.

    Files are read when they are asked for; missing ones are found when the source is made.
    Missing depth is 0. Links are followed.

    Attributes:
      names: the pictures' paths relative to the folder, unique, in the order of the index.
      splits: the splits of the index with their numbers of pairs, "" for pairs without one.
    """

    def __init__(
        self, root: str | os.PathLike[str], split: str, *, size: tuple[int, int] | None = None
    ) -> None:
        """Reads and checks the index.

        Args:
          root: the folder.
          split: a name from the index's column `split`, or "all" for every row whatever its split.
          size: (H, W) every pair is brought to by `fit_to`; None leaves each as it is.

        Raises:
          DepthsiError: whatever `read_index` refuses, an unknown split, or a missing file.
        """
        self.root, self.size = Path(root), size
        self.index = self.root / "index.csv"
        rows = read_index(self.index)
        self.splits = dict(Counter(row.split for row in rows))
        self._rows = tuple(row for row in rows if split in (ALL, row.split or ALL))
        if not self._rows:
            raise DepthsiError(f"{self.index} has no split {split!r}; it has {self._choices()}.")
        self.names = tuple(row.rgb for row in self._rows)
        for row in self._rows:
            self._check_files(row)

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
            depth = read_depth(self.root / row.depth, row.units_per_metre)
            sample = validate_sample(Sample(image, depth, row.rgb))
            if self.size is None:
                return sample
            return validate_sample(Sample(*fit_to(image, depth, self.size), row.rgb))

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
        size = self.size or self[0].depth.shape
        images = np.empty((len(self), *size, 3), np.uint8)
        depths = np.empty((len(self), *size), np.float32)

        def fill(i: int) -> None:
            sample = self[i]
            if sample.depth.shape != size:
                here, there = size_text(sample.depth), size_text(depths[0])
                raise DepthsiError(
                    f"{self.index}, row {self._rows[i].line}: {sample.name} has {here} pixels, "
                    f"but {self.names[0]} {there}; give the size to bring all to."
                )
            images[i], depths[i] = sample.image, sample.depth

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(fill, range(len(self))):
                if progress is not None:
                    progress(1)
        return images, depths

    def _choices(self) -> str:
        named = [f"{name} ({count})" for name, count in self.splits.items() if name]
        return ", ".join([*named, f"{ALL} ({sum(self.splits.values())})"])

    def _check_files(self, row: Row) -> None:
        for file in (self.root / row.rgb, self.root / row.depth):
            if not os.path.isfile(file):  # unlike Path.is_file, False for impossible names as well
                raise DepthsiError(
                    f"{self.index}, row {row.line}: {file} does not exist; correct the row."
                )
