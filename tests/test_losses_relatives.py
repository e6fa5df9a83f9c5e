"""The losses of the literature: literal examples, published constants and pooling."""

import functools
import inspect
import math
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from depthsi import losses

SILOGS = {
    losses.silog_bts: (10, 0.85, False),
    losses.silog_adabins: (10, 0.85, True),
    losses.silog_depth_anything: (1, 0.5, False),
}


def some_images(seed=0, count=3, height=9, width=12):
    random = np.random.default_rng(seed)
    targets = random.uniform(0.2, 2.0, (count, height, width)).astype(np.float32)
    noise = random.normal(1.3, 0.4, targets.shape)
    return (
        (targets * noise + 0.1).astype(np.float32),
        targets,
        random.uniform(size=targets.shape) < 0.8,
    )


def gradient(loss, predictions, targets, where):
    return jax.jit(jax.grad(lambda p: jnp.sum(loss(p, targets, where=where))))(predictions)


@pytest.mark.slow
@pytest.mark.parametrize("loss", SILOGS, ids=lambda f: f.__name__)
def test_silog_pools_the_batch_as_published(loss):
    """By name one number for the whole batch, not the mean of the images' numbers."""
    images = some_images()
    batch = functools.partial(loss, pooling="batch")
    for run in (batch, jax.jit(batch)):
        pooled = run(*images[:2], where=images[2])
        assert pooled.shape == ()
        np.testing.assert_allclose(pooled, oracles.silog(*images, *SILOGS[loss]), rtol=2e-6)
    expected = [oracles.silog(*image, *SILOGS[loss]) for image in zip(*images, strict=True)]
    for run in (loss, jax.jit(loss)):
        np.testing.assert_allclose(run(*images[:2], where=images[2]), expected, rtol=2e-6)
    assert abs(float(pooled) - statistics.fmean(expected)) > 1e-4 * float(pooled)
    assert np.all(losses.silog_kitti(*images[:2]).shape == (3,))


def test_unknown_poolings_are_refused():
    x = jnp.zeros((2, 3, 4))
    for loss in (*SILOGS, losses.berhu):
        with pytest.raises(ValueError, match="`pooling` must be one of image, batch, got 'mean'"):
            loss(x, x, pooling="mean")


def test_worked_examples_of_silog():
    """d = 1, 2, 6: mean 3, mean of squares 41/3, V = 14/3, unbiased 7."""
    d = jnp.array([[[1.0, 2.0, 6.0]]])
    zero = jnp.zeros_like(d)
    for loss, expected in (
        (losses.silog_bts, 10 * math.sqrt(41 / 3 - 0.85 * 9)),
        (losses.silog_adabins, 10 * math.sqrt(7 + 0.15 * 9)),
        (losses.silog_depth_anything, math.sqrt(41 / 3 - 0.5 * 9)),
        (losses.silog_kitti, 100 * math.sqrt(14 / 3)),
    ):
        np.testing.assert_allclose(loss(d, zero), expected, rtol=1e-6)


def test_si_mse_counts_every_channel():
    """x = 1, 2, 6 as the channels of one pixel: 41/3 - 9; blind to a constant, not to a scale."""
    x = jnp.array([[[[1.0, 2.0, 6.0]]]])
    loss = functools.partial(losses.si_mse, axis=(-3, -2, -1))
    np.testing.assert_allclose(loss(x, jnp.zeros_like(x)), [14 / 3], rtol=1e-6)
    np.testing.assert_allclose(loss(x + 5, jnp.zeros_like(x)), [14 / 3], rtol=1e-6)
    np.testing.assert_allclose(loss(x * 2, jnp.zeros_like(x)), [56 / 3], rtol=1e-6)


@pytest.mark.slow
def test_scale_and_shift():
    """Targets 2 p + 1 are met exactly; otherwise least squares; (0, 0) without variation."""
    p = jnp.array([[0.0, 1.0, 2.0], [3.0, 4.0, 9.0]])
    where = jnp.array([[True, True, True], [True, True, False]])
    scale, shift = losses.align_scale_shift(p, 2 * p + 1, where=where)
    np.testing.assert_allclose((scale, shift), (2, 1), rtol=1e-6)
    images = some_images(seed=1)
    got = jax.jit(losses.align_scale_shift)(*images[:2], where=images[2])
    expected = [oracles.scale_shift(*image) for image in zip(*images, strict=True)]
    np.testing.assert_allclose(np.transpose(got), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 13, 17), (1, 55, 74), (1, 480, 640)])
