"""The numbers against literal arithmetic, a float64 oracle, and their own theorems."""

import math
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from jax.sharding import Mesh, PartitionSpec

from depthsi.errors import DepthsiError
from depthsi.metrics import (
    METRICS,
    PAPER_METRICS,
    DepthMetrics,
    ImageScores,
    ImageTerms,
    depth_metrics,
    image_terms,
    valid_pixels,
)
from depthsi.metrics.terms import TERMS

HOW = ("image", "pixel")
GARBAGE = (np.nan, np.inf, -np.inf, 0.0, -1.0, 3e38)


@pytest.fixture(params=["eager", "jit"])
def metrics(request):
    return jax.jit(depth_metrics) if request.param == "jit" else depth_metrics


def some_images(count=7, seed=0):
    """Images of different difficulty; the third has no valid pixel, the last has one."""
    random = np.random.default_rng(seed)
    targets = random.uniform(0.5, 9.0, (count, 5, 6)).astype(np.float32)
    spread = random.uniform(0.05, 0.8, (count, 1, 1))
    predictions = targets * np.exp(spread * random.normal(size=targets.shape) + 0.2)
    where = random.uniform(size=targets.shape) < 0.7
    where[2] = False
    where[-1] = np.arange(30).reshape(5, 6) == 11
    return predictions.astype(np.float32), targets, where


def assert_close(actual, expected, rtol=2e-6, atol=1e-7):
    assert set(actual) == set(expected) == set(METRICS)
    for name in METRICS:
        np.testing.assert_allclose(actual[name], expected[name], rtol, atol, err_msg=name)


# y/y* = 1.25, 1, 1/2, 2: the first is not "less than 1.25", the last two miss every threshold.
# abs_rel (0.25 + 0 + 0.5 + 1)/4 = 0.4375;  sq_rel (0.0625 + 0 + 4/4 + 16/4)/4 = 1.265625
# rmse sqrt((0.0625 + 0 + 4 + 16)/4) = sqrt(5.015625)
# d = ln 1.25, 0, -ln 2, ln 2: mean(d) = ln(1.25)/4, mean(d^2) = (ln(1.25)^2 + 2 ln(2)^2)/4
#   = (0.0497930 + 0.9609060)/4 = 0.2526748, minus mean(d)^2 = 0.0031121 gives 0.2495627
LITERAL = {
    "d1": 0.25,
    "d2": 0.5,
    "d3": 0.5,
    "abs_rel": 0.4375,
    "sq_rel": 1.265625,
    "rmse": math.sqrt(5.015625),
    "rmse_log": 0.5026677,
    "rmse_log_si": 0.4995625,
    # |y - y*| = 0.25, 0, 2, 4;  log10 of the ratios 0.0969100, 0, 0.3010300, 0.3010300
    "mae": 1.5625,
    "log10": 0.1747425,
    "silog": 49.95625,
    # ((y - y*)/y*)^2 = 0.0625, 0, 0.25, 1: not sq_rel
    "sq_rel_squared": 0.328125,
    # 1000/y - 1000/y* = -200, 0, 250, -125 per km: squares 40000, 0, 62500, 15625
    "irmse": math.sqrt(29531.25),
    "imae": 143.75,
    # mean(d)^2 / mean(d^2) = 0.0031121 / 0.2526748
    "scale_share": 0.0123165,
}


@pytest.mark.slow
def test_literal_image(metrics):
    got = metrics(jnp.array([[1.25, 2.0, 2.0, 8.0]]), jnp.array([[1.0, 2.0, 4.0, 4.0]]))
    assert_close(got, LITERAL, rtol=1e-6)


