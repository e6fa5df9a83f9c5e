"""The network that settings describe."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from depthsi.errors import DepthsiError
from depthsi.models.one_stage import OneStageNet
from depthsi.models.settings import HourglassConfig, ModelConfig, TwoScaleConfig, UNetConfig
from depthsi.models.two_scale import TwoScaleNet


def make_model(
    config: ModelConfig | str = "two_scale",
    *,
    dtype: Any = jnp.float32,
    remat: bool = False,
    **settings: Any,
) -> TwoScaleNet | OneStageNet:
    """The network that `config`, or a kind and settings, describe.

    Called with (image, train=, output=, examples=) it predicts log depth (b, h, w), as
    `TwoScaleNet` does; in training perhaps several maps (maps, b, h, w), each of which has a loss.
    The keys of its parameters are the names of the stages that train them.

    Args:
      config: settings as an object; or two_scale, unet or hourglass.
      dtype: of the arithmetic inside; parameters and predictions are float32 with any.
      remat: whether the backward pass computes activations again instead of keeping them all.
      settings: fields of `TwoScaleConfig`, `UNetConfig` or `HourglassConfig` to set, if `config` is
        one of these names.

    Raises:
      DepthsiError: another name, a field the kind does not have, or a value it cannot have.

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
    if isinstance(config, TwoScaleConfig):
        return TwoScaleNet(config, dtype, remat)
    return OneStageNet(config, dtype, remat)


def _settings(kind: str, settings: dict[str, Any]) -> ModelConfig:
    kinds = {each.kind: each for each in (TwoScaleConfig, UNetConfig, HourglassConfig)}
    if kind not in kinds:
        raise DepthsiError(f"There is no network {kind!r}: choose one of {', '.join(kinds)}.")
    names = [field.name for field in dataclasses.fields(kinds[kind])]
    if unknown := sorted(set(settings) - set(names)):
        there = ", ".join(name for name in names if name != "kind")
        raise DepthsiError(f"{kind} has no setting {unknown[0]!r}: it has {there}.")
    return kinds[kind](**settings)
