"""Samples that cannot be used: stopping at once, or leaving a few out."""

import dataclasses
import functools
import json
import pickle

import numpy as np
import pytest
from pictures import smooth_picture, write_pairs

from depthsi.config import Folder
from depthsi.data.bad_samples import BadSamples, GoodSamples, good_samples, most_samples
from depthsi.data.samples import Sample
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.runs import RunDirectory


class Numbered:
    """Samples 0..n-1 whose depth is their number plus one; those in `bad` have none at all."""

    def __init__(self, count, bad=(), broken=()):
        self.bad, self.broken, self.reads = set(bad), set(broken), []
        self.names = tuple(f"n{i}" for i in range(count))
        self.scenes = tuple(f"s{i // 10}" for i in range(count))

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        self.reads.append(index)
        if index in self.broken:
            raise DepthsiError(f"n{index} is damaged; replace it.")
        depth = np.full((2, 3), 0 if index in self.bad else index + 1, np.float32)
        return Sample(np.full((2, 3, 3), index % 256, np.uint8), depth, f"n{index}")

    def arrays(self, progress=None):
        raise AssertionError("would stop at the first bad sample")


def nothing(bad):
    raise AssertionError("nothing to report")


@pytest.mark.parametrize(
    ("total", "allowed"), [(0, 0), (1, 0), (50, 0), (99, 0), (100, 1), (250, 2), (1000, 10)]
)
def test_up_to_one_percent_is_skipped(total, allowed):
    bad = BadSamples("skip", total)
    for i in range(allowed):
        bad.tolerate(DepthsiError(f"file {i} is cut short."), f"file {i}")
        bad.tolerate(DepthsiError(f"file {i} is cut short."), f"file {i}")  # counts once
    assert list(bad.messages) == [f"file {i}" for i in range(allowed)]
    with pytest.raises(DepthsiError) as stopped:
        bad.tolerate(DepthsiError("last one is grey."), "last one")
    words = str(stopped.value)
    assert words.startswith(f"{allowed + 1} of {total} samples cannot be used: ")
    assert "\n" not in words
    assert ("file 0 is cut short." if allowed else "last one is grey.") in words
    assert ("and 8 more" in words) == (allowed == 10)
    assert "At most 1% may be skipped" in words


def test_strict_raises_the_error_itself():
    error = DepthsiError("a.png is cut short.")
    bad = BadSamples("strict", 1000)
    with pytest.raises(DepthsiError) as stopped:
        bad.tolerate(error, "a.png")
    assert stopped.value is error
    assert bad.messages == {}


def test_strict_is_the_source_itself():
    source = Numbered(5)
    assert good_samples(source, "strict", nothing) is source


@pytest.mark.parametrize("first", ["arrays", "len"])
def test_bad_samples_are_left_out_in_order(first):
    source, reports = Numbered(230, bad=[7], broken=[100]), []
    good = good_samples(source, "skip", reports.append)
    assert isinstance(good, GoodSamples)
    expected = [i for i in range(230) if i not in (7, 100)]
    if first == "len":
        assert len(good) == 228
    steps = []
    images, depths = good.arrays(steps.append)
    assert sum(steps) == 230
    np.testing.assert_array_equal(depths[:, 1, 2], np.array(expected) + 1)
    np.testing.assert_array_equal(images[:, 0, 0, 1], np.array(expected) % 256)
    assert (images.dtype, depths.dtype) == (np.uint8, np.float32)
    if first == "arrays":
        assert sorted(source.reads) == list(range(230))  # each file once
    assert len(good) == 228
    assert [good[i].name for i in (6, 7, 98, 99, 227)] == ["n6", "n8", "n99", "n101", "n229"]
    assert good.names == tuple(f"n{i}" for i in expected)
    assert good.scenes == tuple(f"s{i // 10}" for i in expected)
    (report,) = reports
    assert set(report.messages) == {"n7", "n100"}
    assert report.messages["n100"] == "n100 is damaged; replace it."
    assert "no pixel has a valid depth" in report.messages["n7"]
    with pytest.raises(IndexError):
        good[228]


def test_the_most_samples_are_known_without_reading():
    source = Numbered(230, bad=[7])
    assert most_samples(good_samples(source, "skip", nothing)) == 230
    assert most_samples(source) == 230
    assert source.reads == []


