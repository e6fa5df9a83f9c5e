"""One known distance: the factor in closed form, against float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_predictor import names, network, photo, predictor, run_predict, saved_photo, weights

from depthsi import DepthsiError
from depthsi.commands.predict_request import PredictRequest
from depthsi.scale import known_scale, log_scale_at

__all__ = ["network", "predictor", "weights"]  # fixtures
RNG = np.random.default_rng(3)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_shift_is_the_mean_log_ratio(count):
    depth = np.exp(RNG.normal(1, 0.5, (9, 12)))
    at = RNG.permutation(9 * 12)[:count]
    rows, cols = at // 12, at % 12
    metres = np.exp(RNG.normal(1, 0.5, count))
    triples = list(zip(rows, cols, metres, strict=True))
    expected = sum(np.log(m) - np.log(depth[r, c]) for r, c, m in triples) / count
    log_depth = jnp.log(jnp.float32(depth))
    found = log_scale_at(log_depth, rows.tolist(), cols.tolist(), metres.tolist())
    np.testing.assert_allclose(found, expected, atol=1e-6)
    known = {(int(c), int(r)): m for r, c, m in triples}
    factor = known_scale(depth.astype(np.float32), known)
    np.testing.assert_allclose(factor, np.exp(expected), rtol=1e-6)
    # no other factor has a smaller squared log error at the points
    errors = [
        np.mean((np.log(f * depth[rows, cols]) - np.log(metres)) ** 2)
        for f in (factor, factor * 1.001, factor / 1.001)
    ]
    assert min(errors) == errors[0]


def test_the_shift_can_be_differentiated():
    """Every point pulls with 1/n of its log depth."""
    log_depth = jnp.ones((3, 4))
    gradient = jax.grad(lambda x: log_scale_at(x, [0, 2], [1, 3], [2.0, 3.0]))(log_depth)
    expected = np.zeros((3, 4))
    expected[[0, 2], [1, 3]] = -0.5
    np.testing.assert_allclose(gradient, expected)


def test_fractions_are_of_width_and_height():
    depth = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    for point, value in (
        ((0.0, 0.0), 1),
        ((0.2, 0.0), 1),
        ((1.0, 1.0), 12),
        ((0.5, 0.5), 7),
        ((0.25, 0.34), 6),
        ((1, 1), 6),
        ((np.int64(3), 0), 4),
        ((np.float32(0.99), 0.1), 4),
    ):
        np.testing.assert_allclose(known_scale(depth, {point: 60.0}), 60 / value, rtol=1e-6)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, "No known distance"),
        ({(4, 0): 1.0}, "outside the image, which is 4 pixels wide and 3 high"),
        ({(0, -1): 1.0}, "outside"),
        ({(1.5, 0.5): 1.0}, "neither in whole pixels nor in fractions"),
        ({(0.5, float("nan")): 1.0}, "neither"),
        ({(0.5, 1): 1.0}, "mixes"),
        ({(0, 0): 0.0}, "positive"),
        ({(0, 0): -2.0}, "positive"),
        ({(0, 0): float("nan")}, "positive"),
        ({(0, 0): float("inf")}, "positive"),
        ({(2, 1): 1.0, (0, 0): 1.0}, "predicts nothing at the point 2,1"),
    ],
)
def test_what_cannot_be_known_is_refused(known, words):
    depth = np.ones((3, 4), np.float32)
    depth[1, 2] = np.nan
    with pytest.raises(DepthsiError, match=words):
        known_scale(depth, known)


def test_a_predictor_brings_its_map_to_scale(predictor):
    image = photo()
    depth, scaled = predictor(image), predictor(image, known={(70, 20): 2.4, (0.1, 0.9): 3.0})
    rows, cols = [20, 54], [70, 8]
    expected = np.mean(np.log([2.4, 3.0]) - np.log(np.float64(depth[rows, cols])))
    np.testing.assert_allclose(np.log(scaled / depth), np.full_like(depth, expected), atol=1e-5)
    (one,) = [predictor(image, known={(70, 20): 2.4})]
    np.testing.assert_allclose(one[20, 70], 2.4, rtol=1e-5)


def test_the_command_says_the_factor(weights, tmp_path, capsys, predictor):
    image = photo()
    saved_photo(tmp_path / "a.png", image)
    words = ("--known", "70,20=2.4", "--known", "0.5,0.5 = 2.4 m", "--camera", "training")
    assert run_predict(weights, tmp_path / "a.png", "--out", tmp_path, "--save", "npy", *words) == 0
    depth = predictor(image).astype(np.float64)
    factor = np.exp(np.mean(np.log([2.4, 2.4]) - np.log(depth[[20, 30], [70, 40]])))
    assert f"multiplied by {factor:.4g}" in capsys.readouterr().err
    np.testing.assert_allclose(np.load(tmp_path / "a_depth.npy"), factor * depth, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("70=2.4", "--known 70=2.4 is not of the form X,Y=METRES"),
        ("70,20", "not of the form"),
        ("70,20=far", "not of the form"),
        ("x,20=2", "not of the form"),
        ("", "not of the form"),
        ("800,20=2.4", "--known: The point 800,20 lies outside"),
        ("70,20=-1", "--known: The distance -1"),
        ("0.5,7=1", "--known: The point 0.5,7 mixes"),
    ],
)
def test_a_mistake_about_a_distance_is_a_sentence(weights, tmp_path, capsys, text, said):
    saved_photo(tmp_path / "a.png", photo())
    out = tmp_path / "out"
    assert run_predict(weights, tmp_path / "a.png", "--out", out, "--known", text) == 2
    assert said in capsys.readouterr().err
    assert names(tmp_path) == ["a.png"]


def test_a_distance_is_of_one_photo(weights, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        saved_photo(tmp_path / name, photo())
    assert run_predict(weights, tmp_path, "--out", tmp_path / "out", "--known", "1,1=2") == 2
    assert "--known is about one photo, but 2 are named" in capsys.readouterr().err
    with pytest.raises(DepthsiError, match="named twice"):
        PredictRequest(known=("1,1=2", "1, 1=3")).known_distances()
