"""The named protocols: their rules as published, and that each rule changes a number."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.errors import DepthsiError
from depthsi.evaluation.placing import resized
from depthsi.geometry import nyu
from depthsi.metrics.compare import (
    cell_batches,
    comparable,
    compare_and_count,
    upsample_cells,
)
from depthsi.metrics.protocols import (
    ALIGNMENTS,
    DEFAULT_PROTOCOLS,
    PROTOCOLS,
    TRUTHS,
    Protocol,
    protocol,
)
from depthsi.metrics.regions import cropped_region
from depthsi.metrics.scorer import score

FULL = (480, 640)


def test_rules_as_published():
    """(crop rows and columns of a full-size image, caps, clamp, resize, truth, alignment, how)"""
    open_end = math.inf
    street = (375, 1242)
    garg = (153, 371, 44, 1197)  # the numbers that monodepth2's training prints for 375x1242
    table = {
        "eigen2014_nyu": (
            FULL,
            (20, 460, 24, 616),
            (0, open_end),
            None,
            "nearest",
            "filled",
            "none",
            "image",
        ),
        "nyu_bts": (
            FULL,
            (45, 471, 41, 601),
            (1e-3, 10),
            (1e-3, 10),
            "bilinear",
            "raw",
            "none",
            "image",
        ),
        "densedepth_nyu": (
            FULL,
            (20, 460, 24, 616),
            (0, open_end),
            (0.1, 10),
            "bilinear",
            "filled",
            "none",
            "pixel",
        ),
        "eigen2014_kitti": (
            street,
            (124, 342, 44, 1197),
            (1e-3, 80),
            (1e-3, 80),
            "nearest",
            "lidar_x",
            "none",
            "image",
        ),
        "garg_kitti": (
            street,
            garg,
            (1e-3, 80),
            (1e-3, 80),
            "bilinear",
            "lidar_x",
            "none",
            "image",
        ),
        "kitti_benchmark": (
            street,
            (23, 375, 13, 1229),
            (0, open_end),
            None,
            "bilinear",
            "annotated",
            "none",
            "image",
        ),
        "monodepth2_median": (
            street,
            garg,
            (1e-3, 80),
            (1e-3, 80),
            "bilinear",
            "lidar_x",
            "median",
            "image",
        ),
    }
    assert list(PROTOCOLS) == list(table)
    kitti = {"eigen2014_kitti", "garg_kitti", "kitti_benchmark", "monodepth2_median"}
    for name, (size, box, caps, clamp, resize, truth, alignment, how) in table.items():
        rules = PROTOCOLS[name]
        assert rules.name == name
        assert tuple(cropped_region(rules, size)) == box
        assert (rules.min_depth, rules.max_depth) == caps
        assert (rules.clamp, rules.resize, rules.truth) == (clamp, resize, truth)
        assert rules.clamp_first == (name == "densedepth_nyu")
        assert rules.invalid == "source"
        assert (rules.alignment, rules.aggregation) == (alignment, how)
        assert rules.data_set == ("kitti" if name in kitti else "nyu")
        assert rules.pictures == (None if name in kitti else (480, 640))
        assert rules.source
        assert rules.unsure
        assert rules.truth in TRUTHS
    assert {key: each.name for key, each in DEFAULT_PROTOCOLS.items()} == {
        "nyu": "eigen2014_nyu",
        "kitti": "eigen2014_kitti",
    }


@pytest.mark.parametrize(
    ("name", "size", "box"),
    [
        # int(0.40810811 h), int(0.99189189 h), int(0.03594771 w), int(0.96405229 w)
        ("garg_kitti", (370, 1224), (151, 366, 43, 1180)),
        ("monodepth2_median", (376, 1241), (153, 372, 44, 1196)),
        # int(0.3324324 h), int(0.91351351 h), int(0.0359477 w), int(0.96405229 w)
        ("eigen2014_kitti", (370, 1224), (122, 337, 43, 1180)),
        ("eigen2014_kitti", (374, 1238), (124, 341, 44, 1193)),
        # the last 352 rows, the middle 1216 columns, int((w - 1216) / 2) from the left
        ("kitti_benchmark", (370, 1224), (18, 370, 4, 1220)),
        ("kitti_benchmark", (376, 1241), (24, 376, 12, 1228)),
        ("kitti_benchmark", (352, 1216), (0, 352, 0, 1216)),
    ],
)
def test_crops_at_other_sizes_of_kitti(name, size, box):
    assert tuple(cropped_region(PROTOCOLS[name], size)) == box


def test_the_benchmark_crop_needs_its_own_size():
    for size in ((351, 1216), (352, 1215)):
        with pytest.raises(DepthsiError, match=rf"'kb' takes 352x1216 .* {size[0]}x{size[1]}"):
            cropped_region(PROTOCOLS["kitti_benchmark"], size)


TRUE = (1e-3, 2e-3, 5.0, 10.0, 20.0, 40.0, 80.0, 100.0)
GIVEN = (0.0, -1.0, 5.0, math.inf, 200.0, 30.0, 3.0, 0.01)
EVERYWHERE, UP_TO_10, UP_TO_80 = "11111111", "01100000", "01111100"
STREET = (1e-3, 1e-3, 5.0, 80.0, 80.0, 30.0, 3.0, 0.01)
# of what counts, 5, 20 and 40 m have positive and finite predictions, 5, 200 and 30: 20/30
MEDIAN = (1e-3, 1e-3, 10 / 3, 80.0, 80.0, 20.0, 2.0, 0.02 / 3)


@pytest.mark.parametrize(
    ("name", "counted", "expected"),
    [
        ("eigen2014_nyu", EVERYWHERE, GIVEN),
        ("nyu_bts", UP_TO_10, (1e-3, 1e-3, 5.0, 10.0, 10.0, 10.0, 3.0, 0.01)),
        ("densedepth_nyu", EVERYWHERE, (0.1, 0.1, 5.0, 10.0, 10.0, 10.0, 3.0, 0.1)),
        ("eigen2014_kitti", UP_TO_80, STREET),
        ("garg_kitti", UP_TO_80, STREET),
        ("kitti_benchmark", EVERYWHERE, GIVEN),
        ("monodepth2_median", UP_TO_80, MEDIAN),
    ],
)
def test_rules_at_work(name, counted, expected):
    """Strict caps, limits and the median, on eight pixels with predictions that are none."""
    true, given = (np.array([[each]], np.float32) for each in (TRUE, GIVEN))
    maps, where = comparable(given, true, PROTOCOLS[name])
    np.testing.assert_allclose(np.asarray(maps)[0, 0], expected, rtol=1e-6)
    assert "".join(str(int(each)) for each in np.asarray(where)[0, 0]) == counted
    terms, clamped = compare_and_count(given, true, PROTOCOLS[name])
    bad = [k for k, each in enumerate(GIVEN) if not 0 < each < math.inf and counted[k] == "1"]
    limited = PROTOCOLS[name].clamp is not None
    assert (int(terms.unusable[0]), int(clamped[0])) == ((0, len(bad)) if limited else (3, 0))
    assert int(terms.pixels[0]) == counted.count("1")


def test_choices_of_what_becomes_of_invalid_predictions():
    true, given = (np.array([[each]], np.float32) for each in (TRUE, GIVEN))
    given[0, 0, 2] = np.nan
    rules = PROTOCOLS["garg_kitti"]
    for invalid, unusable, clamped in (("source", 1, 2), ("clamp", 0, 3), ("refuse", 3, 0)):
        terms, count = compare_and_count(given, true, rules.with_changes(invalid=invalid))
        assert (int(terms.unusable[0]), int(count[0])) == (unusable, clamped)


def scene(seed=0):
    """A prediction in 4x4 cells, far from the truth in places, and a truth over 10 m at the back.

    Sizes of the paper's network: 240x320 images, 55x74 cells.
    """
    rng = np.random.default_rng(seed)
    rows = np.linspace(12, 1, 240)[:, None] * np.ones((240, 320))
    truth = (rows * rng.uniform(0.9, 1.1, (2, 240, 320))).astype(np.float32)
    truth[1, :, :200] = 0  # the second image has fewer pixels, so that pooling differs
    cells = np.stack([truth[0, 10:230:4, 12:308:4], truth[0, 10:230:4, 12:308:4]])
    cells = cells * rng.uniform(0.5, 1.6, (2, 55, 74))
    cells[1] *= 1.7
    return cells.astype(np.float32), truth


def results(rules, how=None):
    cells, truth = scene()
    batches = [(np.zeros((*truth.shape, 3), np.uint8), truth)]
    return score(cell_batches(lambda image: cells, batches, nyu(), rules), rules).compute(
        how or rules.aggregation
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"crop": "nyu_toolbox"},
        {"crop": "none"},
        {"min_depth": 2.0},
        {"max_depth": 5.0},
        {"clamp": (1.0, 8.0)},
        {"resize": "bilinear"},
        {"alignment": "median"},
        {"alignment": "log_mean"},
        {"alignment": "scale_shift"},
        {"aggregation": "pixel"},
    ],
    ids=str,
)
def test_each_rule_changes_the_numbers(change):
    base = Protocol("base", "nyu", "garg", clamp=(0.1, 100.0))
    plain, changed = results(base), results(dataclasses.replace(base, **change))
    for name in ("abs_rel", "rmse", "rmse_log"):
        assert abs(changed[name] / plain[name] - 1) > 1e-3, name


@pytest.mark.slow
def test_the_named_protocols_of_one_data_set_disagree():
    values = {name: results(PROTOCOLS[name])["rmse"] for name in PROTOCOLS if "nyu" in name}
    assert len({round(value, 4) for value in values.values()}) == 3


def test_a_protocol_with_changes_says_so():
    rules = PROTOCOLS["nyu_bts"]
    assert rules.with_changes(crop=None, alignment="none", aggregation="image") == rules
    changed = rules.with_changes(crop="none", alignment="median", aggregation=None)
    assert (changed.crop, changed.alignment, changed.aggregation) == ("none", "median", "image")
    assert changed.name == "nyu_bts with crop none, alignment median"
    assert changed.clamp == rules.clamp
    for alignment, words in ALIGNMENTS.items():
        assert words in dataclasses.replace(rules, alignment=alignment).rules()


def test_unknown_names_get_a_suggestion():
    with pytest.raises(DepthsiError, match=r"'nyu_bst'. Did you mean 'nyu_bts'\? Choose one of"):
        protocol("nyu_bst")
    with pytest.raises(DepthsiError, match=r"No protocol is called 'x'. Choose one of eigen2014"):
        protocol("x")
    with pytest.raises(DepthsiError, match=r"No crop is called 'grag'. Did you mean 'garg'\?"):
        PROTOCOLS["nyu_bts"].with_changes(crop="grag")
    with pytest.raises(DepthsiError, match="No alignment is called 'mean'"):
        PROTOCOLS["nyu_bts"].with_changes(alignment="mean")
    assert protocol("garg_kitti") is PROTOCOLS["garg_kitti"]
    with pytest.raises(DepthsiError, match="No resize is called 'linear'"):
        PROTOCOLS["nyu_bts"].with_changes(resize="linear")
    with pytest.raises(DepthsiError, match="No invalid is called 'drop'"):
        PROTOCOLS["nyu_bts"].with_changes(invalid="drop")


def test_rules_that_cannot_be():
    for low, high in ((10.0, 1.0), (-1.0, 2.0), (math.nan, 1.0)):
        with pytest.raises(DepthsiError, match="leave no depth between"):
            Protocol("x", "nyu", "none", low, high)
    for clamp in ((0.0, 1.0), (3.0, 2.0), (1.0, math.inf)):
        with pytest.raises(DepthsiError, match="cannot be clamped"):
            Protocol("x", "nyu", "none", clamp=clamp)


def test_resizing_of_maps_by_hand():
    small = np.array([[1.0, 3.0]])
    np.testing.assert_array_equal(resized(small, (2, 4), "nearest"), [[1, 1, 3, 3]] * 2)
    # centres of the four at -1/4, 1/4, 3/4, 5/4 of the old pixels
    np.testing.assert_allclose(resized(small, (2, 4), "bilinear"), [[1, 1.5, 2.5, 3]] * 2)
    np.testing.assert_array_equal(resized(small, (1, 2), "bilinear"), small)
    # nearest, seven of three: (k + 1/2) 3/7 = 0.2, 0.6, 1.07, 1.5, 1.9, 2.4, 2.8
    np.testing.assert_array_equal(
        resized(np.array([[1.0, 2, 3]]), (1, 7), "nearest"), [[1, 1, 2, 2, 2, 3, 3]]
    )
    # a missing pixel makes missing what it is mixed with, and nothing else
    holed = np.array([[1.0, np.nan, 3.0, 4.0]])
    mixed = resized(holed, (1, 8), "bilinear")[0]
    assert np.isnan(mixed).tolist() == [False, True, True, True, True, False, False, False]
    # twice as large in one step or by hand: SciPy's linear zoom of grids with cell centres
    from scipy import ndimage

    values = np.random.default_rng(0).uniform(1, 5, (5, 7))
    zoomed = np.asarray(ndimage.zoom(values, 3, order=1, mode="nearest", grid_mode=True))
    np.testing.assert_allclose(resized(values, (15, 21), "bilinear"), zoomed, rtol=1e-12)
    # with aligned corners: the centres of both ends on each other, the others evenly between
    np.testing.assert_allclose(
        resized(np.array([[1.0, 4.0]]), (3, 4), "bilinear_corners"), [[1, 2, 3, 4]] * 3
    )
    aligned = np.asarray(ndimage.zoom(values, 3, order=1, mode="nearest"))
    np.testing.assert_allclose(resized(values, (15, 21), "bilinear_corners"), aligned, rtol=1e-12)


def test_cells_with_aligned_corners():
    from scipy import ndimage

    cells = np.random.default_rng(0).uniform(1, 5, (1, 3, 5)).astype(np.float32)
    aligned = np.asarray(ndimage.zoom(cells[0], 4, order=1, mode="nearest"))
    np.testing.assert_allclose(
        upsample_cells(jnp.asarray(cells), "bilinear_corners")[0], aligned, rtol=1e-5
    )


@pytest.mark.parametrize("resize", ["nearest", "bilinear", "bilinear_corners"])
@pytest.mark.parametrize("hole", [0.0, -2.0, np.inf, -np.inf, np.nan])
def test_what_an_invalid_pixel_is_mixed_with_is_as_invalid(resize, hole):
    depth = np.full((4, 5), 3.0)
    depth[1, 2] = hole
    wide = resized(depth, (8, 10), resize)
    marked = np.zeros((4, 5))
    marked[1, 2] = 1
    touched = resized(1 + marked, (8, 10), resize) > 1
    assert touched.sum() >= 4
    assert np.all(wide[~touched] == 3)
    kept = 0.0 if hole == -2 else hole
    np.testing.assert_array_equal(wide[touched], np.full(touched.sum(), kept))
    # of a map that will be scaled and shifted, every finite value is one
    if np.isfinite(hole):
        mixed = resized(depth, (8, 10), resize, usable=np.isfinite)
        np.testing.assert_allclose(
            mixed, 3 + (hole - 3) * (resized(1 + marked, (8, 10), resize) - 1)
        )
