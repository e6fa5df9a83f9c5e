"""Reading prepared data back: sizes, threads, processes, and every way to spoil the directory."""

import hashlib
import io
import json
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from prepared_pictures import data_set, record

from depthsi.config import Prepared
from depthsi.data.fitting import fit_to
from depthsi.data.prepared import shards
from depthsi.data.prepared.prepare import prepare
from depthsi.data.prepared.records import decode_png
from depthsi.data.prepared.source import PreparedSource
from depthsi.data.samples import Source
from depthsi.errors import DepthsiError

COUNTS = {"train": 7, "test": 3}
NAMES = ("depth", "depth_raw")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "FRAMES", 3)
        prepare(data_set(COUNTS, names=NAMES), root, report=list)
    return root / "toys" / "1.0.0"


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made, tmp_path / "copy")


def test_it_is_a_source(made):
    source = PreparedSource(made, "test")
    assert isinstance(source, Source)
    assert [sample.name for sample in source] == list(source.names)
    assert source[0].name == "Küche 7, left"
    for index in (-1, 3):
        with pytest.raises(IndexError):
            source[index]


def test_directories_above_are_enough_if_there_is_no_choice(made, tmp_path):
    for directory in (made, made.parent, made.parent.parent, str(made)):
        assert PreparedSource(directory, "train").directory == made
    root = shutil.copytree(made.parent.parent, tmp_path / "two")
    shutil.copytree(root / "toys", root / "more toys")
    with pytest.raises(
        DepthsiError,
        match=r"several prepared data sets; choose one: .*more toys/1\.0\.0, .*/toys/1",
    ):
        PreparedSource(root, "train")
    (root / "more toys").rename(root / "more.partial")  # unfinished work beside it
    assert PreparedSource(root, "train").directory == root / "toys" / "1.0.0"


def test_depth_maps_by_name(made):
    for name in NAMES:
        source = PreparedSource(made, "train", depth=name)
        for number, sample in enumerate(iter(source)):
            expected = record(number, names=NAMES).depth[name]
            np.testing.assert_array_equal(sample.depth, expected)
    with pytest.raises(DepthsiError, match=r"no depth map 'depths'; it has depth, depth_raw\."):
        PreparedSource(made, "train", depth="depths")


def test_brought_to_size(made):
    source = PreparedSource(made, "train", size=(3, 5))
    images, depths = source.arrays()
    assert images.shape == (7, 3, 5, 3)
    for number, sample in enumerate(iter(source)):
        expected = record(number, names=NAMES)
        image, depth = fit_to(expected.image, expected.depth["depth"], (3, 5))
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.depth, depth)
        np.testing.assert_array_equal(images[number], image)
        np.testing.assert_array_equal(depths[number], depth)


