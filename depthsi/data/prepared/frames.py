"""What a data set is before it is prepared: frames that are listed, but not yet read."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Record:
    """One sample, read and decoded, in the source's own precision.

    Attributes:
      image: uint8 (H, W, 3), RGB.
      depth: name to float32 (H, W), camera z in metres unless the data set says otherwise;
        0 = missing. All of the image's size.
    """

    image: np.ndarray
    depth: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Frame:
    """One sample of a data set being prepared, not yet read.

    Attributes:
      key: names the sample; unique in the data set.
      split: "train", "val" or "test".
      scene: the place or drive it was taken in; "" if unknown.
      load: reads it. Raises DepthsiError that names the file and what is wrong with it.
    """

    key: str
    split: str
    scene: str
    load: Callable[[], Record]


@dataclasses.dataclass(frozen=True)
class DataSet:
    """All frames of a data set and how they are stored.

    Attributes:
      name: name of the builder, for instance "nyu_depth_v2_labeled".
      description: one paragraph: what it is, and what its depth means.
      citation: BibTeX, or "".
      size: (H, W) if every frame has it, None if sizes vary.
      depth_names: the depth maps of each record; the first is the one training uses by default.
      units_per_metre: None stores float32 metres, bit by bit; a number stores uint16 in these
        units, rounded to nearest.
      frames: in the order they are stored within each split.
      made_from: what else decides the content, such as source and options; JSON values. Kept with
        the prepared data, and an interrupted preparation continues only with the same.
    """

    name: str
    description: str
    citation: str
    size: tuple[int, int] | None
    depth_names: tuple[str, ...]
    units_per_metre: float | None
    frames: tuple[Frame, ...]
    made_from: dict[str, Any] = dataclasses.field(default_factory=dict)
