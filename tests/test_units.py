"""Guessing what integers of depth count: how far they reach, and the coding of SUN RGB-D."""

import numpy as np
import pytest
from pictures import saved, smooth_picture, write_index
from test_cli import refusal

from depthsi.cli import main
from depthsi.config import Folder
from depthsi.data.folder.source import FolderSource
from depthsi.data.folder.units import guess_units
from depthsi.data.formats.decoding import read_depth
from depthsi.errors import DepthsiError, DepthsiWarning


def rotated(millimetres):
    """The coding of SUN RGB-D by arithmetic on Python's integers."""
    flat = [(8 * int(mm) % 65536) + int(mm) // 8192 for mm in millimetres.ravel()]
    return np.array(flat, np.uint16).reshape(millimetres.shape)


def room(low=1500, high=4000, seed=0):
    """Millimetres, a tenth of them missing."""
    rng = np.random.default_rng(seed)
    millimetres = rng.integers(low, high, (30, 40)).astype(np.uint16)
    return np.where(rng.random((30, 40)) < 0.1, np.uint16(0), millimetres)


def folder(root, stored, units: object = ""):
    saved(root / "a.jpg", smooth_picture(*stored.shape))
    saved(root / "a.png", stored)
    return write_index(root, [("a.jpg", "a.png", "train", units)])


def test_the_coding_turns_every_number_back(tmp_path):
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    saved(tmp_path / "d.png", rotated(every))
    # 65535 alone is known as a mark of missing depth in any coding, and 0 is missing.
    expected = (every / np.float64(1000)).astype(np.float32)
    np.testing.assert_array_equal(read_depth(tmp_path / "d.png", 1000, sun_rgbd=True), expected)


@pytest.mark.parametrize("far", [4000, 8191, 9500])
def test_sun_rgbd_is_recognised_and_read(tmp_path, far):
    millimetres = room()
    millimetres[:2] = far
    folder(tmp_path, rotated(millimetres))
    with pytest.warns(DepthsiWarning) as caught:
        source = FolderSource(tmp_path, "train")
    median = np.median(millimetres[millimetres > 0]) / 1000
    (said,) = (str(each.message) for each in caught)
    assert "assuming 1000 per metre (millimetres with their bits rotated, as SUN RGB-D" in said
    assert f"median depth {median:.2f} m." in said
    expected = (millimetres / np.float64(1000)).astype(np.float32)
    np.testing.assert_array_equal(source[0].depth, expected)
    np.testing.assert_array_equal(source.of_split("train")[0].depth, expected)


def test_the_coding_can_be_given(tmp_path, capsys):
    millimetres = room()
    expected = (millimetres / np.float64(1000)).astype(np.float32)
    folder(tmp_path, rotated(millimetres))
    source = Folder(root=str(tmp_path), depth_coding="sunrgbd").open("train")
    np.testing.assert_array_equal(source[0].depth, expected)
    source = Folder(root=str(tmp_path), depth_coding="sunrgbd", units_per_metre=500.0).open("train")
    np.testing.assert_array_equal(source[0].depth, (millimetres / np.float64(500)).astype("f4"))
    main(["info", str(tmp_path), "--depth-coding", "sunrgbd"])
    captured = capsys.readouterr()
    assert captured.err == ""
    assert f"{expected.max():8.3f}" in captured.out
    # A unit that is given is that of plain numbers, unless the coding is given as well.
    stored = rotated(millimetres)
    source = Folder(root=str(tmp_path), units_per_metre=5000.0).open("train")
    np.testing.assert_array_equal(source[0].depth, (stored / np.float64(5000)).astype("f4"))
    folder(tmp_path, stored, units=1000)
    source = Folder(root=str(tmp_path)).open("train")
    np.testing.assert_array_equal(source[0].depth, (stored / np.float64(1000)).astype("f4"))
    source = Folder(root=str(tmp_path), depth_coding="sunrgbd").open("train")
    np.testing.assert_array_equal(source[0].depth, expected)


def test_rows_with_a_unit_are_plain_beside_those_of_the_guess(tmp_path):
    millimetres = room()
    folder(tmp_path, rotated(millimetres))
    saved(tmp_path / "b.jpg", smooth_picture(30, 40))
    saved(tmp_path / "b.png", millimetres)
    rows = [("a.jpg", "a.png", "train", ""), ("b.jpg", "b.png", "train", 1000)]
    with pytest.warns(DepthsiWarning, match="SUN RGB-D"):
        source = FolderSource(write_index(tmp_path, rows), "train")
    for sample in iter(source):
        np.testing.assert_array_equal(sample.depth, (millimetres / np.float64(1000)).astype("f4"))


def test_plain_coding_is_not_guessed_otherwise(tmp_path):
    stored = rotated(room())
    folder(tmp_path, stored)
    with pytest.warns(DepthsiWarning, match="assuming 5000 per metre"):
        source = Folder(root=str(tmp_path), depth_coding="plain").open("train")
    np.testing.assert_array_equal(source[0].depth, (stored / np.float64(5000)).astype("f4"))


def test_what_may_be_both_names_both_medians_and_is_refused(tmp_path, capsys):
    millimetres = room() // 8 * 8  # measured in steps of 8 mm, so that the low bits say little
    millimetres = np.where(millimetres > 0, millimetres * 2, 0).astype(np.uint16)
    folder(tmp_path, millimetres * np.uint16(4))
    median = np.median(millimetres[millimetres > 0])
    words = (
        r"suggests 5000 or SUN RGB-D's 1000 per metre, that is a median depth of"
        rf" {median * 4 / 5000:.2f} m or {median / 2000:.2f} m; give the units per metre, in the"
    )
    with pytest.raises(DepthsiError, match=words):
        Folder(root=str(tmp_path)).open("train")
    assert "--units-per-metre" in refusal(capsys, "info", tmp_path)
    assert len(Folder(root=str(tmp_path), units_per_metre=5000.0).open("train")) == 1
    assert len(Folder(root=str(tmp_path), depth_coding="sunrgbd").open("train")) == 1


@pytest.mark.parametrize("kind", ["random", "tum", "few numbers"])
def test_low_bits_by_chance_are_not_the_coding(tmp_path, kind):
    stored = {
        "random": room(1500, 4000) * np.uint16(5),
        "tum": np.where(np.arange(1200).reshape(30, 40) % 5, rotated(room()) | 2, rotated(room())),
        "few numbers": rotated(np.repeat(np.arange(2000, 2007), 200).reshape(28, 50)),
    }[kind].astype(np.uint16)
    saved(tmp_path / "a.png", stored)
    guess = guess_units([[tmp_path / "a.png"]])
    assert guess is not None
    assert (guess.units_per_metre, guess.coding) == (5000, "plain")


def test_coding_of_other_numbers_is_refused(tmp_path):
    from PIL import Image

    Image.fromarray(np.full((30, 40), 70_000, np.int32)).save(tmp_path / "a.tif")
    saved(tmp_path / "a.jpg", smooth_picture(30, 40))
    write_index(tmp_path, [("a.jpg", "a.tif", "train", "")])
    with pytest.raises(DepthsiError, match=r"a\.tif holds int32, but the coding of SUN RGB-D is"):
        Folder(root=str(tmp_path), depth_coding="sunrgbd").open("train")[0]
    np.save(tmp_path / "a.npy", np.full((30, 40), 2.5, np.float32))
    write_index(tmp_path, [("a.jpg", "a.npy", "train", "")])
    source = Folder(root=str(tmp_path), depth_coding="sunrgbd").open("train")
    assert source[0].depth.max() == 2.5


@pytest.mark.parametrize(
    ("nearer", "farther", "fits"),
    [(0.984, 0.005, True), (0.992, 0.0, False), (0.984, 0.012, False)],
)
def test_far_is_the_99th_percentile(tmp_path, nearer, farther, fits):
    """A street of 10 m, with some pixels of 20 m and some of 200 m, which is too far."""
    count = 4000
    depth = np.full(count, 20.0)
    depth[: round(nearer * count)] = 10
    depth[count - round(farther * count) :] = 200
    stored = np.zeros(4 * count, np.uint16)
    stored[:count] = depth * 256 + 1
    saved(tmp_path / "a.png", stored.reshape(100, 160))
    if fits:
        guess = guess_units([[tmp_path / "a.png"]])
        assert guess is not None
        assert guess.units_per_metre == 256
    else:
        with pytest.raises(DepthsiError, match="suggests no common unit per metre"):
            guess_units([[tmp_path / "a.png"]])
