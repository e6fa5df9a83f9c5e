"""The study of known points: what it measures with is right, and it runs with any network."""

import json
import math

import numpy as np
import pytest
from pictures import smooth_picture, write_pairs
from PIL import Image
from test_predictor import network, weights

from depthsi import DepthsiError
from depthsi.scale import ScalePrior, known_scale
from experiments.studies import known_points
from experiments.studies.known_points import (
    KnownPoints,
    errors,
    prior_of,
    with_points,
)

__all__ = ["network", "weights"]  # fixtures


def wall():
    """A prediction of the right shape and a wrong scale, and the truth."""
    truth = 2 + np.random.default_rng(0).random((20, 30))
    depth = 1.7 * truth
    return depth.ravel(), truth.ravel()


def test_errors_by_hand():
    found = errors(np.array([2.0, 3.0]), np.array([1.0, 3.0]))
    assert found == pytest.approx({"rmse_log": math.log(2) / math.sqrt(2), "abs_rel": 0.5})


@pytest.mark.parametrize("count", [1, 2, 5])
def test_exact_distances_leave_nothing_of_a_wrong_scale(count):
    found = with_points(*wall(), count, 0.0, np.random.default_rng(1))
    assert found == pytest.approx({"rmse_log": 0, "abs_rel": 0}, abs=1e-6)


def test_points_scale_a_map_as_the_command_does(monkeypatch):
    monkeypatch.setattr(known_points, "DRAWS", 1)
    depth, truth = np.random.default_rng(2).uniform(1, 5, (2, 600))
    at = np.random.default_rng(3).choice(len(depth), 3, replace=False)
    factor = known_scale(
        depth.reshape(20, 30).astype(np.float32),
        {(int(i % 30), int(i // 30)): float(truth[i]) for i in at},
    )
    found = with_points(depth, truth, 3, 0.0, np.random.default_rng(3))
    assert found == pytest.approx(errors(factor * depth, truth), rel=1e-5)


def test_noise_is_averaged_over_the_points(monkeypatch):
    """The error left is that of the mean of n distances: noise / sqrt(n), in the mean of |.|."""
    monkeypatch.setattr(known_points, "DRAWS", 600)
    for count in (1, 4):
        found = with_points(*wall(), count, 0.2, np.random.default_rng(1))["rmse_log"]
        assert found == pytest.approx(0.2 / math.sqrt(count) * math.sqrt(2 / math.pi), rel=0.1)


def test_the_weight_is_the_one_with_the_least_error():
    """Of scales and errors drawn from the prior, no other share of the mean ratio does better."""
    rng, prior, count, noise = np.random.default_rng(0), ScalePrior(0.1, 0.03, 0.05), 2, 0.1
    scale = rng.normal(prior.mean, prior.variance**0.5, 200_000)
    ratios = scale + rng.normal(0, (prior.pixel_variance + noise**2) ** 0.5, (count, len(scale)))
    shares = np.linspace(0, 1, 101)[:, None]
    guess = prior.mean + shares * (ratios.mean(0) - prior.mean)
    best = shares[np.argmin(np.mean((guess - scale) ** 2, 1)), 0]
    assert prior.weight(count, noise) == pytest.approx(best, abs=0.02)


def test_the_prior_by_hand():
    e = math.e
    maps = [(np.array([1.0, 1.0]), np.array([e, e**3])), (np.array([1.0]), np.array([1.0]))]
    assert prior_of(maps) == pytest.approx((1, 2, 0.5))  # scales 2 and 0; variances 1 and 0


def test_a_prior_without_doubt_leaves_the_map():
    depth, truth = wall()
    sure = ScalePrior(-math.log(1.7), 0.0, 1.0)
    found = with_points(depth, truth, 1, 0.5, np.random.default_rng(1), sure)
    assert found == pytest.approx({"rmse_log": 0, "abs_rel": 0}, abs=1e-6)


def test_the_study_runs_with_an_untrained_network(weights, tmp_path):
    depth = np.full((240, 320), 2.5)
    depth[:, ::2] = 3.5
    write_pairs(tmp_path / "pairs", [("val", smooth_picture(240, 320), depth)] * 3)
    options = KnownPoints(
        model=str(weights), root=str(tmp_path / "pairs"), out=str(tmp_path), pictures=3
    )
    result = known_points.study(options)
    (found,) = result["results"].values()
    assert found["pictures"] == 3
    cases = {name: values["rmse_log"][0] for name, values in found["cases"].items()}
    assert len(cases) == 2 + 2 * 9
    assert cases["true scale"] == min(cases.values())
    assert cases["5 of 1%"] < cases["1 of 20%"]
    assert result == json.loads((tmp_path / "known_points.json").read_text())
    assert "| 2 of 5% |" in (tmp_path / "known_points.md").read_text()
    with Image.open(tmp_path / "known_points.png") as picture:
        assert picture.width > 300


def test_too_few_images_are_refused(weights, tmp_path):
    write_pairs(tmp_path, [("val", smooth_picture(240, 320), np.full((240, 320), 2.5))] * 2)
    with pytest.raises(DepthsiError, match="Fewer than three images"):
        known_points.study(
            KnownPoints(model=str(weights), root=str(tmp_path), out=str(tmp_path / "out"))
        )