def test_literal_images_with_what_does_not_count_and_what_cannot_be_scored():
    """The same pixels beside a missing and a masked one; and an image with an unusable pixel."""
    predictions = jnp.array([[[1.25, 2.0, 2.0, 8.0, -1.0, 0.0]], [[1.0, 0.0, 1.0, 1.0, 1.0, 1.0]]])
    targets = jnp.array([[[1.0, 2.0, 4.0, 4.0, 0.0, 3.0]]] * 2)
    where = jnp.arange(6) < 5
    got = jax.jit(depth_metrics)(predictions, targets, where=where)
    assert_close({name: value[0] for name, value in got.items()}, LITERAL, rtol=1e-6)
    assert all(np.isnan(value[1]) for value in got.values())
    terms = jax.jit(image_terms)(predictions, targets, where=where)
    assert (terms.pixels.tolist(), terms.unusable.tolist()) == ([4, 4], [0, 1])
    assert valid_pixels(targets, where=where)[0, 0].tolist() == [True] * 4 + [False] * 2
    perfect = jax.jit(depth_metrics)(targets, targets, where=where)
    assert perfect["scale_share"].tolist() == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("inverted", [False, True])
def test_thresholds_are_strict_and_symmetric(metrics, inverted):
    ones, limits = jnp.ones((1, 3)), jnp.array([[1.25, 1.5625, 1.953125]])
    below = jnp.nextafter(limits, ones)
    for depth, expected in ((limits, (0, 1 / 3, 2 / 3)), (below, (1 / 3, 2 / 3, 1))):
        got = metrics(ones, depth) if inverted else metrics(depth, ones)
        np.testing.assert_allclose([got["d1"], got["d2"], got["d3"]], expected, rtol=1e-6)


@pytest.mark.slow
def test_against_the_oracle(metrics):
    predictions, targets, where = some_images()
    got = metrics(predictions, targets, where=where)
    for index in (0, 1, 3, 4, 5, 6):
        image = (predictions[index], targets[index], where[index])
        assert_close({k: v[index] for k, v in got.items()}, oracles.image_metrics(*image))
        one = metrics(predictions[index], targets[index], where=where[index])
        assert all(value.shape == () for value in one.values())
        assert_close(one, {k: v[index] for k, v in got.items()})


@pytest.mark.slow
def test_leading_axes_are_kept(metrics):
    predictions, targets, where = some_images(6)
    flat = metrics(predictions, targets, where=where)
    deep = metrics(*(array.reshape(2, 3, 5, 6) for array in (predictions, targets)))
    assert deep["d1"].shape == (2, 3)
    deep = metrics(
        predictions.reshape(2, 3, 5, 6),
        targets.reshape(2, 3, 5, 6),
        where=where.reshape(2, 3, 5, 6),
    )
    assert_close({k: v.reshape(6) for k, v in deep.items()}, flat)


@pytest.mark.slow
def test_what_stands_outside_the_mask_changes_nothing(metrics):
    predictions, targets, where = some_images()
    clean = metrics(predictions, targets, where=where)
    for predicted in GARBAGE:
        for true in GARBAGE:
            dirty = np.where(where, predictions, predicted), np.where(where, targets, true)
            for name, value in metrics(*dirty, where=where).items():
                np.testing.assert_array_equal(value, clean[name])


@pytest.mark.slow
def test_missing_depth_is_replaced_before_the_arithmetic():
    # A NaN that is made and then masked still stops jax_debug_nans and poisons gradients.
    predictions, targets, where = (array[0] for array in some_images())
    dirty = jnp.where(where, predictions, 0), jnp.where(where, targets, 0)
    with jax.debug_nans(True), jax.debug_infs(True):
        depth_metrics(*dirty, where=where)
    for name in METRICS:
        slope = jax.grad(lambda *depth, name=name: depth_metrics(*depth)[name], (0, 1))(*dirty)
        assert np.all(np.isfinite(slope)), name


def test_huge_values_outside_the_mask_have_no_gradient():
    """Their square overflows: replaced after the arithmetic, it would give inf times 0."""
    targets, where = jnp.array([[2.0, 3.0, 4.0]]), jnp.array([[True, True, False]])

    def total(predictions):
        return sum(depth_metrics(predictions, targets, where=where).values())

    slope = jax.jit(jax.grad(total))(jnp.array([[1.0, 5.0, 3e38]]))
    assert np.all(np.isfinite(slope))
    assert slope[0, 2] == 0


