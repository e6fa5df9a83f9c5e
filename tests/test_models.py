"""The networks: parameter counts, sizes and layer arithmetic of the paper."""

import functools
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.compilation import jit
from depthsi.config import HourglassConfig, TwoScaleConfig, UNetConfig
from depthsi.errors import DepthsiError
from depthsi.geometry import Window, geometry
from depthsi.models import FineNet, TwoScaleNet, make_model
from depthsi.models.initialisers import initial_params
from depthsi.models.layers import local_response_norm, max_pool, scaled_width
from depthsi.presets import from_scratch

SMALL = from_scratch(width=0.0625)


@functools.cache
def small_network(config=SMALL):
    model = TwoScaleNet(config)
    image = jax.random.uniform(jax.random.key(1), (2, *config.sizes.input, 3), maxval=255.0)
    return model, {"params": initial_params(model, jax.random.key(0), image)}, image


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fc6", "fc7", "total"),
    [("nyu", 50_335_744, 16_674_790, 70_877_171), ("kitti", 71_307_264, 15_707_898, 90_881_799)],
)
@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_parameter_counts_of_the_paper(name, variant, fc6, fc7, total):
    config = TwoScaleConfig(geometry=name, variant=variant)
    model, image = TwoScaleNet(config), jnp.zeros((1, *config.sizes.input, 3))
    params = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    convolutions = {k: v for k, v in params["coarse"].items() if k.startswith("conv")}
    assert count(convolutions) == 3_747_200
    assert count(params["coarse"]["fc6"]) == fc6
    assert count(params["coarse"]["fc7"]) == fc7
    assert count(params["fine"]) == 119_437
    assert count(params) == total


def test_units_of_fc6_are_counted_at_width_1():
    config = TwoScaleConfig(width=0.0625, fc6_units=1200)
    image = jnp.zeros((1, *config.sizes.input, 3))
    made = jax.eval_shape(TwoScaleNet(config).init, jax.random.key(0), image)["params"]["coarse"]
    assert made["fc6"]["kernel"].shape == (6 * 8 * 16, 75)
    assert made["fc7"]["kernel"].shape == (75, 55 * 74)
    with pytest.raises(DepthsiError, match="fc6_units is 0; it must be at least 1"):
        TwoScaleConfig(fc6_units=0)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["A", "B", "C"])
@pytest.mark.parametrize("name", ["nyu", "kitti"])
def test_output_sizes_do_not_depend_on_width(name, variant):
    config = from_scratch(geometry=name, variant=variant, width=0.03)
    model, image = TwoScaleNet(config), jnp.zeros((2, *config.sizes.input, 3))
    for output in ("coarse", "fine"):
        shape, _ = jax.eval_shape(
            functools.partial(model.init_with_output, output=output), jax.random.key(0), image
        )
        assert shape.shape == (2, *geometry(name).output)


@pytest.mark.slow
def test_fine_output_sees_45_by_45_pixels_around_its_cell():
    """The paper's text; measured where the gradient reaches, all weights positive."""
    config = TwoScaleConfig(width=0.0625)
    model = FineNet(config)
    image, coarse = jnp.full((1, 228, 304, 3), 255.0), jnp.zeros((1, 55, 74))
    params = model.init(jax.random.key(0), image, coarse)
    params = jax.tree.map(lambda p: jnp.abs(p) + 1e-3, params)

    def cell(image):
        return jnp.asarray(model.apply(params, image, coarse))[0, 20, 30]

    # a random image, so that each pool's maximum can be anywhere: union over several
    reached = np.zeros((228, 304), bool)
    gradient = jit(jax.grad(cell))
    for seed in range(12):
        picture = jax.random.uniform(jax.random.key(seed), image.shape, minval=110, maxval=255)
        reached |= np.any(np.asarray(gradient(picture)[0]) != 0, axis=-1)
    rows, cols = np.flatnonzero(reached.any(1)), np.flatnonzero(reached.any(0))
    row, col = config.sizes.cell_to_pixel(20, 30)
    assert (rows[0], rows[-1]) == (row - 22, row + 22)
    assert (cols[0], cols[-1]) == (col - 22, col + 22)


