"""Preparation: whole or not at all, continued after any interruption, bad frames by policy."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from prepared_pictures import data_set, loads, record, stored

from depthsi.data.prepared import prepare as preparing
from depthsi.data.prepared import shards
from depthsi.data.prepared.frames import Record
from depthsi.data.prepared.prepare import prepare
from depthsi.data.prepared.source import PreparedSource
from depthsi.errors import DepthsiError

COUNTS = {"train": 7, "test": 3}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "FRAMES", 3)


def files(directory):
    return sorted(str(path.relative_to(directory)) for path in Path(directory).rglob("*"))


def assert_complete(directory, counts=COUNTS):
    number = 0
    for split, count in counts.items():
        source = PreparedSource(directory, split)
        assert len(source) == count
        for sample in source:
            expected = record(number)
            np.testing.assert_array_equal(sample.image, expected.image)
            np.testing.assert_array_equal(sample.depth, expected.depth["depth"])
            number += 1


def test_every_frame_is_stored_bit_by_bit_in_order(tmp_path):
    said = []
    directory = prepare(data_set(COUNTS), tmp_path, report=said.append)
    assert directory == tmp_path / "toys" / "1.0.0"
    assert_complete(directory)
    source = PreparedSource(directory, "test")
    assert source.names == ("Küche 7, left", "Küche 8, left", "Küche 9, left")
    assert source.scenes == ("scene 2", "scene 2", "scene 3")
    assert source.splits == COUNTS
    assert files(tmp_path / "toys")[0] == "1.0.0"
    assert os.listdir(tmp_path) == ["toys"]
    shard_files = [name for name in os.listdir(directory) if "array_record" in name]
    assert len(shard_files) == 3 + 1
    assert said[0].startswith(f"{directory}: train 7, test 3; ")


def test_tfds_alone_reads_it(tmp_path):
    import tensorflow_datasets as tfds

    directory = prepare(data_set(COUNTS), tmp_path, report=list)
    builder = tfds.builder_from_directory(directory)
    assert builder.info.description == "Toys."
    records = stored(builder, "train")
    assert len(records) == 7
    for number, values in enumerate(records):
        np.testing.assert_array_equal(values["depth"], record(number).depth["depth"])
        assert values["name"].decode() == f"Küche {number}, left"
        assert values["scene"].decode() == f"scene {number // 3}"


def test_depth_in_units_is_rounded_to_the_nearest(tmp_path):
    toys = data_set({"train": 4}, units=5000.0)
    source = PreparedSource(prepare(toys, tmp_path, report=list), "train")
    for number, sample in enumerate(iter(source)):
        exact = record(number).depth["depth"]
        assert sample.depth.dtype == np.float32
        expected = np.array([round(5000 * float(d)) / 5000 for d in exact.ravel()], np.float32)
        np.testing.assert_array_equal(sample.depth.ravel(), expected)


@pytest.mark.parametrize("units", [None, 1000.0])
def test_missing_in_any_form_is_zero_and_small_depth_stays_valid(tmp_path, units):
    toys = data_set({"train": 1}, units=units)
    values = record(0)
    values.depth["depth"][0, :5] = [np.nan, np.inf, -np.inf, -1, 1e-4]
    frame = dataclasses.replace(toys.frames[0], load=lambda: values)
    toys = dataclasses.replace(toys, frames=(frame,))
    depth = PreparedSource(prepare(toys, tmp_path, report=list), "train")[0].depth
    smallest = 1e-4 if units is None else 1e-3
    np.testing.assert_array_equal(depth[0, :5], np.array([0, 0, 0, 0, smallest], np.float32))


def test_second_time_nothing_is_read(tmp_path):
    seen, said = [set()], []
    directory = prepare(data_set(COUNTS, seen=seen), tmp_path, report=list)
    assert loads(seen) == list(range(10))
    before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    assert prepare(data_set(COUNTS, seen=seen), tmp_path, report=said.append) == directory
    assert said == [f"{directory} is already prepared; nothing to do."]
    assert loads(seen) == list(range(10))
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == before


@pytest.mark.parametrize(
    "change",
    [
        {"made_from": {"source": "elsewhere"}},
        {"units_per_metre": 1000.0},
        {"frames": data_set({"train": 8, "test": 2}).frames},
    ],
)
def test_another_source_is_refused(tmp_path, change):
    other = dataclasses.replace(data_set(COUNTS), **change)
    prepare(data_set(COUNTS), tmp_path / "whole", report=list)
    with pytest.raises(DepthsiError, match=r"toys/1\.0\.0 was made from another source or with"):
        prepare(other, tmp_path / "whole")
    with pytest.raises(DepthsiError, match=r"file 5 is damaged"):
        prepare(data_set(COUNTS, bad=[5]), tmp_path / "part", report=list)
    with pytest.raises(DepthsiError, match=r"toys\.partial was made from another source or with"):
        prepare(other, tmp_path / "part", report=list)


def test_strict_stops_at_the_first_bad_frame_and_continues_when_it_is_repaired(tmp_path):
    seen, said = [set()], []
    with pytest.raises(DepthsiError, match=r"^file 5 is damaged\.$"):
        prepare(data_set(COUNTS, bad=[5], seen=seen), tmp_path, report=list)
    assert not (tmp_path / "toys").exists()
    seen[:] = [set()]
    directory = prepare(data_set(COUNTS, seen=seen), tmp_path, report=said.append)
    assert loads(seen) == [4, 5, 6, 7, 8, 9]  # shards of 2, 2 and 3: the first two were whole
    assert said[0] == f"Continuing the preparation in {tmp_path / 'toys.partial'}."
    assert_complete(directory)


def test_skip_leaves_bad_frames_out_and_lists_them(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "FRAMES", 50)
    said = []
    directory = prepare(
        data_set({"train": 120, "test": 80}, bad=[3, 150]),
        tmp_path,
        on_bad="skip",
        report=said.append,
    )
    train = PreparedSource(directory, "train")
    assert len(train) == 119
    assert train.names[3] == "Küche 4, left"
    np.testing.assert_array_equal(train[3].image, record(4).image)
    assert "2 frames were left out:\n  Küche 3, left: file 3 is damaged." in said[0]
    summary = json.loads((directory / "preparation.json").read_text(encoding="utf-8"))
    assert summary["skipped"] == {
        "Küche 3, left": "file 3 is damaged.",
        "Küche 150, left": "file 150 is damaged.",
    }


def test_skip_stops_beyond_one_per_cent_also_across_interruptions(tmp_path):
    with pytest.raises(DepthsiError, match=r"At most 1% may be skipped"):
        prepare(data_set({"train": 99}, bad=[7]), tmp_path / "a", on_bad="skip", report=list)
    many = {"train": 150}
    with pytest.raises(DepthsiError, match=r"2 of 150"):
        prepare(data_set(many, bad=[7, 100]), tmp_path / "b", on_bad="skip", report=list)
    with pytest.raises(DepthsiError, match=r"2 of 150"):  # 7 was counted before
        prepare(data_set(many, bad=[100]), tmp_path / "b", on_bad="skip", report=list)
    with pytest.raises(DepthsiError, match=r"file 7 is damaged"):  # and strict does not accept it
        prepare(data_set(many), tmp_path / "b", report=list)


class Crash(BaseException):
    """What no handler of the code under test expects."""


@pytest.mark.slow
def test_after_a_crash_at_any_step_there_is_all_or_nothing(tmp_path, monkeypatch):
    """Every call that changes the file system fails in turn; each time the next run completes."""
    step = count = 0

    def crashing(function):
        def wrapped(*arguments, **options):
            nonlocal count
            count += 1
            if count == step:
                raise Crash
            return function(*arguments, **options)

        return wrapped

    for name in ("replace", "rename", "unlink", "mkdir", "rmdir"):
        monkeypatch.setattr(os, name, crashing(getattr(os, name)))
    finished = False
    while not finished:
        step, count = step + 1, 0
        place = tmp_path / str(step)
        try:
            prepare(data_set(COUNTS), place, report=list)
            finished = True
        except Crash:
            pass
        count = -1000
        target = place / "toys" / "1.0.0"
        if target.exists():
            assert_complete(target)
        else:
            with pytest.raises(DepthsiError, match="has no prepared data"):
                PreparedSource(place, "train")
        assert_complete(prepare(data_set(COUNTS), place, report=list))
        assert os.listdir(place) == ["toys"]
    assert step > 12


KILLED = """
import sys, time, functools, dataclasses
sys.path[:0] = {paths!r}
from prepared_pictures import data_set, load
from depthsi.data.prepared import shards
from depthsi.data.prepared.prepare import prepare
shards.FRAMES = 3
def slow(inner):
    time.sleep(0.15)
    return inner()
