"""The affine map against a float64 loop over pixels, and the paper's rules of augmentation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.augment import View, apply_view, augment, centre, draw_view, mask_extremes
from depthsi.config import AugmentConfig
from depthsi.geometry import kitti, nyu

PAPER = AugmentConfig()


def picture(seed=0, size=(240, 320)):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    depth = rng.uniform(0.5, 9, size).astype(np.float32)
    depth[rng.random(size) < 0.1] = 0
    return image, depth


def view(scale=1.0, degrees=0.0, shift=(0.0, 0.0), mirror=False, colour=(1.0, 1.0, 1.0)):
    return View(
        jnp.float32(scale),
        jnp.float32(math.radians(degrees)),
        jnp.array(shift, jnp.float32),
        jnp.bool_(mirror),
        jnp.array(colour, jnp.float32),
    )


def to_source(row, col, v, shape, sizes):
    """Input pixel -> raw pixel, by complex numbers: undo crop, mirror, rotation, enlargement."""
    right = col - (sizes.input[1] - 1) / 2
    if v.mirror:
        right = -right
    down = row - (sizes.input[0] - 1) / 2
    point = complex(right + float(v.shift[1]), down + float(v.shift[0]))
    # rows point down: the turn that brings the counter-clockwise image back has a plus here
    point *= complex(math.cos(v.angle), math.sin(v.angle)) / float(v.scale)
    return point.imag + (shape[0] - 1) / 2, point.real + (shape[1] - 1) / 2


VIEWS = {
    "as it is": view(),
    "larger": view(scale=1.37, shift=(20.5, -31.25)),
    "turned": view(degrees=5, shift=(6, 8)),
    "all": view(1.2, -4.0, (-13.0, 22.0), True, (0.8, 1.2, 1.1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("sizes", [nyu(), kitti()], ids=["nyu", "kitti"])
def test_view_equals_a_loop_over_pixels(sizes, name, jitted):
    v, (image, depth) = VIEWS[name], picture(size=sizes.image)
    apply = jax.jit(apply_view, static_argnums=3) if jitted else apply_view
    batch = apply(v, image, depth, sizes)
    rng = np.random.default_rng(1)
    height, width = depth.shape
    for _ in range(300):
        row, col = rng.integers(sizes.input[0]), rng.integers(sizes.input[1])
        y, x = to_source(row, col, v, depth.shape, sizes)
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        top, left = min(int(y), height - 2), min(int(x), width - 2)
        corners = image[top : top + 2, left : left + 2].astype(float)
        down, right = y - top, x - left
        expected = (1 - down) * ((1 - right) * corners[0, 0] + right * corners[0, 1])
        expected += down * ((1 - right) * corners[1, 0] + right * corners[1, 1])
        np.testing.assert_allclose(batch.image[row, col], expected * v.colour, atol=0.15)
    checked = 0
    for _ in range(300):
        i, j = rng.integers(sizes.output[0]), rng.integers(sizes.output[1])
        row, col = sizes.cell_to_pixel(int(i), int(j))
        y, x = to_source(row, col, v, depth.shape, sizes)
        if min(abs(y % 1 - 0.5), abs(x % 1 - 0.5)) < 1e-3:
            continue  # on the border between two pixels: either is nearest
        checked += 1
        row, col = round(y), round(x)
        inside = 0 <= row < height and 0 <= col < width
        assert batch.valid[i, j] == (inside and depth[row, col] > 0)
        if batch.valid[i, j]:
            expected = math.log(depth[row, col] / float(v.scale))
            np.testing.assert_allclose(batch.log_depth[i, j], expected, atol=1e-5)
    assert checked > 100


@pytest.mark.slow
def test_enlarging_by_s_divides_depth_by_s():
    image, depth = picture()
    depth = np.full_like(depth, 3.0)
    batch = apply_view(view(scale=1.5), image, depth, nyu())
    np.testing.assert_allclose(np.exp(batch.log_depth), 2.0, rtol=1e-6)


@pytest.mark.slow
def test_what_turns_in_from_outside_is_invalid_not_zero_depth():
    image, depth = picture()
    depth[depth == 0] = 1.0
    outside = apply_view(view(degrees=5, shift=(6, 8)), image, depth, nyu())
    assert 0 < np.mean(~outside.valid) < 0.1
    assert np.all(apply_view(view(), image, depth, nyu()).valid)


@pytest.mark.slow
def test_positive_angles_turn_the_picture_counter_clockwise():
    image, depth = np.zeros((240, 320, 3), np.uint8), np.ones((240, 320), np.float32)
    image[110:130, 260:280] = 255  # right of the centre
    turned = np.asarray(apply_view(view(degrees=5), image, depth, nyu()).image[..., 0])
    rows, cols = np.nonzero(turned > 128)
    assert rows.mean() < (228 - 1) / 2 - 5  # moved up
    assert abs(cols.mean() - (269.5 - 8)) < 2


@pytest.mark.slow
def test_mirroring_twice_is_nothing():
    image, depth = picture()
    once = apply_view(view(mirror=True), image, depth, nyu())
    twice = apply_view(view(mirror=True), image[:, ::-1], depth[:, ::-1], nyu())
    plain = apply_view(view(), image, depth, nyu())
    np.testing.assert_allclose(twice.image, plain.image, atol=1e-3)
    np.testing.assert_allclose(once.image, plain.image[:, ::-1], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [nyu(), kitti()], ids=["nyu", "kitti"])
def test_centre_is_the_identity_view_exactly(sizes):
    image, depth = picture(size=sizes.image)
    batch = centre(image[None], depth[None], sizes)
    same = apply_view(view(), image, depth, sizes)
    np.testing.assert_array_equal(batch.image[0], same.image)
    np.testing.assert_array_equal(batch.valid[0], same.valid)
    np.testing.assert_array_equal(batch.log_depth[0], same.log_depth)


def test_centre_reads_the_authors_pixels():
    """Their code: crop 240x320 to 228x304, then 4 pixels off each side, then [1::4, 1::4]."""
    image, depth = picture()
    depth[depth == 0] = 1.0
    batch = centre(image[None], depth[None], nyu())
    cropped = depth[6:234, 8:312]
    np.testing.assert_allclose(
        batch.log_depth[0], np.log(cropped[4:-4, 4:-4][1::4, 1::4]), rtol=1e-6
    )
    np.testing.assert_array_equal(batch.image[0], image[6:234, 8:312])


@pytest.mark.slow
def test_draws_follow_the_papers_distribution():
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = jax.jit(jax.vmap(lambda key: draw_view(key, PAPER, (240, 320), nyu())))(keys)
    degrees = np.rad2deg(draws.angle)
    for values, low, high in (
        (draws.scale, 1.0, 1.5),
        (degrees, -5, 5),
        (draws.colour.ravel(), 0.8, 1.2),
    ):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        np.testing.assert_allclose(values.mean(), (low + high) / 2, atol=0.02 * (high - low))
        np.testing.assert_allclose(values.std(), (high - low) / math.sqrt(12), rtol=0.03)
    assert abs(draws.mirror.mean() - 0.5) < 0.03
    room = (np.asarray(draws.scale)[:, None] * [240, 320] - [228, 304]) / 2
    share = np.asarray(draws.shift) / room
    assert np.all(np.abs(share) <= 1 + 1e-5)
    np.testing.assert_allclose(share.std(0), 1 / math.sqrt(3), rtol=0.03)
    correlation = np.asarray(np.corrcoef(share.T))
    np.testing.assert_allclose(correlation[0, 1], 0, atol=0.06)


@pytest.mark.slow
def test_kitti_and_switched_off_augmentation():
    off = AugmentConfig(scale=(1.0, 1.0), rotation=0.0, colour=(1.0, 1.0), flip=0.0)
    draw = draw_view(jax.random.key(0), off, (228, 304), nyu())
    image, depth = picture(size=(228, 304))
    batch = apply_view(draw, image, depth, nyu())
    np.testing.assert_array_equal(batch.image, image)


@pytest.mark.slow
def test_extremes_are_masked_before_scaling():
    depth = jnp.array([[0.0, 1.0, 2.0], [2.5, 9.0, 9.0], [jnp.nan, 1.0, jnp.inf]])
    kept = mask_extremes(depth)
    np.testing.assert_array_equal(kept, [[0, 0, 2], [2.5, 0, 0], [0, 0, 0]])


@pytest.mark.slow
def test_batches_depend_on_the_keys_alone_and_mask_extremes_is_used():
    image, depth = (np.stack(x) for x in zip(picture(0), picture(1), strict=True))
    depth[:, :80] = 9.5  # the greatest depth of each image
    config = AugmentConfig(mask_extremes=True)
    keys = jax.random.split(jax.random.key(0), 2)
    both = augment(keys, image, depth, config, nyu())
    alone = augment(keys[1:], image[1:], depth[1:], config, nyu())
    np.testing.assert_allclose(both.image[1], alone.image[0], atol=1e-3)
    np.testing.assert_array_equal(both.valid[1], alone.valid[0])
    plain = augment(keys, image, depth, PAPER, nyu())
    assert np.mean(plain.valid) - np.mean(both.valid) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0, -0.0, -1, np.nan, np.inf, -np.inf])
def test_missing_depth_of_every_kind_is_invalid(missing):
    """Everywhere, and at each second cell; in the centre crop as in a random view."""
    image, depth = picture()
    depth[:] = missing
    for batch in (centre(image[None], depth[None], nyu()), apply_view(view(), image, depth, nyu())):
        assert not np.any(batch.valid)
        assert np.all(np.isfinite(batch.log_depth))
    depth[:, 13::8] = 2.0  # the crop begins in column 8, its cells in column 5 of that
    for batch in (centre(image[None], depth[None], nyu()), apply_view(view(), image, depth, nyu())):
        expected = np.broadcast_to(np.arange(74) % 2 == 0, batch.valid.shape)
        np.testing.assert_array_equal(batch.valid, expected)
        np.testing.assert_allclose(np.asarray(batch.log_depth)[expected], np.log(2.0), rtol=1e-6)
        assert np.all(np.isfinite(batch.log_depth))
