"""The study of known points: what it measures with is right, and it runs with any network."""

import json
import math

import numpy as np
import pytest
from pictures import smooth_picture, write_pairs
from PIL import Image
from test_predictor import network, weights

from depthsi import DepthsiError
from experiments.studies import known_points
from experiments.studies.known_points import KnownPoints, errors, with_points

__all__ = ["network", "weights"]  # fixtures


def wall():
    """A true map, part of it unknown, and a prediction of the right shape and a wrong scale."""
    truth = 2 + np.random.default_rng(0).random((20, 30))
    depth = 1.7 * truth
    truth[:5], depth[:, :4] = 0, np.nan
    return depth, truth


def test_errors_by_hand():
    found = errors(np.array([2.0, 3.0]), np.array([1.0, 3.0]))
    assert found == pytest.approx({"rmse_log": math.log(2) / math.sqrt(2), "abs_rel": 0.5})


@pytest.mark.parametrize("count", [1, 2, 5])
def test_exact_distances_leave_nothing_of_a_wrong_scale(count):
    found = with_points(*wall(), count, 0.0, np.random.default_rng(1))
    assert found == pytest.approx({"rmse_log": 0, "abs_rel": 0}, abs=1e-6)


def test_noise_is_averaged_over_the_points(monkeypatch):
    """The error left is that of the mean of n distances: noise / sqrt(n), in the mean of |.|."""
    monkeypatch.setattr(known_points, "DRAWS", 600)
    for count in (1, 4):
        found = with_points(*wall(), count, 0.2, np.random.default_rng(1))["rmse_log"]
        assert found == pytest.approx(0.2 / math.sqrt(count) * math.sqrt(2 / math.pi), rel=0.1)


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
    assert len(cases) == 2 + 9
    assert cases["true scale"] == min(cases.values())
    assert cases["5 of 1%"] < cases["1 of 20%"]
    assert result == json.loads((tmp_path / "known_points.json").read_text())
    assert "| 2 of 5% |" in (tmp_path / "known_points.md").read_text()
    with Image.open(tmp_path / "known_points.png") as picture:
        assert picture.width > 300


def test_a_model_must_be_named(tmp_path):
    with pytest.raises(DepthsiError, match="--model"):
        known_points.study(KnownPoints(out=str(tmp_path)))