@pytest.mark.slow
def test_a_target_that_is_not_finite_and_positive_is_missing(metrics):
    predictions, targets, where = some_images()
    clean = metrics(predictions, targets, where=where)
    for hole in (np.nan, np.inf, -np.inf, 0.0, -1.0):
        got = metrics(predictions, np.where(where, targets, hole))
        for name, value in got.items():
            np.testing.assert_array_equal(value, clean[name])
        crop = np.broadcast_to(np.arange(6) < 3, where.shape)
        valid = valid_pixels(np.where(where, targets, hole), where=crop)
        np.testing.assert_array_equal(valid, where & crop)


def test_an_image_without_a_valid_pixel_is_zero(metrics):
    predictions, targets, where = some_images()
    got = metrics(np.full_like(predictions, np.nan), targets, where=np.zeros_like(where))
    for value in got.values():
        np.testing.assert_array_equal(value, np.zeros(7))


@pytest.mark.slow
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_an_unusable_prediction_shows_in_its_image_only(metrics, bad):
    predictions, targets, where = some_images()
    clean = metrics(predictions, targets, where=where)
    row, column = np.argwhere(where[1])[0]
    predictions[1, row, column] = bad
    predictions[~where] = bad
    for name, value in metrics(predictions, targets, where=where).items():
        assert np.isnan(value[1])
        np.testing.assert_array_equal(np.delete(value, 1), np.delete(clean[name], 1))
    total = DepthMetrics.empty().merge(DepthMetrics.from_batch(predictions, targets, where=where))
    assert total.unusable == 1
    for aggregation in ("image", "pixel"):
        assert all(math.isnan(value) for value in total.compute(aggregation).values())


def test_scale_invariance(metrics):
    predictions, targets, where = some_images()
    plain = metrics(predictions, targets, where=where)
    for factor in (0.1, 3.0):
        scaled = metrics(factor * predictions, targets, where=where)
        np.testing.assert_allclose(
            scaled["rmse_log_si"], plain["rmse_log_si"], rtol=1e-5, atol=1e-6
        )
        assert np.all(np.abs(scaled["rmse_log"] - plain["rmse_log"])[[0, 1, 3]] > 0.1)


def test_rmse_log_splits_into_scale_and_rest(metrics):
    predictions, targets, where = some_images()
    got = metrics(predictions, targets, where=where)
    for index in (0, 1, 3, 4, 5, 6):
        keep = where[index]
        ratio = predictions[index][keep].astype(float) / targets[index][keep]
        offset = np.log(np.prod(ratio)) / keep.sum()
        np.testing.assert_allclose(
            got["rmse_log"][index] ** 2, got["rmse_log_si"][index] ** 2 + offset**2, rtol=1e-5
        )
        share = offset**2 / got["rmse_log"][index] ** 2
        np.testing.assert_allclose(got["scale_share"][index], share, rtol=1e-5)


@pytest.mark.slow
def test_common_factor_leaves_the_digits_of_the_scale_invariant_error(metrics):
    # d has mean ln 1000 and spread 1e-3: E[d^2] - E[d]^2 would be lost in float32 at 5e-6.
    random = np.random.default_rng(3)
    targets = random.uniform(0.5, 9.0, (4, 20, 20)).astype(np.float32)
    predictions = (1000 * targets * np.exp(1e-3 * random.normal(size=targets.shape))).astype("f4")
    d = np.log(predictions.astype(float) / targets).reshape(4, -1)
    got = metrics(predictions, targets)["rmse_log_si"]
    np.testing.assert_allclose(got, d.std(axis=1), rtol=2e-4)
    assert np.all(metrics(targets * np.float32(1.7), targets)["rmse_log_si"] < 1e-6)


