"""Changes of appearance and of regions, each against NumPy in float64 or another library."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import fft, ndimage

from depthsi.augment import appearance as looks
from depthsi.augment import apply_view, augment, draw_view, regions
from depthsi.config import AugmentConfig
from depthsi.errors import DepthsiError
from depthsi.geometry import nyu

STILL = AugmentConfig(scale=(1.0, 1.0), rotation=0.0, colour=(1.0, 1.0), flip=0.0)
SIZES = nyu()


@pytest.fixture(scope="module")
def room():
    """Image (240, 320, 3) uint8 of coloured waves and depth (240, 320) of a slanted wall."""
    y, x = np.mgrid[:240, :320]
    waves = [np.sin(x / 17 + y / 31), np.cos(x / 9), np.sin(y / 12)]
    image = 128 + 90 * np.stack(waves, -1) + np.random.default_rng(0).normal(0, 8, (240, 320, 3))
    depth = (0.4 + y / 80 + x / 60).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8), depth


@pytest.fixture(scope="module")
def small():
    """A smooth image with noise, (50, 61, 3), in 0..255."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:50, :61]
    waves = [np.sin(x / 7 + y / 11), np.cos(x / 5), np.sin(y / 6)]
    return np.clip(128 + 80 * np.stack(waves, -1) + rng.normal(0, 5, (50, 61, 3)), 0, 255)


def close(ours, oracle, atol=2e-3):
    np.testing.assert_allclose(np.asarray(ours), oracle, atol=atol, rtol=0)


def luma(image):
    red, green, blue = np.moveaxis(np.asarray(image, np.float64), -1, 0)
    return 0.299 * red + 0.587 * green + 0.114 * blue


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.4])
def test_colour_changes(small, factor):
    image, grey = jnp.asarray(small, jnp.float32), luma(small)
    close(looks.adjust_contrast(image, factor), factor * small + (1 - factor) * grey.mean())
    saturated = [factor * small[..., c] + (1 - factor) * grey for c in range(3)]
    close(looks.adjust_saturation(image, factor), np.stack(saturated, -1))
    close(looks.adjust_gamma(image, factor), np.exp(factor * np.log(small / 255)) * 255)


@pytest.mark.parametrize("deviation", [0.0, 0.3, 1.1, 2.0])
def test_blur_is_a_gaussian(small, deviation):
    oracle = small
    if deviation:
        oracle = ndimage.gaussian_filter(
            small, (deviation, deviation, 0), mode="nearest", radius=(6, 6, 0)
        )
    close(looks.blur(jnp.asarray(small, jnp.float32), deviation, 2.0), oracle)


def jpeg_oracle(image, quality):
    """Block by block with SciPy's transform."""
    table = np.asarray(looks._LUMINANCE, np.float64), np.asarray(looks._CHROMINANCE, np.float64)
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    height, width = image.shape[:2]
    fill = ((0, -height % 8), (0, -width % 8), (0, 0))
    padded = np.pad(image, fill, mode="edge")
    grey = luma(padded)
    planes = [grey - 128, (padded[..., 2] - grey) / 1.772, (padded[..., 0] - grey) / 1.402]
    for number, plane in enumerate(planes):
        steps = np.clip(np.floor((table[number > 0] * scale + 50) / 100), 1, 255)
        for row in range(0, len(plane), 8):
            for col in range(0, plane.shape[1], 8):
                block = plane[row : row + 8, col : col + 8]
                waves = np.round(fft.dctn(block, norm="ortho") / steps) * steps
                plane[row : row + 8, col : col + 8] = fft.idctn(waves, norm="ortho")
    grey, blue, red = planes[0] + 128, planes[1] * 1.772, planes[2] * 1.402
    green = -(0.299 * red + 0.114 * blue) / 0.587
    decoded = np.stack([grey + red, grey + green, grey + blue], -1)
    return np.clip(decoded[:height, :width], 0, 255)