def test_arrays_report_progress(made):
    steps = []
    images, depths = PreparedSource(made, "train").arrays(steps.append)
    assert sum(steps) == 7
    assert (images.dtype, depths.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(images[6], record(6).image)


def test_samples_of_different_size_ask_for_one(tmp_path):
    toys = data_set({"train": 2}, size=None)
    frames = [
        type(frame)(frame.key, "train", "", lambda size=size: record(0, size))
        for frame, size in zip(toys.frames, ((6, 8), (5, 9)), strict=True)
    ]
    toys = type(toys)("toys", "", "", None, ("depth",), None, tuple(frames))
    source = PreparedSource(prepare(toys, tmp_path, report=list), "train")
    assert [sample.depth.shape for sample in source] == [(6, 8), (5, 9)]
    with pytest.raises(DepthsiError, match=r"Küche 1, left has 5x9 pixels, but Küche 0, left 6x8"):
        source.arrays()
    assert PreparedSource(source.directory, "train", size=(4, 4)).arrays()[0].shape[:3] == (2, 4, 4)


def test_many_threads_read_the_same_samples(made):
    source = PreparedSource(made, "train")
    order = np.random.default_rng(0).integers(0, 7, 300)
    with ThreadPoolExecutor(16) as pool:
        for number, sample in zip(order, pool.map(source.__getitem__, order.tolist()), strict=True):
            np.testing.assert_array_equal(sample.image, record(number, names=NAMES).image)


def test_source_can_be_sent_to_worker_processes(made):
    source = PreparedSource(made, "train", size=(3, 4), depth="depth_raw")
    source[0]
    again = pickle.loads(pickle.dumps(source))
    assert again.names == source.names
    np.testing.assert_array_equal(again[5].depth, source[5].depth)


def test_prepared_settings_open_it(made):
    source = Prepared(root=str(made)).open("test", (4, 4))
    assert isinstance(source, PreparedSource)
    assert source[0].depth.shape == (4, 4)
    raw = Prepared(root=str(made), depth="depth_raw").open("test")
    assert isinstance(raw, PreparedSource)
    assert raw.depth == "depth_raw"


def test_not_prepared_or_another_split(made, tmp_path):
    for place in (tmp_path, tmp_path / "nowhere", "with\0null", made / "index.csv"):
        with pytest.raises(DepthsiError, match=r"has no prepared data: there is no preparation"):
            PreparedSource(place, "train")
    for split in ("val", "", "all", "train[:2]"):
        with pytest.raises(DepthsiError, match=r"no split '.*'; it has train \(7\), test \(3\)\."):
            PreparedSource(made, split)


def flip(path, share):
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 0x10
    path.write_bytes(data)


@pytest.mark.slow
def test_damaged_shard_is_named(copy):
    shard = copy / "toys-train.array_record-00001-of-00003"
    whole = shard.read_bytes()
    source = PreparedSource(copy, "train")
    assert len(source) == 7
    for spoilt in (b"", b"x" * len(whole), whole[:1000], whole[: len(whole) // 2]):
        shard.write_bytes(spoilt)
        source = PreparedSource(copy, "train")
        source[0]
        with pytest.raises(DepthsiError, match=r"00001-of-00003: Küche 2, left cannot be read"):
            source[2]
    found = 0
    for place in range(0, len(whole), 997):
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        source = PreparedSource(copy, "train")
        for number in (2, 3):
            try:
                sample = source[number]
            except DepthsiError as error:
                assert "00001-of-00003" in str(error)  # noqa: PT017
                found += 1
            else:
                expected = record(number, names=NAMES)
                np.testing.assert_array_equal(sample.image, expected.image)
                np.testing.assert_array_equal(sample.depth, expected.depth["depth"])
    assert found
    shard.unlink()
    with pytest.raises(DepthsiError, match=r"00001-of-00003 does not exist"):
        PreparedSource(copy, "train")
    assert len(PreparedSource(copy, "test")) == 3


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("preparation.json", "{", r"preparation\.json cannot be used"),
        ("preparation.json", "[]", r"preparation\.json cannot be used"),
        ("preparation.json", "3", r"preparation\.json cannot be used"),
        ("preparation.json", "{}", r"preparation\.json cannot be used"),
        ("preparation.json", '{"sha256": ""}', r"preparation\.json .* \(its checksum is wrong\)"),
        ("index.csv", "", r"index\.csv cannot be used \(its checksum is wrong\)"),
        ("dataset_info.json", "{", r"dataset_info\.json: .* cannot be read"),
        ("features.json", "{", r"the description of the data cannot be read"),
    ],
)
def test_damaged_descriptions_are_named(copy, file, text, message):
    (copy / file).write_text(text)
    with pytest.raises(DepthsiError, match=message):
        PreparedSource(copy, "train")


def test_missing_descriptions_are_named(copy):
    for file in ("index.csv", "dataset_info.json", "features.json"):
        text = (copy / file).read_bytes()
        (copy / file).unlink()
        with pytest.raises(DepthsiError, match=r"cannot be (read|used)"):
            PreparedSource(copy, "train")
        (copy / file).write_bytes(text)


def test_changed_units_or_names_do_not_pass(copy):
    for file, old, new in (
        ("preparation.json", '"units_per_metre": null', '"units_per_metre": 1000.0'),
        ("preparation.json", '"depth_raw"', '"depth"'),
        ("index.csv", "scene 0", "scene 1"),
        ("index.csv", ",test,", ",train,"),
    ):
        text = (copy / file).read_text(encoding="utf-8")
        assert old in text
        (copy / file).write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(DepthsiError, match=r"cannot be used \(its checksum is wrong\); it is"):
            PreparedSource(copy, "train")
        (copy / file).write_text(text, encoding="utf-8")
    assert len(PreparedSource(copy, "train")) == 7


def test_other_number_of_records_than_the_index_says(copy):
    file = copy / "dataset_info.json"
    lengths = json.loads(file.read_text(encoding="utf-8"))
    lengths["splits"][0]["shardLengths"][-1] = "2"
    file.write_text(json.dumps(lengths), encoding="utf-8")
    with pytest.raises(DepthsiError, match=r"index\.csv lists 7 samples of split train, but .* 6"):
        PreparedSource(copy, "train")


def rewritten(file, change):
    """The JSON of `file`, changed in place."""
    values = json.loads(file.read_text(encoding="utf-8"))
    change(values)
    file.write_text(json.dumps(values), encoding="utf-8")


def name_class(key, *place):
    def change(values):
        for part in place:
            values = values.setdefault(part, {})
        values[key] = "strangers_module.Foo"

    return change


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("features.json", name_class("pythonClassName")),
        ("features.json", name_class("type")),
        ("features.json", name_class("python_class_name", "more")),
        ("features.json", name_class("pythonClassName", "featuresDict", "features", "image")),
        ("dataset_info.json", name_class("pythonClassName", "features")),
        ("dataset_info.json", name_class("python_class_name", "features", "featuresDict")),
    ],
)
def test_nothing_that_a_description_names_is_imported(copy, monkeypatch, file, change):
    (copy / "strangers_module.py").write_text("open('imported', 'w')")
    monkeypatch.syspath_prepend(copy)
    monkeypatch.chdir(copy)
    rewritten(copy / file, change)
    with pytest.raises(DepthsiError, match=rf"{file} names the class 'strangers_module\.Foo', whi"):
        PreparedSource(copy, "train")
    assert not (copy / "imported").exists()
    assert "strangers_module" not in sys.modules