@pytest.mark.slow
def test_half_precision_is_summed_in_float32(metrics):
    predictions, targets, where = some_images()
    for dtype in (jnp.float16, jnp.bfloat16):
        half = jnp.asarray(predictions, dtype), jnp.asarray(targets, dtype)
        got = metrics(*half, where=where)
        assert all(value.dtype == jnp.float32 for value in got.values())
        assert_close(got, metrics(*(x.astype(jnp.float32) for x in half), where=where), rtol=1e-7)


@pytest.mark.slow
def test_float64_stays_float64():
    predictions, targets, where = some_images()
    predictions = predictions.astype(np.float64) * (1 + 1e-9)
    with jax.enable_x64(True):
        got = jax.jit(depth_metrics)(predictions, targets.astype(np.float64), where=where)
        got = {name: np.asarray(value)[0] for name, value in got.items()}
    assert_close(
        got, oracles.image_metrics(predictions[0], targets[0], where[0]), rtol=1e-12, atol=0
    )


JITTED_FROM_BATCH = jax.jit(DepthMetrics.from_batch)


def in_batches(sizes, *, host, from_batch: Callable[..., DepthMetrics] = JITTED_FROM_BATCH):
    predictions, targets, where = some_images()
    stops = np.cumsum(sizes)
    total = DepthMetrics.empty() if host else None
    for start, stop in zip(stops - sizes, stops, strict=True):
        part = slice(start, stop)
        batch = from_batch(predictions[part], targets[part], where=where[part])
        total = batch if total is None else total.merge(batch)
    assert total is not None
    return total


@pytest.mark.slow
@pytest.mark.parametrize("host", [True, False], ids=["host", "device"])
def test_a_set_does_not_depend_on_its_batches(host):
    images = some_images()
    expected = {kind: oracles.set_metrics(*images, kind) for kind in ("image", "pixel")}
    totals = [in_batches(sizes, host=host) for sizes in ([7], [3, 4], [1] * 7, [1, 3, 3])]
    totals.append(in_batches([3, 4], host=host, from_batch=DepthMetrics.from_batch))
    for total in totals:
        for aggregation, numbers in expected.items():
            assert_close(total.compute(aggregation), numbers)
        assert (total.images, total.pixels, total.unusable) == (6, images[2].sum(), 0)
        assert isinstance(total.images, jax.Array) != host


@pytest.mark.slow
def test_image_and_pixel_aggregation_differ_as_written_down():
    # In units of ln 2: image 1 has d = (1, 1, 1), variance 0; image 2 has d = (-1, 1, missing),
    # variance 1. image: (0 + 1)/2; pixel: sqrt((3*0 + 2*1)/5) = 0.632. One mean for all five
    # pixels would give sqrt(5/5 - (3/5)^2) = 0.8.
    targets = jnp.array([[[2.0, 2.0, 2.0]], [[2.0, 2.0, 0.0]]])
    total = DepthMetrics.from_batch(jnp.array([[[4.0, 4.0, 4.0]], [[1.0, 4.0, 5.0]]]), targets)
    image, pixel = total.compute(), total.compute("pixel")
    ln2 = math.log(2)
    assert image["rmse_log_si"] == pytest.approx(ln2 / 2, rel=1e-6)
    assert pixel["rmse_log_si"] == pytest.approx(ln2 * math.sqrt(2 / 5), rel=1e-6)
    # Errors in metres 2, 2, 2 and -1, 2: image (2 + sqrt(5/2))/2, pixel sqrt((12 + 5)/5).
    assert image["rmse"] == pytest.approx((2 + math.sqrt(2.5)) / 2, rel=1e-6)
    assert pixel["rmse"] == pytest.approx(math.sqrt(17 / 5), rel=1e-6)
    # |y - y*|/y* is 1, 1, 1 and 0.5, 1: image (1 + 0.75)/2, pixel 4.5/5.
    assert image["abs_rel"] == pytest.approx(0.875)
    assert pixel["abs_rel"] == pytest.approx(0.9)
    assert all(type(value) is float for value in image.values())


