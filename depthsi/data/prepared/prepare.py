"""Prepares a data set: every frame is read, checked and stored once, for fast random access.

The result is a TFDS directory of ArrayRecord files, readable by `depthsi.data.prepared.source` and
by TFDS itself without TensorFlow. It appears under its name in one move when it is complete. Until
then all work is in a directory beside it, and an interrupted preparation continues there.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from depthsi.data.bad_samples import BadSamples, OnBad
from depthsi.data.prepared.frames import DataSet, Frame
from depthsi.data.prepared.metadata import SUMMARY, VERSION, write_metadata
from depthsi.data.prepared.shards import (
    Note,
    Shard,
    finished_note,
    ordered_map,
    plan_shards,
    write_note,
    write_shard,
)
from depthsi.data.prepared.stored_frames import features_of, read_frame
from depthsi.errors import DepthsiError
from depthsi.files import locked, write_text

SPLITS = ("train", "val", "test")
LISTED = 20  # frames left out

Report = Callable[[str], object]


def prepare(
    data_set: DataSet,
    data_dir: str | os.PathLike[str],
    *,
    on_bad: OnBad = "strict",
    report: Report = print,
) -> Path:
    """Stores all frames of `data_set` in `data_dir`/name/version, or nothing.

    Args:
      data_set: what to prepare.
      data_dir: the directory of all prepared data sets; made if need be.
      on_bad: "strict" stops at the first bad frame; "skip" leaves bad frames out, lists them in
        the summary, and stops if more than 1 % are bad.
      report: called with a sentence about each event.

    Returns:
      The directory with the result, which may have been there before.

    Raises:
      DepthsiError: no frames, two of one key, a bad frame (see `on_bad`), a directory that holds
        another preparation, one already at work, or a file that cannot be written.
    """
    _check(data_set)
    target = Path(data_dir) / data_set.name / VERSION
    work = Path(data_dir) / f"{data_set.name}.partial"
    fingerprint = _fingerprint(data_set)
    if target.exists():
        _check_same(target / SUMMARY, fingerprint, target)
        shutil.rmtree(work, ignore_errors=True)  # left by a kill between the last two steps
        report(f"{target} is already prepared; nothing to do.")
        return target
    in_use = f"Another process is using {work}"
    with _writing(work), locked(work / "lock", in_use, "wait for it"):
        _begin(work, fingerprint, report)
        notes = _write_shards(data_set, work, BadSamples(on_bad, len(data_set.frames)))
        write_metadata(data_set, work / VERSION, fingerprint, notes)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(work / VERSION, target)
    shutil.rmtree(work, ignore_errors=True)
    report(_summary(target, notes))
    return target


def _check(data_set: DataSet) -> None:
    if not data_set.frames:
        raise DepthsiError(f"{data_set.name}: the source has no frames.")
    for frame in data_set.frames:
        try:
            f"{frame.key}{frame.scene}".encode()
        except UnicodeEncodeError:  # a file name in another encoding
            raise DepthsiError(
                f"{data_set.name}: the name {frame.key!a} is not Unicode text; rename it."
            ) from None
    keys = Counter(frame.key for frame in data_set.frames)
    if twice := [key for key, count in keys.items() if count > 1]:
        raise DepthsiError(f"{data_set.name}: two frames are called {twice[0]}.")
    if unknown := {frame.split for frame in data_set.frames} - set(SPLITS):
        raise DepthsiError(
            f"{data_set.name}: split {min(unknown)!r} is not one of {', '.join(SPLITS)}."
        )


def _fingerprint(data_set: DataSet) -> str:
    """Tells apart what would give other records, as far as it is known without reading frames."""
    rows = [(frame.key, frame.split, frame.scene) for frame in data_set.frames]
    what = dataclasses.replace(data_set, frames=())
    text = json.dumps([VERSION, dataclasses.asdict(what), rows], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_same(file: Path, fingerprint: str, directory: Path) -> None:
    try:
        here = json.loads(file.read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        here = None
    if here != fingerprint:
        raise DepthsiError(
            f"{directory} was made from another source or with other options: delete it, or "
            "choose another data directory."
        )


@contextlib.contextmanager
def _writing(work: Path) -> Iterator[None]:
    try:
        work.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = (
            "free some space and run the same command again to continue"
            if full
            else "check the directory"
        )
        raise DepthsiError(
            f"{error.filename or work} cannot be written ({error.strerror or error}); {remedy}."
        ) from error


def _begin(work: Path, fingerprint: str, report: Report) -> None:
    plan = work / "plan.json"
    if plan.exists():
        _check_same(plan, fingerprint, work)
        report(f"Continuing the preparation in {work}.")
    else:
        write_text(plan, json.dumps({"fingerprint": fingerprint}))
    for directory in (work / VERSION, work / "notes"):
        directory.mkdir(exist_ok=True)


def _write_shards(data_set: DataSet, work: Path, bad: BadSamples) -> list[tuple[Shard, Note]]:
    """Writes the shards that are not there yet; returns all with their notes."""
    records, notes = work / VERSION, work / "notes"
    serialise = features_of(data_set).serialize_example
    result = []
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(data_set.frames), desc=data_set.name, unit="frame", disable=None) as bar,
    ):
        for shard in plan_shards(data_set):
            note = finished_note(records, notes, shard)
            if note is None:
                writer = _ShardWriter(data_set, serialise, bad, bar.update)
                note = writer.write(pool, records, notes, shard)
            else:
                bar.update(len(shard.frames))
                for name, message in note.skipped.items():
                    bad.tolerate(DepthsiError(message), name)
            result.append((shard, note))
    return result


class _ShardWriter:
    """Reads the frames of one shard in threads and writes them in order."""

    def __init__(
        self,
        data_set: DataSet,
        serialise: Callable[[Any], bytes],
        bad: BadSamples,
        progress: Callable[[int], object],
    ) -> None:
        self.data_set, self.serialise, self.bad, self.progress = data_set, serialise, bad, progress

    def write(self, pool: ThreadPoolExecutor, records: Path, notes: Path, shard: Shard) -> Note:
        rows: list[tuple[str, str]] = []
        skipped: dict[str, str] = {}

        def encoded() -> Iterator[bytes]:
            results = ordered_map(pool, self._attempt, shard.frames, 2 * (os.cpu_count() or 1))
            for frame, result in zip(shard.frames, results, strict=True):
                if isinstance(result, DepthsiError):
                    self.bad.tolerate(result, frame.key)
                    skipped[frame.key] = str(result)
                else:
                    rows.append((frame.key, frame.scene))
                    yield result
                self.progress(1)

        size = write_shard(records, notes, shard, encoded())
        note = Note(size, rows, skipped)
        write_note(notes, shard, note)
        return note

    def _attempt(self, frame: Frame) -> bytes | DepthsiError:
        try:
            return self.serialise(read_frame(self.data_set, frame))
        except DepthsiError as error:
            return error


def _summary(target: Path, notes: list[tuple[Shard, Note]]) -> str:
    counts = Counter[str]()
    for shard, note in notes:
        counts[shard.split] += len(note.rows)
    skipped = {key: text for _, note in notes for key, text in note.skipped.items()}
    size = sum(note.size for _, note in notes) / 1e6
    lines = [
        f"{target}: {', '.join(f'{split} {count}' for split, count in counts.items())};"
        f" {size:.1f} MB."
    ]
    if skipped:
        lines.append(f"{len(skipped)} frames were left out:")
        lines += [f"  {key}: {text}" for key, text in list(skipped.items())[:LISTED]]
        if len(skipped) > LISTED:
            lines.append(f"  and {len(skipped) - LISTED} more; all are in {target / SUMMARY}.")
    return "\n".join(lines)
