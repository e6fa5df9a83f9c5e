"""Computing activations again saves memory, and changes no gradient.

What is kept for the backward pass is counted before the compiler sees it: that for CPUs takes no
notice of the recomputation, since it merges equal computations, and its temporaries stay the same.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.compilation import jit
from depthsi.config import ComputeConfig, HourglassConfig, TwoScaleConfig, UNetConfig
from depthsi.config_kinds import KINDS
from depthsi.models import hourglass, make_model, unet
from depthsi.presets import nyu
from depthsi.training.costs import step_flops
from depthsi.training.stages import make_stages

BATCH = 4
OUTPUTS = {
    "coarse": TwoScaleConfig(),
    "fine": TwoScaleConfig(),
    "unet": UNetConfig(size="small"),
    "hourglass": HourglassConfig(size="small"),
}


def network(output, batch=BATCH, **how):
    """(own parameters, others', image) -> what is predicted in training; shapes of those three."""
    config = OUTPUTS[output]
    image = jax.ShapeDtypeStruct((batch, *config.sizes.input, 3), jnp.float32)
    model = make_model(config, **how)
    params = jax.eval_shape(model.init, jax.random.key(0), image)["params"]

    def predict(own, others, image):
        rngs = {"dropout": jax.random.key(1)}
        variables = {"params": others | {output: own}}
        return model.apply(variables, image, train=True, output=output, rngs=rngs)

    return predict, (params.pop(output), params, image)


def kept_bytes(output, remat):
    """Of the activations that wait for the backward pass."""
    predict, (own, others, image) = network(output, remat=remat)

    def backward(own, others, image):
        return jax.vjp(lambda own: predict(own, others, image), own)[1]

    kept = jax.tree.leaves(jax.eval_shape(backward, own, others, image))
    parameters = [leaf.shape for leaf in jax.tree.leaves(own)]
    return sum(leaf.size * leaf.dtype.itemsize for leaf in kept if leaf.shape not in parameters)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "share"), [("coarse", 0.2), ("fine", 0.3), ("unet", 0.3), ("hourglass", 0.2)]
)
def test_less_is_kept_for_the_backward_pass(output, share):
    """At most this share of the bytes: the inputs of blocks, and nothing from inside."""
    assert kept_bytes(output, remat=True) < share * kept_bytes(output, remat=False)


@pytest.fixture
def shallow(monkeypatch):
    """Networks that compile in seconds, with every kind of block."""
    monkeypatch.setattr(unet, "LEVELS", 2)
    monkeypatch.setitem(unet.CHANNELS, "small", 8)
    monkeypatch.setattr(hourglass, "DEPTH", 1)
    monkeypatch.setitem(hourglass.SIZES, "small", (1, 16))


@pytest.mark.slow
@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize("output", ["unet", "hourglass"])
def test_the_gradients_are_the_same(output):
    """The two-scale network has its own test, with its dropout, beside its other tests."""
    rng = np.random.default_rng(0)
    gradients, products = [], []
    _, (own, others, image) = network(output, batch=1)
    own = jax.tree.map(lambda p: 0.2 * rng.normal(size=p.shape).astype(np.float32), own)
    image = rng.uniform(0, 255, image.shape).astype(np.float32)
    for remat in (False, True):
        predict, _ = network(output, batch=1, remat=remat)

        def gradient(own, image, predict=predict):
            return jax.grad(lambda own: jnp.sum(jnp.sin(3 * predict(own, others, image))))(own)

        traced = jit(gradient).trace(own, image)
        products.append(str(traced.jaxpr).count("= conv_general_dilated"))
        gradients.append(traced.lower().compile()(own, image))
    assert products[1] > products[0]
    for a, b in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(jnp.max(jnp.abs(b))))


@pytest.mark.slow
@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize("kind", ["two_scale", "unet"])
def test_the_setting_reaches_the_step(kind):
    """Which then computes about one more forward pass."""
    size = {} if kind == "two_scale" else {"size": "small"}
    config = dataclasses.replace(nyu(), model=KINDS["model"][kind](**size))
    again = dataclasses.replace(config, compute=ComputeConfig(remat=True))
    stage = make_stages(config)[0]
    assert 1.1 < step_flops(again, stage) / step_flops(config, stage) < 1.4