@pytest.mark.slow
def test_sums_over_devices():
    predictions, targets, where = some_images(8)
    mesh, split = Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data")

    def body(predictions, targets, where):
        sums = DepthMetrics.from_batch(predictions, targets, where=where)
        return jax.lax.psum(sums, "data")

    mapped = jax.shard_map(body, mesh=mesh, in_specs=split, out_specs=PartitionSpec())
    total = jax.jit(mapped)(predictions, targets, where)
    assert mesh.size == 4
    for aggregation in ("image", "pixel"):
        expected = oracles.set_metrics(predictions, targets, where, aggregation)
        assert_close(total.compute(aggregation), expected)


@pytest.mark.slow
def test_empty_inside_jit_and_as_the_carry_of_a_scan():
    predictions, targets, where = some_images()

    @jax.jit
    def once(*images):
        return DepthMetrics.empty().merge(DepthMetrics.from_batch(*images[:2], where=images[2]))

    @jax.jit
    def run(*images):
        def step(total, image):
            return total.merge(DepthMetrics.from_batch(*image[:2], where=image[2])), None

        return jax.lax.scan(step, DepthMetrics.empty(), images)[0]

    expected = oracles.set_metrics(predictions, targets, where, "pixel")
    for total in (once(predictions, targets, where), run(predictions, targets, where)):
        assert_close(total.compute("pixel"), expected)


def test_the_host_total_keeps_counting_where_float32_stops():
    start = jax.tree.map(lambda zero: zero + 2.0**40, DepthMetrics.empty())
    batch = DepthMetrics.from_batch(*some_images()[:2])
    assert start.merge(batch).pixels - 2.0**40 == 7 * 30
    assert batch.merge(start).pixels - 2.0**40 == 7 * 30
    for total in (DepthMetrics.empty(), start.merge(batch), batch.merge(start)):
        assert all(leaf.dtype == np.float64 for leaf in jax.tree.leaves(total))


def some_terms(unusable=(0, 0, 0)):
    """Of images with 2, 3 and no valid pixels; every mean written down, most of them 4, 9 and 0."""
    means = dict.fromkeys(TERMS, (4.0, 9.0, 0.0)) | {"abs_rel": (0.1, 0.3, 0.0)}
    means |= {"scale": (1.0, 8.0, 0.0), "square_inverse": (1e-6, 4e-6, 0.0)}
    return ImageTerms(
        pixels=jnp.array([2, 3, 0]),
        unusable=jnp.array(unusable),
        means={name: jnp.array(values) for name, values in means.items()},
    )


def test_the_numbers_of_two_images_by_hand():
    """Two of three images count: the mean of their numbers, or of their 2 + 3 pixels."""
    total = DepthMetrics.from_terms(some_terms())
    scores = ImageScores.from_terms([some_terms()])
    assert (int(total.images), int(total.pixels), int(total.unusable)) == (2, 5, 0)
    twice = total.merge(total)
    assert (int(twice.images), int(twice.pixels)) == (4, 10)
    image = {"rmse": (2 + 3) / 2, "abs_rel": 0.2, "silog": 250, "irmse": 1.5}
    image |= {"scale_share": (1 / 4 + 8 / 9) / 2, "log10": 6.5 / math.log(10)}
    pixel = {"rmse": math.sqrt((2 * 4 + 3 * 9) / 5), "abs_rel": (2 * 0.1 + 3 * 0.3) / 5}
    pixel |= {"scale_share": (2 * 1 + 3 * 8) / (2 * 4 + 3 * 9), "imae": 1000 * 7.0}
    for found in (total, twice, scores):
        for how, expected in (("image", image), ("pixel", pixel)):
            numbers = found.compute(how)
            for name, value in expected.items():
                assert numbers[name] == pytest.approx(value, rel=1e-6), (how, name)
    assert int(DepthMetrics.from_terms(some_terms((2, 1, 0))).unusable) == 3


