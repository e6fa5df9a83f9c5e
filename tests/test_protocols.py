"""The named protocols: their rules as published, and that each rule changes a number."""

import dataclasses
import math

import numpy as np
import pytest

from depthsi.errors import DepthsiError
from depthsi.evaluation.placing import resized
from depthsi.geometry import nyu
from depthsi.metrics.compare import cell_batches, score
from depthsi.metrics.protocols import (
    ALIGNMENTS,
    DEFAULT_PROTOCOLS,
    PROTOCOLS,
    TRUTHS,
    Protocol,
    protocol,
)
from depthsi.metrics.regions import cropped_region

FULL = (480, 640)


def test_rules_as_published():
    """(crop rows and columns of a full-size picture, caps, clamp, resize, truth, alignment, how)"""
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
    for name, (size, box, caps, clamp, resize, truth, alignment, how) in table.items():
        rules = PROTOCOLS[name]
        assert tuple(cropped_region(rules, size)) == box
        assert (rules.min_depth, rules.max_depth) == caps
        assert (rules.clamp, rules.resize, rules.truth) == (clamp, resize, truth)
        assert (rules.alignment, rules.aggregation) == (alignment, how)
        assert rules.data_set == ("kitti" if size == street else "nyu")
        assert rules.source
        assert rules.unsure
        assert rules.truth in TRUTHS
    assert {key: each.name for key, each in DEFAULT_PROTOCOLS.items()} == {
        "nyu": "eigen2014_nyu",
        "kitti": "eigen2014_kitti",
    }


def scene(seed=0):
    """A prediction in 4x4 cells, far from the truth in places, and a truth over 10 m at the back.

    Sizes of the paper's network: 240x320 pictures, 55x74 cells.
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
