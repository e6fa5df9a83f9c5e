"""Eq. 1-4 against literal numbers, exact-fraction oracles and their own theorems."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from depthsi.losses import (
    optimal_log_scale,
    pairwise_loss,
    reduce_images,
    scale_invariant_alpha,
    scale_invariant_centred,
    scale_invariant_closed,
    scale_invariant_loss,
    scale_invariant_pairwise,
    valid_count,
)

FORMS = {
    "alpha": scale_invariant_alpha,
    "pairwise": scale_invariant_pairwise,
    "closed": scale_invariant_closed,
    "centred": scale_invariant_centred,
}
RUN = {"eager": lambda f: f, "jit": jax.jit}


def some_images(seed=0, offset=0.4):
    """Five images in log metres; the third has no valid pixel, the fourth has one."""
    random = np.random.default_rng(seed)
    targets = random.normal(1.0, 0.5, (5, 4, 5))
    predictions = targets + random.normal(offset, 0.3, targets.shape)
    where = random.uniform(size=targets.shape) < 0.7
    where[2], where[3] = False, np.arange(20).reshape(4, 5) == 13
    return predictions.astype(np.float32), targets.astype(np.float32), where


def per_image(oracle, predictions, targets, where, *args):
    return [oracle(*image, *args) for image in zip(predictions, targets, where, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("run", RUN)
@pytest.mark.parametrize("form", FORMS)
def test_worked_example(form, run):
    """Depths 2, 4 and 8 m predicted as 1, 4 and 16: d = -ln 2, 0, ln 2, so V = (2/3) (ln 2)^2."""
    predictions = jnp.log(jnp.array([[[1.0, 4.0, 16.0, 7.0]]]))
    targets = jnp.log(jnp.array([[[2.0, 4.0, 8.0, 0.0]]]))  # the fourth pixel is missing
    where = jnp.array([[[True, True, True, False]]])
    got = RUN[run](functools.partial(FORMS[form], where=where))(predictions, targets)
    np.testing.assert_allclose(got, [2 / 3 * math.log(2) ** 2], rtol=1e-6)


def test_worked_example_of_the_training_loss_and_the_scale():
    """d = ln 2 everywhere: one common factor. L2 charges (ln 2)^2, lam takes its share off."""
    targets = jnp.log(jnp.array([[1.0, 2.0], [4.0, 8.0]]))
    predictions = targets + math.log(2)
    for lam, expected in ((0, math.log(2) ** 2), (0.5, math.log(2) ** 2 / 2), (1, 0)):
        got = scale_invariant_loss(predictions, targets, lam=lam)
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(jnp.exp(optimal_log_scale(predictions, targets)), 0.5, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("run", RUN)
@pytest.mark.parametrize("form", FORMS)
def test_value_and_gradient_of_the_forms(form, run):
    predictions, targets, where = some_images()

    def total(p, t):
        values = FORMS[form](p, t, where=where)
        return jnp.sum(values), values

    step = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)
    (_, values), (gradient, target_gradient) = RUN[run](step)(predictions, targets)
    expected = per_image(oracles.variance, predictions, targets, where)
    np.testing.assert_allclose(values, expected, rtol=3e-6, atol=2e-7)
    slope = [
        oracles.numerical_gradient(lambda x, t=t, w=w: oracles.variance(x, t, w), p)
        for p, t, w in zip(predictions, targets, where, strict=True)
    ]
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=2e-7)
    np.testing.assert_allclose(target_gradient, -np.array(slope), rtol=1e-5, atol=2e-7)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lam", [0.0, 0.3, 0.5, 1.0])
def test_equation_4(form, lam):
    predictions, targets, where = some_images(seed=1)
    loss = functools.partial(scale_invariant_loss, where=where, lam=lam, form=form)
    values, gradient = (
        jax.jit(loss)(predictions, targets),
        jax.grad(lambda p: jnp.sum(loss(p, targets)))(predictions),
    )
    expected = per_image(oracles.equation_4, predictions, targets, where, lam)
    np.testing.assert_allclose(values, expected, rtol=3e-6, atol=2e-7)
    np.testing.assert_allclose(
        gradient[0],
        oracles.numerical_gradient(
            lambda x: oracles.equation_4(x, targets[0], where[0], lam), predictions[0]
        ),
        rtol=1e-5,
        atol=2e-7,
    )


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_lam_does_not_decide_the_type(form):
    predictions, targets, where = some_images()
    with jax.enable_x64(True):
        for lam in (0.3, np.float64(0.3), jnp.full(5, 0.3, jnp.float64)):
            got = scale_invariant_loss(predictions, targets, where=where, lam=lam, form=form)
            assert got.dtype == jnp.float32


@pytest.mark.slow
def test_no_mask_is_a_mask_of_all():
    predictions, targets, _ = some_images()
    everything = np.ones(predictions.shape, bool)
    for form in FORMS.values():
        np.testing.assert_allclose(
            form(predictions, targets), form(predictions, targets, where=everything), rtol=1e-6
        )


def test_the_training_loss_mixes_its_two_ends():
    """L(lam) = (1 - lam) L2 + lam SI, with a lam of its own for each image too."""
    predictions, targets, where = some_images(seed=2)
    loss = functools.partial(scale_invariant_loss, predictions, targets, where=where)
    lam = np.linspace(0, 1, 5).astype(np.float32)
    mixed = (1 - lam) * loss(lam=0.0) + lam * loss(lam=1.0)
    np.testing.assert_allclose(loss(lam=jnp.asarray(lam)), mixed, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        loss(lam=1.0), scale_invariant_centred(predictions, targets, where=where), rtol=1e-6
    )
    assert not np.allclose(loss(lam=0.0), loss(lam=1.0))


def test_where_the_published_factors_slip():
    """arXiv's Eq. 2 (1/n^2) is twice Eq. 3, the proceedings' Eq. 1 (1/2n) is half of it."""
    predictions, targets, where = some_images(seed=3)
    d = (predictions - targets)[0, where[0]].astype(np.float64)
    arxiv_equation_2 = np.mean((d[:, None] - d[None, :]) ** 2)
    proceedings_equation_1 = np.sum((d - d.mean()) ** 2) / (2 * d.size)
    ours = {name: float(f(predictions, targets, where=where)[0]) for name, f in FORMS.items()}
    for value in ours.values():
        np.testing.assert_allclose(arxiv_equation_2 / value, 2, rtol=1e-5)
        np.testing.assert_allclose(proceedings_equation_1 / value, 0.5, rtol=1e-5)


def test_full_invariance_leaves_the_scale_alone():
    """lam = 1: no change under a common factor, and a gradient that sums to zero per image."""
    predictions, targets, where = some_images(seed=4)
    before = scale_invariant_loss(predictions, targets, where=where, lam=1.0)
    after = scale_invariant_loss(predictions + math.log(3), targets, where=where, lam=1.0)
    np.testing.assert_allclose(after, before, rtol=2e-6, atol=1e-7)

    def pull(lam):
        gradient = jax.grad(
            lambda p: jnp.sum(scale_invariant_loss(p, targets, where=where, lam=lam))
        )(predictions)
        return np.sum(gradient, axis=(1, 2))

    mean = np.array(per_image(oracles.log_scale, predictions, targets, where))
    np.testing.assert_allclose(pull(1.0), 0, atol=1e-6)
    np.testing.assert_allclose(pull(0.5), -mean, rtol=1e-5, atol=1e-6)  # 2 (1 - lam) mean(d)


def test_optimal_log_scale():
    predictions, targets, where = some_images(seed=5)
    alpha = optimal_log_scale(predictions, targets, where=where)
    expected = per_image(oracles.log_scale, predictions, targets, where)
    np.testing.assert_allclose(alpha, expected, rtol=1e-6)

    def error(shift):
        moved = predictions + np.reshape(alpha, (5, 1, 1)) + shift
        return np.array(scale_invariant_loss(moved, targets, where=where, lam=0.0))

    full = np.array([0, 1, 3, 4])
    assert np.all(error(0.0)[full] < error(0.01)[full])
    assert np.all(error(0.0)[full] < error(-0.01)[full])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offset", "spread", "tolerance"),
    [(0, 0.1, 3e-7), (1, 0.01, 3e-7), (10, 0.001, 3e-5), (50, 0.01, 5e-6)],
)
def test_digits_under_a_common_offset(offset, spread, tolerance):
    """n = 4070 in float32: the centred form keeps what the inputs hold, the closed one does not."""
    random = np.random.default_rng(0)
    predictions = (offset + random.normal(0, spread, (1, 55, 74))).astype(np.float32)
    targets = np.zeros_like(predictions)
    truth = np.var(predictions.astype(np.float64))
    for form in (scale_invariant_centred, scale_invariant_alpha, scale_invariant_pairwise):
        assert abs(float(jax.jit(form)(predictions, targets)[0]) / truth - 1) < tolerance
    if offset == 10:
        assert abs(float(scale_invariant_closed(predictions, targets)[0]) / truth - 1) > 1e-2


@pytest.mark.slow
def test_digits_of_a_full_frame():
    """307 200 pixels off by 50: the sums are long enough to lose the mean, were they serial."""
    random = np.random.default_rng(0)
    predictions = (50 + random.normal(0, 0.01, (1, 480, 640))).astype(np.float32)
    truth = np.var(predictions.astype(np.float64))
    value, gradient = jax.jit(
        jax.value_and_grad(lambda p: scale_invariant_centred(p, jnp.zeros_like(p))[0])
    )(predictions)
    np.testing.assert_allclose(value, truth, rtol=1e-4)
    exact = 2 * (predictions - predictions.mean(dtype=np.float64)) / predictions.size
    assert np.linalg.norm(gradient - exact) < 1e-3 * np.linalg.norm(exact)


@pytest.mark.slow
@pytest.mark.parametrize("run", RUN)
@pytest.mark.parametrize("reduction", ["image", "pixel", "authors"])
def test_reductions(reduction, run):
    predictions, targets, where = some_images(seed=6)

    def reduced(p):
        values = scale_invariant_loss(p, targets, where=where)
        return reduce_images(values, valid_count(p, where=where), reduction)

    got, gradient = RUN[run](jax.value_and_grad(reduced))(predictions)
    values = per_image(oracles.equation_4, predictions, targets, where, 0.5)
    counts = where.sum(axis=(1, 2))
    np.testing.assert_allclose(got, oracles.reduced(values, counts, reduction), rtol=3e-6)
    if reduction == "authors":
        expected = oracles.authors_cost(predictions, targets, where, 0.5)
        np.testing.assert_allclose(got, expected, rtol=3e-6)
    assert np.all(gradient[2] == 0)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("reduction", ["image", "pixel", "authors"])
def test_reduction_of_nothing_is_zero(reduction):
    nothing = jnp.zeros(3)
    assert float(reduce_images(jnp.full(3, jnp.nan), nothing, reduction)) == 0.0
    gradient = jax.grad(lambda v: reduce_images(v, nothing, reduction))(jnp.zeros(3))
    np.testing.assert_array_equal(gradient, 0)


def test_valid_count_in_the_type_of_the_sums():
    where = np.array([[[True, False], [True, True]], [[False, False], [False, False]]])
    count = valid_count(jnp.zeros((2, 2, 2), jnp.bfloat16), where=where)
    assert count.dtype == jnp.float32
    np.testing.assert_array_equal(count, [3, 0])
    np.testing.assert_array_equal(valid_count(jnp.zeros((2, 3, 4))), [12, 12])
    np.testing.assert_array_equal(valid_count(jnp.zeros((2, 2, 2)), where=where[:1]), [3, 3])
    np.testing.assert_array_equal(valid_count(np.zeros((2, 2, 2)), where=where[0, 0]), [2, 2])
    with pytest.raises(TypeError, match="`predictions` must be floating point, got int32"):
        valid_count(jnp.zeros((2, 2, 2), jnp.int32))
    with pytest.raises(ValueError, match=r"`where` \(2, 2, 2\) must broadcast to \(1, 2, 2\)"):
        valid_count(jnp.zeros((1, 2, 2)), where=where)


@pytest.mark.slow
def test_other_axes():
    """One number per batch, per row, and with the image axes first."""
    predictions, targets, where = some_images(seed=7)
    whole = scale_invariant_loss(predictions, targets, where=where, axis=None)
    assert whole.shape == ()
    np.testing.assert_allclose(
        whole, oracles.equation_4(predictions, targets, where, 0.5), rtol=3e-6
    )
    first = [np.moveaxis(x, 0, -1) for x in (predictions, targets, where)]
    for form in FORMS:
        np.testing.assert_allclose(
            scale_invariant_loss(*first[:2], where=first[2], axis=(1, 0), form=form),
            scale_invariant_loss(predictions, targets, where=where, form=form),
            rtol=3e-6,
            atol=1e-7,
        )
    rows = pairwise_loss(predictions, targets, where=where, axis=-1)
    np.testing.assert_allclose(
        rows[1], per_image(oracles.variance, predictions[1], targets[1], where[1]), atol=1e-7
    )


def test_refused_options():
    x = jnp.zeros((2, 3, 4))
    with pytest.raises(ValueError, match=r"`form` must be one of centred.*got 'centered'"):
        scale_invariant_loss(x, x, form="centered")
    for lam in (1.5, -0.01, 2, -1):
        with pytest.raises(ValueError, match=rf"`lam` must lie in \[0, 1\], got {lam}\."):
            scale_invariant_loss(x, x, lam=lam)
    with pytest.raises(ValueError, match=r"`reduction` must be one of image.*got 'mean'"):
        reduce_images(jnp.zeros(2), jnp.zeros(2), "mean")
    with pytest.raises(ValueError, match=r"`values` \(2,\) and `counts` \(1,\)"):
        reduce_images(jnp.zeros(2), jnp.zeros(1))


def test_every_form_of_the_training_loss_by_hand():
    """d = 1, 2, 6: mean of squares 41/3, mean 3; a single pixel of d = 2 has 4 (1 - lam)."""
    d = jnp.array([[1.0, 2.0, 6.0], [9.0, 2.0, 9.0]])[:, None]
    where = jnp.array([[True, True, True], [False, True, False]])[:, None]

    @jax.jit
    def losses(d):
        return [
            scale_invariant_loss(d, jnp.zeros_like(d), where=where, lam=0.3, form=form)
            for form in ("centred", "alpha", "pairwise", "closed")
        ]

    for found in losses(d):
        np.testing.assert_allclose(found, [41 / 3 - 0.3 * 9, 4 * 0.7], rtol=1e-6)
