"""Splits of folders that have none: their sizes, whole scenes, and that nothing ever moves."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from pictures import counts, saved, smooth_picture, write_index
from test_cli import refusal
from test_folder_files import touch

from depthsi.cli import main
from depthsi.config import Folder
from depthsi.data.folder.index import IndexRow
from depthsi.data.folder.shares import Shares, group_of, share_out
from depthsi.data.folder.source import FolderSource
from depthsi.errors import DepthsiError

SPLITS = ("train", "val", "test")
HEADER = ("rgb", "depth", "split", "depth_units_per_metre", "scene")
PATTERN = "{name}.jpg -> {name}.png"


def row(rgb, scene="", line=2, split=""):
    return IndexRow(line, rgb, "d.png", split, 1000.0, scene)


def shared_out(rows, val=0.1, test=0.2):
    return {each.rgb: each.split for each in share_out(rows, Shares(val, test), Path("index.csv"))}


def test_shares_are_kept_and_names_do_not_decide():
    count = 40_000
    for names in ([f"{i:06d}.jpg" for i in range(count)], [f"IMG_{i}.JPG" for i in range(count)]):
        splits = list(shared_out([row(name) for name in names]).values())
        for split, share in (("test", 0.2), ("val", 0.1), ("train", 0.7)):
            spread = np.sqrt(count * share * (1 - share))
            assert abs(splits.count(split) - share * count) < 4 * spread
            odd = splits[1::2].count(split)
            assert abs(odd - share * count / 2) < 4 * spread


def test_what_is_added_moves_nothing():
    rng = np.random.default_rng(0)
    rows = [row(f"x/{i}.jpg", f"scene {i % 300}") for i in range(2000)]
    everything = shared_out(rows)
    for count in (1, 2, 300, 1999):
        some = [rows[i] for i in rng.permutation(2000)[:count]]
        if count > 1:
            assert shared_out(some).items() <= everything.items()
    by_name = shared_out([row(f"{i}.jpg") for i in range(500)])
    assert shared_out([row(f"{i}.jpg") for i in range(9)]).items() <= by_name.items()
    # A larger val takes from train alone, and what is composed counts as what is not.
    more = shared_out(rows, val=0.3)
    assert all(more[name] == split or split == "train" for name, split in everything.items())
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "Küche")
        assert Shares(0.3, 0.3).split_of(name) == Shares(0.3, 0.3).split_of("Küche")


def test_known_places():
    """By SHA-256 as any other program computes it: printf NAME | sha256sum | head -c 16."""
    for name, place in (("a", 0xCA978112CA1BBDCA), ("b", 0x3E23E8160039594A)):
        share = place / 2**64
        assert Shares(0.0, share * 1.001).split_of(name) == "test"
        assert Shares(0.0, share * 0.999).split_of(name) == "train"
        assert Shares(share - 0.0011, 0.001).split_of(name) == "train"
        assert Shares(share - 0.0009, 0.001).split_of(name) == "val"


@pytest.mark.parametrize(
    ("rgb", "scene", "line", "group"),
    [
        ("kitchen/rgb/1.jpg", "hall", 2, "hall"),
        ("kitchen/rgb/1.jpg", "", 2, "kitchen"),
        ("RGB/kitchen/left/1.jpg", "", 2, "kitchen"),
        ("house 1/kitchen/1.jpg", "", 2, "house 1/kitchen"),
        ("rgb/1.jpg", "", 2, "rgb/1.jpg"),
        ("1.jpg", "", 2, "1.jpg"),
        ("kitchen/1.jpg", "", 0, "kitchen/1.jpg"),
        ("kitchen/1.jpg", "kitchen", 0, "kitchen"),
    ],
)
def test_what_stays_together(rgb, scene, line, group):
    assert group_of(row(rgb, scene, line)) == group


@pytest.mark.parametrize("how", ["column", "directories", "pattern", "names"])
def test_splits_are_disjoint_and_complete(tmp_path, how):
    names = [f"s{i // 5}/rgb/{i}" if how != "names" else str(i) for i in range(200)]
    touch(tmp_path, *(f"{name}.jpg" for name in names), *(f"{name}.png" for name in names))
    pattern = "{scene}/rgb/{name}.jpg -> {scene}/rgb/{name}.png" if how == "pattern" else PATTERN
    if how in ("column", "directories"):
        pattern = ""
        rows = [(f"{n}.jpg", f"{n}.png", "", 1000, n.split("/")[0]) for n in names]
        width = 5 if how == "column" else 4
        write_index(tmp_path, [each[:width] for each in rows], HEADER[:width])
    data = Folder(
        root=str(tmp_path), pattern=pattern, units_per_metre=1000.0, val_share=0.2, test_share=0.2
    )
    found = {}
    for split in SPLITS:
        source = data.open(split)
        assert isinstance(source, FolderSource)
        found[split] = set(source.names)
    assert set.union(*found.values()) == {f"{name}.jpg" for name in names}
    assert sum(map(len, found.values())) == 200
    assert all(found.values())
    if how != "names":
        scenes = [{name.split("/")[0] for name in some} for some in found.values()]
        assert sum(map(len, scenes)) == 40


def test_splits_of_its_own_are_kept_and_one_scene_is_not_torn_apart(tmp_path):
    for rows in ([row("1.jpg", split="train"), row("2.jpg")], [row("1.jpg", split="test")]):
        with pytest.raises(DepthsiError, match=r"index\.csv already has splits \(t\w+\): leave"):
            shared_out(rows)
    with pytest.raises(DepthsiError, match="all pairs are of one scene, kitchen, which cannot be"):
        shared_out([row("kitchen/1.jpg"), row("kitchen/2.jpg")])
    touch(tmp_path, "train/rgb/1.jpg", "train/depth/1.png")
    with pytest.raises(DepthsiError, match=r"already has splits \(train\): leave out --data\.v"):
        Folder(root=str(tmp_path), units_per_metre=1000.0, val_share=0.1).open("train")


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.0), (0.0, -1.0), (0.5, 0.5), (1.0, 0.0)])
def test_shares_that_leave_nothing_are_refused(val, test, capsys):
    with pytest.raises(DepthsiError, match=rf"data\.val_share is {val:g} and data\.test_share"):
        Folder(root="x", val_share=val, test_share=test)
    said = refusal(capsys, "info", "x", "--val-share", val, "--test-share", test)
    assert f"--val-share is {val:g} and --test-share {test:g}; both must be at least 0" in said
    with pytest.raises(DepthsiError, match=r"data\.val_share is nan"):
        Folder(root="x", val_share=float("nan"))


def test_info_says_how_it_was_split(tmp_path, capsys):
    for i in range(12):
        saved(tmp_path / f"{i}.jpg", smooth_picture(12, 16))
        saved(tmp_path / f"{i}.png", counts(12, 16))
    words = ("info", str(tmp_path), "--pattern", PATTERN, "--units-per-metre", "1000")
    main([*words, "--val-share", "0.3", "--test-share", "0.25"])
    printed = capsys.readouterr().out
    assert "12 images are split by a hash of their names, so that adding images moves" in printed
    assert "val 0.3, test 0.25 of them\n" in printed
    expected = [Shares(0.3, 0.25).split_of(f"{i}.jpg") for i in range(12)]
    sizes = ", ".join(f"{expected.count(split)} {split}" for split in SPLITS)
    assert f"{tmp_path}: {sizes}\n" in printed


def test_a_split_that_is_not_there_says_what_to_do(tmp_path):
    touch(tmp_path, "1.jpg", "1.png", "2.jpg", "2.png")

    def opened(split, shares):
        return FolderSource(tmp_path, split, pattern=PATTERN, units_per_metre=1, shares=shares)

    with pytest.raises(DepthsiError, match=r"it has all \(2\); split them with --data\.val-s"):
        opened("train", Shares())
    with pytest.raises(DepthsiError, match=r"no split 'val'; .* raise --data\.val-share or .* 2 "):
        opened("val", Shares(1e-6, 0.0))
