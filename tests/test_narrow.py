"""Fewer units in fc6: which are removed, and what becomes of the maps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.augment import centre
from depthsi.errors import DepthsiError
from depthsi.inference import log_depth_function
from depthsi.models import UNetConfig, initial_params, make_model
from depthsi.presets import from_scratch
from depthsi.weights.network_file import TrainedNetwork
from experiments.weights.narrow import narrowed

RNG = np.random.default_rng(5)
SETTINGS = from_scratch(width=0.02, fc6_units=400)  # 8 units
LIGHT = np.linspace(0.1, 1, 11)[RNG.permutation(11), None, None, None]
IMAGES = (LIGHT * RNG.integers(0, 256, (11, 240, 320, 3))).astype(np.uint8)
USEFUL = [0, 2, 3, 5, 6]  # the units that change maps


@pytest.fixture(scope="module")
def network():
    """Units 1 and 7 never fire, and 4 always fires alike."""
    net = make_model(SETTINGS)
    params = jax.tree.map(np.array, initial_params(net, jax.random.key(2), net.example_image()))
    fc6, fc7 = params["coarse"]["fc6"], params["coarse"]["fc7"]
    fc7["kernel"] = RNG.normal(size=fc7["kernel"].shape).astype(np.float32)
    fc6["bias"][:] = 20.0
    fc6["kernel"][:, [1, 4, 7]] = 0.0
    fc6["bias"][[1, 7]] = -1.0
    fc6["bias"][4] = 5.0
    return TrainedNetwork(SETTINGS, params, ("coarse", "fine"), step=7)


def maps(network):
    images = centre(jnp.asarray(IMAGES), jnp.ones(IMAGES.shape[:3]), SETTINGS.sizes).image
    return np.asarray(log_depth_function(network.settings, "coarse")(network.params, images))


def test_units_that_change_nothing_are_removed_without_a_change(network):
    narrow = narrowed(network, IMAGES, 250)  # 5 units
    assert narrow.settings == dataclasses.replace(SETTINGS, fc6_units=250)
    assert (narrow.step, narrow.outputs) == (7, network.outputs)
    before, after = network.params["coarse"], narrow.params["coarse"]
    np.testing.assert_array_equal(after["fc6"]["kernel"], before["fc6"]["kernel"][:, USEFUL])
    np.testing.assert_array_equal(after["fc7"]["kernel"], before["fc7"]["kernel"][USEFUL])
    np.testing.assert_allclose(maps(narrow), maps(network), rtol=0, atol=1e-4)
    assert maps(network).std(0).mean() > 0.1


def test_the_mean_map_stays_and_the_loss_is_what_was_removed(network):
    narrow = narrowed(network, IMAGES, 150)  # 3 units, two of the useful ones are missing
    before, after = maps(network), maps(narrow)
    np.testing.assert_allclose(after.mean(0), before.mean(0), rtol=0, atol=1e-4)
    lost = before - after
    assert np.linalg.matrix_rank(lost.reshape(11, -1), tol=1e-2) == 2
    others = [
        np.linalg.norm(maps(without(network, unit)) - before + mean_map(network, unit))
        for unit in USEFUL
    ]
    smallest = np.sort(others)[:2]
    assert np.linalg.norm(lost) < 1.0001 * smallest.sum()  # the two that change maps least


def without(network, unit):
    params = jax.tree.map(np.array, network.params)
    params["coarse"]["fc7"]["kernel"][unit] = 0
    return TrainedNetwork(SETTINGS, params, network.outputs, 7)


def mean_map(network, unit):
    return (maps(network) - maps(without(network, unit))).mean(0)


def test_what_cannot_be_narrowed(network):
    with pytest.raises(DepthsiError, match="8 units; 9 cannot"):
        narrowed(network, IMAGES, 450)
    with pytest.raises(DepthsiError, match="unet has no layer fc6"):
        narrowed(TrainedNetwork(UNetConfig(), {}, ("unet",), 1), IMAGES, 100)