def test_predictions_without_variation_have_no_scale(shape):
    """Constant maps, whose float32 mean rounds: (0, 0), and no gradient."""
    where = np.random.default_rng(0).uniform(size=shape) < 0.77
    ramp = np.broadcast_to(np.linspace(0, 1, shape[-1], dtype=np.float32), shape)

    @jax.jit
    def step(constant):
        flat = jnp.full(shape, constant)
        slope = jax.grad(lambda p: jnp.sum(losses.ssi_loss(p, ramp, where=where)))(flat)
        return (*losses.align_scale_shift(flat, ramp, where=where), jnp.max(jnp.abs(slope)))

    for constant in (0.0, 0.1, 1.1, 12.345, 1e4, 1e-6):
        np.testing.assert_array_equal(jnp.stack(step(constant)[:2]), 0)
        assert step(constant)[2] == 0
    varied = np.where(np.arange(shape[-1]) % 2, 12.345, 12.346).astype(np.float32)
    varied = np.broadcast_to(varied, shape)
    scale, _ = losses.align_scale_shift(varied, 3 * varied, where=where)
    np.testing.assert_allclose(scale, 3, rtol=5e-3)  # a step of 1e-3 has 3 digits left


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ssi_loss", "ssi_trimmed"])
def test_ssi_is_blind_to_scale_and_shift(name):
    loss, (predictions, targets, where) = jax.jit(getattr(losses, name)), some_images(seed=2)
    before = loss(predictions, targets, where=where)
    after = loss(3 * predictions + 7, targets, where=where)
    np.testing.assert_allclose(after, before, rtol=1e-4)
    assert np.all(np.asarray(before) > 1e-4)


def test_worked_example_of_ssi():
    """p = -1, 0, 1 against t = 1, 0, 1: best line 0 p + 2/3, residuals 1/3, 2/3, 1/3."""
    p, t = jnp.array([[-1.0, 0.0, 1.0]]), jnp.array([[1.0, 0.0, 1.0]])
    np.testing.assert_allclose(losses.ssi_loss(p, t), (1 + 4 + 1) / 9 / 6, rtol=1e-6)


@pytest.mark.slow
def test_worked_example_of_ssi_trimmed():
    """Medians 2 and 2, mean deviations 6/5 and 14/5; the largest of five differences is out."""
    p, t = jnp.array([[0.0, 1.0, 2.0, 3.0, 4.0]]), jnp.array([[0.0, 1.0, 2.0, 3.0, 12.0]])
    differences = sorted(
        abs(a / 1.2 - b / 2.8) for a, b in zip((-2, -1, 0, 1, 2), (-2, -1, 0, 1, 10), strict=True)
    )
    np.testing.assert_allclose(losses.ssi_trimmed(p, t), sum(differences[:4]) / 10, rtol=1e-6)


