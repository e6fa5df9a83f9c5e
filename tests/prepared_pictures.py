"""Small data sets for the tests of preparation, made of arithmetic instead of files."""

import dataclasses
import functools
from typing import Any

import numpy as np

from depthsi.data.prepared.frames import DataSet, Frame, Record
from depthsi.errors import DepthsiError

BAD = -1


def record(number, size=(6, 8), names=("depth",)):
    """Image and depth of frame `number`; every fifth depth is missing."""
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    depth = {name: rng.uniform(0.5, 9, size).astype(np.float32) for name in names}
    for values in depth.values():
        values[rng.random(size) < 0.2] = 0
    return Record(image, depth)


def load(number, seen, size, names):
    """A frame's `load` that notes in `seen` that it was called."""
    seen.append(number)
    if number in seen[0]:
        raise DepthsiError(f"file {number} is damaged.")
    return record(number, size, names)


def data_set(counts, *, bad=(), seen=None, size=(6, 8), names=("depth",), units=None, name="toys"):
    """Frames numbered through the splits of `counts`; those in `bad` cannot be read."""
    seen = [set()] if seen is None else seen
    seen[0].update(bad)
    frames, number = [], 0
    for split, count in counts.items():
        for _ in range(count):
            reading = functools.partial(load, number, seen, size, names)
            frames.append(Frame(f"Küche {number}, left", split, f"scene {number // 3}", reading))
            number += 1
    return DataSet(name, "Toys.", "", size, names, units, tuple(frames))


def stored(builder: Any, split):
    """The records that TFDS reads; its decorators hide the parameters from type checkers."""
    return builder.as_data_source(split)


def loads(seen):
    """The numbers of the frames read, sorted."""
    return sorted(seen[1:])


def changed(data, **values):
    return dataclasses.replace(data, **values)
