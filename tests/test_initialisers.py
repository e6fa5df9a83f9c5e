"""Quickly drawn parameters have the distributions of JAX's own initialisers."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.nn import initializers as jax_initialisers
from scipy import stats

from depthsi.models import initialisers, make_model
from depthsi.models.initialisers import initial_params
from depthsi.models.settings import TwoScaleConfig, UNetConfig

SHAPE = (5, 5, 64, 100)  # 160 000 numbers: more than two chunks
OURS = {
    "normal": (initialisers.normal(0.01), jax_initialisers.normal(0.01)),
    "he": (initialisers.he_normal(), jax_initialisers.he_normal()),
    "fan_in": (
        initialisers.fan_in_normal(0.1),
        jax_initialisers.variance_scaling(0.1, "fan_in", "normal"),
    ),
    "uniform": (
        initialisers.symmetric_uniform(0.005),
        lambda *args: jax_initialisers.uniform(0.01)(*args) - 0.005,
    ),
}


class OneKernel(nn.Module):
    """Its one parameter, drawn by `init`."""

    draw: initialisers.Draw

    @nn.compact
    def __call__(self):
        return self.param("kernel", self.draw, SHAPE)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("way", ["called", "drawn quickly"])
def test_the_distribution_is_that_of_jax(name, way):
    ours, theirs = OURS[name]
    if way == "called":
        found = np.asarray(ours(jax.random.key(1), SHAPE))
    else:
        found = initial_params(OneKernel(ours), jax.random.key(1))["kernel"]
    expected = np.asarray(theirs(jax.random.key(2), SHAPE))
    assert found.dtype == np.float32
    assert found.std() == pytest.approx(expected.std(), rel=0.01)
    assert abs(found.mean()) < 4 * found.std() / math.sqrt(found.size)
    same: Any = stats.ks_2samp(found.ravel(), expected.ravel())
    assert same.pvalue > 1e-3
    assert np.abs(found).max() == pytest.approx(np.abs(expected).max(), rel=0.15)


def test_no_number_is_drawn_twice():
    kernel = initial_params(OneKernel(initialisers.normal(1.0)), jax.random.key(0))["kernel"]
    assert len(np.unique(kernel)) > 0.98 * kernel.size  # float32 has some equal ones by chance


@pytest.mark.parametrize("config", [TwoScaleConfig(width=0.05), UNetConfig(size="small")])
def test_names_shapes_types_and_constants_are_those_of_flax(config):
    model = make_model(config)
    image = jnp.zeros((1, *config.sizes.input, 3))
    found = initial_params(model, jax.random.key(3), image)
    expected = jax.eval_shape(model.init, jax.random.key(3), image)["params"]
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        there = expected
        for part in path:
            there = there[part.key]
        assert (leaf.shape, leaf.dtype) == (there.shape, there.dtype), name
        if name.endswith("scale"):
            np.testing.assert_array_equal(leaf, 1)
        elif name.endswith("bias"):
            start = config.log_mean / config.log_std
            last = name in ("coarse/fc7/bias", "unet/head/bias", "fine/conv3/bias")
            np.testing.assert_allclose(leaf, start if last else 0, rtol=1e-6)
        elif leaf.size > 1000:
            assert leaf.std() > 0, name


def test_layers_and_seeds_are_independent_and_a_seed_repeats():
    config = UNetConfig(size="small")
    model, image = make_model(config), jnp.zeros((1, *config.sizes.input, 3))
    first, again, other = (initial_params(model, jax.random.key(s), image) for s in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    block = first["unet"]["down3"]
    pairs = [
        (block["conv2"]["kernel"], first["unet"]["up3"]["conv2"]["kernel"]),
        (block["conv2"]["kernel"], other["unet"]["down3"]["conv2"]["kernel"]),
    ]
    for ours, theirs in pairs:
        assert abs(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]) < 5 / math.sqrt(ours.size)


def test_a_module_with_other_initialisers_is_initialised_too():
    found = initial_params(nn.Dense(300), jax.random.key(0), jnp.zeros((1, 200)))
    assert found["kernel"].shape == (200, 300)
    assert found["kernel"].std() == pytest.approx(math.sqrt(1 / 200), rel=0.05)
    np.testing.assert_array_equal(found["bias"], 0)
