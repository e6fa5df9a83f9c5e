"""The endless order in which a seed visits the training samples."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from depthsi.errors import DepthsiError


class Order:
    """Endless sample indices, shuffled anew in each pass over the data.

    The index at a position depends only on the seed and the position. Checkpoints therefore need no
    iterator state, and it does not matter which threads, processes or steps read which positions.

    Attributes:
      length: positions in one pass.
    """

    def __init__(
        self, count: int, seed: int, *, scenes: Sequence[str] = (), even_scenes: int = 0
    ) -> None:
        """Describes the order.

        Args:
          count: number of samples.
          seed: seed of the shuffling, 0 or more.
          scenes: the scene of each sample; needed by `even_scenes` only.
          even_scenes: balances scenes: number of samples of each scene per pass, as the paper
            balances its scenes at 1200 images (section 4.1). A larger scene contributes a random
            choice, new in each pass; a smaller one repeats its samples, with counts that differ by
            one at most. With 0, one pass has every sample once.

        Raises:
          DepthsiError: `even_scenes` where a sample's scene is unknown.
          ValueError: no samples, or not one scene per sample.
        """
        if count < 1:
            raise ValueError(f"`count` (={count}) must be at least 1")
        self._count, self._seed, self._share = count, seed, even_scenes
        self._scene = _numbered(scenes, count, even_scenes) if even_scenes else None
        self.length = count if self._scene is None else even_scenes * (int(self._scene.max()) + 1)
        self._kept: dict[int, np.ndarray] = {}

    def numbers(self, first: int, count: int) -> Int64[np.ndarray, " n"]:
        """The sample numbers at positions first .. first + count - 1."""
        parts = []
        while count:
            which, start = divmod(first, self.length)
            part = self._pass(which)[start : start + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _pass(self, which: int) -> np.ndarray:
        kept = self._kept  # another thread may replace it at any time
        if which not in kept:  # batches around the border of two passes are read at the same time
            last = {near: kept[near] for near in (which - 1, which + 1) if near in kept}
            self._kept = kept = {**last, which: self._shuffled(which)}
        return kept[which]

    def _shuffled(self, which: int) -> np.ndarray:
        # Raw bits, whose values NumPy guarantees for ever, unlike those of its `permutation`.
        bits = np.random.Philox(key=np.array([self._seed, which], np.uint64))
        chosen = np.arange(self._count)
        if self._scene is not None:
            chosen = _even(self._scene, bits.random_raw(self._count), self._share)
        return chosen[np.argsort(bits.random_raw(len(chosen)), kind="stable")]


def _even(scene: np.ndarray, keys: np.ndarray, share: int) -> np.ndarray:
    """`share` samples of each scene, walking round its samples in the order of their keys."""
    by_scene = np.lexsort((keys, scene))
    sizes = np.bincount(scene)
    starts = np.cumsum(sizes) - sizes
    return by_scene[(starts[:, None] + np.arange(share) % sizes[:, None]).ravel()]


def _numbered(scenes: Sequence[str], count: int, even_scenes: int) -> np.ndarray:
    """Each sample's scene as a number from 0 on."""
    unknown = sum(not scene for scene in scenes) if scenes else count
    if unknown:
        raise DepthsiError(
            f"data.even_scenes is {even_scenes}, but the scene of {unknown} of the {count} samples"
            " is not known: name the scenes in the data, or set it to 0."
        )
    if len(scenes) != count:
        raise ValueError(f"`scenes` must name {count} scenes, one per sample, not {len(scenes)}")
    return np.unique(np.asarray(scenes), return_inverse=True)[1]