@pytest.mark.slow
def test_no_gradient_reaches_the_coarse_network_in_the_fine_stage():
    model, variables, image = small_network()

    def total(params):
        out = model.apply(
            {"params": params}, image, train=True, rngs={"dropout": jax.random.key(0)}
        )
        return jnp.sum(jnp.square(jnp.asarray(out)))

    gradients = jit(jax.grad(total))(variables["params"])
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradients["coarse"]))
    assert np.any(gradients["fine"]["conv3"]["kernel"])


@pytest.mark.slow
def test_the_coarse_map_is_channel_0_of_conv2():
    """Changing conv2's weights for channel 0 changes what the coarse map does, and nothing else."""
    config = TwoScaleConfig(width=0.0625)
    model = FineNet(config)
    image = jax.random.uniform(jax.random.key(2), (1, 228, 304, 3), maxval=255.0)
    coarse = jax.random.normal(jax.random.key(3), (1, 55, 74))
    params = cast(Any, model.init(jax.random.key(0), image, coarse)["params"])
    cut = params["conv2"]["kernel"].at[:, :, 0].set(0)
    without = {**params, "conv2": {**params["conv2"], "kernel": cut}}
    same = [jnp.asarray(model.apply({"params": without}, image, c)) for c in (coarse, coarse + 1)]
    np.testing.assert_array_equal(same[0], same[1])
    assert np.any(model.apply({"params": params}, image, coarse + 1) != same[0])


