"""A network with parameters that nobody trained, made without compiling."""

import jax
import numpy as np

import depthsi
from depthsi.models import UNetConfig, make_model


def made_up_network(step):
    """A small U-Net of random numbers, as if trained for `step` steps."""
    settings = UNetConfig(size="small")
    model = make_model(settings)
    shapes = jax.eval_shape(model.init, jax.random.key(0), model.example_image())["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(0, 0.05, x.shape).astype(np.float32), dict(shapes))
    return depthsi.TrainedNetwork(settings, params, ("unet",), step=step)
