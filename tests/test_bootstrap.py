"""Bootstrap intervals against SciPy's, plain loops, and cases whose distribution is known."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from depthsi.errors import DepthsiError
from depthsi.metrics import METRICS, ImageScores, image_terms
from depthsi.metrics.bootstrap import bootstrap_intervals


def some_scores(count, seed=0, extras=None):
    rng = np.random.default_rng(seed)
    true = rng.uniform(1, 9, (count, 6, 8)).astype(np.float32)
    spread = rng.uniform(0.1, 0.6, (count, 1, 1))
    predicted = (true * np.exp(spread * rng.normal(size=true.shape))).astype(np.float32)
    where = rng.random(true.shape) < rng.uniform(0.2, 1, (count, 1, 1))
    return ImageScores.from_terms([image_terms(predicted, true, where=where)], extras)


@pytest.mark.slow
def test_means_over_images_against_scipy():
    scores = some_scores(40)
    ours = bootstrap_intervals(scores, "image", resamples=20_000)
    for name in ("abs_rel", "rmse", "rmse_log_si", "d1"):
        values = scores.per_image()[name]
        theirs = stats.bootstrap(
            (values,), np.mean, n_resamples=20_000, method="percentile", rng=1
        ).confidence_interval
        tolerance = 0.03 * (theirs.high - theirs.low)
        np.testing.assert_allclose(ours[name], tuple(theirs), atol=tolerance)


@pytest.mark.slow
def test_pooled_numbers_against_plain_loops():
    scores = some_scores(15)
    ours = bootstrap_intervals(scores, "pixel", resamples=8000)
    rng = np.random.default_rng(7)
    rmse, share = [], []
    for _ in range(8000):
        drawn = rng.integers(0, 15, 15)
        n = scores.pixels[drawn]
        rmse.append(math.sqrt(np.dot(n, scores.means["square"][drawn]) / n.sum()))
        pooled = {k: np.dot(n, scores.means[k][drawn]) for k in ("variance", "square_log")}
        share.append(1 - pooled["variance"] / pooled["square_log"])
    for name, values in (("rmse", rmse), ("scale_share", share)):
        low, high = np.percentile(values, [2.5, 97.5])
        np.testing.assert_allclose(ours[name], (low, high), atol=0.05 * (high - low))


@pytest.mark.slow
def test_two_images_have_three_possible_means():
    # both the first (1/4), one of each (1/2), both the second (1/4)
    depth = np.full((2, 1, 4), 2.0, np.float32)
    scores = ImageScores.from_terms([image_terms(depth + np.array([[[1]], [[3]]], "f4"), depth)])
    assert bootstrap_intervals(scores, "image")["mae"] == (1, 3)
    assert bootstrap_intervals(scores, "image", level=0.4)["mae"] == (2, 2)
    assert bootstrap_intervals(scores, "pixel")["rmse"] == pytest.approx((1, 3))
    assert set(bootstrap_intervals(scores, "image")) == set(METRICS)


@pytest.mark.slow
def test_one_image_has_no_spread_and_empty_images_do_not_count():
    depth = np.full((3, 1, 4), 2.0, np.float32)
    where = np.zeros(depth.shape, bool)
    where[1] = True
    scores = ImageScores.from_terms([image_terms(depth + 1, depth, where=where)])
    for how in ("image", "pixel"):
        assert bootstrap_intervals(scores, how)["mae"] == (1, 1)


@pytest.mark.slow
def test_the_seed_decides_and_the_value_lies_inside():
    scores = some_scores(30)
    for how in ("image", "pixel"):
        first = bootstrap_intervals(scores, how, seed=3)
        assert first == bootstrap_intervals(scores, how, seed=3)
        assert first != bootstrap_intervals(scores, how, seed=4)
        for name, value in scores.compute(how).items():
            assert first[name][0] < value < first[name][1]
    wide, narrow = (bootstrap_intervals(scores, "image", level=x)["rmse"] for x in (0.95, 0.5))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.slow
def test_extras_use_the_images_that_have_them():
    values = np.array([2.0, np.nan, 2.0, 2.0, np.nan])
    ends = bootstrap_intervals(some_scores(5, extras={"edge": values}), "pixel")["edge"]
    assert ends == (2, 2)
    none = some_scores(5, extras={"edge": np.full(5, np.nan)})
    assert all(math.isnan(end) for end in bootstrap_intervals(none, "image")["edge"])


@pytest.mark.slow
def test_misuse_is_refused():
    scores = some_scores(3)
    wrong: list[dict[str, Any]] = [{"level": 1.0}, {"level": 0.0}, {"resamples": 0}]
    for options in wrong:
        with pytest.raises(ValueError, match="level"):
            bootstrap_intervals(scores, "image", **options)
    with pytest.raises(ValueError, match="'image' or 'pixel'"):
        bootstrap_intervals(scores, "scene")
    depth = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(DepthsiError, match="known depth"):
        bootstrap_intervals(ImageScores.from_terms([image_terms(depth, depth)]), "image")
