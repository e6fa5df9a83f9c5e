"""The base of the TFDS builders: TFDS's names and metadata around our own `prepare`."""

import os
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from depthsi.data.prepared.frames import DataSet
from depthsi.data.prepared.metadata import VERSION
from depthsi.data.prepared.prepare import prepare
from depthsi.data.prepared.stored_frames import features_of, read_frame


class FramesBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Stores a `DataSet` as ArrayRecord, without TensorFlow.

    Takes the arguments of the function that lists the data set, by keyword, and TFDS's `data_dir`.
    """

    VERSION = tfds.core.Version(VERSION)
    list_frames: ClassVar[Callable[..., DataSet]]

    def __init__(self, *, data_dir: str | os.PathLike[str], **options: Any) -> None:
        """Lists the source.

        Raises:
          DepthsiError: whatever listing it refuses.
        """
        self.data_set = type(self).list_frames(**options)
        self._root = data_dir
        super().__init__(data_dir=data_dir, file_format="array_record")

    def download_and_prepare(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, **options: Any
    ) -> None:
        """`depthsi.data.prepared.prepare.prepare` with its `options`; nothing is downloaded."""
        prepare(self.data_set, self._root, **options)
        self.info.read_from_directory(self.data_path)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.data_set.description,
            citation=self.data_set.citation,
            features=features_of(self.data_set),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        splits = dict.fromkeys(frame.split for frame in self.data_set.frames)
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, frame in enumerate(self.data_set.frames):
            if frame.split == split:
                yield number, read_frame(self.data_set, frame)
