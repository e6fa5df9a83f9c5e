"""From samples to batches on the host: one global order per seed, cut into steps and processes."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Array
from tqdm import tqdm

from depthsi.data.bad_samples import most_samples
from depthsi.data.order import Order
from depthsi.data.samples import Source
from depthsi.errors import DepthsiError
from depthsi.machine import host_bytes

RawBatch = tuple[np.ndarray, np.ndarray]  # uint8 (B, H, W, 3); float32 (B, H, W), metres
READERS = 16  # threads that read ahead, one batch each, where there are so many cores


class InMemory:
    """Samples decoded once and kept as arrays.

    Attributes:
      images: uint8 (N, H, W, 3).
      depths: float32 (N, H, W), metres.
      scenes: the scene of each sample, "" if unknown; empty if no scene is known.

    Example:
      >>> import numpy as np
      >>> from depthsi.data import InMemory
      >>> pairs = InMemory(np.zeros((3, 4, 6, 3), np.uint8), np.ones((3, 4, 6), np.float32))
      >>> len(pairs), pairs.read(slice(0, 2))[1].shape
      (3, (2, 4, 6))
    """

    def __init__(self, images: np.ndarray, depths: np.ndarray, scenes: Sequence[str] = ()) -> None:
        self.images, self.depths, self.scenes = images, depths, tuple(scenes)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, numbers: np.ndarray | slice) -> RawBatch:
        """The samples at these indices; a slice is read without a copy.

        Args:
          numbers: indices from 0, or a slice.

        Returns:
          Images, uint8 (n, H, W, 3), and depth maps, float32 (n, H, W) metres.
        """
        return self.images[numbers], self.depths[numbers]


class OnDemand:
    """Samples read each time they are asked for; otherwise like `InMemory`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.scenes = _scenes(source)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, numbers: np.ndarray | slice) -> RawBatch:
        """The samples of these numbers, one after the other.

        Raises:
          DepthsiError: a sample cannot be used.
        """
        samples = [self.source[i] for i in np.arange(len(self))[numbers].tolist()]
        return np.stack([s.image for s in samples]), np.stack([s.depth for s in samples])


Samples = InMemory | OnDemand


def open_samples(source: Source, size: tuple[int, int], label: str) -> Samples:
    """The samples of `source`, decoded once with a progress bar if they fit in half the memory.

    Args:
      source: samples of one size; its optional attribute `scenes` has the scene of each.
      size: the size of the samples, (H, W).
      label: label of the progress bar.

    Raises:
      DepthsiError: a sample cannot be used.

    Example:
      >>> import numpy as np
      >>> from depthsi.data import given_source, open_samples
      >>> pair = np.zeros((4, 6, 3), np.uint8), np.ones((4, 6))
      >>> pairs = open_samples(given_source([pair] * 3, "train"), (4, 6), "train")
      >>> type(pairs).__name__, len(pairs)
      ('InMemory', 3)
    """
    if most_samples(source) * size[0] * size[1] * 7 > host_bytes():
        return OnDemand(source)
    with tqdm(total=most_samples(source), desc=label, unit="image", disable=None) as bar:
        return InMemory(*source.arrays(progress=bar.update), _scenes(source))


def _scenes(source: Source) -> tuple[str, ...]:
    return tuple(getattr(source, "scenes", ()))


class _Batches:
    """What Grain reads from: batch k of one process; pickles, for worker processes."""

    def __init__(
        self, pairs: Samples, order: Order, batch_size: int, process: int, processes: int
    ) -> None:
        self._pairs, self._order = pairs, order
        self._batch, self._share = batch_size, batch_size // processes
        self._start = process * self._share

    def __len__(self) -> int:
        return 2**40  # endless

    def __getitem__(self, index: int) -> RawBatch:
        first = index * self._batch + self._start
        return self._pairs.read(self._order.numbers(first, self._share))