@pytest.mark.slow
def test_ssi_trimmed_divides_by_no_less_than_a_millionth():
    """Mean deviations 4e-7 and 0: both count as 1e-6, the differences are 0, 0, 0, 1 and (1)."""
    p = jnp.array([[0.0, 1e-6, -1e-6, 0.0, 0.0]])
    np.testing.assert_allclose(losses.ssi_trimmed(p, jnp.zeros_like(p)), 1 / 10, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ssi_loss", "ssi_trimmed", "gradient_matching", "berhu"])
def test_gradients_against_differences_of_the_oracle(name):
    predictions, targets, where = some_images(seed=3, count=1, height=4, width=5)
    loss, oracle = getattr(losses, name), getattr(oracles, name.removesuffix("_loss"))
    if name == "berhu":
        loss = functools.partial(loss, threshold=0.3)
        oracle = functools.partial(oracle, threshold=0.3)
    slope = oracles.numerical_gradient(
        lambda x: oracle(x, targets[0], where[0]), predictions[0], step=1e-6
    )
    got = gradient(loss, predictions, targets, where)[0]
    np.testing.assert_allclose(got, slope, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_gradient_matching_and_eigen_fergus_by_hand():
    """Residual 0 1 / 3 x: steps 1 right and 3 down among 3 valid pixels; then 1 valid pixel."""
    d = jnp.array([[0.0, 1.0], [3.0, jnp.nan]])
    where = jnp.array([[True, True], [True, False]])
    zero = jnp.zeros_like(d)
    matching = losses.gradient_matching(d, zero, where=where, scales=2)
    np.testing.assert_allclose(matching, 4 / 3, rtol=1e-6)
    expected = 10 / 3 - 0.5 * (4 / 3) ** 2 + (1 + 9) / 3
    np.testing.assert_allclose(losses.eigen_fergus_2015(d, zero, where=where), expected, rtol=1e-6)


def test_steps_of_a_ramp_and_beside_a_masked_pixel():
    """A ramp of slope 1 over 16 columns has (c - 1) steps of 16/c in c columns, c = 16, 8, 4, 2."""
    ramp = jnp.broadcast_to(jnp.arange(16.0), (16, 16))
    expected = 15 / 16 + 2 * 7 / 8 + 4 * 3 / 4 + 8 * 1 / 2
    got = jax.jit(losses.gradient_matching)(ramp, jnp.zeros_like(ramp))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    # 0 1 x 2: the step of 1 among three pixels; every second pixel is 0 and x, every fourth is 0
    row, where = jnp.array([[0.0, 1.0, 5.0, 2.0]]), jnp.array([[True, True, False, True]])
    got = jax.jit(losses.gradient_matching)(row, jnp.zeros_like(row), where=where)
    np.testing.assert_allclose(got, 1 / 3, rtol=1e-6)
    got = jax.jit(losses.eigen_fergus_2015)(2 * row, jnp.zeros_like(row), where=where)
    np.testing.assert_allclose(got, 4 * (5 / 3 - 0.5 + 1 / 3), rtol=1e-6)


@pytest.mark.slow
def test_gradient_matching_at_four_scales():
    """Steps of 1, 2, 4 and 8 pixels: a ramp of slope 1 counts its step at each scale."""
    images = some_images(seed=4, height=17, width=20)
    got = jax.jit(losses.gradient_matching)(*images[:2], where=images[2])
    expected = [oracles.gradient_matching(*image) for image in zip(*images, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=2e-6)
    swapped = [np.swapaxes(x, 0, 2) for x in images]
    turned = jax.jit(functools.partial(losses.gradient_matching, axis=(0, 1)))
    again = turned(*swapped[:2], where=swapped[2])
    np.testing.assert_allclose(again, expected, rtol=2e-6)
    with pytest.raises(ValueError, match="`scales` must be at least 1, got 0"):
        losses.gradient_matching(*images[:2], scales=0)


@pytest.mark.slow
@pytest.mark.parametrize("jitted", [False, True])
def test_berhu_takes_its_threshold_from_the_batch(jitted):
    """|d| up to 5 makes c = 1: 0.5 counts 0.5, 3 counts (9 + 1)/2, 5 counts 13."""
    d = jnp.array([[[0.5, 3.0, jnp.nan]], [[-5.0, 1.0, 0.0]]])
    where = jnp.array([[[True, True, False]], [[True, True, True]]])
    published = functools.partial(losses.berhu, pooling="batch")
    loss = jax.jit(published) if jitted else published
    got = loss(d, jnp.zeros_like(d), where=where)
    np.testing.assert_allclose(got, [(0.5 + 5) / 2, (13 + 1 + 0) / 3], rtol=1e-6)
    slope = gradient(published, d, jnp.zeros_like(d), where)  # c is a constant for it
    np.testing.assert_allclose(slope, [[[0.5, 1.5, 0]], [[-5 / 3, 1 / 3, 0]]], rtol=1e-6)
    perfect = gradient(published, d, d, where)
    np.testing.assert_array_equal(perfect, 0)


@pytest.mark.slow
@pytest.mark.parametrize("jitted", [False, True])
def test_berhu_takes_its_threshold_from_each_image(jitted):
    """Fifths of 3 and 5: c = 0.6 makes 3 count (9 + 0.36)/1.2; or one given threshold per image."""
    d = jnp.array([[[0.5, 3.0, jnp.nan]], [[-5.0, 1.0, 0.0]]])
    where = jnp.array([[[True, True, False]], [[True, True, True]]])
    loss = jax.jit(losses.berhu) if jitted else losses.berhu
    expected = [(0.5 + 7.8) / 2, (13 + 1 + 0) / 3]
    np.testing.assert_allclose(loss(d, jnp.zeros_like(d), where=where), expected, rtol=1e-6)
    given = loss(d, jnp.zeros_like(d), where=where, threshold=jnp.array([0.6, 1.0]))
    np.testing.assert_allclose(given, expected, rtol=1e-6)
    slope = gradient(losses.berhu, d, jnp.zeros_like(d), where)
    np.testing.assert_allclose(slope, [[[0.5, 2.5, 0]], [[-5 / 3, 1 / 3, 0]]], rtol=1e-6)
    np.testing.assert_array_equal(gradient(losses.berhu, d, d, where), 0)


def test_berhu_refuses_a_threshold_that_divides_by_nothing():
    x = jnp.zeros((2, 3, 4))
    for threshold in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"`threshold` must be over 0 m, got {threshold}"):
            losses.berhu(x, x, threshold=threshold)


def test_ordinal_penalty():
    difference = np.array([0.7, 0.7, 0.7, -90.0, 90.0], np.float32)
    relation = np.array([1, -1, 0, 1, -1])
    got = jax.jit(losses.ordinal_penalty)(jnp.asarray(difference), relation)
    expected = [oracles.ordinal(float(d), r) for d, r in zip(difference, relation, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    with pytest.raises(TypeError, match="`differences` must be floating point, got int64"):
        losses.ordinal_penalty(relation, relation)
    with pytest.raises(ValueError, match=r"`differences` \(5,\) and `relations` \(4,\) must"):
        losses.ordinal_penalty(difference, relation[:4])


@pytest.mark.slow
def test_ranking_loss_over_many_pairs():
    """Its mean over 20 000 draws is the mean over all pairs, equal ones within 2 % included."""
    predictions, _, where = some_images(seed=5, count=1, height=2, width=4)
    targets = np.log([[[1.0, 1.01, 2.0, 2.1], [4.0, 1.0, 7.0, 3.0]]]).astype(np.float32)
    where[0, 1, 2] = False
    loss = functools.partial(losses.ranking_loss, pairs=20_000, key=jax.random.key(0))
    got = jax.jit(loss)(predictions, targets, where=where)
    depth, truth = predictions[0][where[0]], targets[0][where[0]]
    costs = []
    for i in range(depth.size):
        for j in range(depth.size):
            ratio = math.exp(float(truth[i]) - float(truth[j]))
            relation = 0 if 1 / 1.02 <= ratio <= 1.02 else 1 if ratio > 1 else -1
            costs.append(oracles.ordinal(float(depth[i]) - float(depth[j]), relation))
    spread = statistics.pstdev(costs) / math.sqrt(20_000)
    np.testing.assert_allclose(got, [statistics.fmean(costs)], atol=4 * spread)
    with pytest.raises(ValueError, match="`pairs` must be a positive number"):
        losses.ranking_loss(predictions, targets, key=jax.random.key(0), pairs=0)


@pytest.mark.slow
def test_ranking_draws_800_pairs_and_takes_2_percent_for_equal():
    """The paper's numbers are the defaults; 1.99 % apart is equal, 2.01 % is not."""
    parameters = inspect.signature(losses.ranking_loss).parameters
    assert (parameters["pairs"].default, parameters["tolerance"].default) == (800, 0.02)
    key, predictions = jax.random.key(0), jnp.array([[[0.0, 3.0]]])
    for share, cost in ((0.0199, 9.0), (0.0201, math.log(1 + math.exp(-3)))):
        targets = jnp.log(jnp.array([[[1.0, 1.0 + share]]]))
        got = losses.ranking_loss(predictions, targets, key=key)
        # about half of the pairs are of one pixel with itself, and cost nothing
        assert 0.4 * cost < float(got[0]) < 0.6 * cost
        again = losses.ranking_loss(predictions, targets, key=key, pairs=800, tolerance=0.02)
        np.testing.assert_array_equal(got, again)


def test_published_constants():
    """Defaults of the ranking loss and the least deviation that SSI divides by, 1e-6."""
    parameters = inspect.signature(losses.ranking_loss).parameters
    assert (parameters["pairs"].default, parameters["tolerance"].default) == (800, 0.02)
    assert inspect.signature(losses.gradient_matching).parameters["scales"].default == 4
    # mean deviations 4e-7 and 0 both count as 1e-6: differences 0, 0, 0, 1 and the trimmed 1
    p = jnp.array([[0.0, 1e-6, -1e-6, 0.0, 0.0]])
    trimmed = jax.jit(losses.ssi_trimmed)(p, jnp.zeros_like(p))
    np.testing.assert_allclose(trimmed, 1 / 10, rtol=1e-6)


def test_silog_of_a_batch_by_hand():
    """d = 1 and 3 in one image, 5 and 7 in the next: means 2 and 6, of all four 4; squares 84/4."""
    d = jnp.array([[[1.0, 3.0]], [[5.0, 7.0]]])
    images = [10 * math.sqrt(5 - 0.85 * 4), 10 * math.sqrt(37 - 0.85 * 36)]
    for pooling, expected in (("image", images), ("batch", 10 * math.sqrt(21 - 0.85 * 16))):
        loss = jax.jit(functools.partial(losses.silog_bts, pooling=pooling))
        np.testing.assert_allclose(loss(d, jnp.zeros_like(d)), expected, rtol=1e-6)
