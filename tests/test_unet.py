"""The U-Net and the grid both comparison networks share: sizes, positions, gradients, learning."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparison_network import (
    centre_of_response,
    dead_channels,
    learn_by_heart,
    like_a_blur,
    random_params,
    spot,
    wide_awake,
    with_gradients,
)

from depthsi.config import UNetConfig
from depthsi.models import make_model, unet
from depthsi.models.cell_grid import double, halve, log_depth, raw_depth, to_cells

SMALL = UNetConfig(size="small")


def block(inputs, outputs):
    """Two 3x3 kernels without bias, two normalisations of a scale and an offset."""
    return 9 * outputs * (inputs + outputs) + 4 * outputs


def parameters_of(first):
    """Counted from the image of a U-Net with five levels."""
    stem = 27 * first // 2 + first // 2 + 25 * first // 2 * first + first
    down = block(first, first) + sum(block(first * n, 2 * first * n) for n in (1, 2, 4, 8))
    up = sum(block(3 * first * n, first * n) for n in (8, 4, 2, 1))
    return stem + down + up + first + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nyu", "kitti"])
@pytest.mark.parametrize(
    ("size", "first", "count"),
    [("small", 16, 1_969_409), ("medium", 32, 7_871_233), ("large", 64, 31_472_129)],
)
def test_sizes_and_parameter_counts(name, size, first, count):
    config = UNetConfig(geometry=name, size=size)
    model, image = make_model(config), jnp.zeros((2, *config.sizes.input, 3))
    for train in (False, True):
        init = functools.partial(model.init_with_output, train=train)
        out, variables = jax.eval_shape(init, jax.random.key(0), image)
        assert out.shape == (2, *config.sizes.output)
        assert out.dtype == jnp.float32
    assert set(variables) == {"params"}  # no statistics of batches
    assert set(variables["params"]) == {"unet"}
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count == parameters_of(first)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nyu", "kitti"])
def test_untrained_heads_predict_the_mean_log_depth_at_the_output_cells(name):
    config = UNetConfig(geometry=name, log_mean=1.25)

    class Head(nn.Module):
        @nn.compact
        def __call__(self, x):
            return log_depth(config, raw_depth(config, x, "head"))

    grid = {"nyu": (55, 74), "kitti": (41, 142)}[name]
    x = jax.random.normal(jax.random.key(0), (2, *grid, 16))
    out, _ = Head().init_with_output(jax.random.key(1), x)
    assert out.shape == (2, *config.sizes.output)
    np.testing.assert_allclose(np.mean(out), 1.25, atol=0.05)
    np.testing.assert_allclose(np.std(out), 0.1**0.5 * config.log_std, rtol=0.4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows", "above"), [("nyu", 55, 0), ("kitti", 41, 14)])
def test_the_rows_of_cells_above_the_output_are_dropped(name, rows, above):
    config = UNetConfig(geometry=name)
    raw = jnp.arange(rows * 1.0)[None, :, None, None] * jnp.ones((1, 1, config.sizes.output[1], 1))
    expected = config.log_std * np.arange(above, rows)[:, None] * np.ones(config.sizes.output)
    np.testing.assert_allclose(log_depth(config, raw)[0], expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nyu", "kitti"])
def test_cells_are_centred_where_the_geometry_says(name):
    """The pixels that move a feature, all weights positive: 11x11 around that of the cell."""
    config = UNetConfig(geometry=name)

    class Stem(nn.Module):
        config: UNetConfig
        dtype: object = jnp.float32
        remat: bool = False

        @nn.compact
        def __call__(self, image):
            return to_cells(self, image, 2)

    model, image = Stem(config), jnp.full((1, *config.sizes.input, 3), 200.0)
    params = jax.tree.map(jnp.ones_like, model.init(jax.random.key(0), image))
    above = config.sizes.fine_top // 4  # rows of cells that `log_depth` drops

    def cells(image):
        return jnp.asarray(model.apply(params, image))

    gradient = jax.grad(lambda image: jnp.sum(cells(image)[0, above + 9, 30]))(image)
    rows, cols = (np.flatnonzero(np.any(gradient[0], axis=axes)) for axes in ((1, 2), (0, 2)))
    row, col = config.sizes.cell_to_pixel(9, 30)
    assert (rows[0], rows[-1]) == (row - 5, row + 5)
    assert (cols[0], cols[-1]) == (col - 5, col + 5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(55, 74), (28, 37), (41, 142), (2, 3)])
def test_halving_and_doubling_keep_every_second_cell_in_its_place(size):
    rows, cols = size
    plane = np.arange(rows)[:, None] * 100.0 + np.arange(cols)
    x = jnp.asarray(np.stack([plane, 0 * plane], axis=-1)[None], jnp.float32)
    even = x[:, ::2, ::2]
    assert halve(x).shape == even.shape
    back = double(even, size)
    np.testing.assert_array_equal(back[:, ::2, ::2], even)
    # the plane comes back, except that nothing lies beyond the last cell
    inside = np.s_[:, : rows - (rows % 2 == 0), : cols - (cols % 2 == 0)]
    np.testing.assert_allclose(back[inside], x[inside], atol=1e-4)
    assert back.shape == x.shape


@pytest.mark.slow
def test_halving_takes_the_maximum_around_each_even_cell():
    x = np.asarray(jax.random.normal(jax.random.key(0), (1, 5, 6, 2)))
    halved = np.asarray(halve(jnp.asarray(x)))
    assert halved.shape == (1, 3, 3, 2)
    for row in range(3):
        for col in range(3):
            window = x[:, max(2 * row - 1, 0) : 2 * row + 2, max(2 * col - 1, 0) : 2 * col + 2]
            np.testing.assert_array_equal(halved[:, row, col], window.max(axis=(1, 2)))


@pytest.fixture(scope="module")
def low():
    """A U-Net of three levels, quick to compile, with its parameters and their gradients."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unet, "LEVELS", 3)
        model = make_model(SMALL)
        yield model, random_params(model, SMALL.sizes.input), with_gradients(model)