@pytest.mark.slow
def test_scaled_initialisers_start_fine_as_a_copy_of_coarse():
    model, variables, image = small_network()
    noisy = jax.tree.map(lambda p: p, variables)
    bias = noisy["params"]["coarse"]["fc7"]["bias"]
    noisy["params"]["coarse"]["fc7"]["bias"] = bias + jax.random.normal(
        jax.random.key(5), bias.shape
    )
    coarse = jnp.asarray(model.apply(noisy, image, output="coarse"))
    assert np.std(coarse) > 0.3  # both signs occur, so nothing hides behind a ReLU
    fine = jnp.asarray(model.apply(noisy, image))
    np.testing.assert_allclose(fine, coarse, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("initialisers", ["paper", "scaled"])
def test_untrained_networks_predict_the_mean_log_depth(initialisers):
    config = TwoScaleConfig(width=0.0625, initialisers=initialisers, log_mean=1.25)
    model, variables, image = small_network(config)
    for output in ("coarse", "fine"):
        prediction = jnp.asarray(model.apply(variables, image, output=output))
        np.testing.assert_allclose(np.mean(prediction), 1.25, atol=0.2)


@pytest.mark.slow
def test_paper_initialisers_have_the_authors_constants():
    _, variables, _ = small_network(TwoScaleConfig(width=0.0625))
    coarse, fine = variables["params"]["coarse"], variables["params"]["fine"]
    for layer, std in ((coarse["conv2"], 0.01), (coarse["fc6"], 0.01), (fine["conv1"], 0.001)):
        np.testing.assert_allclose(np.std(layer["kernel"]), std, rtol=0.06)
        assert not np.any(layer["bias"])
    kernel = np.asarray(coarse["fc7"]["kernel"])
    assert -0.005 <= kernel.min() < -0.00499
    assert 0.00499 < kernel.max() <= 0.005
    np.testing.assert_allclose(coarse["fc7"]["bias"], 0.82473954 / 0.45723134, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("initialisers", ["paper", "scaled"])
def test_dropout_switches_off_a_share_of_fc6_in_training_only(initialisers):
    """With fc7 summing what it gets, each output is the sum over fc6 of what dropout leaves."""
    config = TwoScaleConfig(width=0.0625, initialisers=initialisers, dropout=0.25)
    model, variables, image = small_network(config)
    coarse = dict(variables["params"]["coarse"])
    coarse["fc6"] = jax.tree.map(jnp.zeros_like, coarse["fc6"]) | {"bias": jnp.ones(256)}
    coarse["fc7"] = jax.tree.map(jnp.zeros_like, coarse["fc7"])
    coarse["fc7"]["kernel"] = coarse["fc7"]["kernel"] + 1 / (256 * config.log_std)
    params = {"params": variables["params"] | {"coarse": coarse}}

    def share(train, seed=0):
        rngs = {"dropout": jax.random.key(seed)}
        out = jnp.asarray(model.apply(params, image, train=train, output="coarse", rngs=rngs))
        np.testing.assert_allclose(out, np.broadcast_to(out[:, :1, :1], out.shape), rtol=1e-5)
        return np.asarray(out[:, 0, 0])

    # the authors: kept units as they are, all times 0.75 at test time; else the other way round
    kept, whole = (1.0, 0.75) if initialisers == "paper" else (1 / 0.75, 1.0)
    np.testing.assert_allclose(share(False), whole, rtol=1e-5)
    several = np.concatenate([share(True, seed) for seed in range(20)])
    assert len(np.unique(several.round(5))) > 5
    np.testing.assert_allclose(several.mean(), 0.75 * kept, rtol=0.03)
    counts = several * 256 / kept
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)


@pytest.mark.slow
def test_the_numbers_of_the_examples_reach_dropout():
    """What is dropped belongs to the number of the example, wherever it stands in the batch."""
    model, variables, image = small_network()

    @jit
    def coarse(image, **how):
        rngs = {"dropout": jax.random.key(0)}
        return model.apply(variables, image, train=True, output="coarse", rngs=rngs, **how)

    usual = np.asarray(coarse(image))
    turned = np.asarray(coarse(image[::-1], examples=jnp.array([1, 0])))
    np.testing.assert_allclose(turned[::-1], usual, atol=1e-5)
    others = np.asarray(coarse(image, examples=jnp.array([1, 0])))
    assert np.all(np.abs(others - usual).max((1, 2)) > 1e-3)


@pytest.mark.slow
def test_the_fine_stage_sees_the_coarse_map_as_at_test_time():
    model, variables, image = small_network()
    rngs = {"dropout": jax.random.key(0)}
    np.testing.assert_array_equal(
        model.apply(variables, image, train=True, rngs=rngs), model.apply(variables, image)
    )


@pytest.mark.slow
def test_kitti_fine_network_sees_the_bottom_rows_only():
    config = TwoScaleConfig(geometry="kitti", width=0.0625)
    model, coarse = FineNet(config), jnp.zeros((1, 27, 142))
    image = jax.random.uniform(jax.random.key(0), (1, 172, 576, 3), maxval=255.0)
    params = model.init(jax.random.key(1), image, coarse)
    before = model.apply(params, image, coarse)
    np.testing.assert_array_equal(before, model.apply(params, image.at[:, :56].set(0), coarse))
    assert np.any(before != model.apply(params, image.at[:, 56:60].set(0), coarse))


@pytest.mark.slow
@pytest.mark.parametrize(
    "window",
    [
        Window(3, 2),
        Window(2, 2),
        Window(3, 2, ((0, 1), (0, 0))),
        Window(3, 2, ((0, 0), (0, 1))),
    ],
)
def test_max_pool_and_its_gradient_equal_the_plain_one(window):
    # distinct values: every maximum is unique; most are negative, so that no padding is one
    x = jax.random.permutation(jax.random.key(0), jnp.arange(2 * 14 * 17 * 3.0)) - 1400
    x = x.reshape(2, 14, 17, 3)
    weights = jax.random.normal(jax.random.key(1), (2, *window.output((14, 17)), 3))

    def plain(x):
        shape, strides = (window.kernel,) * 2, (window.stride,) * 2
        return nn.max_pool(x, window_shape=shape, strides=strides, padding=window.padding)

    np.testing.assert_array_equal(max_pool(x, window), plain(x))
    ours, reference = (
        jax.grad(lambda x, pool=pool: jnp.sum(weights * pool(x)))(x)
        for pool in (lambda x: max_pool(x, window), plain)
    )
    np.testing.assert_allclose(ours, reference, atol=1e-6)


@pytest.mark.slow
def test_local_response_norm_against_a_loop():
    x = np.asarray(jax.random.normal(jax.random.key(0), (1, 2, 3, 9))) * 300
    expected = np.empty_like(x, dtype=np.float64)
    for channel in range(9):
        neighbours = range(max(0, channel - 2), min(9, channel + 3))
        energy = sum(x[..., k].astype(np.float64) ** 2 for k in neighbours)
        expected[..., channel] = x[..., channel] / (2 + 1e-4 * energy) ** 0.75
    np.testing.assert_allclose(local_response_norm(jnp.asarray(x)), expected, rtol=1e-5)


@pytest.mark.slow
def test_local_response_norm_of_bfloat16_is_computed_in_float32():
    """Rounded once, at the end: squares and sums of 8 bits would be off in most places."""
    x = (jax.random.normal(jax.random.key(0), (1, 4, 5, 9)) * 300).astype(jnp.bfloat16)
    got = local_response_norm(x)
    assert got.dtype == jnp.bfloat16
    exact = local_response_norm(x.astype(jnp.float32))
    np.testing.assert_array_equal(got, exact.astype(jnp.bfloat16))


def gradient_of(output, **how):
    """Of a sum over one map, for its network's parameters: the gradient, and the program for it."""
    _, variables, image = small_network()
    rng = np.random.default_rng(0)  # the fine network begins without any gradient for conv1
    params = jax.tree.map(
        lambda p: p + 0.01 * rng.normal(size=p.shape).astype(np.float32), variables["params"]
    )
    model = make_model(SMALL, **how)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(
        jnp.shape, jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    )

    def total(trained):
        rngs = {"dropout": jax.random.key(0)}
        variables = {"params": params | {output: trained}}
        out = jnp.asarray(model.apply(variables, image, train=True, output=output, rngs=rngs))
        assert out.dtype == jnp.float32
        return jnp.sum(jnp.sin(3 * out))

    gradient = jax.grad(total)
    return jit(gradient)(params[output]), str(jax.make_jaxpr(gradient)(params[output]))


@pytest.mark.slow
@pytest.mark.parametrize("output", ["coarse", "fine"])
def test_computing_activations_again_changes_no_gradient(output):
    expected, plain = gradient_of(output)
    again, program = gradient_of(output, remat=True)
    convolutions = [text.count("= conv_general_dilated") for text in (plain, program)]
    assert convolutions[1] > convolutions[0]
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(jnp.max(jnp.abs(b))))


