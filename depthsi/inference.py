"""A trained network as a pure function from images of its size to depth, and compiled."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from depthsi.augment import centre
from depthsi.compilation import jit, remembered
from depthsi.models.settings import ModelConfig

FLIPS = "flips"  # the name of the last output with flip test-time augmentation


def log_depth_function(
    config: ModelConfig, output: str, module: Any = None
) -> Callable[[Any, Any], jax.Array]:
    """The network as a pure function: (params, RGB 0..255 of input size) -> log depth (B, h, w).

    Args:
      config: settings of the network.
      output: one of the outputs of `config.kind`: coarse or fine, unet, hourglass, custom.
      module: the network of settings of the kind custom.

    Raises:
      DepthsiError: the module is missing or not needed.
    """
    from depthsi.models.factory import make_model  # Flax, which exported networks do without

    model = make_model(config, network=module)
    return lambda params, image: jnp.asarray(model.apply({"params": params}, image, output=output))


def depth_function(
    config: ModelConfig, output: str, *, module: Any = None
) -> Callable[[Any, Any], jax.Array]:
    """The network as a pure function: (params, raw images) -> metres at its output cells.

    Args:
      config: settings of the network.
      output: one of the outputs of `config.kind`: coarse or fine, unet, hourglass, custom.
      module: the network of settings of the kind custom.
    """
    depths = depths_function(config, (output,), module=module)
    return lambda params, image: depths(params, image)[output]


def depths_function(
    config: ModelConfig, outputs: Sequence[str], *, mirrored: bool = False, module: Any = None
) -> Callable[[Any, Any], dict[str, jax.Array]]:
    """Several outputs of a network in one pure function: (params, raw images) -> output -> metres.

    Args:
      config: settings of the network.
      outputs: outputs of `config.kind`.
      mirrored: whether to add `FLIPS`, the last output with flip test-time augmentation: the mean
        log depth of each image and of its mirror image.
      module: the network of settings of the kind custom.
    """
    networks = {output: log_depth_function(config, output, module) for output in outputs}
    last = outputs[-1]

    def log_depth(output: str, params: Any, image: jax.Array) -> jax.Array:
        return networks[output](
            params, centre(image, jnp.ones(image.shape[:3]), config.sizes).image
        )

    def metres(params: Any, image: jax.Array) -> dict[str, jax.Array]:
        found = {output: log_depth(output, params, image) for output in outputs[:-1]}
        if mirrored:  # in one batch, so that the network is traced once
            ways = log_depth(last, params, jnp.concatenate([image, image[:, :, ::-1]]))
            found[last], turned = jnp.split(ways, 2)
            found[FLIPS] = (found[last] + turned[:, :, ::-1]) / 2
        else:
            found[last] = log_depth(last, params, image)
        return {output: jnp.exp(each) for output, each in found.items()}

    return metres


def make_predictor(
    config: ModelConfig, output: str, *, module: Any = None
) -> Callable[[Any, Any], Any]:
    """`depth_function`, compiled."""
    compiled = compiled_depths(config, (output,), module=module)
    return lambda params, image: compiled(params, image)[output]


@remembered
def compiled_depths(
    config: ModelConfig, outputs: tuple[str, ...], mirrored: bool = False, *, module: Any = None
) -> Callable[[Any, Any], dict[str, Any]]:
    """`depths_function`, compiled."""
    return jit(depths_function(config, outputs, mirrored=mirrored, module=module))


def make_window_network(
    config: ModelConfig, params: Any, output: str = "fine", module: Any = None
) -> Callable[[Any], Any]:
    """`log_depth_function` of these parameters, compiled."""
    return functools.partial(jit(log_depth_function(config, output, module)), params)
