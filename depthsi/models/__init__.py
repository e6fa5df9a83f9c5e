"""The networks: pure Flax Linen modules, layers named as in the paper, and their settings.

The names below are loaded on first use; the settings need no array library.
"""

from typing import TYPE_CHECKING

from depthsi.lazy_names import lazy_names

if TYPE_CHECKING:
    from depthsi.models.coarse import CoarseNet
    from depthsi.models.factory import make_model
    from depthsi.models.fine import FineNet
    from depthsi.models.hourglass import StackedHourglass
    from depthsi.models.initialisers import initial_params
    from depthsi.models.one_stage import OneStageNet
    from depthsi.models.settings import (
        CustomNetworkConfig,
        HourglassConfig,
        ModelConfig,
        TwoScaleConfig,
        UNetConfig,
    )
    from depthsi.models.two_scale import TwoScaleNet
    from depthsi.models.unet import UNet

__all__ = [
    "CoarseNet",
    "CustomNetworkConfig",
    "FineNet",
    "HourglassConfig",
    "ModelConfig",
    "OneStageNet",
    "StackedHourglass",
    "TwoScaleConfig",
    "TwoScaleNet",
    "UNet",
    "UNetConfig",
    "initial_params",
    "make_model",
]

_MODULES = {
    "CustomNetworkConfig": "settings",
    "HourglassConfig": "settings",
    "ModelConfig": "settings",
    "TwoScaleConfig": "settings",
    "UNetConfig": "settings",
    "CoarseNet": "coarse",
    "FineNet": "fine",
    "StackedHourglass": "hourglass",
    "OneStageNet": "one_stage",
    "TwoScaleNet": "two_scale",
    "UNet": "unet",
    "initial_params": "initialisers",
    "make_model": "factory",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES, __all__)