@pytest.mark.slow
@pytest.mark.parametrize("output", ["coarse", "fine"])
def test_bfloat16_gives_float32_gradients_near_the_exact_ones(output):
    expected, _ = gradient_of(output)
    rounded, program = gradient_of(output, dtype=jnp.bfloat16)
    assert program.count("bf16") > 20
    for a, b in zip(jax.tree.leaves(rounded), jax.tree.leaves(expected), strict=True):
        assert a.dtype == jnp.float32
        assert np.any(a != b)
        a, b = np.ravel(a), np.ravel(b)
        assert a @ b > 0.9 * np.linalg.norm(a) * np.linalg.norm(b)


def test_widths_are_rounded_to_the_nearest():
    assert [scaled_width(n, 0.03) for n in (96, 256, 384, 4096)] == [3, 8, 12, 123]
    assert [scaled_width(64, width, least=4) for width in (1.0, 0.1, 0.03)] == [64, 6, 4]
    assert scaled_width(96, 0.001) == 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (UNetConfig(), r"`output` \(='depth'\) must be 'unet'"),
        (HourglassConfig(), r"`output` \(='depth'\) must be 'hourglass'"),
    ],
)
def test_outputs_that_no_network_has_are_refused(config, words):
    with pytest.raises(ValueError, match=words):
        make_model(config).apply({}, jnp.zeros((1, 228, 304, 3)), output="depth")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0.0}, "width is 0.0"),
        ({"width": float("nan")}, "width"),
        ({"dropout": 1.0}, "dropout"),
        ({"log_std": 0.0}, "log_std"),
        ({"log_mean": float("inf")}, "log_mean is inf"),
        ({"coarse_input_std": -1.0}, "coarse_input_std is -1.0"),
    ],
)
def test_impossible_settings_are_refused(changes, words):
    with pytest.raises(DepthsiError, match=words):
        TwoScaleConfig(**changes)
