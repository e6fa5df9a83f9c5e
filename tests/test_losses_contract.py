"""What every loss promises, on the data that breaks losses: each eager and jitted, per type."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_catalogue import CASES, random

from depthsi import losses

GARBAGE = (0.0, -1.0, np.nan, np.inf, -np.inf, 3e38)
RUN = {"eager": lambda f: f, "jit": jax.jit}
KINDS = (
    *("alpha", "closed", "loss", "pairwise", "abs", "sampled", "silog_bts", "ssi_loss"),
    *("ssi_trimmed", "gradient_matching", "eigen_fergus_2015", "berhu", "ranking_loss"),
)
EMPTY, ONE_PIXEL, PERFECT, OFFSET = 0, 1, 2, 3


@functools.cache
def hard_images():
    """Eight images (log metres): empty mask, one pixel, perfect, off by e^50, four ordinary."""
    rng = np.random.default_rng(0)
    targets = rng.normal(1.0, 0.5, (8, 5, 6)).astype(np.float32)
    predictions = (targets + rng.normal(0.2, 0.3, targets.shape)).astype(np.float32)
    where = rng.uniform(size=targets.shape) < 0.75
    where[EMPTY], where[ONE_PIXEL] = False, np.arange(30).reshape(5, 6) == 17
    predictions[PERFECT] = targets[PERFECT]
    predictions[OFFSET] += 50
    return predictions, targets, where


def fill(values, where, garbage):
    """`values` with one kind of garbage per image where masked."""
    kinds = np.resize(np.array(garbage, np.float32), len(values))[:, None, None]
    return np.where(where, values, kinds)


def value_and_gradients(loss, where):
    def total(predictions, targets):
        values = loss(predictions, targets, where=where)
        return jnp.sum(values), values

    return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)


# the types below float32 differ only on entry: one loss for each kind of sum
@pytest.mark.slow
@pytest.mark.parametrize("run", RUN)
@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "float32") for name in CASES]
    + [(name, dtype) for name in KINDS for dtype in ("bfloat16", "float16")],
)
def test_masked_garbage_extremes_and_types(name, dtype, run):
    case, (predictions, targets, where) = CASES[name], hard_images()
    step = RUN[run](value_and_gradients(case.loss, where))

    def at(garbage_in_predictions, garbage_in_targets):
        filled = (
            fill(predictions, where, garbage_in_predictions),
            fill(targets, where, garbage_in_targets),
        )
        typed = [jnp.asarray(x).astype(dtype) for x in filled]
        (_, values), gradients = step(*typed)
        return typed, values, gradients

    typed, values, gradients = at([1.0], [1.0])
    _, dirty_values, dirty_gradients = at(GARBAGE[2:], GARBAGE)
    assert values.dtype == jnp.float32
    np.testing.assert_array_equal(values, dirty_values)
    for gradient, dirty in zip(gradients, dirty_gradients, strict=True):
        gradient = np.asarray(gradient, np.float32)
        np.testing.assert_array_equal(gradient, np.asarray(dirty, np.float32))
        assert np.all(np.isfinite(gradient))
        assert np.all(gradient[~where] == 0)
    assert np.any(np.asarray(gradients[0], np.float32) != 0)
    assert values[EMPTY] == 0
    if case.zero_when_perfect:
        np.testing.assert_allclose(values[PERFECT], 0, atol=1e-6)
        if case.rests_when_perfect:
            still = np.asarray(gradients[0][PERFECT], np.float32)
            np.testing.assert_allclose(still, 0, atol=1e-6)
    if case.oracle is not random:
        exact = [np.asarray(x, np.float64) for x in typed]
        expected = [case.oracle(*image) for image in zip(*exact, where, strict=True)]
        tolerance = np.full(len(values), 1e-5)
        tolerance[OFFSET] = case.offset_digits
        error = np.abs(np.asarray(values) - expected)
        assert np.all(error <= tolerance * np.abs(expected) + 3e-6), (values, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, c in CASES.items() if n.startswith("silog")])
@pytest.mark.parametrize("spread", [1e-1, 1e-3, 1e-6, 1e-12])
def test_rooted_gradients_keep_their_size(name, spread):
    """The gradient of a root has norm 1/sqrt(n) times its factor however small the residual."""
    residual = jnp.asarray(np.random.default_rng(0).normal(0, spread, (20, 20)), jnp.float32)
    residual = residual - jnp.mean(residual)
    gradient = jax.grad(lambda p: CASES[name].loss(p, jnp.zeros_like(p)))(residual)
    factor = {"silog_kitti": 100, "silog_depth_anything": 1}.get(name, 10)
    np.testing.assert_allclose(jnp.linalg.norm(gradient), factor / 20, rtol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_places_and_padding_do_not_matter(name):
    """Masked rows and columns added at the ends change nothing, nor do pixels changing places."""
    case, (predictions, targets, where) = CASES[name], hard_images()
    loss = jax.jit(case.loss)
    before = loss(predictions, targets, where=where)
    around = ((0, 0), (0, 3), (0, 2))
    padded = [np.pad(x, around, constant_values=np.nan) for x in (predictions, targets)]
    after = loss(*padded, where=np.pad(where, around))
    np.testing.assert_allclose(after, before, rtol=2e-5, atol=2e-6)
    if case.order_free:
        order = np.random.default_rng(1).permutation(30)
        moved = [x.reshape(8, 30)[:, order].reshape(8, 5, 6) for x in (predictions, targets, where)]
        after = loss(*moved[:2], where=moved[2])
        tolerance = np.full(8, 1e-5)
        tolerance[OFFSET] = case.offset_digits
        assert np.all(np.abs(after - before) <= tolerance * np.abs(before) + 2e-6)


@pytest.mark.parametrize("name", CASES)
def test_wrong_arguments_are_refused(name):
    loss = CASES[name].loss
    x = jnp.zeros((2, 3, 4), jnp.float32)
    with pytest.raises(TypeError, match="`predictions` must be floating point, got int32"):
        loss(x.astype(jnp.int32), x)
    with pytest.raises(TypeError, match="`targets` must be floating point, got bool"):
        loss(x, x > 0)
    with pytest.raises(
        ValueError, match=r"`predictions` \(2, 3, 4\) and `targets` \(1, 3, 4\) must have"
    ):
        loss(x, x[:1])
    with pytest.raises(TypeError, match="`where` must be boolean, got float32"):
        loss(x, x, where=x)
    with pytest.raises(ValueError, match=r"`where` \(2, 3, 5\) must broadcast .* \(2, 3, 4\)"):
        loss(x, x, where=np.ones((2, 3, 5), bool))
    for larger in ((2, 3, 4), (1, 1, 3, 4)):  # would enlarge the predictions
        with pytest.raises(ValueError, match=rf"`where` {re.escape(str(larger))} .* \(1, 3, 4\)"):
            loss(x[:1], x[:1], where=np.ones(larger, bool))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_one_value_per_image_whatever_the_leading_axes(name):
    for shape in ((5, 6), (8, 5, 6), (2, 3, 5, 6)):
        maps = jax.ShapeDtypeStruct(shape, jnp.float32)
        assert jax.eval_shape(CASES[name].loss, maps, maps).shape == shape[:-2]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_masks_are_broadcast(name):
    """A mask of one image for all, one of whole images, and none at all: as if written out."""
    loss, (predictions, targets, _) = CASES[name].loss, hard_images()
    pair = predictions[OFFSET + 1 :], targets[OFFSET + 1 :]
    rng = np.random.default_rng(3)
    masks = rng.uniform(size=(5, 6)) < 0.6, np.array([True, False, True, True])[:, None, None]
    full = [np.broadcast_to(mask, pair[0].shape) for mask in (*masks, True)]

    @jax.jit
    def values(*masks):
        return [loss(*pair, where=mask) for mask in masks]

    got, expected = values(*masks, None), values(*full)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert expected[0][1] != 0
    assert expected[1][1] == 0


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(6,), (1, 5, 6), (8, 1, 6)])
def test_masks_of_other_shapes_are_broadcast(shape):
    predictions, targets, _ = hard_images()
    mask = np.random.default_rng(3).uniform(size=shape) < 0.6
    full = np.broadcast_to(mask, predictions.shape)
    for loss in (losses.scale_invariant_loss, losses.ssi_loss):
        got, expected = (loss(predictions, targets, where=each) for each in (mask, full))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_every_loss_is_in_the_catalogue():
    tools = {
        *("align_scale_shift", "ordinal_penalty", "reduce_images", "weigh_images", "valid_count"),
        *("residual_moments", "ResidualMoments", "in_space"),
    }
    functions = {getattr(case.loss, "func", case.loss) for case in CASES.values()}
    settings = {name for name in losses.__all__ if name.endswith("Config")}
    assert {f.__name__ for f in functions} == set(losses.__all__) - tools - settings


def test_wrong_axes_are_refused():
    x = jnp.zeros((2, 3, 4))
    with pytest.raises(ValueError, match=r"`axis` \(-1, 2\) names one axis twice"):
        losses.scale_invariant_loss(x, x, axis=(-1, 2))
    with pytest.raises(ValueError, match=r"`axis` 3 is out of range .* 3 axes"):
        losses.scale_invariant_loss(x, x, axis=3)
    for axis, words in (((-1,), r"\(-1,\)"), ((0, 1, 2), r"\(0, 1, 2\)"), (None, "None")):
        for loss in (losses.gradient_matching, losses.eigen_fergus_2015):
            with pytest.raises(ValueError, match=rf"`axis` must name the two axes .* {words}"):
                loss(x, x, axis=axis)