toys = data_set({counts!r})
frames = tuple(dataclasses.replace(f, load=functools.partial(slow, f.load)) for f in toys.frames)
prepare(dataclasses.replace(toys, frames=frames), {place!r})
"""


@pytest.mark.slow
def test_killed_process_leaves_nothing_that_looks_finished(tmp_path):
    counts = {"train": 30, "test": 3}
    tests = Path(__file__).resolve().parent
    code = KILLED.format(paths=[str(tests), str(tests.parent)], counts=counts, place=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    notes = tmp_path / "toys.partial" / "notes"
    deadline = time.monotonic() + 60
    while len(list(notes.glob("*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    words = rf"Another process is using .*toys\.partial \(process {process.pid} on "
    with pytest.raises(DepthsiError, match=words):
        prepare(data_set(counts), tmp_path, report=list)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = len(list(notes.glob("*.json")))
    assert 2 <= done < 11
    assert os.listdir(tmp_path) == ["toys.partial"]
    seen = [set()]
    directory = prepare(data_set(counts, seen=seen), tmp_path, report=list)
    assert loads(seen) == list(range(3 * done, 33))
    assert_complete(directory, counts)
    assert os.listdir(tmp_path) == ["toys"]


def test_a_link_at_the_name_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    (tmp_path / "toys.partial").mkdir()
    (tmp_path / "toys.partial" / "lock").symlink_to(tmp_path / "thesis.txt")
    with pytest.raises(DepthsiError, match=r"toys\.partial/lock is a symbolic link, not a lock"):
        prepare(data_set(COUNTS), tmp_path, report=list)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_shard_damaged_between_two_runs_is_written_again(tmp_path):
    with pytest.raises(DepthsiError):
        prepare(data_set(COUNTS, bad=[9]), tmp_path, report=list)
    whole = sorted((tmp_path / "toys.partial" / "1.0.0").iterdir())
    assert len(whole) == 3
    whole[1].write_bytes(whole[1].read_bytes()[:-100])
    (tmp_path / "toys.partial" / "notes" / f"{whole[2].name}.json").write_text("{")
    seen = [set()]
    assert_complete(prepare(data_set(COUNTS, seen=seen), tmp_path, report=list))
    assert loads(seen) == [2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_full_disk_is_one_sentence_and_the_work_is_kept(tmp_path):
    notes = tmp_path / "toys.partial" / "notes"
    notes.mkdir(parents=True)
    shard = notes / "toys-train.array_record-00001-of-00003.tmp"
    shard.symlink_to("/dev/full")
    with pytest.raises(DepthsiError, match=r"00001-of-00003 .*No space left on device"):
        prepare(data_set(COUNTS), tmp_path, report=list)
    shard.unlink()
    seen = [set()]
    assert_complete(prepare(data_set(COUNTS, seen=seen), tmp_path, report=list))
    assert 0 not in loads(seen)


def test_failure_of_a_small_file_is_one_sentence(tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(preparing, "write_text", full)
    with pytest.raises(
        DepthsiError,
        match=r"plan\.json cannot be written \(No space left on device\); free some space",
    ):
        prepare(data_set(COUNTS), tmp_path, report=list)
    (tmp_path / "file").write_text("")
    with pytest.raises(DepthsiError, match=r"file.* cannot be written"):
        prepare(data_set(COUNTS), tmp_path / "file", report=list)


def replaced(data, number, **values):
    frames = list(data.frames)
    frames[number] = dataclasses.replace(frames[number], **values)
    return dataclasses.replace(data, frames=tuple(frames))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (data_set({}), r"toys: the source has no frames\."),
        (
            replaced(data_set(COUNTS), 1, key="Küche 0, left"),
            "two frames are called Küche 0, left",
        ),
        (replaced(data_set(COUNTS), 1, split="dev"), r"split 'dev' is not one of train, val, test"),
        (replaced(data_set(COUNTS), 1, key="k\udcfcche"), r"'k\\udcfcche' is not Unicode text"),
    ],
)
def test_list_that_cannot_be_used(tmp_path, data, message):
    with pytest.raises(DepthsiError, match=message):
        prepare(data, tmp_path, report=list)
    assert not any(tmp_path.iterdir())


GOOD = record(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (record(0, (5, 8)), r"Küche 0, left has 5x8 pixels; those of toys have 6x8"),
        (Record(GOOD.image[..., :1], GOOD.depth), r"Küche 0, left: the image is uint8 \(6, 8, 1\)"),
        (Record(GOOD.image / 255, GOOD.depth), r"Küche 0, left: the image is float64"),
        (Record(GOOD.image, {"depth": np.zeros((6, 8), np.float32)}), "no pixel has a valid depth"),
        (Record(GOOD.image, {"depth": GOOD.depth["depth"] * 1000}), "most depths are over 1000 m"),
        (
            Record(GOOD.image, {"depth": GOOD.depth["depth"] * 2}),
            "reaches 1.* more than 16 bits",
        ),
        (Record(GOOD.image, {"depth": GOOD.depth["depth"][1:]}), "6x8 pixels but its depth 5x8"),
        (Record(GOOD.image, {"depth_raw": GOOD.depth["depth"]}), r"needs \['depth'\]"),
    ],
)
def test_record_that_breaks_the_contract_is_named(tmp_path, values, message):
    toys = replaced(data_set({"train": 1}, units=5000.0), 0, load=lambda: values)
    with pytest.raises(DepthsiError, match=message):
        prepare(toys, tmp_path, report=list)


def test_second_depth_map_is_checked_too(tmp_path):
    values = record(0, names=("depth", "depth_raw"))
    for wrong, message in [
        (values.depth["depth_raw"][1:], r"depth_raw is \(5, 8\), the image \(6, 8, 3\)"),
        (values.depth["depth_raw"].astype(np.float64), r"depth_raw is float64"),
    ]:
        bad = Record(values.image, values.depth | {"depth_raw": wrong})
        toys = data_set({"train": 1}, names=("depth", "depth_raw"))
        with pytest.raises(DepthsiError, match=message):
            prepare(replaced(toys, 0, load=lambda bad=bad: bad), tmp_path, report=list)


def test_shards_are_even_and_limited(monkeypatch):
    monkeypatch.setattr(shards, "FRAMES", 128)
    for count, number in ((1, 1), (128, 1), (129, 2), (795, 7), (70_000, 512)):
        toys = data_set({"train": 1})
        toys = dataclasses.replace(toys, frames=toys.frames * count)
        plan = shards.plan_shards(toys)
        sizes = [len(shard.frames) for shard in plan]
        assert len(sizes) == number
        assert sum(sizes) == count
        assert max(sizes) - min(sizes) <= 1


def test_a_long_list_of_frames_left_out_is_cut_short(tmp_path):
    said = []
    data = data_set({"train": 2600}, bad=range(100, 123), size=(3, 4))
    directory = prepare(data, tmp_path, on_bad="skip", report=said.append)
    lines = said[-1].splitlines()
    assert lines[1] == "23 frames were left out:"
    assert lines[2] == "  Küche 100, left: file 100 is damaged."
    assert lines[22:] == [f"  and 3 more; all are in {directory / 'preparation.json'}."]
