"""Folders without an index, depth without a unit, links, and odd names."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from pictures import counts, saved, smooth_picture, write_index

from depthsi.data.folder.source import FolderSource
from depthsi.data.folder.units import guess_units
from depthsi.errors import DepthsiError, DepthsiWarning

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pair(root, picture, depth, seed=0):
    for path in (root / picture, root / depth):
        path.parent.mkdir(parents=True, exist_ok=True)
    saved(root / picture, smooth_picture(12, 16))
    if depth.endswith(".npy"):
        np.save(root / depth, counts(12, 16, seed).astype(np.float32) / 1024)
    else:
        saved(root / depth, counts(12, 16, seed))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png"])
def test_usual_names_need_no_pattern(tmp_path, suffix):
    for seed, name in enumerate(["b", "a 北", "c.1"]):
        split = "test" if name == "b" else "train"
        pair(tmp_path, f"{split}/rgb/{name}{suffix}", f"{split}/depth/{name}.npy", seed)
    (tmp_path / "train" / "rgb" / f"._b{suffix}").write_bytes(b"left by an archive")
    (tmp_path / "notes.txt").write_text("not a split")
    source = FolderSource(tmp_path, "train")
    assert source.names == (f"train/rgb/a 北{suffix}", f"train/rgb/c.1{suffix}")
    assert source.splits == {"test": 1, "train": 2}
    assert source.scenes == ("", "")
    for i, seed in enumerate([1, 2]):
        np.testing.assert_array_equal(source[i].depth, counts(12, 16, seed) / np.float32(1024))
    assert len(FolderSource(tmp_path, "all")) == 3
    with pytest.raises(DepthsiError, match=r"has no split 'val'; it has test \(1\), train \(2\)"):
        FolderSource(tmp_path, "val")


PATTERN = "{split}/{scene}/{name}_rgb.jpg -> depth/{scene}-{name}.npy"


def test_pattern_gives_split_scene_and_partner(tmp_path):
    for split, scene, name in [("train", "hall", "1"), ("train", "hall", "2"), ("val", "den", "1")]:
        pair(tmp_path, f"{split}/{scene}/{name}_rgb.jpg", f"depth/{scene}-{name}.npy", int(name))
    saved(tmp_path / "train" / "hall" / "1_mask.jpg", smooth_picture(4, 4))
    source = FolderSource(tmp_path, "train", pattern=PATTERN)
    assert source.names == ("train/hall/1_rgb.jpg", "train/hall/2_rgb.jpg")
    assert source.scenes == ("hall", "hall")
    np.testing.assert_array_equal(source[1].depth, counts(12, 16, 2) / np.float32(1024))
    copy = pickle.loads(pickle.dumps(source))
    assert copy[0].name == "train/hall/1_rgb.jpg"
    pair(tmp_path, "val/hall/9_rgb.jpg", "depth/hall-9.npy")
    with pytest.raises(
        DepthsiError,
        match=r"hall/9_rgb\.jpg: scene hall is in split val, but in split train in train/hall/1",
    ):
        FolderSource(tmp_path, "train", pattern=PATTERN)


def test_field_means_the_same_wherever_it_stands(tmp_path):
    pair(tmp_path, "hall/hall_1.jpg", "hall/1.npy")
    saved(tmp_path / "hall" / "den_2.jpg", smooth_picture(4, 4))
    source = FolderSource(tmp_path, "all", pattern="{scene}/{scene}_{name}.jpg->{scene}/{name}.npy")
    assert source.names == ("hall/hall_1.jpg",)
    assert source.splits == {"": 1}


def test_pattern_wins_over_an_index(tmp_path):
    pair(tmp_path, "a.jpg", "a.npy")
    (tmp_path / "index.csv").write_text("not used")
    assert len(FolderSource(tmp_path, "all", pattern="{name}.jpg -> {name}.npy")) == 1


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{split}/{name}.jpg", "does not have the form IMAGE -> DEPTH"),
        ("{name}.jpg -> ", "does not have the form"),
        ("{nam}.jpg -> {nam}.png", r"has the field \{nam\}, which is none of"),
        ("{}.jpg -> {name}.png", r"has the field \{\}, which"),
        ("{name}.jpg -> {scene}/{name}.png", r"must have \{name\} on both sides"),
        ("{scene}.jpg -> {scene}.png", r"must have \{name\} on both sides"),
        ("../{name}.jpg -> {name}.png", "leaves the folder"),
        ("{name}.jpg -> /tmp/{name}.png", "leaves the folder"),
        ("{name}.jpg -> {name}.jpg", r"must end in one of \.png, \.npy"),
        ("{name}.jpeg -> {name}.png", "has no image that matches the pattern"),
    ],
)
def test_pattern_that_cannot_be_used(tmp_path, pattern, words):
    pair(tmp_path, "a.jpg", "a.png")
    with pytest.raises(DepthsiError, match=words):
        FolderSource(tmp_path, "all", pattern=pattern, units_per_metre=1000)


def test_picture_without_depth_and_ambiguous_names_are_refused(tmp_path):
    pair(tmp_path, "train/rgb/a.jpg", "train/depth/a.npy")
    saved(tmp_path / "train" / "rgb" / "b.jpg", smooth_picture(12, 16))
    with pytest.raises(DepthsiError, match=r"rgb/b\.jpg has no depth train/depth/b\.npy; add"):
        FolderSource(tmp_path, "train")
    pair(tmp_path, "train/rgb/b.jpg", "train/depth/b.png")
    with pytest.raises(DepthsiError, match=r"has pairs named .*\.png and .*\.npy; choose"):
        FolderSource(tmp_path, "train")
    with pytest.raises(DepthsiError, match=r"index\.csv does not exist; write it with the columns"):
        FolderSource(tmp_path / "train", "train")


def scene(kind, height=12, width=16):
    """Depth counts as each kind of data has them, from literal distances in metres."""
    rng = np.random.default_rng(0)
    share, low, high, units = {
        "kinect": (0.8, 0.8, 5.5, 1000),
        "kitti": (0.2, 4, 70, 256),
        "tum": (0.7, 0.9, 4.5, 5000),
        "outdoor": (1.0, 1, 600, 100),
        "near": (1.0, 0.05, 0.2, 1000),
        "filled street": (1.0, 2, 60, 256),
        "nothing": (0.0, 1, 2, 1000),
    }[kind]
    metres = np.exp(rng.uniform(np.log(low), np.log(high), (height, width)))
    valid = rng.random((height, width)) < share
    return np.where(valid, metres * units, 0).astype(np.uint16)


def index(root, names, units: object = ""):
    write_index(
        root, [(f"{name}.jpg", f"{name}.png", split, units) for name, split in names.items()]
    )


@pytest.mark.parametrize(
    ("kind", "units"), [("kinect", 1000), ("kitti", 256), ("tum", 5000), ("outdoor", 100)]
)
def test_missing_unit_is_guessed_and_said(tmp_path, kind, units):
    pair(tmp_path, "a.jpg", "a.png")
    depth = scene(kind)
    saved(tmp_path / "a.png", depth)
    index(tmp_path, {"a": "train"})
    with pytest.warns(DepthsiWarning) as caught:
        source = FolderSource(tmp_path, "train")
    (warning,) = caught
    words = str(warning.message)
    median = sorted(depth[depth > 0].tolist())
    median = (median[(len(median) - 1) // 2] + median[len(median) // 2]) / 2 / units
    assert f"{tmp_path / 'a.png'} and similar files is not given; assuming {units} per" in words
    assert f"median depth {median:.2f} m" in words
    assert source.assumed_units == units
    np.testing.assert_array_equal(source[0].depth, (depth / units).astype(np.float32))


@pytest.mark.parametrize("kind", ["near", "filled street", "nothing"])
def test_unit_that_is_not_clear_is_refused_unless_given(tmp_path, kind):
    pair(tmp_path, "a.jpg", "a.png")
    saved(tmp_path / "a.png", scene(kind))
    index(tmp_path, {"a": "train"})
    with pytest.raises(DepthsiError, match="suggests no common unit per metre; give the units"):
        FolderSource(tmp_path, "train")
    assert FolderSource(tmp_path, "train", units_per_metre=500).assumed_units == 500
    index(tmp_path, {"a": "train"}, units=1000)
    assert FolderSource(tmp_path, "train").assumed_units is None
    for units in (-1, 0, 1e-9, float("nan")):
        with pytest.raises(
            DepthsiError, match=r"--data\.units-per-metre is .*; it must be positive"
        ):
            FolderSource(tmp_path, "train", units_per_metre=units)


def test_units_that_fit_twice_are_refused(tmp_path):
    depth = np.full((12, 16), 6000, np.uint16)  # 1.2 m of TUM, or 60 m in centimetres
    depth[:6] = 30_000
    depth[6, 0] = 6000
    saved(tmp_path / "a.png", np.where(np.arange(16) < 9, np.uint16(6000), depth))
    with pytest.raises(DepthsiError, match="suggests 5000 or 100 per metre"):
        guess_units([[tmp_path / "a.png"]])


def test_splits_that_suggest_different_units_are_refused(tmp_path):
    for name, kind in (("a", "kinect"), ("b", "kitti")):
        pair(tmp_path, f"{name}.jpg", f"{name}.png")
        saved(tmp_path / f"{name}.png", scene(kind))
    index(tmp_path, {"a": "train", "b": "test"})
    with pytest.raises(
        DepthsiError, match=r"1000 per metre.*256 per metre.*These contradict each other"
    ):
        FolderSource(tmp_path, "train")


def test_floats_need_no_unit_and_damaged_files_do_not_stop_the_guess(tmp_path):
    pair(tmp_path, "a.jpg", "a.npy")
    assert guess_units([[tmp_path / "a.npy"]]) is None
    saved(tmp_path / "a.png", scene("kinect"))
    (tmp_path / "b.png").write_bytes(b"damaged")
    guess = guess_units([[tmp_path / "b.png", tmp_path / "a.png", tmp_path / "a.npy"], []])
    assert guess is not None
    assert guess.units_per_metre == 1000
    assert guess_units([[tmp_path / "b.png"]]) is None


@pytest.mark.parametrize(("name", "units"), [("nyu_labelled", 1000), ("kitti_samples", 256)])
def test_units_of_real_data_are_guessed(name, units):
    if not (SHARED / name / "depth").is_dir():
        pytest.skip(f"{SHARED / name} is not here; it may not be distributed with the project")
    guess = guess_units([sorted((SHARED / name / "depth").iterdir())])
    assert guess is not None
    assert guess.units_per_metre == units


def test_links_are_followed_wherever_they_lead(tmp_path):
    disk, root = tmp_path / "disk", tmp_path / "data"
    pair(disk, "rgb/a.jpg", "maps/a.npy")
    pair(disk, "blob1.jpg", "blob2.npy", seed=3)
    root.mkdir()
    (root / "rgb").symlink_to(disk / "rgb")
    (root / "depth").symlink_to(disk / "maps")
    (root / "b.jpg").symlink_to(disk / "blob1.jpg")
    (root / "b.npy").symlink_to("../disk/blob2.npy")
    lines = ["rgb,depth,split,depth_units_per_metre", "rgb/a.jpg,depth/a.npy,train,"]
    (root / "index.csv").write_text("\n".join([*lines, "b.jpg,b.npy,train,"]) + "\n")
    source = FolderSource(root, "train")
    np.testing.assert_array_equal(source[1].depth, counts(12, 16, 3) / np.float32(1024))
    assert source[0].name == "rgb/a.jpg"
    (disk / "blob2.npy").unlink()
    with pytest.raises(DepthsiError, match=r"row 3: .*b\.npy is a broken link"):
        FolderSource(root, "train")
    (root / "b.npy").unlink()
    (root / "b.npy").symlink_to("b.npy")  # a circle
    with pytest.raises(DepthsiError, match=r"row 3: .*b\.npy is a broken link"):
        FolderSource(root, "train")


def test_circular_directories_end(tmp_path):
    pair(tmp_path, "train/rgb/a.jpg", "train/depth/a.npy")
    (tmp_path / "train" / "rgb" / "up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    assert FolderSource(tmp_path, "train").names == ("train/rgb/a.jpg",)


BAD_PAIRS = {
    "truncated JPEG": ("rgb", lambda data: data[: len(data) // 2], r"a\.jpg is damaged or cut"),
    "truncated PNG": ("depth", lambda data: data[:-9], r"a\.png is damaged or cut short"),
    "text": ("rgb", lambda data: b"<html>", r"a\.jpg is neither JPEG nor PNG"),
    "empty": ("depth", lambda data: b"", r"a\.png is not a PNG file"),
}


@pytest.mark.parametrize("case", list(BAD_PAIRS))
def test_bad_bytes_are_one_sentence_with_row_and_file(tmp_path, case):
    which, change, words = BAD_PAIRS[case]
    pair(tmp_path, "a.jpg", "a.png")
    file = tmp_path / ("a.jpg" if which == "rgb" else "a.png")
    file.write_bytes(change(file.read_bytes()))
    index(tmp_path, {"a": "train"}, units=1000)
    with pytest.raises(DepthsiError, match=rf"index\.csv, row 2: .*{words}") as caught:
        FolderSource(tmp_path, "train")[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        (np.zeros((12, 16), np.float32), "no pixel has a valid depth"),
        (np.full((12, 16), np.nan, np.float32), "no pixel has a valid depth"),
        (np.full((12, 16), -2.0, np.float32), "no pixel has a valid depth"),
        (np.full((12, 16), 2500.0, np.float32), "most depths are over 1000 m"),
        (np.full((12, 16), 2.5e-4, np.float32), "most depths are under 1 mm"),
        (np.ones((12, 15), np.float32), "the image is 12x16 pixels but its depth 12x15"),
        (np.ones((12, 16), np.uint8), r"a\.npy holds \|u1 of shape \(12, 16\)"),
        (np.ones((12, 16, 3), np.float32), r"a\.npy holds <f4 of shape \(12, 16, 3\)"),
    ],
)
def test_bad_depth_is_one_sentence(tmp_path, depth, words):
    pair(tmp_path, "train/rgb/a.jpg", "train/depth/a.npy")
    np.save(tmp_path / "train" / "depth" / "a.npy", depth)
    with pytest.raises(DepthsiError, match=words) as caught:
        FolderSource(tmp_path, "train")[0]
    assert str(tmp_path) in str(caught.value)