@pytest.mark.parametrize("quality", [20.0, 50.0, 75.0, 95.0])
def test_jpeg(small, quality):
    ours = np.asarray(looks.compress_jpeg(jnp.asarray(small, jnp.float32), quality))
    oracle = jpeg_oracle(small, quality)
    # a coefficient on the border between two steps may be rounded either way
    assert np.mean(np.abs(ours - oracle) > 0.01) < 0.02
    whole = Image.fromarray(np.round(small).astype(np.uint8))
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=int(quality), subsampling=0)
    pillow = np.asarray(Image.open(file), float)
    lost = np.abs(pillow - small).mean()
    # Pillow rounds luma and chroma to integers, which turns some coefficients
    assert np.abs(ours - pillow).mean() < max(0.2 * lost, 2.0)
    assert abs(np.abs(ours - small).mean() - lost) < 0.15 * lost + 0.2


def one(config, room, seed=0, key=0):
    image, depth = room
    keys = jax.random.split(jax.random.key(seed), 32)[key][None]
    batch = augment(keys, image[None], depth[None], config, SIZES)
    return jax.tree.map(lambda array: np.asarray(array[0]), batch)


def test_settings_that_are_neutral_change_nothing(room):
    """The paper's augmentation is the same to the bit as without the other changes."""
    paper, key = AugmentConfig(), jax.random.key(3)
    batch = augment(key[None], room[0][None], room[1][None], paper, SIZES)
    view = jax.jit(draw_view, static_argnums=(1, 2, 3))(key, paper, (240, 320), SIZES)
    same = apply_view(view, room[0], room[1], SIZES)
    np.testing.assert_allclose(batch.image[0], same.image, atol=5e-3)
    np.testing.assert_array_equal(batch.valid[0], same.valid)
    others = dataclasses.replace(paper, erase=1.0, noise=9.0, blur=1.0, cut_depth=1.0)
    changed = augment(key[None], room[0][None], room[1][None], others, SIZES)
    np.testing.assert_array_equal(changed.log_depth, batch.log_depth)
    assert np.abs(np.asarray(changed.image - batch.image)).max() > 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("contrast", (0.5, 1.5)),
        ("saturation", (0.1, 2.0)),
        ("gamma", (0.5, 2.0)),
        ("blur", 2.0),
        ("noise", 20.0),
        ("jpeg_quality", 10),
        ("cut_flip", 1.0),
        ("cut_depth", 1.0),
        ("erase", 1.0),
    ],
)
def test_each_setting_changes_the_image_at_random(room, name, value):
    plain = [one(STILL, key=key, room=room) for key in (0, 1)]
    config = dataclasses.replace(STILL, **{name: value})
    changed = [one(config, key=key, room=room) for key in (0, 1)]
    again = one(config, key=0, room=room)
    np.testing.assert_array_equal(changed[0].image, again.image)
    changes = [np.abs(new.image - old.image) for new, old in zip(changed, plain, strict=True)]
    assert min(change.max() for change in changes) > 3
    assert np.abs(changes[0] - changes[1]).max() > 3
    if name != "cut_flip":
        for new, old in zip(changed, plain, strict=True):
            np.testing.assert_array_equal(new.log_depth, old.log_depth)
            np.testing.assert_array_equal(new.valid, old.valid)


