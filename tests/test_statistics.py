"""Numbers about data, against NumPy over all pixels at once."""

import functools

import numpy as np
import pytest
from test_folder import real

from depthsi.data.folder.source import FolderSource
from depthsi.data.samples import Sample
from depthsi.data.statistics import (
    QUANTILES,
    coarse_histogram,
    merge,
    sample_statistics,
    summary,
)


def samples(count=5, seed=0):
    """Of two sizes, with missing depth in every form, log-normal around 3 m."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        size = (12, 16) if i % 2 else (9, 20)
        depth = np.exp(rng.normal(np.log(3), 0.6, size)).astype(np.float32)
        depth[0, :4] = [0, -1, np.nan, np.inf]
        yield Sample(rng.integers(0, 256, (*size, 3)).astype(np.uint8), depth, str(i))


def merged(some, scenes=()):
    names = [*scenes, *[""] * 99]
    each = [sample_statistics(s, n) for s, n in zip(some, names, strict=False)]
    return functools.reduce(merge, each)


def test_numbers_are_those_of_all_pixels():
    some = list(samples())
    found = merged(some, ["hall", "hall", "attic"])
    colours = np.concatenate([s.image.reshape(-1, 3) for s in some]).astype(np.float64)
    pixels = np.concatenate([s.depth.ravel() for s in some]).astype(np.float64)
    valid = pixels[(pixels > 0) & (pixels < 1e30)]
    mean, std = found.rgb()
    np.testing.assert_allclose(mean, colours.mean(0), rtol=1e-14)
    np.testing.assert_allclose(std, colours.std(0), rtol=1e-13)
    assert found.log_depth() == pytest.approx(
        (np.log(valid).mean(), np.log(valid).std()), rel=1e-13
    )
    assert (found.pixels, found.valid) == (pixels.size, valid.size)
    assert (found.nearest, found.farthest) == (valid.min(), valid.max())
    for share in (0, 0.003, *QUANTILES, 1):
        near, far = np.quantile(
            valid, [max(share - 1.5 / valid.size, 0), min(share + 1.5 / valid.size, 1)]
        )
        assert near / 1.001 <= found.quantile(share) <= far * 1.001
    assert found.sizes == {"9x20": 3, "12x16": 2}
    assert found.scenes == {"hall": 2, "attic": 1, "": 2}
    assert found.samples == 5


def test_literal_numbers():
    image = np.array([[[0, 10, 255], [4, 10, 255]]], np.uint8)
    depth = np.array([[1, np.e**2]], np.float32)
    found = summary(sample_statistics(Sample(image, depth, "x"), "hall"))
    assert found["rgb_mean"] == [2, 10, 255]
    assert found["rgb_std"] == [2, 0, 0]
    assert found["log_depth_mean"] == pytest.approx(1, abs=1e-7)
    assert found["log_depth_std"] == pytest.approx(1, abs=1e-7)
    assert found["valid_share"] == 1
    assert (found["samples"], found["scenes"], found["sizes"]) == (1, 1, {"1x2": 1})
    assert found["depth_min"] == 1
    assert found["depth_quantiles"]["0.01"] == pytest.approx(1, rel=1e-3)
    assert found["depth_max"] == pytest.approx(np.e**2, rel=1e-7)
    assert found["depth_quantiles"]["0.99"] == pytest.approx(np.e**2, rel=1e-3)


def test_order_and_grouping_do_not_matter():
    a, b, c = (sample_statistics(s) for s in samples(3))
    for one, other in ((merge(merge(a, b), c), merge(a, merge(b, c))), (merge(a, b), merge(b, a))):
        assert one.log_mean == pytest.approx(other.log_mean, rel=1e-14)
        assert one.log_squares == pytest.approx(other.log_squares, rel=1e-13)
        np.testing.assert_array_equal(one.histogram, other.histogram)
        np.testing.assert_array_equal(one.rgb_squares, other.rgb_squares)


def test_a_large_mean_costs_no_digits():
    """E[x^2] - E[x]^2 would keep no digit of this deviation."""
    depth = (900 * (1 + 1e-6 * np.arange(-6, 6).reshape(3, 4))).astype(np.float32)
    image = np.zeros((3, 4, 3), np.uint8)
    halves = [
        sample_statistics(Sample(image[:, s], depth[:, s], "x")) for s in (np.s_[:1], np.s_[1:])
    ]
    logs = np.log1p((depth.astype(np.float64) - 900) / 900)
    assert merge(*halves).log_depth()[1] == pytest.approx(logs.std(), rel=1e-6)


def test_coarse_histogram_is_numpys():
    some = list(samples(8))
    edges = np.geomspace(0.5, 20, 9)
    valid = np.concatenate([s.depth[np.isfinite(s.depth) & (s.depth > 0)] for s in some])
    expected = np.histogram(valid, edges)[0] / valid.size
    np.testing.assert_allclose(coarse_histogram(merged(some), edges), expected, atol=2e-3)


def test_depths_beyond_the_histogram_are_counted_in_its_ends():
    depth = np.array([[1e-5, 2.0, 5e4]], np.float32)
    found = sample_statistics(Sample(np.zeros((1, 3, 3), np.uint8), depth, "x"))
    assert found.histogram.sum() == 3
    assert found.histogram[[0, -1]].tolist() == [1, 1]
    assert found.farthest == 5e4


@pytest.mark.slow
def test_nyu_against_numpy():
    source = FolderSource(real("nyu_labelled"), "val")
    found = merged((source[i] for i in range(len(source))), source.scenes)
    images, depths = source.arrays()
    mean, std = found.rgb()
    np.testing.assert_allclose(mean, images.mean((0, 1, 2), np.float64), rtol=1e-12)
    np.testing.assert_allclose(std, images.std((0, 1, 2), np.float64), rtol=1e-10)
    values = depths[depths > 0].astype(np.float64)
    log_mean, log_std = found.log_depth()
    assert log_mean == pytest.approx(np.log(values).mean(), rel=1e-12)
    assert log_std == pytest.approx(np.log(values).std(), rel=1e-12)
    assert found.valid / found.pixels == (depths > 0).mean()
    for share in QUANTILES:
        assert found.quantile(share) == pytest.approx(np.quantile(values, share), rel=2e-3)
    assert len(found.scenes) == len(set(source.scenes)) == 29
