"""From samples to batches: one global order per seed, cut into steps."""

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from depthsi.data.samples import Source

RawBatch = tuple[np.ndarray, np.ndarray]  # uint8 (B, H, W, 3); float32 (B, H, W), metres
KEEP_BYTES = 6 * 2**30  # decoded samples up to this total stay in memory


class InMemory:
    """A source whose samples are decoded once and kept as arrays."""

    def __init__(self, images: np.ndarray, depths: np.ndarray) -> None:
        self.images, self.depths = images, depths

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> RawBatch:
        return self.images[index], self.depths[index]


class OnDemand:
    """A source whose samples are read each time they are asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> RawBatch:
        sample = self.source[index]
        return sample.image, sample.depth


Pairs = InMemory | OnDemand


def open_pairs(source: Source, size: tuple[int, int], label: str) -> Pairs:
    """The samples of `source`, decoded once with a progress bar if they fit in memory.

    Args:
      source: samples of one size.
      size: that size, (H, W).
      label: what the progress bar calls them.

    Raises:
      DepthsiError: a sample cannot be used.
    """
    if len(source) * size[0] * size[1] * 7 > KEEP_BYTES:
        return OnDemand(source)
    with tqdm(total=len(source), desc=label, unit="image", disable=None) as bar:
        return InMemory(*source.arrays(progress=bar.update))


def training_batches(
    pairs: Pairs, batch_size: int, seed: int, first_step: int = 0
) -> Iterator[RawBatch]:
    """Endless batches, shuffled anew in each pass over the data.

    Batch k is a function of `seed` and k alone, so a run that continues at `first_step` sees what
    it would have seen. Reading happens a few batches ahead, in threads.
    """
    import grain  # not needed to use the networks or the losses

    order = grain.MapDataset.source(pairs).seed(seed).shuffle().repeat()
    options = grain.ReadOptions(num_threads=4, prefetch_buffer_size=2 * batch_size)
    stream = order[first_step * batch_size :].to_iter_dataset(options)
    return iter(stream.batch(batch_size, drop_remainder=True))


def ordered_batches(pairs: Pairs, batch_size: int) -> Iterator[RawBatch]:
    """Every sample once, in order; the last batch may be smaller."""
    for start in range(0, len(pairs), batch_size):
        rows = [pairs[i] for i in range(start, min(start + batch_size, len(pairs)))]
        yield np.stack([image for image, _ in rows]), np.stack([depth for _, depth in rows])
