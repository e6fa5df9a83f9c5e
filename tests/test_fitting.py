"""Bringing a pair to a size."""

import fractions

import numpy as np
import pytest

from depthsi.data.fitting import fit_to


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def depth_map(height, width, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 10, (height, width)).astype(np.float32)


@pytest.mark.parametrize("size", [(6, 7), (240, 320)])
def test_fit_to_the_same_size_is_exact(size):
    image, depth = picture(*size), depth_map(*size)
    depth[1, 2] = np.nan
    fitted_image, fitted_depth = fit_to(image, depth, size)
    np.testing.assert_array_equal(fitted_image, image)
    np.testing.assert_array_equal(fitted_depth, depth)


@pytest.mark.parametrize(
    ("given", "size", "top", "left"),
    [
        ((185, 612), (184, 612), 0, 0),
        ((184, 615), (184, 612), 0, 1),
        ((8, 9), (8, 5), 0, 2),
        ((11, 4), (4, 4), 3, 0),
    ],
)
def test_fit_to_only_crops_where_one_side_fits(given, size, top, left):
    image, depth = picture(*given), depth_map(*given)
    fitted_image, fitted_depth = fit_to(image, depth, size)
    here = np.s_[top : top + size[0], left : left + size[1]]
    np.testing.assert_array_equal(fitted_image, image[here])
    np.testing.assert_array_equal(fitted_depth, depth[here])


def nearest_pixel(length, count, step):
    """By search with exact fractions: the first pixel whose centre is nearest to each new one."""
    half, pixels = fractions.Fraction(1, 2), range(length)
    start = (length - count * step) / 2
    wanted = [start + (i + half) * step for i in range(count)]
    return [min(pixels, key=lambda p, x=x: abs(p + half - x)) for x in wanted]


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((48, 64), (24, 32)),
        ((47, 156), (46, 153)),
        ((94, 155), (23, 76)),
        ((50, 31), (24, 32)),
        ((7, 9), (16, 11)),
        ((1, 40), (3, 3)),
        ((48, 64), (19, 25)),
    ],
)
def test_fit_to_reads_depth_at_the_nearest_pixel_centre(given, size):
    depth = depth_map(*given)
    depth[np.random.default_rng(1).random(given) < 0.3] = 0
    step = min(fractions.Fraction(*pair) for pair in zip(given, size, strict=True))
    rows, cols = (nearest_pixel(n, m, step) for n, m in zip(given, size, strict=True))
    image, fitted = fit_to(picture(*given), depth, size)
    assert image.shape == (*size, 3)
    np.testing.assert_array_equal(fitted, [[depth[r, c] for c in cols] for r in rows])


@pytest.mark.parametrize(
    ("given", "size"),
    [((96, 120), (48, 60)), ((100, 96), (32, 48)), ((60, 120), (20, 30)), ((24, 32), (48, 64))],
)
def test_fit_to_keeps_image_and_depth_in_register(given, size):
    """Linear ramps survive interpolation: both maps must then tell the same source position."""
    for channel, ramp in enumerate(np.indices(given)):
        image = np.repeat(2 * ramp[..., None], 3, -1).astype(np.uint8)
        fitted_image, fitted_depth = fit_to(image, ramp.astype(np.float32), size)
        error = (fitted_image[..., channel] / 2 - fitted_depth)[3:-3, 3:-3]
        # At most half a pixel to the nearest centre and a quarter of rounding.
        assert np.abs(error).max() <= 0.75


def test_fit_to_averages_the_image_when_it_shrinks():
    """Stripes one pixel wide come out grey, not as one of their two colours."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::2] = 200
    fitted, _ = fit_to(image, depth_map(64, 64), (16, 16))
    assert np.abs(fitted[2:-2, 2:-2].astype(float) - 100).max() < 15


def test_fit_to_interpolates_along_a_line_over_what_a_pixel_covers():
    """A bright column at half the size: a triangle two pixels wide to each side of a centre."""
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 20] = 200
    fitted, _ = fit_to(image, depth_map(32, 64), (16, 32))
    expected = np.zeros(32)
    expected[9:11] = 200 * 0.25 / 2, 200 * 0.75 / 2
    np.testing.assert_array_equal(fitted, np.broadcast_to(expected[:, None], (16, 32, 3)))


@pytest.mark.parametrize(("given", "size"), [((20, 31), (7, 30)), ((42, 55), (19, 25))])
def test_rounding_takes_nothing_from_beyond_the_border(given, size):
    """Here the covered region begins an ulp outside of the image as floats have it."""
    image, fitted = fit_to(picture(*given), depth_map(*given), size)
    assert (image.shape, fitted.shape) == ((*size, 3), size)
    assert np.all(fitted > 0)


def test_fit_to_refuses_misuse():
    with pytest.raises(ValueError, match="same size"):
        fit_to(picture(4, 5), depth_map(4, 6), (2, 2))
    with pytest.raises(ValueError, match=r"`size` \(=\(0, 2\)\)"):
        fit_to(picture(4, 5), depth_map(4, 5), (0, 2))