def test_clean_data_report_nothing_and_keep_everything():
    good = good_samples(Numbered(20), "skip", nothing)
    assert isinstance(good, GoodSamples)
    assert good.indices == tuple(range(20))


def test_too_many_bad_samples_stop():
    for ask in (len, lambda good: good.arrays()):
        good = good_samples(Numbered(230, broken=[3, 50, 228]), "skip", nothing)
        with pytest.raises(DepthsiError, match=r"3 of 230 samples cannot.*n3 is.*n50 is.*n228 is"):
            ask(good)
    with pytest.raises(DepthsiError, match="1 of 50 samples"):
        len(good_samples(Numbered(50, bad=[3]), "skip", nothing))


def test_other_errors_are_not_skipped():
    class Faulty(Numbered):
        def __getitem__(self, index):
            raise RuntimeError("a fault of the program")

    with pytest.raises(RuntimeError, match="a fault of the program"):
        len(good_samples(Faulty(300), "skip", nothing))


def test_samples_of_different_size_ask_for_one():
    class Growing(Numbered):
        def __getitem__(self, index):
            height = 2 + (index > 4)
            return Sample(
                np.zeros((height, 3, 3), np.uint8), np.ones((height, 3), np.float32), f"n{index}"
            )

    with pytest.raises(DepthsiError, match="n5 has 3x3 pixels, but samples before it 2x3"):
        good_samples(Growing(300), "skip", nothing).arrays()


def ignore(split, bad):
    pass


def test_good_samples_can_be_sent_to_worker_processes():
    good = good_samples(Numbered(120, bad=[1]), "skip", functools.partial(ignore, "train"))
    assert len(good) == 119
    copy = pickle.loads(pickle.dumps(good))
    copy.source.reads.clear()
    assert copy[1].name == "n2"
    assert copy.source.reads == [2]


def test_what_was_left_out_is_kept_in_the_run_and_must_stay_the_same(tmp_path):
    run = RunDirectory(tmp_path)
    run.record_left_out({})
    assert not (tmp_path / "bad_samples.json").exists()

    def messages(bad):
        good = GoodSamples(Numbered(200, bad), "skip", functools.partial(ignore, "train"))
        assert len(good) == 200 - len(bad)
        return good.bad.messages

    run.record_left_out({"train": messages([5]), "val": messages([])})
    kept = json.loads((tmp_path / "bad_samples.json").read_text())
    assert set(kept) == {"train", "val"}
    assert set(kept["train"]) == {"n5"}
    assert kept["val"] == {}
    run.record_left_out({"train": messages([5]), "val": messages([])})
    for changed in ({"train": messages([6])}, {"train": messages([])}, {"test": messages([])}):
        with pytest.raises(DepthsiError, match=r"bad_samples\.json"):
            run.record_left_out(changed)
    (tmp_path / "bad_samples.json").write_text("[")
    with pytest.raises(DepthsiError, match="cannot be read"):
        run.record_left_out({"train": messages([5])})


@pytest.mark.slow
def test_a_run_that_skips_trains_on_the_rest(tmp_path):
    depths = (np.full((6, 8), (1000 + i + 0.1) / 1000) for i in range(120))
    write_pairs(tmp_path, [("train", smooth_picture(6, 8), metres) for metres in depths])
    (tmp_path / "7.jpg").write_bytes(b"\xff\xd8\xff cut short")
    data = Folder(root=str(tmp_path), on_bad="skip")
    source = data.open("train")
    with pytest.warns(DepthsiWarning) as warned:
        assert len(source) == 119
    (error,) = (str(warning.message) for warning in warned)
    assert error.startswith("Split 'train': 1 of 120 samples cannot be used: ")
    assert "7.jpg is damaged" in error
    assert "\n" not in error
    depths = [float(source[i].depth[0, 0]) for i in (6, 7, 118)]
    np.testing.assert_allclose(depths, [1.006, 1.008, 1.119], rtol=1e-6)
    strict = dataclasses.replace(data, on_bad="strict").open("train")
    assert len(strict) == 120
    with pytest.raises(DepthsiError, match=r"row 9: .*7\.jpg is damaged"):
        strict.arrays()
