"""The same numbers under every transformation, and under every way of spreading the pixels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from loss_catalogue import CASES

from depthsi import losses

# one loss for every way the sums are made
PATHS = (
    *("loss", "pairwise", "abs", "sampled", "silog_adabins", "ssi_loss", "ssi_trimmed"),
    *("gradient_matching", "berhu", "berhu_own_threshold", "ranking_loss"),
)
SPREAD = ("loss", "pairwise", "abs", "gradient_matching")
SAMPLED = ("sampled", "ranking_loss")
# their kinks make second derivatives and finite differences of no use
KINKED = (
    *("abs", "huber", "ssi_trimmed", "gradient_matching", "berhu", "berhu_own_threshold"),
    *SAMPLED,
)


def some_images(count=4, height=4, width=5, seed=0):
    random = np.random.default_rng(seed)
    targets = random.normal(1.0, 0.5, (count, height, width)).astype(np.float32)
    predictions = (targets + random.normal(0.2, 0.3, targets.shape)).astype(np.float32)
    where = random.uniform(size=targets.shape) < 0.75
    where[-1] = False
    return predictions, targets, where


def value_and_gradient(loss, predictions, targets, where):
    values, pull = jax.vjp(lambda p: loss(p, targets, where=where), predictions)
    return values, pull(jnp.ones_like(values))[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", PATHS)
def test_vmap_checkpoint_and_jvp(name):
    loss, images = CASES[name].loss, some_images()
    tangent = np.random.default_rng(1).normal(size=images[0].shape).astype(np.float32)
    step = functools.partial(value_and_gradient, loss)
    saved = jax.checkpoint(lambda p, t, where: loss(p, t, where=where))

    @jax.jit
    def all_ways(predictions, targets, where):
        _, change = jax.jvp(lambda p: loss(p, targets, where=where), (predictions,), (tangent,))
        return {
            "plain": step(predictions, targets, where),
            "checkpoint": value_and_gradient(saved, predictions, targets, where),
            "vmap": jax.vmap(step)(predictions, targets, where),
            "jvp": change,
        }

    got = all_ways(*images)
    for way in ("checkpoint", "vmap"):
        if way == "vmap" and name in SAMPLED:
            continue  # each image would draw anew from the same key
        np.testing.assert_allclose(got[way][0], got["plain"][0], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(got[way][1], got["plain"][1], rtol=1e-5, atol=1e-7)
    along = np.sum(got["plain"][1] * tangent, axis=(1, 2))
    np.testing.assert_allclose(got["jvp"], along, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in CASES if n not in KINKED])
def test_hessian_and_x64(name):
    """In float64: the value to 1e-12, the Hessian against differences of the gradient."""
    case = CASES[name]
    with jax.enable_x64(True):
        images = some_images(count=2, height=2, width=3, seed=3)
        predictions, targets = (jnp.asarray(x[0], jnp.float64) for x in images[:2])
        where = np.array([[True, True, True], [False, True, True]])
        loss = jax.jit(lambda p: case.loss(p, targets, where=where))
        assert loss(predictions).dtype == jnp.float64
        expected = case.oracle(predictions, targets, where)
        np.testing.assert_allclose(loss(predictions), expected, rtol=1e-11)
        slope = oracles.numerical_gradient(lambda x: case.oracle(x, targets, where), predictions)
        gradient = jax.jit(jax.grad(loss))
        np.testing.assert_allclose(gradient(predictions), slope, rtol=1e-6, atol=1e-8)
        hessian = jax.jit(jax.hessian(loss))(predictions)
        for index in np.ndindex(2, 3):
            column = oracles.numerical_gradient(
                lambda x, index=index: float(gradient(jnp.asarray(x))[index]), predictions
            )
            np.testing.assert_allclose(hessian[index], column, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in KINKED if n not in SAMPLED])
def test_x64_of_the_kinked(name):
    case = CASES[name]
    with jax.enable_x64(True):
        images = some_images(seed=4)
        predictions, targets = (jnp.asarray(x, jnp.float64) for x in images[:2])
        values = jax.jit(functools.partial(case.loss, where=images[2]))(predictions, targets)
        expected = [case.oracle(*image) for image in zip(*images, strict=True)]
    assert values.dtype == jnp.float64
    np.testing.assert_allclose(values, expected, rtol=1e-11, atol=1e-15)


def mesh(*shape, names):
    return Mesh(np.array(jax.devices()[: int(np.prod(shape))]).reshape(shape), names)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [PartitionSpec("a"), PartitionSpec(None, "a")])
@pytest.mark.parametrize("name", SPREAD)
def test_sharded_inputs_under_jit(name, spec):
    """Images, then rows, spread over four devices: the compiler brings the sums together."""
    loss, images = CASES[name].loss, some_images(height=8)
    sharding = NamedSharding(mesh(4, names=("a",)), spec)
    step = jax.jit(functools.partial(value_and_gradient, loss))
    expected = step(*images)
    got = step(*(jax.device_put(x, sharding) for x in images))
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-5, atol=1e-6)
    assert got[1].sharding.is_equivalent_to(sharding, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPREAD)
def test_images_spread_in_shard_map(name):
    loss, images = CASES[name].loss, some_images()
    step = functools.partial(value_and_gradient, loss)
    spread = jax.jit(
        jax.shard_map(
            step,
            mesh=mesh(4, names=("a",)),
            in_specs=PartitionSpec("a"),
            out_specs=PartitionSpec("a"),
        )
    )
    for got, expected in zip(spread(*images), jax.jit(step)(*images), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("outside", [True, False], ids=["gradient-outside", "gradient-inside"])
def test_rows_spread_in_shard_map(outside):
    """An image whose rows lie on four devices has exactly the loss and gradient of the whole."""
    images = some_images(height=8, seed=5)

    def local_loss(predictions, targets, where):
        moments = losses.residual_moments(predictions, targets, where=where).psum("rows")
        return moments.loss(0.5)

    rows, whole = PartitionSpec(None, "rows"), PartitionSpec()
    spread = functools.partial(jax.shard_map, mesh=mesh(4, names=("rows",)), in_specs=rows)
    if outside:
        step = functools.partial(value_and_gradient_of, spread(local_loss, out_specs=whole))
    else:
        step = spread(functools.partial(value_and_gradient_of, local_loss), out_specs=(whole, rows))
    values, gradient = jax.jit(step)(*images)
    expected = value_and_gradient(losses.scale_invariant_loss, *images)
    np.testing.assert_allclose(values, expected[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-5, atol=1e-7)


def value_and_gradient_of(loss, predictions, targets, where):
    def total(p):
        values = loss(p, targets, where)
        return jnp.sum(values), values

    (_, values), gradient = jax.value_and_grad(total, has_aux=True)(predictions)
    return values, gradient


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["image", "pixel", "authors"])
def test_reduction_over_the_images_of_all_devices(reduction):
    images = some_images(count=8, seed=6)

    def reduced(axis_name, predictions, targets, where):
        values = losses.scale_invariant_loss(predictions, targets, where=where)
        counts = losses.valid_count(predictions, where=where)
        return losses.reduce_images(values, counts, reduction, axis_name=axis_name)

    spread = jax.shard_map(
        functools.partial(reduced, "a"),
        mesh=mesh(4, names=("a",)),
        in_specs=PartitionSpec("a"),
        out_specs=PartitionSpec(),
    )
    got = jax.jit(jax.value_and_grad(spread))(*images)
    expected = jax.value_and_grad(functools.partial(reduced, None))(*images)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-5, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["image", "pixel", "authors"])
def test_few_images_over_many_devices(reduction):
    """One image a device, one of them empty: the weights add up before max(weight, 1) is taken."""
    images = some_images(count=4, seed=8)  # the last is empty
    images[2][:3] = False
    images[2][[0, 1, 2], 0, 0] = True  # one valid pixel each: every weight is 1

    def reduced(predictions, targets, where):
        values = losses.scale_invariant_loss(predictions, targets, where=where)
        counts = losses.valid_count(predictions, where=where)
        return losses.reduce_images(values, counts, reduction, axis_name="a")

    split = PartitionSpec("a")
    spread = jax.shard_map(
        reduced, mesh=mesh(4, names=("a",)), in_specs=split, out_specs=PartitionSpec()
    )
    values = [oracles.equation_4(*image, 0.5) for image in zip(*images, strict=True)]
    expected = oracles.reduced(values, [1, 1, 1, 0], reduction)
    np.testing.assert_allclose(jax.jit(spread)(*images), expected, rtol=1e-5)


@pytest.mark.parametrize(("reduction", "expected"), [("image", 2), ("pixel", 2), ("authors", 2)])
def test_sums_and_weights_of_devices_are_added_not_averaged(reduction, expected):
    """Losses 1, 2, 3 with one pixel each and an empty image: their mean, 6/3, from four devices."""
    values, counts = jnp.array([1.0, 2.0, 3.0, 7.0]), jnp.array([1.0, 1.0, 1.0, 0.0])
    reduce = functools.partial(losses.reduce_images, reduction=reduction, axis_name="a")
    found = jax.vmap(reduce, axis_name="a")(values, counts)
    np.testing.assert_allclose(found, np.full(4, expected), rtol=1e-6)


@pytest.mark.slow
def test_a_stream_of_tiles_merges_to_the_whole_image():
    """Tiles in any order, empty ones included: the moments, metrics and gradient of the whole."""
    predictions, targets, where = some_images(count=3, height=6, seed=7)
    predictions += 30  # an offset that a merge of raw sums would not survive

    def merged(p):
        parts = [
            losses.residual_moments(p[:, rows], targets[:, rows], where=where[:, rows])
            for rows in (slice(4, 6), slice(0, 1), slice(1, 4))
        ]
        total = functools.reduce(losses.ResidualMoments.merge, parts)
        return jnp.sum(total.loss(0.3)), total

    (_, total), gradient = jax.jit(jax.value_and_grad(merged, has_aux=True))(predictions)
    images = list(zip(predictions, targets, where, strict=True))
    np.testing.assert_array_equal(total.count, where.sum(axis=(1, 2)))
    np.testing.assert_allclose(total.mean, [-oracles.log_scale(*i) for i in images], rtol=1e-6)
    np.testing.assert_allclose(
        total.variance(), [oracles.variance(*i) for i in images], rtol=1e-5, atol=1e-9
    )
    np.testing.assert_allclose(
        total.mean_square(), [oracles.equation_4(*i, 0) for i in images], rtol=1e-5
    )
    slope = jax.grad(
        lambda p: jnp.sum(losses.scale_invariant_loss(p, targets, where=where, lam=0.3))
    )(predictions)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-6)


def test_worked_example_of_the_moments():
    """d = 1, 2, 6: n = 3, mean 3, m2 = 4 + 1 + 9."""
    d = jnp.array([[1.0, 2.0, 6.0]])
    moments = losses.residual_moments(d, jnp.zeros_like(d))
    np.testing.assert_allclose(jnp.stack(moments), (3, 3, 14))
    np.testing.assert_allclose(jnp.stack(moments.merge(moments)), (6, 3, 28))
    np.testing.assert_allclose(moments.mean_square(), 41 / 3, rtol=1e-6)
    np.testing.assert_allclose(moments.variance(), 14 / 3, rtol=1e-6)
