"""The interval of the scale: measured on val, stored with the network, said by predict."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from test_predictor import network, photo, run_predict, saved_photo, weights

import depthsi
from depthsi import DepthsiError
from depthsi.inference import make_predictor
from depthsi.metrics.protocols import DEFAULT_PROTOCOLS
from depthsi.metrics.regions import evaluated_region
from depthsi.scale import (
    ENTRY,
    describe_scale,
    known_scale,
    log_scale_range,
    stored_interval,
    stored_prior,
)

__all__ = ["network", "weights"]  # fixtures
RNG = np.random.default_rng(11)


def quantile(values, share):
    """With linear interpolation between order statistics, written out."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@pytest.mark.parametrize("count", [20, 21, 77])
def test_the_range_is_of_the_middle_nine_tenths(count):
    alphas = RNG.normal(0.1, 0.4, count)
    found = log_scale_range(alphas)
    assert found["log_scale_low"] == pytest.approx(quantile(alphas, 0.05))
    assert found["log_scale_high"] == pytest.approx(quantile(alphas, 0.95))
    assert found["log_scale_images"] == count
    inside = (found["log_scale_low"] <= alphas) & (alphas <= found["log_scale_high"])
    assert inside.sum() == count - 2 * math.ceil(0.05 * (count - 1))
    interval = stored_interval(json.loads(json.dumps(describe_scale(found, "fine"))), "fine")
    assert interval == pytest.approx(
        (math.exp(quantile(alphas, 0.05)), math.exp(quantile(alphas, 0.95)), count)
    )


def test_of_few_images_or_odd_ones_nothing_is_claimed():
    assert log_scale_range(RNG.normal(size=19)) == {}
    assert log_scale_range(np.array([np.nan] + [0.0] * 30)) == {}
    assert describe_scale({"rmse": 1.0}, "fine") == {}
    odd: dict[str, Any] = {"log_scale_low": "x", "log_scale_high": 1.0, "log_scale_images": 30.0}
    assert describe_scale(odd, "fine") == describe_scale(odd | {"log_scale_low": 1e6}, "fine") == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"low": "x"},
        {"low": -1.0},
        {"low": 2.0},
        {"high": math.inf},
        {"high": math.nan},
        {"share": 0.5},
        {"output": "coarse"},
        {"images": None},
        None,
    ],
)
def test_odd_metadata_claim_nothing(changes):
    good = {"output": "fine", "share": 0.9, "low": 0.8, "high": 1.3, "images": 30}
    assert stored_interval({ENTRY: good}, "fine") == (0.8, 1.3, 30)
    assert stored_interval({ENTRY: changes and good | changes}, "fine") is None
    assert stored_interval({}, "fine") is None


@pytest.mark.parametrize("error", [-1.0, math.inf, math.nan, "x", None])
def test_without_the_error_of_pixels_there_is_no_prior(error):
    good = {"output": "fine", "share": 0.9, "low": 0.8, "high": 1.3, "images": 30}
    assert stored_prior({ENTRY: good | {"pixel_error": 0.2}}, "fine") is not None
    assert stored_prior({ENTRY: good | {"pixel_error": error}}, "fine") is None
    assert stored_prior({ENTRY: good}, "fine") is None
    assert stored_prior({ENTRY: good | {"pixel_error": 0.2}}, "coarse") is None
    assert stored_prior({}, "fine") is None
    val = {"log_scale_low": 0.0, "log_scale_high": 0.1, "log_scale_images": 30.0}
    assert (
        "pixel_error"
        not in describe_scale(val | {"rmse_log_si": error and math.nan}, "fine")[ENTRY]
    )


def test_the_prior_of_normal_scales_is_theirs():
    alphas = RNG.normal(0.1, 0.2, 100_000)
    about = describe_scale(log_scale_range(alphas) | {"rmse_log_si": 0.25}, "fine")
    assert stored_prior(about, "fine") == pytest.approx((0.1, 0.2**2, 0.25**2), rel=0.02)


@pytest.mark.parametrize("count", [1, 3])
def test_weighted_distances_give_the_mean_of_the_posterior(count):
    """By Bayes' rule on a grid of scales, for a map of 1 m."""
    points = {(col, 0): metres for col, metres in zip(range(count), (2.0, 1.1, 1.4), strict=False)}
    prior = stored_prior(describe_scale(INTERVAL | {"rmse_log_si": 0.3}, "fine"), "fine")
    assert prior is not None
    grid = np.linspace(-3, 3, 60_001)
    density = np.exp(-((grid - prior.mean) ** 2) / (2 * prior.variance))
    for metres in points.values():
        density *= np.exp(-((math.log(metres) - grid) ** 2) / (2 * 0.3**2))
    posterior = np.sum(grid * density) / np.sum(density)
    found = known_scale(np.ones((1, 4), np.float32), points, prior)
    assert math.log(found) == pytest.approx(posterior, abs=1e-6)
    exact = known_scale(np.ones((1, 4), np.float32), points)
    assert math.exp(prior.mean) < found < exact