def pictures(seed=1):
    return jax.random.uniform(jax.random.key(seed), (2, 228, 304, 3), maxval=255.0)


@pytest.mark.slow
def test_gradients_reach_every_channel(low):
    _, params, function = low
    weights = jax.random.normal(jax.random.key(2), (2, 55, 74))
    assert not dead_channels(function(wide_awake(params), pictures(), weights)[1])


@pytest.mark.slow
def test_a_map_does_not_depend_on_the_other_pictures(low):
    _, params, function = low
    image, weights = pictures(), jnp.zeros((2, 55, 74))
    maps, _ = function(params, image, weights)
    others, _ = function(params, jnp.stack([image[0] / 2, image[1]]), weights)
    np.testing.assert_allclose(maps[1], others[1], atol=1e-5)
    assert np.any(np.abs(maps[0] - others[0]) > 1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("place", [(20, 30), (36, 44)])
def test_a_spot_is_seen_in_the_cell_where_it_is(low, place, skips):
    """Through all levels, and through the deepest alone: no level is shifted against another."""
    _, params, function = low
    params = like_a_blur(params)
    if not skips:
        for name, channels in (("up0", 16), ("up1", 32)):
            layer = params["unet"][name]["conv1"]
            layer["kernel"] = layer["kernel"].at[:, :, :channels].set(0)
    pixel = [5 + 4 * x for x in place]
    maps, _ = function(params, spot(SMALL.sizes, *pixel), jnp.zeros((2, 55, 74)))
    np.testing.assert_allclose(centre_of_response(maps), place, atol=0.02)


@pytest.mark.slow
def test_one_batch_is_learnt_by_heart(low):
    _, params, function = low
    error, variance = learn_by_heart(function, params, (2, 55, 74), 0.1)
    assert error < 0.15 * variance