def test_a_set_without_a_valid_pixel_is_refused():
    depth = jnp.ones((2, 3, 4))
    empty = DepthMetrics.from_batch(depth, jnp.zeros_like(depth))
    for total in (DepthMetrics.empty(), empty, empty.merge(empty)):
        with pytest.raises(DepthsiError, match=r"no image .* known depth"):
            total.compute()


def test_misuse_is_refused():
    depth = jnp.ones((2, 3, 4), jnp.float32)
    for function in (depth_metrics, DepthMetrics.from_batch):
        with pytest.raises(
            ValueError, match=r"`predictions` \(2, 3, 4\) and `targets` \(2, 3, 5\) must have"
        ):
            function(depth, jnp.ones((2, 3, 5)))
        with pytest.raises(
            ValueError, match=r"`predictions` \(4,\) must have the shape \(\.\.\., h"
        ):
            function(depth[0, 0], depth[0, 0])
        for shape in ((3, 5), (3, 3, 4), (1, 2, 3, 4)):
            with pytest.raises(
                ValueError, match=rf"`where` {re.escape(str(shape))} must .* to \(2, 3, 4\)"
            ):
                function(depth, depth, where=jnp.ones(shape, bool))
        with pytest.raises(TypeError, match="`targets` must be floating point, got uint16"):
            function(depth, depth.astype(jnp.uint16))
        with pytest.raises(TypeError, match="`predictions` must be floating point, got int32"):
            function(depth.astype(jnp.int32), depth)
        with pytest.raises(TypeError, match="`where` must be boolean, got float32"):
            function(depth, depth, where=depth)
    with pytest.raises(ValueError, match="'image' or 'pixel', got 'median'"):
        DepthMetrics.from_batch(depth, depth).compute("median")


@pytest.mark.slow
def test_masks_are_broadcast(metrics):
    """A mask of one image for all, or of an image each: as if written out."""
    predictions, targets, _ = some_images()
    random = np.random.default_rng(1)
    for shape in ((6,), (5, 6), (1, 5, 6), (7, 1, 1)):
        mask = random.uniform(size=shape) < 0.6
        full = np.broadcast_to(mask, targets.shape)
        expected = metrics(predictions, targets, where=full)
        for name, value in metrics(predictions, targets, where=mask).items():
            np.testing.assert_array_equal(value, expected[name])
        np.testing.assert_array_equal(valid_pixels(targets, where=mask), full)
    with pytest.raises(ValueError, match=r"`where` \(7, 5, 6\) must broadcast to \(5, 6\)"):
        valid_pixels(targets[0], where=np.ones((7, 5, 6), bool))
    with pytest.raises(TypeError, match="`where` must be boolean, got float64"):
        valid_pixels(targets, where=np.ones(6))


@pytest.mark.slow
def test_random_splits_of_a_set_merge_to_the_same_numbers():
    """However a set is cut into batches, and whatever is merged first."""
    predictions, targets, where = some_images(24, seed=5)
    expected = {how: oracles.set_metrics(predictions, targets, where, how) for how in HOW}
    random = np.random.default_rng(0)
    for _ in range(4):
        order = random.permutation(24)
        cuts = np.sort(random.choice(np.arange(1, 24), 5, replace=False))
        parts = [
            JITTED_FROM_BATCH(predictions[p], targets[p], where=where[p])
            for p in np.split(order, cuts)
        ]
        while len(parts) > 1:
            left, right = (parts.pop(random.integers(len(parts))) for _ in range(2))
            parts.append(left.merge(right))
        for how in HOW:
            assert_close(parts[0].compute(how), expected[how], rtol=3e-6)