def test_the_command_and_the_predictor_weigh_alike(network, weights, tmp_path, capsys):
    saved_photo(tmp_path / "a.png", photo())
    model = with_interval(network, tmp_path / "model.safetensors")
    predictor = depthsi.load(model)
    words = ["--out", tmp_path, "--save", "npy", "--known", "9,9=3", "--known-fit", "weighted"]
    assert run_predict(model, tmp_path / "a.png", *words) == 0
    known = {(9, 9): 3.0}
    plain = predictor(tmp_path / "a.png")
    exact = predictor(tmp_path / "a.png", known=known)
    weighted = predictor(tmp_path / "a.png", known=known, known_fit="weighted")
    np.testing.assert_array_equal(np.load(tmp_path / "a_depth.npy"), weighted)
    assert exact[9, 9] == pytest.approx(3)
    assert sorted([plain[9, 9], exact[9, 9], weighted[9, 9]])[1] == weighted[9, 9]
    depthsi.export(predictor, tmp_path / "model.stablehlo")
    exported = depthsi.load(tmp_path / "model.stablehlo")
    again = exported(tmp_path / "a.png", known={(9, 9): 3.0}, known_fit="weighted")
    np.testing.assert_allclose(again, weighted, rtol=1e-5)
    capsys.readouterr()
    assert run_predict(weights, tmp_path / "a.png", *words) == 2
    said = "--known-fit weighted needs the network's errors on validation images"
    assert said in capsys.readouterr().err
    for fit, said in (("weighted", "has no record"), ("wighted", "choose one of exact, weighted")):
        with pytest.raises(DepthsiError, match=said):
            depthsi.load(weights).scale_prior(fit)


INTERVAL = log_scale_range(np.log(np.linspace(0.8, 1.3, 41)))


def with_interval(network, path):
    interval = describe_scale(INTERVAL | {"rmse_log_si": 0.3}, "fine")
    depthsi.write_network(path, dataclasses.replace(network, about=interval))
    return path


def test_the_command_says_the_interval(network, weights, tmp_path, capsys):
    saved_photo(tmp_path / "a.png", photo())
    model = with_interval(network, tmp_path / "model.safetensors")
    interval = depthsi.load(model).scale_interval
    assert interval == pytest.approx((0.825, 1.275, 41), abs=0.006)
    assert interval is not None
    low, high, _ = interval
    assert depthsi.load(model, output="coarse").scale_interval is None
    assert depthsi.load(weights).scale_interval is None
    words = (tmp_path / "a.png", "--out", tmp_path, "--save", "npy", "--camera", "training")
    for name, more, said in (
        (model, (), True),
        (model, ("--known", "1,1=2"), False),  # which is then known better
        (model, ("--quiet",), False),
        (weights, (), False),
    ):
        assert run_predict(name, *words, *more) == 0
        text = (
            "Absolute scale is uncertain: for 90% of 41 validation images, the factor that best"
            f" corrects the whole map was between {low:.2f} and {high:.2f}."
            " If you know a distance, set the scale with --known."
        )
        assert (text in capsys.readouterr().err) == said
    saved_photo(tmp_path / "b.png", photo())
    assert run_predict(model, tmp_path / "b.png", *words) == 0  # a distance is one of one photo
    said = capsys.readouterr().err
    assert "for 90% of 41" in said
    assert "--known" not in said


def test_an_exported_network_keeps_it(network, tmp_path):
    model = with_interval(network, tmp_path / "model.safetensors")
    depthsi.export(depthsi.load(model), tmp_path / "model.stablehlo")
    exported = depthsi.load(tmp_path / "model.stablehlo")
    assert exported.scale_interval == depthsi.load(model).scale_interval


def samples(count):
    rows = np.linspace(0.7, 1.4, 240)[:, None] * np.ones((240, 320))
    return [
        (RNG.integers(0, 256, (240, 320, 3), np.uint8), rows * np.exp(RNG.normal(0.7, 0.3)))
        for _ in range(count)
    ]


@pytest.mark.slow
def test_a_training_measures_it_on_val_and_keeps_it_with_every_evaluated_checkpoint(tmp_path):
    config = depthsi.Config(
        model=depthsi.config.TwoScaleConfig(width=0.004),
        schedule=depthsi.config.ScheduleConfig(
            batch_size=4, coarse_samples=4, fine_samples=4, eval_every=1, save_every=1
        ),
    )
    val = samples(22)
    result = depthsi.train(config, run=tmp_path / "run", train=samples(4), val=val)
    sizes = config.model.sizes
    box = evaluated_region(DEFAULT_PROTOCOLS["nyu"], sizes, sizes.image)
    top, _, left, _ = sizes.region
    inside = np.s_[box.top - top : box.bottom - top, box.left - left : box.right - left]
    for model, output in (
        (depthsi.load(tmp_path / "run"), "fine"),
        (depthsi.load(tmp_path / "run" / "weights.safetensors"), "fine"),
        (depthsi.load(tmp_path / "run", checkpoint=1), "coarse"),
    ):
        assert isinstance(model.network, depthsi.TrainedNetwork)
        predict, alphas = make_predictor(config.model, output), []
        for image, depth in val:
            cells = np.asarray(predict(model.network.params, image[None]), np.float64)[0]
            pixels = np.kron(cells, np.ones((4, 4)))[inside]
            truth = depth[box.top : box.bottom, box.left : box.right]
            alphas.append(np.mean(np.log(truth) - np.log(pixels)))
        low, high = np.exp(np.quantile(alphas, [0.05, 0.95]))
        assert model.output == output
        assert model.scale_interval == pytest.approx((low, high, 22), rel=1e-4)
    rows = [row for row in result.rows if row["split"] == "val"]
    assert all(math.exp(row["log_scale_low"]) < 1.2 for row in rows)
