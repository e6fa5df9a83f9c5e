"""Colours pixel by pixel, and the written images as far as a program can look at them."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from depthsi.errors import DepthsiError
from depthsi.viz import grid
from depthsi.viz.data_sheet import save_histogram
from depthsi.viz.depth_maps import (
    GREY,
    colour_depth,
    colour_error,
    depth_limits,
    error_limit,
    save_contact_sheet,
    save_panel,
)

TURBO, RDBU = (
    np.array([colormaps[name](i, bytes=True)[:3] for i in range(256)], int)
    for name in ("turbo_r", "RdBu")
)
GREEN = np.full((24, 32, 3), (10, 200, 30), np.uint8)
MISSING = (0.0, -1.0, np.nan, np.inf, -np.inf)


def halves(left, right, shape=(12, 16)):
    depth = np.full(shape, left, np.float32)
    depth[:, shape[1] // 2 :] = right
    return depth


def step_of(colour):
    """Which of the 256 colours of the map it is."""
    (index,) = np.flatnonzero((colour == TURBO).all(axis=1))
    return index


def area(picture, colour):
    return int((np.asarray(picture) == np.asarray(colour)).all(axis=-1).sum())


def opened(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


class Drawn:
    """The lines of text, with their places and anchors, and the frames of one picture, inches."""

    def __init__(self):
        self.texts, self.frames = [], []

    @property
    def headings(self):
        return [text for text, _, anchor in self.texts if anchor == "ms"]

    @property
    def bars(self):
        """For each colour bar, its labels with their heights, and its height."""
        return [
            (
                {
                    label: 1 - (top - frame.top) / frame.height
                    for label, (left, top), _ in self.texts
                    if 0 < left - frame.left - frame.width < 0.2
                    and -0.01 < top - frame.top < frame.height + 0.01
                },
                frame.height,
            )
            for frame in self.frames
        ]


@pytest.fixture
def drawn(monkeypatch):
    found = Drawn()
    text, frame = grid.Canvas.text, grid.Canvas.frame
    monkeypatch.setattr(
        grid.Canvas,
        "text",
        lambda self, line, at, points, anchor: (
            found.texts.append((line, at, anchor)) or text(self, line, at, points, anchor)
        ),
    )
    monkeypatch.setattr(
        grid.Canvas,
        "frame",
        lambda self, place: found.frames.append(place) or frame(self, place),
    )
    return found


def test_colour_runs_with_log_depth_from_red_to_blue():
    colours = colour_depth(np.array([[1.0, 2.0, 4.0, 8.0]]), limits=(1, 8))
    assert colours.dtype == np.uint8
    assert colours.shape == (1, 4, 3)
    # 255 colours in three equal steps of ln 2; linear depth would give 0, 36, 109, 255.
    assert [step_of(colour) for colour in colours[0]] == [0, 85, 170, 255]
    steps = [step_of(c) for c in colour_depth(np.geomspace(0.7, 10, 500)[None])[0]]
    assert np.all(np.diff(steps) >= 0)
    assert len(set(steps)) == 256
    red, blue = colour_depth(np.array([[1.3, 6.3]]), limits=(1, 8))[0]
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_depth_beyond_the_limits_has_the_last_colour():
    near, far = colour_depth(np.array([[0.01, 99.0]]), limits=(1, 8))[0]
    assert (step_of(near), step_of(far)) == (0, 255)


@pytest.mark.parametrize("hole", MISSING)
def test_missing_depth_is_grey_and_has_no_say_in_the_scale(hole):
    depth = np.geomspace(1, 8, 60).reshape(6, 10)
    clean = colour_depth(depth)
    depth[2, 3:5] = hole
    colours = colour_depth(depth, limits=depth_limits(np.geomspace(1, 8, 60).reshape(6, 10)))
    np.testing.assert_array_equal(colours[2, 3:5], [GREY, GREY])
    colours[2, 3:5] = clean[2, 3:5]
    np.testing.assert_array_equal(colours, clean)
    known = np.delete(depth.ravel(), (23, 24))
    assert depth_limits(depth) == depth_limits(known[None])


def test_grey_is_far_from_every_colour():
    for colours in (TURBO, RDBU):
        assert np.abs(colours - GREY).max(axis=1).min() > 40


def test_another_colour_map():
    black, white = colour_depth(np.array([[1.0, 8.0]]), limits=(1, 8), cmap="gray")[0]
    assert (black == 0).all()
    assert (white == 255).all()


def test_limits_are_percentiles_of_each_map():
    # 1, 2, ..., 101: the 1st and 99th percentiles are 2 and 100.
    ramp = np.arange(1.0, 102.0)[None]
    assert depth_limits(ramp) == (2, 100)
    # However small, a map is not lost among the pixels of another.
    assert depth_limits(ramp, np.full((1, 2), 0.5)) == (0.5, 100)
    near, far = depth_limits(np.full((3, 3), 3.0))
    assert far / near == pytest.approx(1.1)
    assert near * far == pytest.approx(9)
    assert depth_limits(np.zeros((3, 3)), ramp) == (2, 100)
    assert depth_limits(np.zeros((3, 3))) == (1, 10)


def test_colour_of_errors():
    target = np.full((1, 5), 2.0)
    depth = target * np.exp([[0.0, 0.5, -0.5, 9.0, -9.0]])
    right, far, near, farthest, nearest = colour_error(depth, target, limit=0.5)[0].astype(int)
    assert right.min() > 240
    assert far[2] > far[0] + 50
    assert near[0] > near[2] + 50
    assert (far == farthest).all()
    assert (near == nearest).all()
    half = colour_error(target * np.exp(0.25), target, limit=0.5)[0, 0].astype(int)
    assert far[0] < half[0] < right[0]
    for hole in MISSING:
        for maps in ((np.full((1, 5), hole), target), (target, np.full((1, 5), hole))):
            assert (colour_error(*maps) == GREY).all()


def test_error_limit():
    # |ln ratio| = 0, 0.01, ..., 1: the 98th percentile is 0.98; signs alternate.
    target = np.full((1, 101), 3.0)
    errors = np.arange(101) / 100 * np.where(np.arange(101) % 2, 1, -1)
    assert error_limit(target * np.exp(errors), target) == pytest.approx(0.98)
    assert error_limit(target, target) == pytest.approx(np.log(1.1))
    assert error_limit(0 * target, target) == pytest.approx(np.log(1.1))


def test_panel_shows_picture_and_depth(tmp_path, drawn):
    save_panel(tmp_path / "panel.png", GREEN, halves(1, 4, (55, 74)), title="kitchen $\\frac$ 1")
    panel = opened(tmp_path / "panel.png")
    assert [path.name for path in tmp_path.iterdir()] == ["panel.png"]
    cell = 432 * 324  # 3.6 inches of 120 dots, in the image's 4:3
    assert area(panel, GREEN[0, 0]) == pytest.approx(cell, rel=0.01)
    for index in (0, 255):
        assert area(panel, TURBO[index]) == pytest.approx(cell / 2, rel=0.02)
    assert panel.shape[1] > 2 * 432
    ((labels, _),) = drawn.bars
    for label, height in labels.items():
        assert height == pytest.approx(np.log(float(label.removesuffix(" m"))) / np.log(4))
    assert set(labels) >= {"1 m", "2 m", "3 m"}
    assert drawn.texts[0][0] == "kitchen $\\frac$ 1"
    assert drawn.headings == ["image", "predicted depth"]


def test_panel_with_target_shares_one_scale_and_shows_the_error(tmp_path, drawn):
    save_panel(tmp_path / "panel.png", GREEN, halves(1, 2), target=halves(2, 8))
    panel = opened(tmp_path / "panel.png")
    half = 432 * 324 / 2
    for depth, times in ((1, 1), (2, 2), (8, 1)):
        colour = colour_depth(np.full((1, 1), depth), limits=(1, 8))[0, 0]
        assert area(panel, colour) == pytest.approx(times * half, rel=0.02)
    # Predicted 1/2 and 1/4 of the truth: the end of the scale, ln 4, and its half, both too near.
    for ratio in (1 / 2, 1 / 4):
        colour = colour_error(np.full((1, 1), ratio), np.ones((1, 1)), limit=np.log(4))[0, 0]
        assert area(panel, colour) == pytest.approx(half, rel=0.02)
    titles = ["image", "predicted depth", "true depth", "error: predicted / true"]
    assert drawn.headings == titles
    predicted, true, error = (labels for labels, _ in drawn.bars)
    assert predicted == true
    assert error["right"] == 0.5
    assert error["2x too far"] == pytest.approx(0.75)
    assert error["2x too near"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("name", "same"),
    [("two\nlines", "two lines"), ("no text \udcff", "no text ?"), ("$x_{", "$x_{")],
)
def test_any_file_name_is_one_line(tmp_path, name, same):
    drawn = []
    for text in (name, same):
        grid.save_grid(tmp_path / "p.png", [[grid.Cell(GREEN, text)]], "", width=1.5, heights=[1.0])
        drawn.append(opened(tmp_path / "p.png"))
    np.testing.assert_array_equal(*drawn)
    assert (drawn[0] < 100).any()


def test_wide_pictures_are_stacked(tmp_path):
    wide = np.full((17, 57, 3), 200, np.uint8)
    save_panel(
        tmp_path / "panel.png", wide, halves(1, 4, (27, 142)), target=halves(1, 4, (27, 142))
    )
    panel = opened(tmp_path / "panel.png")
    assert panel.shape[0] > 4 * 840 * 17 / 57
    assert panel.shape[1] < 2 * 840
    # The maps are shown in the proportions of the image, not in their own.
    for colour in (TURBO[0], TURBO[255]):
        assert area(panel, colour) == pytest.approx(840 * 250.5, rel=0.02)


def test_contact_sheet_has_a_scale_for_each_row(tmp_path, drawn):
    rows = [
        (GREEN, halves(1, 2), halves(2, 8, (24, 32))),
        (GREEN.astype(np.float32) + 0.4, halves(10, 20), halves(20, 80)),
        (GREEN, np.zeros((12, 16)), np.full((12, 16), np.nan)),
    ]
    save_contact_sheet(tmp_path / "sheet.png", rows, columns=("in", "out", "truth"), title="t")
    sheet = opened(tmp_path / "sheet.png")
    cell = 360 * 270
    assert area(sheet, GREEN[0, 0]) == pytest.approx(3 * cell, rel=0.01)
    colours = colour_depth(np.array([[1.0, 2.0, 8.0]]), limits=(1, 8))[0]
    for colour, cells in zip(colours, (0.5, 1, 0.5), strict=True):
        assert area(sheet, colour) == pytest.approx(2 * cells * cell, rel=0.02)
    assert area(sheet, GREY) == pytest.approx(2 * cell, rel=0.01)
    first, second, third = (labels for labels, _ in drawn.bars)
    assert {"1 m", "2 m", "5 m"} <= set(first)
    assert {"10 m", "20 m", "50 m"} <= set(second)
    assert {"1 m", "10 m"} <= set(third)
    assert drawn.headings == ["in", "out", "truth"]


def test_the_colours_of_a_bar_stand_where_its_labels_say(tmp_path, drawn):
    save_panel(tmp_path / "p.png", GREEN, halves(1, 4), target=halves(4, 1))
    downwards = opened(tmp_path / "p.png").astype(int)
    _, *frames = (frame.dots for frame in drawn.frames)
    for (left, top, right, bottom), colours in zip(frames, (TURBO, RDBU), strict=True):
        column = downwards[top : bottom + 1, (left + right) // 2]
        # The fifth dot from either end has about the third of the 256 colours.
        assert np.abs(column[-5] - colours[3]).max() <= 6
        assert np.abs(column[4] - colours[252]).max() <= 6


@pytest.mark.slow
@pytest.mark.parametrize("near", [0.03, 0.7, 2.9, 14.0])
@pytest.mark.parametrize("ratio", [1.0, 1.3, 2.0, 9.0, 300.0])
def test_scale_labels_are_round_apart_and_enough(tmp_path, drawn, near, ratio):
    picture = np.zeros((20, 66, 3), np.uint8)
    depth = halves(near, near * ratio)
    save_contact_sheet(tmp_path / "s.png", [(picture, depth, depth)])
    ((labels, height),) = drawn.bars
    low, high = depth_limits(depth)
    for label, position in labels.items():
        depth = float(label.removesuffix(" m"))
        assert position == pytest.approx(np.log(depth / low) / np.log(high / low))
        assert 0 <= position <= 1
    assert len(labels) >= 3
    assert np.diff(sorted(labels.values())).min() * height >= 0.15
    assert all(len(label) <= 9 for label in labels)


@pytest.mark.slow
def test_nothing_touches_the_edge_of_the_picture(tmp_path):
    depth, target = halves(0.7, 9), halves(9, 0.7)
    for shape in ((24, 32), (17, 57), (32, 24)):
        picture = np.zeros((*shape, 3), np.uint8)
        for index, title in enumerate(("", "word " * 60, "x" * 300)):
            save_panel(tmp_path / "p.png", picture, depth, target=target, title=title)
            save_contact_sheet(tmp_path / "s.png", [(picture, depth, target)] * 2, title=title)
            for name in ("p.png", "s.png")[: 1 + (index == 0)]:
                image = opened(tmp_path / name)
                border = (image[:3], image[-3:], image[:, :3], image[:, -3:])
                assert all((side == 255).all() for side in border), (name, shape, title)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "panel.png"
    path.write_text("old")

    def disk_full(self, file, **_):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", disk_full)
    with pytest.raises(OSError, match="no space left"):
        save_panel(path, GREEN, halves(1, 4))
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["panel.png"]


def test_without_matplotlib_the_same_colours_are_drawn(tmp_path, monkeypatch):
    depth = np.geomspace(0.5, 8, 300)[None]
    target = depth[:, ::-1]
    for name in ("with", "without"):
        if name == "without":
            for module in [name for name in sys.modules if name.startswith("matplotlib.")]:
                monkeypatch.delitem(sys.modules, module)
            monkeypatch.setitem(sys.modules, "matplotlib", None)
            monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        save_panel(tmp_path / f"{name}.png", GREEN, depth, target=target, title="Küche.jpg")
        save_contact_sheet(tmp_path / f"{name}_sheet.png", [(GREEN, depth, target)])
    for name in ("", "_sheet"):
        drawn, plain = (opened(tmp_path / f"{kind}{name}.png") for kind in ("with", "without"))
        differing = (drawn != plain).any(axis=-1)  # the letters alone, of another font
        assert 0 < differing.mean() < 0.05
        grey = np.ptp(plain.astype(int), axis=-1) == 0
        assert grey[differing].all()
    with pytest.raises(DepthsiError, match=r"'magma' needs matplotlib.*'depthsi\[plot\]'"):
        colour_depth(depth, cmap="magma")
    with pytest.raises(DepthsiError, match=r"A histogram needs matplotlib.*'depthsi\[plot\]'"):
        save_histogram(tmp_path / "h.png", np.array([1.0, 2.0]), {"train": np.ones(1)})
    assert not (tmp_path / "h.png").exists()


def test_importing_is_light_and_pyplot_is_left_alone(tmp_path):
    script = f"""
