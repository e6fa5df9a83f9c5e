"""Lists rooms as frames of a data set to prepare; rendering one is reading it."""

import functools
import threading

from depthsi.data.prepared.frames import DataSet, Frame, Record
from depthsi.rooms.source import SIZE, RoomsSource

DESCRIPTION = """Procedural rooms with exact depth in metres, rendered from random keys."""


def open_rooms(
    train: int = 2000,
    val: int = 64,
    test: int = 256,
    seed: int = 0,
    scale_range: tuple[float, float] = (1.0, 1.0),
) -> DataSet:
    """Lists rooms; they equal those of `RoomsSource` bit by bit.

    Args:
      train: how many of this split.
      val: how many of this split.
      test: how many of this split.
      seed: seed of the scenes.
      scale_range: see `depthsi.rooms.source.room`.

    Raises:
      DepthsiError: negative counts, or a seed or scale range that `RoomsSource` refuses.
    """
    frames = []
    for split, count in (("train", train), ("val", val), ("test", test)):
        source, lock = RoomsSource(split, count, seed, scale_range), threading.Lock()
        frames += [
            Frame(
                f"rooms/{split}/{i:06d}",
                split,
                f"{split}/{i:06d}",
                functools.partial(_load, source, lock, i),
            )
            for i in range(count)
        ]
    return DataSet(
        name="rooms",
        description=DESCRIPTION,
        citation="",
        size=SIZE,
        depth_names=("depth",),
        units_per_metre=None,
        frames=tuple(frames),
        made_from={"seed": seed, "scale_range": list(scale_range)},
    )


def _load(source: RoomsSource, lock: threading.Lock, index: int) -> Record:
    # One at a time, in order: the source keeps the batch it rendered last.
    with lock:
        sample = source[index]
    return Record(sample.image, {"depth": sample.depth})