def training_batches(
    pairs: Samples,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    *,
    even_scenes: int = 0,
    workers: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Generator[RawBatch, None, None]:
    """Endless batches, shuffled anew in each pass over the data.

    Batch k depends only on `seed` and k, so a run that resumes at `first_step` sees the same
    batches as an uninterrupted one, without a saved iterator. A few batches (one per thread or
    worker) are read ahead, and batches are yielded in order.

    Args:
      pairs: samples to read; the same in every process.
      batch_size: number of samples in a global batch.
      seed: seed of the order.
      first_step: index of the first batch.
      even_scenes: see `Order`.
      workers: processes that read samples ahead; 0 for threads of this process, which suit decoders
        that release the interpreter. Samples in memory are never sent to another process.
      process_index: index of the contiguous part of each global batch to read.
      process_count: number of parts of a global batch.

    Raises:
      DepthsiError: the processes cannot share a batch equally, or scenes are unknown; the iterator
        raises it if a sample cannot be used.

    Example:
      >>> import numpy as np
      >>> from depthsi.data import InMemory, training_batches
      >>> pairs = InMemory(np.zeros((3, 4, 6, 3), np.uint8), np.ones((3, 4, 6), np.float32))
      >>> batches = training_batches(pairs, batch_size=2, seed=0)
      >>> image, depth = next(batches)
      >>> image.shape, depth.shape
      ((2, 4, 6, 3), (2, 4, 6))
      >>> batches.close()
    """
    if batch_size % process_count:
        raise DepthsiError(
            f"schedule.batch_size is {batch_size}, which {process_count} processes cannot share"
            f" equally: use a multiple of {process_count}."
        )
    order = Order(len(pairs), seed, scenes=pairs.scenes, even_scenes=even_scenes)
    batches = _Batches(pairs, order, batch_size, process_index, process_count)
    in_memory = isinstance(pairs, InMemory)
    threads = 2 if in_memory or workers else min(READERS, os.cpu_count() or 1)
    return _read_ahead(batches, first_step, threads, 0 if in_memory else workers)


def _read_ahead(
    batches: _Batches, first_step: int, threads: int, workers: int
) -> Generator[RawBatch, None, None]:
    import grain  # not needed to use the networks or the losses

    # Whole batches are the elements: workers then take turns batch by batch, which leaves the order
    # as it is. The buffer counts elements, and Grain's own 500 would fill the memory.
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    stream = grain.MapDataset.source(batches)[first_step:].to_iter_dataset(options)
    if workers:
        from absl import flags

        if not flags.FLAGS.is_parsed():  # Grain reads a flag of its own, which nobody else parses
            flags.FLAGS.mark_as_parsed()
        stream = stream.mp_prefetch(grain.MultiprocessingOptions(workers, 1))
    iterator = iter(stream)
    try:
        for image, depth in iterator:
            yield np.asarray(image), np.asarray(depth)
    finally:
        iterator.close()


def to_devices(
    batches: Iterable[RawBatch], sharding: jax.sharding.Sharding, ahead: int = 1
) -> Iterator[tuple[Array, Array]]:
    """Global batches on the devices; the transfer of the next `ahead` has begun by then.

    Args:
      batches: of this process: its part of each global batch.
      sharding: sharding of the global batch.
      ahead: batches kept on the devices before they are asked for.
    """
    waiting: deque[tuple[Array, Array]] = deque()
    for image, depth in batches:
        place = jax.make_array_from_process_local_data
        waiting.append((place(sharding, image), place(sharding, depth)))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def ordered_batches(pairs: Samples, batch_size: int) -> Iterator[RawBatch]:
    """Batches of every sample once, in order; the last batch may be smaller.

    Args:
      pairs: samples to read.
      batch_size: number of samples in a batch.

    Example:
      >>> import numpy as np
      >>> from depthsi.data import InMemory, ordered_batches
      >>> pairs = InMemory(np.zeros((3, 4, 6, 3), np.uint8), np.ones((3, 4, 6), np.float32))
      >>> [len(image) for image, depth in ordered_batches(pairs, 2)]
      [2, 1]
    """
    for start in range(0, len(pairs), batch_size):
        yield pairs.read(slice(start, min(start + batch_size, len(pairs))))
