"""The small files of prepared data: an index and a summary of our own, and TFDS's description."""

import csv
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

from depthsi.data.prepared.frames import DataSet
from depthsi.data.prepared.shards import Note, Shard
from depthsi.data.prepared.stored_frames import features_of
from depthsi.errors import DepthsiError
from depthsi.files import write_text

VERSION = "1.0.0"
INDEX = "index.csv"  # one line for each record, in order
COLUMNS = ("name", "split", "scene")
SUMMARY = "preparation.json"  # what the records were made from


def write_metadata(
    data_set: DataSet, directory: Path, fingerprint: str, notes: list[tuple[Shard, Note]]
) -> None:
    """Writes everything but the records into `directory`.

    Args:
      data_set: what was prepared.
      directory: with the finished shards.
      fingerprint: tells it from another data set.
      notes: the shards in order, with what was written into each.
    """
    buffer = io.StringIO(newline="")
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(COLUMNS)
    for shard, note in notes:
        table.writerows((name, shard.split, scene) for name, scene in note.rows)
    index = buffer.getvalue()
    write_text(directory / INDEX, index)
    summary = {
        "name": data_set.name,
        "version": VERSION,
        "made_from": data_set.made_from,
        "size": data_set.size,
        "depth_names": data_set.depth_names,
        "units_per_metre": data_set.units_per_metre,
        "skipped": {key: text for _, note in notes for key, text in note.skipped.items()},
        "fingerprint": fingerprint,
        "index_sha256": hashlib.sha256(index.encode()).hexdigest(),
    }
    summary["sha256"] = _digest(summary)
    write_text(directory / SUMMARY, json.dumps(summary, indent=2) + "\n")
    _write_tfds_metadata(data_set, directory, notes)


def read_metadata(directory: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The summary and the rows of the index, unchanged since they were written.

    Raises:
      DepthsiError: a file is missing, or is not as it was written.
    """
    file = directory / SUMMARY
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        if summary.pop("sha256") != _digest(summary):
            raise ValueError("its checksum is wrong")
        file = directory / INDEX
        index = file.read_bytes()
        if summary["index_sha256"] != hashlib.sha256(index).hexdigest():
            raise ValueError("its checksum is wrong")
        rows = list(csv.DictReader(io.StringIO(index.decode(), newline="")))
        if any(None in row.values() or not row.keys() >= set(COLUMNS) for row in rows):
            raise ValueError(f"not every row has {', '.join(COLUMNS)}")
        file = directory / SUMMARY
        _check_summary(summary)
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError),
        csv.Error,
    ) as error:
        raise DepthsiError(
            f"{file} cannot be used ({error}); it is damaged or was changed: prepare the data"
            " again."
        ) from error
    return summary, rows


def _check_summary(summary: dict[str, Any]) -> None:
    """Raises ValueError, KeyError or TypeError for values `write_metadata` never writes.

    A checksum is easily made anew, so a stranger's summary may say anything.
    """
    name, names, size = summary["name"], summary["depth_names"], summary["size"]
    units = summary["units_per_metre"]
    if not isinstance(name, str) or Path(name).name != name:
        raise ValueError(f"the name {name!r:.100}")
    if not names or not all(isinstance(each, str) for each in names):
        raise ValueError(f"the depth maps {names!r:.100}")
    if size is not None and (len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size)):
        raise ValueError(f"the size {size!r:.100}")
    if units is not None and not 0 < float(units) < float("inf"):
        raise ValueError(f"{units!r:.100} units per metre")


def is_prepared(path: Path) -> bool:
    """Whether the directory holds prepared data rather than a folder of pairs."""
    if (path / "index.csv").exists():  # the directory itself is the one or the other
        return (path / SUMMARY).exists()
    return any((*path.glob(f"*/{SUMMARY}"), *path.glob(f"*/*/{SUMMARY}")))


def _digest(summary: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(summary, sort_keys=True).encode()).hexdigest()


def _write_tfds_metadata(
    data_set: DataSet, directory: Path, notes: list[tuple[Shard, Note]]
) -> None:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import dataset_info, splits

    identity = dataset_info.DatasetIdentity(
        name=data_set.name,
        version=tfds.core.Version(VERSION),
        data_dir=os.fspath(directory),
        module_name="",
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=data_set.description,
        citation=data_set.citation,
        features=features_of(data_set),
        disable_shuffling=True,
    )
    info.set_file_format("array_record")
    infos = []
    for split in dict.fromkeys(shard.split for shard, _ in notes):
        own = [note for shard, note in notes if shard.split == split]
        template = tfds.core.ShardedFileTemplate(
            data_dir=tfds.core.Path(directory),
            dataset_name=data_set.name,
            split=split,
            filetype_suffix="array_record",
        )
        lengths, size = [len(note.rows) for note in own], sum(note.size for note in own)
        infos.append(
            tfds.core.SplitInfo(
                name=split, shard_lengths=lengths, num_bytes=size, filename_template=template
            )
        )
    info.set_splits(splits.SplitDict(infos))
    info.write_to_directory(directory)