def test_noise_has_its_deviation_and_is_new_for_each_pixel(room):
    config = dataclasses.replace(STILL, noise=20.0)
    noises = np.stack(
        [
            one(config, key=key, room=room).image - one(STILL, key=key, room=room).image
            for key in range(12)
        ]
    )
    deviations = noises.std(axis=(1, 2, 3))
    assert deviations.max() < 20.5
    assert deviations.min() < 10 < deviations.max()
    flat = noises[deviations.argmax()]
    assert abs(np.corrcoef(flat[:-1].ravel(), flat[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(flat[..., 0].ravel(), flat[..., 1].ravel())[0, 1]) < 0.02


def test_cut_flip_moves_image_and_depth_together():
    """The image shows the depth itself, so that both can be compared at every cell."""
    y, x = np.mgrid[:240, :320]
    depth = (1 + y / 60 + x / 200).astype(np.float32)
    image = np.repeat(np.round(depth * 30)[..., None], 3, -1).astype(np.uint8)
    config = dataclasses.replace(STILL, cut_flip=1.0)
    rows = SIZES.fine_top + 5 + 4 * np.arange(SIZES.output[0])
    cols = 5 + 4 * np.arange(SIZES.output[1])
    cuts = []
    for key in range(6):
        plain, cut = (one(c, key=key, room=(image, depth)) for c in (STILL, config))
        shown = cut.image[rows[:, None], cols[None, :], 0] / 30
        assert np.all(np.abs(shown - np.exp(cut.log_depth)) < 0.04)
        shifts = [
            shift
            for shift in range(1, 228)
            if np.allclose(np.roll(plain.image, -shift, 0), cut.image, atol=1e-2)
        ]
        assert len(shifts) == 1
        cuts += shifts
    assert len(set(cuts)) > 3
    assert min(cuts) >= 45
    assert max(cuts) <= 183


def test_cut_depth_shows_the_depth_of_the_nearest_cell(room):
    image, depth = room[0], room[1].copy()
    depth[100:130, 100:150] = 0  # missing: the image stays
    config = dataclasses.replace(STILL, cut_depth=1.0)
    plain, shown = (one(c, key=4, room=(image, depth)) for c in (STILL, config))
    changed = np.any(shown.image != plain.image, -1)
    rows, cols = np.nonzero(changed)
    assert len(rows)
    for row, col in zip(rows, cols, strict=True):
        i = min(max(round((row - SIZES.fine_top - 5) / 4), 0), SIZES.output[0] - 1)
        j = min(max(round((col - 5) / 4), 0), SIZES.output[1] - 1)
        assert plain.valid[i, j]
        metres = float(np.exp(plain.log_depth[i, j]))
        grey = 255 * np.clip(np.log(metres / 0.5) / np.log(40), 0, 1)
        np.testing.assert_allclose(shown.image[row, col], grey, atol=0.01)


@pytest.mark.parametrize(
    ("draw", "low", "high"),
    [(regions.draw_erased, 0.015, 0.21), (regions.draw_depth_region, 0.0, 0.5626)],
)
def test_rectangles_lie_in_the_image(draw, low, high):
    keys = jax.random.split(jax.random.key(0), 2000)
    top, left, height, width = jax.vmap(lambda key: draw(key, (228, 304)))(keys)
    assert np.all(top >= 0)
    assert np.all(left >= 0)
    assert np.all(top + height <= 229)
    assert np.all(left + width <= 305)
    share = np.asarray(height * width) / (228 * 304)
    assert np.all(share >= low)
    assert np.all(share <= high)
    assert abs(np.corrcoef(top / (228 - height + 1), left / (304 - width + 1))[0, 1]) < 0.1


def test_erased_regions_have_the_mean_colour(room):
    config = dataclasses.replace(STILL, erase=0.5)
    happened = 0
    for key in range(24):
        plain = one(STILL, key=key, room=room).image
        image = one(config, key=key, room=room).image
        changed = np.any(image != plain, -1)
        happened += changed.any()
        np.testing.assert_allclose(
            image[changed], np.broadcast_to(plain.mean((0, 1)), image[changed].shape), atol=0.01
        )
    assert 5 <= happened <= 19  # 12 of 24 expected, deviation 2.4


@pytest.mark.parametrize(
    "values",
    [
        {"gamma": (0.0, 1.0)},
        {"contrast": (1.2, 0.8)},
        {"blur": -1.0},
        {"noise": 256.0},
        {"jpeg_quality": 0},
        {"erase": 1.5},
        {"cut_flip": -0.1},
        {"cut_depth": float("nan")},
    ],
)
def test_impossible_ranges_are_refused(values):
    with pytest.raises(DepthsiError, match=f"augment.{next(iter(values))}"):
        AugmentConfig(**values)
