"""Upsampling guided by an image, against loops in float64, and in the way of a prediction."""

import math

import numpy as np
import pytest
from PIL import Image
from test_predictor import names, network, photo, predictor, run_predict, saved_photo, weights

from depthsi.camera import Photo
from depthsi.geometry import kitti, nyu
from depthsi.upsampling import LEAST, UPSAMPLINGS, Box, guided, resized
from depthsi.windows import predict_depth

__all__ = ["network", "predictor", "weights"]  # fixtures
RNG = np.random.default_rng(5)


def by_hand(values, image, box, sigma):
    """Each pixel's mean of the four cells around it, weighted by place and by colour."""
    (h, w), (height, width) = values.shape, image.shape[:2]
    edges = box.left, box.top, box.right, box.bottom
    small = Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR, edges)
    colours, found = np.asarray(small) / 255.0, np.full((height, width), np.nan)
    for i in range(height):
        y = (i + 0.5 - box.top) * h / (box.bottom - box.top) - 0.5
        for j in range(width):
            x = (j + 0.5 - box.left) * w / (box.right - box.left) - 0.5
            inside = lambda k, n: min(max(k, 0), n - 1)  # noqa: E731
            if math.isnan(values[inside(math.floor(y + 0.5), h), inside(math.floor(x + 0.5), w)]):
                continue
            total = weights = 0.0
            for k in (math.floor(y), math.floor(y) + 1):
                for m in (math.floor(x), math.floor(x) + 1):
                    row, col = inside(k, h), inside(m, w)
                    if math.isnan(values[row, col]):
                        continue
                    square = sum((image[i, j] / 255.0 - colours[row, col]) ** 2)
                    weight = (1 - abs(y - k)) * (1 - abs(x - m))
                    weight *= math.exp(-square / (2 * sigma**2)) + LEAST
                    total, weights = total + weight * values[row, col], weights + weight
            found[i, j] = total / weights
    return found


@pytest.mark.parametrize("box", [Box(0, 0, 26, 33), Box(3.5, 1.5, 23.5, 29.5)])
@pytest.mark.parametrize("missing", [0, 0.3])
def test_the_four_cells_around_a_pixel_count_by_their_colours(box, missing):
    image = RNG.integers(0, 256, (26, 33, 3), np.uint8)
    values = RNG.normal(1, 0.5, (5, 7))
    values[RNG.random((5, 7)) < missing] = np.nan
    found = guided(values, image, box, sigma=0.3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(values, image, box, 0.3), rtol=2e-5, atol=2e-5)
    assert np.nanmin(found) >= np.nanmin(values) - 1e-5
    assert np.nanmax(found) <= np.nanmax(values) + 1e-5


def test_without_colours_it_is_interpolation():
    values = RNG.normal(1, 0.5, (6, 8))
    for image in (np.full((24, 32, 3), 90, np.uint8), RNG.integers(0, 256, (24, 32, 3), np.uint8)):
        found = guided(values, image, sigma=0.12 if image.std() == 0 else 1e4)
        np.testing.assert_allclose(found, resized(values, (24, 32)), atol=1e-5)


@pytest.mark.parametrize("size", [(24, 32), (60, 41), (3, 4), (300, 8)])
def test_a_constant_stays_one_and_what_is_unknown_stays_so(size):
    image = RNG.integers(0, 256, (*size, 3), np.uint8)
    values = np.full((6, 8), 1.25)
    np.testing.assert_allclose(guided(values, image), 1.25, rtol=1e-6)
    values[:2] = np.nan
    for found in (
        guided(values, image),
        resized(values, size),
        resized(values, size, smooth=False),
    ):
        unknown = np.zeros(6, bool)
        unknown[:2] = True
        rows = np.minimum(((np.arange(size[0]) + 0.5) * 6 / size[0]).astype(int), 5)
        np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(unknown[rows, None], size))
        np.testing.assert_allclose(found[~unknown[rows]], 1.25, rtol=1e-6)
    assert np.isnan(guided(np.full((6, 8), np.nan), image)).all()


def test_an_edge_is_where_the_image_has_it():
    """Two walls whose border runs through cells: interpolated it is a ramp of some pixels."""
    rows, cols = np.mgrid[:96, :128]
    right = cols > 50 + rows / 5
    image = np.where(right[..., None], [200, 180, 90], [60, 60, 70]).astype(np.uint8)
    depth = np.where(right, np.log(4.0), np.log(2.0))
    cells = depth.reshape(24, 4, 32, 4).mean(axis=(1, 3))
    errors = [
        np.sqrt(np.mean((found - depth) ** 2))
        for found in (guided(cells, image), resized(cells, (96, 128)))
    ]
    assert errors[0] < 0.6 * errors[1]
    between = (guided(cells, image) > np.log(2.2)) & (guided(cells, image) < np.log(3.6))
    assert between.mean() < 0.4 * np.mean(
        (resized(cells, (96, 128)) > np.log(2.2)) & (resized(cells, (96, 128)) < np.log(3.6))
    )


def test_large_photos_are_computed_in_strips(monkeypatch):
    image, values = RNG.integers(0, 256, (50, 40, 3), np.uint8), RNG.normal(size=(6, 8))
    expected = guided(values, image)
    monkeypatch.setattr("depthsi.upsampling.STRIP", 7)
    np.testing.assert_array_equal(guided(values, image), expected)


@pytest.mark.parametrize("sizes", [nyu(), kitti()], ids=["nyu", "kitti"])
@pytest.mark.parametrize("how", UPSAMPLINGS)
def test_each_way_puts_the_values_of_cells_at_their_pixels(sizes, how):
    """One window of the network's own size: the pixel at the centre of a cell has its value."""
    cells = RNG.normal(1, 0.3, sizes.output).astype(np.float32)
    image = np.full((*sizes.input, 3), 100, np.uint8)
    focal = sizes.focal_length(sizes.image)
    network = lambda batch: np.broadcast_to(cells, (len(batch), *sizes.output))  # noqa: E731
    depth = predict_depth(network, Photo(image, focal), sizes, how)
    row, col = sizes.cell_to_pixel(0, 0)
    centres = np.log(depth[row::4, col::4])[: sizes.output[0], : sizes.output[1]]
    np.testing.assert_allclose(centres, cells, atol=1e-5)
    assert np.isnan(depth[: sizes.fine_top]).all()
    assert np.isfinite(depth[sizes.fine_top :]).all()
    block = np.log(depth[row + 2 : row + 6, col + 2 : col + 6])
    plain = how == "nearest"
    assert (np.ptp(block) < 1e-6) == plain
    if plain:
        np.testing.assert_allclose(block, cells[1, 1], atol=1e-5)


def test_the_command_upsamples_as_it_is_told(weights, tmp_path, predictor):
    image = photo(120, 160)
    saved_photo(tmp_path / "a.png", image)
    maps = {how: predictor(image, upsample=how) for how in UPSAMPLINGS}
    np.testing.assert_array_equal(predictor(image), maps["guided"])
    assert not np.allclose(maps["guided"], maps["bilinear"], rtol=1e-4)
    for how in UPSAMPLINGS:
        words = ("--out", tmp_path, "--save", "npy", "--upsample", how)
        assert run_predict(weights, tmp_path / "a.png", *words) == 0
        np.testing.assert_allclose(np.load(tmp_path / "a_depth.npy"), maps[how], rtol=1e-5)
    assert run_predict(weights, tmp_path / "a.png", "--out", tmp_path, "--upsample", "cubic") == 2
    assert names(tmp_path) == ["a.png", "a_depth.npy"]
