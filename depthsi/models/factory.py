"""Makes the network that settings describe."""

import dataclasses
import typing
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from depthsi.errors import DepthsiError
from depthsi.models.custom import CustomNet, checked_module
from depthsi.models.one_stage import OneStageNet
from depthsi.models.settings import (
    CustomNetworkConfig,
    ModelConfig,
    TwoScaleConfig,
)
from depthsi.models.two_scale import TwoScaleNet


def make_model(
    config: ModelConfig | str = "two_scale",
    *,
    dtype: Any = jnp.float32,
    remat: bool = False,
    network: nn.Module | None = None,
    **settings: Any,
) -> TwoScaleNet | OneStageNet | CustomNet:
    """Makes the network that `config`, or a kind and settings, describe.

    Called with (image, train=, output=, examples=), it predicts log depth (b, h, w), as
    `TwoScaleNet` does. In training, some networks return several maps (maps, b, h, w), each of
    which has a loss. The keys of its parameters are the names of the stages that train them.

    Args:
      config: settings as an object, or one of the names two_scale, unet, hourglass and custom.
      dtype: type of the arithmetic; parameters and predictions are always float32.
      remat: whether the backward pass recomputes activations instead of storing them.
      network: the module of settings of the kind custom: called with images (b, H, W,
        3), RGB on the scale 0..255, it gives log metres (b, h, w), of the sizes `input` and
        `output` of the geometry. Where its `__call__` has an argument `train`, it is told whether
        it is trained.
      settings: fields of `TwoScaleConfig`, `UNetConfig`, `HourglassConfig` or
        `CustomNetworkConfig` to set, if `config` is one of these names.

    Raises:
      DepthsiError: a name, a field or a value is not allowed, or `network` is missing, is not a
        module, or is not needed.

    Example:
      >>> import jax
      >>> from depthsi.models import make_model
      >>> net = make_model("two_scale", geometry="nyu", width=0.02)
      >>> variables = net.init(jax.random.key(0), net.example_image())
      >>> net.apply(variables, net.example_image(2)).shape  # log metres
      (2, 55, 74)
    """
    if isinstance(config, str):
        config = _settings(config, settings)
    elif settings:
        raise DepthsiError(
            f"{', '.join(settings)}: give settings as an object or by their names, not both."
        )
    if isinstance(config, CustomNetworkConfig):
        if network is None:
            raise config.missing()
        if remat or jnp.dtype(dtype) != jnp.float32:
            option = "--compute.remat" if remat else f"--compute.precision {jnp.dtype(dtype)}"
            raise DepthsiError(
                f"{option} does not apply to your own module: leave it out and set precision and"
                " rematerialisation in the module."
            )
        return CustomNet(config, checked_module(network))
    if network is not None:
        raise DepthsiError(
            f"A network was passed, but the settings are those of {config.kind}: leave it out, or"
            " pass settings of the kind custom."
        )
    if isinstance(config, TwoScaleConfig):
        return TwoScaleNet(config, dtype, remat)
    return OneStageNet(config, dtype, remat)


def _settings(kind: str, settings: dict[str, Any]) -> ModelConfig:
    kinds = {each.kind: each for each in typing.get_args(ModelConfig)}
    if kind not in kinds:
        raise DepthsiError(f"There is no network {kind!r}: choose one of {', '.join(kinds)}.")
    names = [field.name for field in dataclasses.fields(kinds[kind])]
    if unknown := sorted(set(settings) - set(names)):
        there = ", ".join(name for name in names if name != "kind")
        raise DepthsiError(f"{kind} has no setting {unknown[0]!r}: it has {there}.")
    return kinds[kind](**settings)
