"""Losses over pairs against the double loop; what memory they take; whether samples are fair."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from depthsi.losses import pairwise_loss, scale_invariant_pairwise
from depthsi.losses.pairwise import sample_pairs

RUN = {"eager": lambda f: f, "jit": jax.jit}
PENALTIES = {
    "square": ("square", lambda x: x * x),
    "abs": ("abs", abs),
    "huber": ("huber", oracles.huber(0.3)),
    "even function": (lambda x: jnp.log(jnp.cosh(x)), lambda x: math.log(math.cosh(x))),
    "uneven function": (lambda x: jnp.exp(-x) + 1, lambda x: math.exp(-x) + 1),
}


def some_images(seed=0, count=3, height=4, width=5):
    random = np.random.default_rng(seed)
    predictions = random.normal(0.5, 0.4, (count, height, width)).astype(np.float32)
    where = random.uniform(size=predictions.shape) < 0.7
    where[-1] = False
    return predictions, np.zeros_like(predictions), where


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "run"),
    [*((name, "jit") for name in PENALTIES), ("abs", "eager"), ("uneven function", "eager")],
)
def test_value_and_gradient_are_those_of_the_double_loop(name, run):
    (penalty, slow), (predictions, targets, where) = PENALTIES[name], some_images()
    loss = functools.partial(pairwise_loss, where=where, penalty=penalty, delta=0.3)

    def total(p):
        values = loss(p, targets)
        return jnp.sum(values), values

    (_, values), gradient = RUN[run](jax.value_and_grad(total, has_aux=True))(predictions)
    images = list(zip(predictions, targets, where, strict=True))
    expected = [oracles.pairs(*image, slow) for image in images]
    np.testing.assert_allclose(values, expected, rtol=3e-6, atol=1e-7)
    for got, (p, t, w) in zip(gradient, images, strict=True):
        slope = oracles.numerical_gradient(
            lambda x, t=t, w=w: oracles.pairs(x, t, w, slow), p, step=1e-6
        )
        np.testing.assert_allclose(got, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_worked_examples():
    """d = 0, 1, 3: differences 1, 2, 3, each with both signs, over 2 n^2 = 18."""
    d = jnp.array([[0.0, 1.0, 3.0]])
    zero = jnp.zeros_like(d)
    np.testing.assert_allclose(scale_invariant_pairwise(d, zero), 2 * (1 + 4 + 9) / 18, rtol=1e-6)
    np.testing.assert_allclose(pairwise_loss(d, zero, penalty="abs"), 2 * 6 / 18, rtol=1e-6)
    huber = pairwise_loss(d, zero, penalty="huber", delta=1.5)
    np.testing.assert_allclose(huber, 2 * (0.5 + 1.5 * 1.25 + 1.5 * 2.25) / 18, rtol=1e-6)
    gradient = jax.grad(lambda d: pairwise_loss(d, zero, penalty="abs"))(d)
    np.testing.assert_allclose(gradient, [[-2 / 9, 0, 2 / 9]], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("run", RUN)
def test_sorted_abs_with_ties_has_the_slope_of_the_definition(run):
    """Tied pixels pull on each other with slope 0: 1, 1, 2 gives (-1, -1, 2)/9."""
    d = jnp.array([[1.0, 2.0, 1.0, 9.0]])
    where = jnp.array([[True, True, True, False]])
    loss = functools.partial(pairwise_loss, where=where, penalty="abs")
    gradient = RUN[run](jax.grad(lambda d: loss(d, jnp.zeros_like(d))))(d)
    np.testing.assert_allclose(gradient, [[-1 / 9, 2 / 9, -1 / 9, 0]], rtol=1e-6)
    by_pairs = jax.grad(lambda d: pairwise_loss(d, d * 0, where=where, penalty=jnp.abs))(d)
    np.testing.assert_allclose(gradient, by_pairs, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 7, 8, 9, 16, 37])
def test_every_pixel_meets_every_other(width):
    """Around the number of partners that are met in one step, none is lost or met twice."""
    predictions, targets, where = some_images(seed=1, height=1, width=width)
    got = jax.jit(scale_invariant_pairwise)(predictions, targets, where=where)
    images = zip(predictions, targets, where, strict=True)
    np.testing.assert_allclose(got, [oracles.variance(*i) for i in images], rtol=5e-6, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", ["square", "abs", "huber"])
def test_a_whole_frame_of_pairs_needs_no_more_than_a_few_frames_of_memory(penalty):
    """n = 307 200: the compiled value-and-gradient may hold 40 n numbers, not n^2 (378 GB)."""
    frame = jax.ShapeDtypeStruct((1, 480, 640), jnp.float32)
    where = jax.ShapeDtypeStruct((1, 480, 640), jnp.bool_)

    def total(p, t, w):
        return jnp.sum(pairwise_loss(p, t, where=w, penalty=penalty))

    compiled = jax.jit(jax.value_and_grad(total)).lower(frame, frame, where).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 40 * 4 * 480 * 640


@pytest.mark.slow
def test_the_pairs_of_many_pixels_keep_their_digits():
    """n = 20 000, off by 500: the mean over 4e8 pairs to six digits, in value and gradient."""
    random = np.random.default_rng(2)
    d = (500 + random.normal(0, 0.1, (1, 100, 200))).astype(np.float32)
    value, gradient = jax.jit(
        jax.value_and_grad(lambda p: scale_invariant_pairwise(p, jnp.zeros_like(p))[0])
    )(d)
    exact = d.astype(np.float64)
    np.testing.assert_allclose(value, np.var(exact), rtol=2e-6)
    np.testing.assert_allclose(gradient, 2 * (exact - exact.mean()) / d.size, 1e-5, 1e-10)
    absolute = jax.jit(functools.partial(pairwise_loss, penalty="abs"))(d, np.zeros_like(d))
    ordered = np.sort(exact.ravel())
    gaps = np.diff(ordered) * np.arange(1, d.size) * np.arange(d.size - 1, 0, -1)
    np.testing.assert_allclose(absolute, gaps.sum() / d.size**2, rtol=2e-6)


@pytest.mark.slow
def test_sampled_pairs_are_unbiased():
    """Over 400 keys the mean value and gradient meet those of all pairs within 4 sigma."""
    predictions, targets, where = some_images(seed=3, height=2, width=4)

    def step(**options):
        def total(p):
            loss = pairwise_loss(p, targets, where=where, penalty="huber", delta=0.3, **options)
            return jnp.sum(loss), loss

        (_, values), gradient = jax.value_and_grad(total, has_aux=True)(predictions)
        return jnp.concatenate([values, gradient.ravel()])

    keys = jax.random.split(jax.random.key(0), 400)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: step(pairs=16, key=key)))(keys), np.float64)
    error = drawn.mean(axis=0) - np.asarray(jax.jit(step)())
    assert np.all(np.abs(error) <= 4 * drawn.std(axis=0) / math.sqrt(len(keys)) + 1e-7)
    assert drawn[:, 0].std() > 0.01  # the draws do differ


@pytest.mark.slow
def test_sampled_pairs_stay_among_the_valid_pixels():
    """With two valid pixels every pair costs 0 or 1: their share of 1 is the chance 1/2."""
    where = np.zeros((1, 3, 50), bool)
    where[0, 1, 7] = where[0, 2, 30] = True
    predictions = np.full(where.shape, np.nan, np.float32)
    predictions[0, 1, 7], predictions[0, 2, 30] = 3, 4
    loss = pairwise_loss(
        predictions, np.zeros_like(predictions), where=where, pairs=4000, key=jax.random.key(1)
    )
    np.testing.assert_allclose(loss, 0.25, atol=4 * 0.25 / math.sqrt(4000))


@pytest.mark.slow
def test_sampled_pairs_of_an_image_without_a_valid_pixel():
    """Its draws stay inside it and its loss is 0, also for a penalty that is not 0 at 0."""
    where = jnp.array([[[False] * 5], [[True, False, True, True, False]]])
    key, d = jax.random.key(2), jnp.full((2, 1, 5), jnp.nan)
    draw = jax.jit(functools.partial(sample_pairs, 30, key))
    for places in draw(where[:, 0]):
        assert set(np.asarray(places[0]).tolist()) <= set(range(5))
        assert set(np.asarray(places[1]).tolist()) == {0, 2, 3}
    d = jnp.where(where, 1.0, d)

    def total(d):
        penalty = PENALTIES["uneven function"][0]
        values = pairwise_loss(d, d * 0, where=where, penalty=penalty, pairs=30, key=key)
        return jnp.sum(values), values

    (_, values), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(d)
    np.testing.assert_allclose(values, [0, 1])
    np.testing.assert_array_equal(gradient[0], 0)


def test_draws_in_an_empty_image_and_at_the_last_pixel():
    """The guards of empty images, for every place a draw may take: none outside, none NaN."""
    valid = jnp.array([[False] * 4, [False, False, False, True]])
    left, right = sample_pairs(20, jax.random.key(0), valid)
    for places in (left, right):
        assert places.shape == (2, 20)
        assert int(jnp.min(places)) >= 0
        assert int(jnp.max(places[0])) <= 3
        np.testing.assert_array_equal(places[1], 3)
    d = jnp.where(valid, 1.0, jnp.nan)[:, None]
    loss = functools.partial(pairwise_loss, where=valid[:, None], pairs=5, key=jax.random.key(1))
    np.testing.assert_allclose(loss(d, d * 0, penalty=lambda x: jnp.exp(-x) + 1), [0, 1])


def test_refused_options():
    x = jnp.zeros((2, 3, 4))
    with pytest.raises(ValueError, match=r"`penalty` must be one of square, abs, huber.*'l1'"):
        pairwise_loss(x, x, penalty="l1")
    for pairs in (0, -3, "some"):
        with pytest.raises(ValueError, match=f"`pairs` must be a positive number or.*{pairs!r}"):
            pairwise_loss(x, x, pairs=pairs, key=jax.random.key(0))
    with pytest.raises(ValueError, match="`pairs`=5 draws at random and needs `key`"):
        pairwise_loss(x, x, pairs=5)
