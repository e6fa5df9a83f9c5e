"""Updates of the optimiser against the paper's rates and SGD written out in NumPy."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from depthsi.config import AdamWConfig, MuonConfig, SgdConfig, TwoScaleConfig
from depthsi.models import TwoScaleNet
from depthsi.training.optimisers import layer_group, make_optimizer, rate_schedule

# Learning rate: paper, section 3.3; weight decay: the authors' release.
RATES = {
    ("coarse", "conv1"): (0.001, 5e-4),
    ("coarse", "conv2"): (0.001, 5e-4),
    ("coarse", "conv3"): (0.001, 5e-4),
    ("coarse", "conv4"): (0.001, 5e-4),
    ("coarse", "conv5"): (0.001, 5e-4),
    ("coarse", "fc6"): (0.1, 1e-4),
    ("coarse", "fc7"): (0.1, 1e-4),
    ("fine", "conv1"): (0.001, 1e-4),
    ("fine", "conv2"): (0.01, 1e-4),
    ("fine", "conv3"): (0.001, 1e-4),
}


def small(seed):
    """One number for every kernel and bias of the networks."""
    rng = np.random.default_rng(seed)
    params = {"coarse": {}, "fine": {}}
    for network, layer in RATES:
        params[network][layer] = {"kernel": rng.normal(size=3), "bias": rng.normal(size=2)}
    return jax.tree.map(jnp.float32, params)


def ten_steps(config) -> Any:
    """The optimiser, whose updates have the tree of the parameters, though optax says less."""
    return make_optimizer(config, 10)


def test_the_table_names_every_layer_of_the_networks():
    model = TwoScaleNet(TwoScaleConfig())
    image = jnp.zeros((1, 228, 304, 3))
    params = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    layers = {(network, layer) for network, inner in params.items() for layer in inner}
    assert layers == set(RATES)


SGD = {
    "the defaults": {},
    "others": {"momentum": 0.5, "learning_rate": 0.7, "weight_decay": 3.0},
    "no momentum": {"momentum": 0.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("how", SGD)
@pytest.mark.parametrize("jitted", [False, True])
def test_sgd_steps_equal_momentum_written_out(jitted, how):
    config = SgdConfig(**SGD[how])
    optimizer = ten_steps(config)
    params, gradients = small(0), [small(seed) for seed in (1, 2, 3, 4)]
    state = optimizer.init(params)
    update = jax.jit(optimizer.update) if jitted else optimizer.update
    expected = jax.tree.map(np.float64, params)
    momentum, factor = (0.5, 0.7) if how == "others" else (0.9 if how != "no momentum" else 0, 1)
    trace = jax.tree.map(np.zeros_like, expected)
    for gradient in gradients:
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        for (network, layer), (rate, decay) in RATES.items():
            for kind in ("kernel", "bias"):
                g = np.float64(gradient[network][layer][kind])
                if kind == "kernel":
                    times = 3 if how == "others" else 1
                    g = g + times * decay * expected[network][layer][kind]
                trace[network][layer][kind] = momentum * trace[network][layer][kind] + g
                expected[network][layer][kind] -= factor * rate * trace[network][layer][kind]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), params, expected)


def test_a_stage_sees_its_own_subtree_only():
    optimizer = ten_steps(SgdConfig())
    params = {"fine": small(0)["fine"]}
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert set(updates) == {"fine"}


def test_layers_without_a_rate_are_refused():
    with pytest.raises(KeyError, match="refine/conv1/kernel"):
        layer_group("refine/conv1/kernel")
    with pytest.raises(KeyError, match="coarse/norm1"):
        layer_group("coarse/norm1/scale")


@pytest.mark.slow
def test_adamw_decays_kernels_only():
    config = AdamWConfig(learning_rate=0.1, weight_decay=0.5)
    optimizer, params = ten_steps(config), small(0)
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zero, optimizer.init(params), params)
    layer, kernel = updates["coarse"]["fc6"], params["coarse"]["fc6"]["kernel"]
    np.testing.assert_allclose(layer["kernel"], -0.1 * 0.5 * kernel, rtol=1e-6)
    assert not np.any(layer["bias"])


def convolution_and_full(seed):
    """A convolution with more inputs per filter than filters, and a full layer."""
    rng = np.random.default_rng(seed)
    layers = {"conv2": (3, 3, 2, 5), "fc6": (4, 3)}
    params = {
        name: {"kernel": rng.normal(size=shape), "bias": rng.normal(size=shape[-1])}
        for name, shape in layers.items()
    }
    return jax.tree.map(jnp.float32, {"coarse": params})


@pytest.mark.slow
@pytest.mark.parametrize("jitted", [False, True])
def test_muon_makes_the_update_of_a_convolution_orthogonal(jitted):
    config = MuonConfig(learning_rate=0.1, weight_decay=0.0)
    optimizer = ten_steps(config)
    params, gradients = convolution_and_full(0), convolution_and_full(1)
    update = jax.jit(optimizer.update) if jitted else optimizer.update
    updates, _ = update(gradients, optimizer.init(params), params)
    matrix = np.float64(updates["coarse"]["conv2"]["kernel"]).reshape(18, 5)
    u, _, vt = np.linalg.svd(np.float64(gradients["coarse"]["conv2"]["kernel"]).reshape(18, 5))
    # in the gradient's own singular vectors the update is diagonal, about as long as the rate
    seen = u.T @ matrix @ vt.T
    diagonal = np.diagonal(seen)
    assert np.all((diagonal < -0.06) & (diagonal > -0.13))
    np.testing.assert_allclose(seen[:5], np.diag(diagonal), atol=2e-3)
    np.testing.assert_allclose(seen[5:], 0, atol=2e-3)


@pytest.mark.slow
def test_muon_leaves_the_rest_to_adamw():
    config = MuonConfig(learning_rate=0.1, adamw_rate_factor=0.3, weight_decay=0.5)
    rest = AdamWConfig(learning_rate=0.1 * 0.3, weight_decay=0.5)
    params = convolution_and_full(0)
    results = []
    for optimizer in (ten_steps(config), ten_steps(rest)):
        state = optimizer.init(params)
        for seed in (1, 2):
            updates, state = optimizer.update(convolution_and_full(seed), state, params)
        results.append(updates["coarse"])
    ours, adamw = results
    for layer, kind in (("fc6", "kernel"), ("fc6", "bias"), ("conv2", "bias")):
        np.testing.assert_allclose(ours[layer][kind], adamw[layer][kind], rtol=1e-6)


def test_muon_refuses_layers_without_a_rate():
    params = {"coarse": {"norm1": {"scale": jnp.ones(3)}}}
    with pytest.raises(KeyError, match="coarse/norm1"):
        ten_steps(MuonConfig()).init(params)


@pytest.mark.slow
def test_schedules():
    rising = rate_schedule(SgdConfig(learning_rate=2.0, rate_schedule="cosine", warmup=4), 104)
    np.testing.assert_allclose(np.array([rising(0), rising(2), rising(4)]), [0, 1, 2], atol=1e-6)
    np.testing.assert_allclose(np.array([rising(54), rising(104)]), [1, 0], atol=1e-6)
    constant = rate_schedule(SgdConfig(learning_rate=2.0), 100)
    assert constant(0) == constant(99) == 2.0


STEPS, LENGTH = 12, 12  # updates looked at, and steps of the stage


def rate_of(update, schedule, warmup, peak=0.3):
    """The rate written out: from 0 along a line, then as it is, or along half a cosine to 0."""
    if update < warmup:
        return peak * update / warmup
    if schedule == "constant":
        return peak
    return peak * (1 + math.cos(math.pi * (update - warmup) / (LENGTH - warmup))) / 2


def sgd_directions(gradients, params, decays, momentum=0.8):
    """What the rate multiplies in each update."""
    trace = np.zeros_like(params)
    for gradient in gradients:
        trace = momentum * trace + gradient + decays * params
        yield trace


def adamw_directions(gradients, params, decays):
    """Kingma and Ba's Algorithm 1, with the decay of Loshchilov and Hutter's Algorithm 2."""
    first, second = np.zeros_like(params), np.zeros_like(params)
    for t, gradient in enumerate(gradients, 1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        scaled = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        yield scaled + decays * params


def muon_directions(gradients, params, decays):
    """Jordan et al.: Nesterov momentum, then five steps of a quintic iteration."""
    first = np.zeros_like(params)
    for t, gradient in enumerate(gradients, 1):
        first = 0.95 * first + 0.05 * gradient
        ahead = 0.95 * first / (1 - 0.95 ** (t + 1)) + 0.05 * gradient / (1 - 0.95**t)
        x = ahead.reshape(-1, ahead.shape[-1])
        x = x / np.linalg.norm(x)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        yield x.reshape(params.shape) + decays * params


WRITTEN_OUT = {
    # settings, layer: (directions, factor on the rate, weight decay of the kernel)
    "sgd": (
        SgdConfig(momentum=0.8, learning_rate=0.3, weight_decay=2.0),
        {"conv2": (sgd_directions, 0.001, 1e-3), "fc6": (sgd_directions, 0.1, 2e-4)},
    ),
    "adamw": (
        AdamWConfig(learning_rate=0.3, weight_decay=0.05),
        {"conv2": (adamw_directions, 1, 0.05), "fc6": (adamw_directions, 1, 0.05)},
    ),
    "muon": (
        MuonConfig(learning_rate=0.3, weight_decay=0.05, adamw_rate_factor=0.2),
        {"conv2": (muon_directions, 1, 0.05), "fc6": (adamw_directions, 0.2, 0.05)},
    ),
    "muon for all": (
        MuonConfig(
            learning_rate=0.3, weight_decay=0.05, adamw_rate_factor=0.2, fully_connected=True
        ),
        {"conv2": (muon_directions, 1, 0.05), "fc6": (muon_directions, 1, 0.05)},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_each_update_has_the_rate_of_its_step(name, schedule, warmup):
    """In float64, for a kernel of each kind and a bias, at fixed parameters."""
    config, layers = WRITTEN_OUT[name]
    config = dataclasses.replace(config, rate_schedule=schedule, warmup=warmup)
    optimizer: Any = make_optimizer(config, LENGTH)
    params = convolution_and_full(0)
    gradients = [convolution_and_full(seed) for seed in range(1, STEPS + 1)]
    state, update, found = optimizer.init(params), jax.jit(optimizer.update), []
    for gradient in gradients:
        updates, state = update(gradient, state, params)
        found.append(updates["coarse"])
    for layer, (directions, factor, decay) in layers.items():
        for kind in ("kernel", "bias"):
            seen = [np.float64(gradient["coarse"][layer][kind]) for gradient in gradients]
            start = np.float64(params["coarse"][layer][kind])
            if kind == "bias":
                decay = 0.0
                if directions is muon_directions:
                    directions, factor = adamw_directions, config.adamw_rate_factor
            expected = directions(seen, start, decay)
            for k, direction in enumerate(expected):
                wanted = -factor * rate_of(k, schedule, warmup) * direction
                tolerance = 1e-5 * np.abs(direction).max()
                np.testing.assert_allclose(found[k][layer][kind], wanted, rtol=0, atol=tolerance)


@pytest.mark.slow
def test_clipping_bounds_the_gradient():
    config = SgdConfig(clip=0.5, weight_decay=0.0, momentum=0.0)
    optimizer, params = ten_steps(config), {"fine": small(0)["fine"]}
    gradient = jax.tree.map(lambda p: 100 * p, params)
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(gradient)))
    expected = -0.001 * 0.5 / norm * np.asarray(gradient["fine"]["conv1"]["kernel"])
    np.testing.assert_allclose(updates["fine"]["conv1"]["kernel"], expected, rtol=1e-5)
