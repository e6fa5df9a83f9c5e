"""The files of a data set in preparation: which shard holds which frames, and how one is written.

A shard is finished once its note stands beside it; whatever has no note is written again.
"""

import dataclasses
import importlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from depthsi.data.prepared.frames import DataSet, Frame
from depthsi.errors import DepthsiError
from depthsi.files import write_text

FRAMES = 128  # least number in a shard, where there are so many: what an interruption loses
SHARDS = 512  # most of one split; readers keep each one open

A = TypeVar("A")
B = TypeVar("B")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of records, as TFDS names it.

    Attributes:
      split: of all its frames.
      file: its name.
      frames: what belongs into it, in order.
    """

    split: str
    file: str
    frames: tuple[Frame, ...]


@dataclasses.dataclass(frozen=True)
class Note:
    """What is known of a finished shard.

    Attributes:
      size: bytes of its records.
      rows: name and scene of each record, in order.
      skipped: what is wrong with each frame left out, by its key.
    """

    size: int
    rows: list[tuple[str, str]]
    skipped: dict[str, str]


def plan_shards(data_set: DataSet) -> list[Shard]:
    """Cuts every split into shards of nearly equal numbers of frames."""
    shards = []
    for split in dict.fromkeys(frame.split for frame in data_set.frames):
        frames = [frame for frame in data_set.frames if frame.split == split]
        count = min(SHARDS, -(-len(frames) // FRAMES))
        for i in range(count):
            own = frames[len(frames) * i // count : len(frames) * (i + 1) // count]
            file = f"{data_set.name}-{split}.array_record-{i:05d}-of-{count:05d}"
            shards.append(Shard(split, file, tuple(own)))
    return shards


def finished_note(records: Path, notes: Path, shard: Shard) -> Note | None:
    """The note of a shard that is there in full, else None."""
    try:
        values = json.loads((notes / f"{shard.file}.json").read_text(encoding="utf-8"))
        note = Note(values["size"], [(n, s) for n, s in values["rows"]], dict(values["skipped"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if record_count(records / shard.file) == len(note.rows) else None


def write_shard(records: Path, notes: Path, shard: Shard, encoded: Iterable[bytes]) -> int:
    """Writes the records of a shard under its name, atomically.

    Returns:
      Their total size in bytes.

    Raises:
      DepthsiError: the file cannot be written, for instance because the disk is full.
    """
    path, temporary = records / shard.file, notes / f"{shard.file}.tmp"
    size = count = 0
    try:
        # One record per group, for reading in random order; the contents are compressed already.
        options = "group_size:1,uncompressed"
        writer = _array_record().ArrayRecordWriter(os.fspath(temporary), options)
        for data in encoded:
            writer.write(data)
            size, count = size + len(data), count + 1
        writer.close()
    except RuntimeError as error:  # all that the writer raises
        raise DepthsiError(
            f"{path} cannot be written ({_cause(error)}); fix this and run the command again to"
            " continue."
        ) from error
    if record_count(temporary) != count:
        raise DepthsiError(f"{path} was not written completely; run the command again to continue.")
    os.replace(temporary, path)
    return size


def write_note(notes: Path, shard: Shard, note: Note) -> None:
    """Marks a shard as finished."""
    write_text(notes / f"{shard.file}.json", json.dumps(dataclasses.asdict(note)))


def record_count(path: Path) -> int:
    """Number of records in an ArrayRecord file; -1 if it cannot be read, 0 if it is damaged."""
    if not path.is_file():
        return -1
    try:
        reader = _array_record().ArrayRecordReader(os.fspath(path), "readahead_buffer_size:0")
        try:
            return reader.num_records()
        finally:
            reader.close()
    except (RuntimeError, OSError):
        return -1


def ordered_map(
    pool: ThreadPoolExecutor, function: Callable[[A], B], items: Iterable[A], ahead: int
) -> Iterator[B]:
    """Like `pool.map`, but at most `ahead` results are computed and not yet used."""
    waiting: list[Future[B]] = []
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()


def _array_record() -> Any:
    try:
        return importlib.import_module("array_record.python.array_record_module")
    except ModuleNotFoundError:
        raise DepthsiError(
            "prepared data needs the package array_record, which only exists for Linux."
        ) from None


def _cause(error: RuntimeError) -> str:
    """The first part of the writer's chain of messages, such as "No space left on device"."""
    return str(error).split(";")[0].removeprefix("write() failed: ")