import sys, numpy, depthsi.viz.depth_maps
assert "matplotlib" not in sys.modules
image, depth = numpy.zeros((3, 4, 3), numpy.uint8), numpy.ones((3, 4))
depthsi.viz.depth_maps.save_panel({str(tmp_path / "p.png")!r}, image, depth, target=depth)
assert "matplotlib" not in sys.modules
depthsi.viz.depth_maps.colour_depth(depth, cmap="magma")
assert "matplotlib" in sys.modules and "matplotlib.figure" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (tmp_path / "p.png").exists()


def test_misuse_is_refused(tmp_path):
    depth, path = halves(1, 4), tmp_path / "p.png"
    for limits in ((0, 1), (2, 1), (1, 1), (1, np.inf), (np.nan, 2)):
        with pytest.raises(ValueError, match="0 < near < far"):
            colour_depth(depth, limits=limits)
    with pytest.raises(ValueError, match=r"\(h, w\), got \(1, 12, 16\)"):
        colour_depth(depth[None])
    with pytest.raises(ValueError, match=r"\(H, W, 3\), got \(12, 16\)"):
        save_panel(path, depth, depth)
    with pytest.raises(ValueError, match=r"\(12, 16\) and `target` \(24, 32\) differ"):
        save_panel(path, GREEN, depth, target=halves(1, 4, (24, 32)))
    with pytest.raises(ValueError, match="`limit` must be positive, got 0"):
        colour_error(depth, depth, limit=0.0)
    with pytest.raises(ValueError, match="`rows` is empty"):
        save_contact_sheet(path, [])
    assert not list(tmp_path.iterdir())
