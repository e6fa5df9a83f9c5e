"""The records of one split of prepared data, in a directory that may be a stranger's.

TFDS imports whatever module the description of the features names, so it is never given that
description: features, files and decoders follow from our own summary. See `cls_from_name` in
https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/core/features/feature.py
"""

import contextlib
import io
import itertools
import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL.PngImagePlugin import PngImageFile

from depthsi.data.prepared.metadata import INDEX
from depthsi.data.prepared.stored_frames import TEXTS, record_features
from depthsi.errors import DepthsiError
from depthsi.files import check_pixels, contents

INFO = "dataset_info.json"
FEATURES = "features.json"
CLASS = re.compile(r"tensorflow_datasets\.core\.features\.\w+\.(FeaturesDict|Image|Tensor|Text)")
CLASS_KEYS = ("pythonClassName", "python_class_name", "type")  # `type` in features.json before 4.5


class StoredRecords:
    """The samples of one split as they are stored. Safe to read from several threads."""

    def __init__(
        self, directory: Path, summary: dict[str, Any], split: str, count: int, depth: str
    ) -> None:
        """Opens the records; none is read yet.

        Args:
          directory: directory of the prepared data.
          summary: of `read_metadata`.
          split: which records.
          count: how many the index lists.
          depth: the depth map to decode.

        Raises:
          DepthsiError: a description that is missing, damaged or names a class that `depthsi
            prepare` does not write, another number of records than `count`, or a missing file.
        """
        for name in (FEATURES, INFO):
            with _reading(directory / name, "the description of the data"):
                _check_classes(directory / name)
        with _reading(directory / INFO, "the description of the data"):
            lengths = _shard_lengths(directory / INFO, split)
        if sum(lengths) != count:
            raise DepthsiError(
                f"{directory}: {INDEX} lists {count} samples of split {split}, but "
                f"the records are {sum(lengths)}; prepare it again."
            )
        stem = f"{summary['name']}-{split}.array_record"
        files = [f"{stem}-{i:05d}-of-{len(lengths):05d}" for i in range(len(lengths))]
        self._files = [directory / file for file in files]
        self._ends = list(itertools.accumulate(lengths))
        for file in self._files:
            if not os.path.isfile(file):
                raise DepthsiError(f"{file} does not exist; prepare the data again.")
        self._depth = depth
        self._features, self._decoders = _features(summary, depth)
        self._records = _open_records(self._files, lengths)

    def read(self, index: int, name: str) -> tuple[UInt8[np.ndarray, "h w 3"], np.ndarray]:
        """Image and stored depth of record `index`.

        Raises:
          DepthsiError: damaged; names the file and the sample `name`.
        """
        with _reading(self._files[bisect_right(self._ends, index)], name):
            values = self._features.deserialize_example_np(
                self._records[index], decoders=self._decoders
            )
            return decode_png(name, values["image"]), values[self._depth]


def _features(summary: dict[str, Any], depth: str) -> tuple[Any, dict[str, Any]]:
    """How a record is parsed, and the decoders that leave out what is not wanted."""
    import tensorflow_datasets as tfds

    names = summary["depth_names"]
    features = record_features(names, summary["size"], summary["units_per_metre"])
    # TFDS would open the image by Pillow in any of its formats, among them those of programs.
    unused = {"image", *names, *TEXTS} - {depth}
    return features, {name: tfds.decode.SkipDecoding() for name in unused}


def _open_records(files: list[Path], lengths: list[int]) -> Any:
    from array_record.python.array_record_data_source import ArrayRecordDataSource
    from tensorflow_datasets.core.utils.shard_utils import FileInstruction

    shards: list[Any] = [
        FileInstruction(os.fspath(file), skip=0, take=length, examples_in_shard=length)
        for file, length in zip(files, lengths, strict=True)
    ]
    return ArrayRecordDataSource(shards)


def decode_png(name: str, data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """The image of a record.

    Raises:
      DepthsiError: too many pixels.
      ValueError or SyntaxError: not a PNG in RGB.
    """
    image = PngImageFile(io.BytesIO(data))
    check_pixels(name, image.height, image.width)
    if image.mode != "RGB":
        raise ValueError(f"an image of Pillow's mode {image.mode}")
    return np.array(image)


def _shard_lengths(file: Path, split: str) -> list[int]:
    """The number of records in each file of a split."""
    splits = _json(file)["splits"]
    (found,) = [each for each in splits if each["name"] == split]
    lengths = [int(length) for length in found["shardLengths"]]
    if min(lengths, default=0) < 0:
        raise ValueError(f"{min(lengths)} records")
    return lengths


def _json(file: Path) -> Any:
    if not file.exists():
        raise FileNotFoundError("it does not exist")
    return json.loads(contents(file))


def _check_classes(file: Path) -> None:
    """Refuses a description by which TFDS would import something else than its own features."""
    waiting = [_json(file)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
            for key in CLASS_KEYS:
                name = value.get(key)
                if isinstance(name, str) and "." in name and not CLASS.fullmatch(name):
                    raise DepthsiError(
                        f"{file} names the class {name[:100]!r}, which depthsi prepare does not "
                        "write and TFDS would import: use data from someone you trust, or prepare "
                        "it yourself."
                    )
        elif isinstance(value, list):
            waiting += value


@contextlib.contextmanager
def _reading(file: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Names the file in whatever is raised on damaged bytes, which can be any exception."""
    try:
        yield
    except (DepthsiError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise DepthsiError(
            f"{file}: {what} cannot be read ({reason}); the file is damaged: prepare the data "
            "again."
        ) from error