def sign(directory, change):
    """Changes the summary as a stranger would, with a new checksum."""

    def signed(values):
        change(values)
        values["index_sha256"] = hashlib.sha256((directory / "index.csv").read_bytes()).hexdigest()
        del values["sha256"]
        values["sha256"] = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    rewritten(directory / "preparation.json", signed)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", "../toys", r"the name '\.\./toys'"),
        ("name", 3, "the name 3"),
        ("depth_names", [], r"the depth maps \[\]"),
        ("depth_names", [3], r"the depth maps \[3\]"),
        ("depth_names", None, "the depth maps None"),
        ("size", [0, 8], r"the size \[0, 8\]"),
        ("size", [6], r"the size \[6\]"),
        ("size", 6, "has no len"),
        ("units_per_metre", 0, "0 units per metre"),
        ("units_per_metre", "many", "could not convert"),
    ],
)
def test_a_summary_signed_anew_is_checked_all_the_same(copy, key, value, words):
    sign(copy, lambda values: values.update({key: value}))
    with pytest.raises(DepthsiError, match=rf"preparation\.json cannot be used \(.*{words}"):
        PreparedSource(copy, "train")


def test_an_index_signed_anew_is_checked_all_the_same(copy):
    for text in ("name,split\na,train\n", "name,split,scene\na,train\n", 'name,split\n"'):
        (copy / "index.csv").write_text(text)
        sign(copy, lambda values: None)
        with pytest.raises(DepthsiError, match=r"index\.csv cannot be used \(not every row has"):
            PreparedSource(copy, "train")


@pytest.mark.parametrize(
    "lengths", [["-1", "8"], ["x"], [[]], None, ["1000000000000000"], ["7", "1000000000000000"]]
)
def test_impossible_numbers_of_records_are_refused(copy, lengths):
    def change(values):
        values["splits"][0]["shardLengths"] = lengths

    rewritten(copy / "dataset_info.json", change)
    with pytest.raises(DepthsiError, match=r"cannot be read|the records are 10+7?; prepare"):
        PreparedSource(copy, "train")


def test_an_image_is_read_as_png_and_nothing_else():
    buffer = io.BytesIO()
    for kind in ("EPS", "TIFF", "JPEG"):
        Image.new("RGB", (4, 4)).save(buffer, kind)
        with pytest.raises(SyntaxError, match="not a PNG file"):
            decode_png("a", buffer.getvalue())
        buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, "PNG")
    with pytest.raises(ValueError, match="an image of Pillow's mode L"):
        decode_png("a", buffer.getvalue())


@pytest.mark.slow
def test_the_working_directory_holds_no_modules(made, copy):
    (copy / "depthsi").mkdir()
    for name in ("cv2", "tensorflow", "numpy"):
        (copy / f"{name}.py").write_text(f"open('{name} was imported', 'w')")
    found = subprocess.run(
        [sys.executable, "-m", "depthsi", "info", "."], cwd=copy, capture_output=True, check=False
    )
    assert not list(copy.glob("*was imported"))
    assert (found.returncode, found.stderr.decode()[:9]) == (0, ""), found.stderr.decode()[-800:]
    assert b".: 7 train, 3 test" in found.stdout


def test_messages_stay_short_however_many_names_a_stranger_invents(copy):
    rows = [f"{i},split{i},s{i}" for i in range(500)]
    (copy / "index.csv").write_text("\n".join(["name,split,scene", *rows]) + "\n")
    sign(copy, lambda values: values.update(depth_names=[f"d{i}" for i in range(500)]))
    with pytest.raises(DepthsiError, match=r"no split 'val'; .*split9 \(1\) and 490 more\.$"):
        PreparedSource(copy, "val")
    with pytest.raises(DepthsiError, match=r"no depth map 'depth'; .*d8, d9 and 490 more\.$"):
        PreparedSource(copy, "split3", depth="depth")
