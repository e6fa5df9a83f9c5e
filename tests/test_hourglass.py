"""The stacked hourglass: sizes, positions, gradients, and a loss on every stack."""

import dataclasses
import functools

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
    scene,
    spot,
    wide_awake,
    with_gradients,
)

from depthsi import compilation
from depthsi.config import (
    AugmentConfig,
    Config,
    HourglassConfig,
    ScaleInvariantConfig,
    ScheduleConfig,
    SgdConfig,
)
from depthsi.models import hourglass, make_model
from depthsi.training.stages import make_stages
from depthsi.training.state import abstract_state, enter_stage
from depthsi.training.steps import make_train_step

SMALL = HourglassConfig(size="small")
MAPS = (2, 2, 55, 74)


def residual(channels):
    """1x1 to half the channels, 3x3, 1x1 back; a normalisation before each."""
    half = channels // 2
    return channels * half + 9 * half * half + half * channels + 2 * (channels + half + half)


def parameters_of(stacks, channels):
    stem = 27 * channels // 2 + channels // 2 + 25 * channels // 2 * channels + channels
    each = 14 * residual(channels) + channels * channels + 2 * channels + channels + 1
    between = channels * channels + channels + channels
    return stem + residual(channels) + stacks * each + (stacks - 1) * between


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nyu", "kitti"])
@pytest.mark.parametrize(
    ("size", "stacks", "channels", "count"),
    [("small", 1, 64, 259_969), ("medium", 2, 128, 1_815_938), ("large", 4, 256, 13_485_316)],
)
def test_sizes_and_parameter_counts(name, size, stacks, channels, count):
    config = HourglassConfig(geometry=name, size=size)
    model, image = make_model(config), jnp.zeros((2, *config.sizes.input, 3))
    init = jax.eval_shape(model.init_with_output, jax.random.key(0), image)
    train = functools.partial(model.init_with_output, train=True)
    in_training = jax.eval_shape(train, jax.random.key(0), image)
    assert init[0].shape == (2, *config.sizes.output)
    assert in_training[0].shape == (stacks, 2, *config.sizes.output)
    assert jax.tree.structure(init[1]) == jax.tree.structure(in_training[1])
    assert set(init[1]) == {"params"}  # no statistics of batches
    assert set(init[1]["params"]) == {"hourglass"}
    assert sum(leaf.size for leaf in jax.tree.leaves(init[1])) == count
    assert count == parameters_of(stacks, channels)


@pytest.fixture(scope="module")
def two():
    """Two stacks of two levels, quick to compile: the model, its parameters and gradients."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hourglass, "DEPTH", 2)
        patch.setitem(hourglass.SIZES, "small", (2, 16))
        model = make_model(SMALL)
        yield model, random_params(model, SMALL.sizes.input), with_gradients(model)


@pytest.mark.slow
def test_gradients_reach_every_channel(two):
    _, params, function = two
    image = jax.random.uniform(jax.random.key(1), (2, 228, 304, 3), maxval=255.0)
    weights = jax.random.normal(jax.random.key(2), MAPS)
    assert not dead_channels(function(wide_awake(params), image, weights)[1])


@pytest.mark.slow
def test_a_loss_on_the_first_map_reaches_the_first_stack_alone(two):
    _, params, function = two
    weights = jax.random.normal(jax.random.key(2), MAPS).at[1].set(0)
    gradient = function(wide_awake(params), scene()[0], weights)[1]["hourglass"]
    for name, layer in gradient.items():
        reached = any(np.any(leaf != 0) for leaf in jax.tree.leaves(layer))
        later = name in ("conv_back0", "map0", "stack1", "last1", "conv_out1", "norm1", "head1")
        assert reached != later, name


@pytest.mark.slow
@pytest.mark.parametrize("place", [(20, 30), (36, 44)])
def test_a_spot_is_seen_in_the_cell_where_it_is(two, place):
    _, params, function = two
    pixel = [5 + 4 * x for x in place]
    maps, _ = function(like_a_blur(params), spot(SMALL.sizes, *pixel), jnp.zeros(MAPS))
    for one in maps:
        np.testing.assert_allclose(centre_of_response(one), place, atol=0.02)


@pytest.mark.slow
def test_one_batch_is_learnt_by_heart_by_each_stack(two):
    _, params, function = two
    errors, variance = learn_by_heart(function, params, MAPS, 0.1)
    assert errors.shape == (2,)
    assert np.all(errors < 0.15 * variance)


@pytest.mark.slow
def test_the_last_map_is_the_one_at_test_time(two):
    model, params, function = two
    image = scene()[0]
    maps, _ = function(params, image, jnp.zeros(MAPS))
    assert np.any(np.abs(maps[0] - maps[1]) > 1e-2)
    alone = compilation.jit(model.apply)({"params": params}, image)
    np.testing.assert_allclose(alone, maps[1], atol=1e-5)


@pytest.mark.slow
def test_the_loss_of_a_step_is_the_mean_over_the_stacks(two):
    """Equation 4 of each stack's maps written out, and a step that moves every head."""
    _, params, function = two
    config = Config(
        model=SMALL,
        augment=AugmentConfig(scale=(1.0, 1.0), rotation=0.0, colour=(1.0, 1.0), flip=0.0),
        loss=ScaleInvariantConfig(lam=0.25),
        optim=SgdConfig(),
        schedule=ScheduleConfig(batch_size=2, coarse_samples=2, fine_samples=2),
    )
    (stage,) = make_stages(config)
    state = abstract_state(config, stage)
    state = dataclasses.replace(
        state, step=jnp.int32(0), params=params, key=jax.random.key(0), opt_state=()
    )
    state = enter_stage(state, config, stage)
    image, log_depth = scene()
    image = np.asarray(image).round().clip(0, 255).astype(np.uint8)
    depth = np.zeros((2, 228, 304), np.float32)
    depth[:, 5:225:4, 5:301:4] = np.exp(log_depth)
    new, metrics = compilation.jit(make_train_step(config, stage))(state, image, depth)

    maps, _ = function(params, jnp.asarray(image, jnp.float32), jnp.zeros(MAPS))
    d = np.float64(maps) - np.log(np.float64(depth[:, 5:225:4, 5:301:4]))
    values = np.mean(d**2, axis=(2, 3)) - 0.25 * np.mean(d, axis=(2, 3)) ** 2
    np.testing.assert_allclose(metrics["loss"], values.mean(), rtol=1e-4)
    assert abs(values[0].mean() / values[1].mean() - 1) > 1e-2
    for i in range(2):
        head = f"head{i}"
        before, after = (p["hourglass"][head]["kernel"] for p in (params, new.params))
        assert np.any(before != after)
