"""Batches large enough to be summed in strips: same numbers, whatever the size divides by."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from depthsi.losses import residual_moments, scale_invariant_loss, valid_count

SHAPES = [(3, 160, 150), (3, 211, 131), (2, 222, 211), (1, 65536, 1), (1, 1, 70001)]


@functools.cache
def some_images(shape):
    """Off by 3, three quarters valid, the first image empty where there are several, NaN masked."""
    random = np.random.default_rng(0)
    targets = random.normal(1.0, 0.5, shape).astype(np.float32)
    predictions = (targets + random.normal(3, 0.3, shape)).astype(np.float32)
    where = random.uniform(size=shape) < 0.75
    if shape[0] > 1:
        where[0] = False
    predictions[~where], targets[~where] = np.nan, np.inf
    return predictions, targets, where


def value_and_gradient(predictions, targets, where, lam=0.5):
    loss = functools.partial(scale_invariant_loss, where=where, lam=lam)
    values, pull = jax.vjp(lambda p: loss(p, targets), predictions)
    return values, pull(jnp.ones_like(values))[0]


def expected(predictions, targets, where, lam=0.5):
    """Mean square less its share of the squared mean, and its slope, image by image in float64."""
    values, slopes = np.zeros(len(where)), np.zeros(where.shape)
    for image, (p, t, w) in enumerate(zip(predictions, targets, where, strict=True)):
        if not w.any():
            continue
        d = p[w].astype(np.float64) - t[w]
        values[image] = np.mean(d**2) - lam * np.mean(d) ** 2
        slopes[image][w] = 2 * (d - lam * np.mean(d)) / d.size
    return values, slopes


def assert_same(got, images, **options):
    values, slopes = expected(*images, **options)
    np.testing.assert_allclose(got[0], values, rtol=3e-6)
    np.testing.assert_allclose(got[1], slopes, rtol=1e-5, atol=1e-6 * np.abs(slopes).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "run"),
    [*((shape, jax.jit) for shape in SHAPES), (SHAPES[0], lambda f: f)],
    ids=[*map(str, SHAPES), "eager"],
)
def test_value_gradient_and_count(shape, run):
    predictions, targets, where = images = some_images(shape)
    assert_same(run(value_and_gradient)(*images), images)
    count = run(functools.partial(valid_count, where=where))(jnp.asarray(predictions))
    np.testing.assert_array_equal(count, where.sum(axis=(1, 2)))
    everything = np.ones(shape, bool)
    full = np.where(where, predictions, 3), np.where(where, targets, 1)
    assert_same(run(functools.partial(value_and_gradient, where=None))(*full), (*full, everything))


@pytest.mark.slow
def test_a_strip_per_row_counts_and_masks_like_any_other():
    """All but one pixel masked, wherever it lies: its own residual, to the last digit."""
    where = np.zeros((1, 256, 256), bool)
    for row, col in ((0, 0), (15, 16), (16, 255), (255, 255)):
        alone = where.copy()
        alone[0, row, col] = True
        predictions = np.where(alone, np.float32(1.5), np.float32(np.nan))
        moments = residual_moments(predictions, np.zeros_like(predictions), where=alone)
        np.testing.assert_array_equal(jnp.stack(moments), [[1], [1.5], [0]])


@pytest.mark.slow
@pytest.mark.parametrize("axis", [(0, 1), (2, 0), None, (1,)])
def test_other_axes(axis):
    predictions, targets, where = some_images(SHAPES[0])
    moments = jax.jit(functools.partial(residual_moments, axis=axis))(
        predictions, targets, where=where
    )
    d = np.where(where, predictions.astype(np.float64) - targets, 0)
    count = where.sum(axis=axis)
    mean = d.sum(axis=axis, keepdims=True) / np.maximum(where.sum(axis=axis, keepdims=True), 1)
    np.testing.assert_array_equal(moments.count, count)
    np.testing.assert_allclose(moments.mean, mean.reshape(count.shape), rtol=3e-6)
    m2 = np.where(where, (d - mean) ** 2, 0).sum(axis=axis)
    np.testing.assert_allclose(moments.m2, m2, rtol=3e-6)


@pytest.mark.slow
def test_under_vmap_forward_mode_and_checkpoint():
    images = some_images(SHAPES[0])
    tangent = np.ones(SHAPES[0], np.float32)

    @jax.jit
    def all_ways(p, t, w):
        saved = jax.checkpoint(functools.partial(scale_invariant_loss, where=w))
        _, pull = jax.vjp(lambda p: saved(p, t), p)
        push = jax.jvp(lambda p: scale_invariant_loss(p, t, where=w), (p,), (tangent,))[1]
        return jax.vmap(value_and_gradient)(p, t, w), pull(jnp.ones(3))[0], push

    by_image, gradient, push = all_ways(*images)
    assert_same(by_image, images)
    slopes = expected(*images)[1]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6 * np.abs(slopes).max())
    np.testing.assert_allclose(push, slopes.sum(axis=(1, 2)), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [PartitionSpec("a"), PartitionSpec(None, "a")])
def test_spread_over_devices(spec):
    images = some_images((4, 160, 150))
    mesh = Mesh(np.array(jax.devices()[:4]), ("a",))
    spread = [jax.device_put(x, NamedSharding(mesh, spec)) for x in images]
    assert_same(jax.jit(value_and_gradient)(*spread), images)


@pytest.mark.slow
def test_rows_in_shard_map():
    images = some_images((4, 640, 128))
    mesh = Mesh(np.array(jax.devices()[:4]), ("rows",))

    def local_loss(predictions, targets, where):
        return residual_moments(predictions, targets, where=where).psum("rows").loss(0.5)

    rows = PartitionSpec(None, "rows")
    loss = jax.shard_map(local_loss, mesh=mesh, in_specs=rows, out_specs=PartitionSpec())

    @jax.jit
    def step(predictions, *others):
        values, pull = jax.vjp(lambda p: loss(p, *others), predictions)
        return values, pull(jnp.ones(4))[0]

    assert_same(step(*images), images)


def test_strips_are_for_the_cpu_alone():
    """Lowered for a GPU, the program sums plainly; for the CPU it cuts sixteen strips."""
    shape = jax.ShapeDtypeStruct((8, 160, 128), jnp.float32)
    traced = jax.jit(scale_invariant_loss).trace(shape, shape)
    texts = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert texts["cpu"].count("stablehlo.slice") >= 16
    assert texts["cuda"].count("stablehlo.slice") == texts["tpu"].count("stablehlo.slice") == 0