def scores_in(sizes, extras=None):
    predictions, targets, where = some_images()
    stops = np.cumsum(sizes)
    batches = [
        image_terms(predictions[a:b], targets[a:b], where=where[a:b])
        for a, b in zip(stops - sizes, stops, strict=True)
    ]
    return ImageScores.from_terms(batches, extras)


@pytest.mark.slow
def test_scores_of_images_give_the_numbers_of_images_and_set():
    images = some_images()
    whole, parts = scores_in([7]), scores_in([2, 4, 1])
    np.testing.assert_array_equal(whole.pixels, images[2].sum(axis=(1, 2)))
    np.testing.assert_array_equal(parts.pixels, whole.pixels)
    rows = parts.per_image()
    assert set(rows) == set(METRICS)
    for index in (0, 1, 3, 4, 5, 6):
        row = oracles.image_metrics(*(array[index] for array in images))
        assert_close({name: rows[name][index] for name in METRICS}, row)
    assert all(np.isnan(values[2]) for values in rows.values())  # no valid pixel
    for how in HOW:
        expected = oracles.set_metrics(*images, how)
        for scores in (whole, parts):
            assert_close(scores.compute(how), expected)
    assert len(ImageScores.from_terms([])) == 0
    assert parts.compute() == parts.compute("image")
    assert (parts.pixels.dtype, parts.unusable.dtype) == (np.int64, np.int64)
    assert all(values.dtype == np.float64 for values in parts.means.values())


def test_weights_stand_for_repeated_images():
    images = some_images()
    weights = np.array([[1, 0, 5, 2, 0, 0, 3], [0, 0, 2, 0, 0, 0, 1]], float)
    scores = scores_in([7])
    for how in HOW:
        got = scores.weighted(weights, how)
        for row, counts in enumerate(weights.astype(int)):
            predictions, targets, where = (np.repeat(array, counts, axis=0) for array in images)
            expected = oracles.set_metrics(predictions, targets, where, how)
            assert_close({name: got[name][row] for name in METRICS}, expected)


def test_extras_are_averaged_over_the_images_that_have_them():
    values = np.array([1.0, np.nan, 9.0, 4.0, np.nan, np.nan, 1.0])
    scores = scores_in([7], {"extra": values})
    assert scores.compute("image")["extra"] == scores.compute("pixel")["extra"] == 3.75
    np.testing.assert_array_equal(scores.per_image()["extra"], values)
    none = scores_in([7], {"extra": np.full(7, np.nan)})
    assert math.isnan(none.compute()["extra"])
    signed = scores_in([7], {"extra": np.array([-0.1, 0.3, np.nan, np.inf, np.nan, np.nan, 0.1])})
    assert signed.compute()["extra"] == pytest.approx(0.1, rel=1e-12)


def test_an_unscored_image_shows_in_the_set():
    predictions, targets, where = some_images()
    predictions[1][where[1]] = np.nan
    scores = ImageScores.from_terms([image_terms(predictions, targets, where=where)])
    assert scores.unusable.tolist() == [0, where[1].sum(), 0, 0, 0, 0, 0]
    rows = scores.per_image()["rmse"]
    assert np.isnan(rows).tolist() == [False, True, True, False, False, False, False]
    for how in HOW:
        assert all(math.isnan(value) for value in scores.compute(how).values())


def test_scores_refuse_what_totals_refuse():
    with pytest.raises(ValueError, match="'image' or 'pixel', got 'median'"):
        scores_in([7]).compute("median")
    depth = jnp.ones((2, 3, 4))
    with pytest.raises(DepthsiError, match=r"no image .* known depth"):
        ImageScores.from_terms([image_terms(depth, jnp.zeros_like(depth))]).compute()


def test_the_papers_eight_come_first():
    assert METRICS[:8] == PAPER_METRICS
    assert PAPER_METRICS == (
        "d1",
        "d2",
        "d3",
        "abs_rel",
        "sq_rel",
        "rmse",
        "rmse_log",
        "rmse_log_si",
    )
