"""Settings of the networks, one class per network.

The docstrings below the fields are the help of the command line. Nothing here imports an array
library.
"""

import dataclasses
import math
from typing import ClassVar, Literal, TypeVar

from depthsi.errors import DepthsiError
from depthsi.geometry import Geometry, geometry

T = TypeVar("T")
LOG_STD = 0.45723134  # of log depth on NYU, from the authors' release, like the values below


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Sized:
    """Settings that all networks share."""

    geometry: Literal["nyu", "kitti"] = "nyu"
    """Input and output sizes: those of the paper for NYU Depth v2 or for KITTI."""

    @property
    def sizes(self) -> Geometry:
        """The geometry this network is built for."""
        return geometry(self.geometry)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Network(_Sized):
    """Settings that the built-in networks share."""

    log_mean: float = 0.82473954
    """Log depth (metres) that the untrained network predicts."""
    log_std: float = LOG_STD
    """Factor that converts the last layer's output to log depth."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.log_mean):
            raise DepthsiError(f"model.log_mean is {self.log_mean}; it must be a finite number.")
        for field in dataclasses.fields(self):
            if field.name.endswith("std") and not getattr(self, field.name) > 0:
                value = getattr(self, field.name)
                raise DepthsiError(f"model.{field.name} is {value}; it must be positive.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoScaleConfig(_Network):
    """The paper's coarse and fine networks. The defaults are the authors' values, where known."""

    kind: Literal["two_scale"] = "two_scale"
    """Network: two_scale, unet, hourglass or custom; each kind has its own settings."""
    variant: Literal["A", "B", "C"] = "A"
    """How convolutions and pools round sizes; all three variants give the paper's sizes."""
    width: float = 1.0
    """Factor on the number of channels; the output size does not change."""
    fc6_units: int = 4096
    """Units of fc6 at width 1. The two fully connected layers have most of the parameters, and with
    fewer units a network takes less space."""
    initialisers: Literal["paper", "scaled"] = "paper"
    """paper: the authors' constants, meant for pretrained convolutions. scaled: the variance is
    preserved from layer to layer, the coarse network first predicts `log_mean`, and the fine
    network first copies the coarse map."""
    local_response_norm: bool = True
    """Local response normalisation (over 5 channels) after the first two coarse convolutions; on
    unless --model.no-local-response-norm is given."""
    feature_scale: float = 0.01
    """Factor on the convolutional features before the fully connected layers."""
    dropout: float = 0.5
    """Dropout rate of fc6 in training."""
    coarse_input_mean: float = 128.0
    """Mean subtracted from the coarse network's input (0..255)."""
    coarse_input_std: float = 1.0
    """Divisor applied to the coarse network's input after subtracting the mean."""
    fine_input_mean: float = 109.31410628
    """Mean subtracted from the fine network's input (0..255)."""
    fine_input_std: float = 76.18328376
    """Divisor applied to the fine network's input after subtracting the mean."""

    outputs: ClassVar[tuple[str, ...]] = ("coarse", "fine")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.width) and self.width > 0):
            raise DepthsiError(
                f"model.width is {self.width}; it must be greater than 0, e.g. 0.25."
            )
        if self.fc6_units < 1:
            raise DepthsiError(f"model.fc6_units is {self.fc6_units}; it must be at least 1.")
        if not 0 <= self.dropout < 1:
            raise DepthsiError(f"model.dropout is {self.dropout}; it must be in [0, 1).")

    @property
    def sizes(self) -> Geometry:
        """The geometry these networks are built for."""
        return geometry(self.geometry, self.variant)

    def paper_or_scaled(self, paper: T, scaled: T) -> T:
        """The argument that belongs to the chosen initialisers."""
        return paper if self.initialisers == "paper" else scaled


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ComparisonNetwork(_Network):
    """Settings that the comparison networks share."""

    input_mean: float = 109.31410628
    """Mean subtracted from the input (0..255)."""
    input_std: float = 76.18328376
    """Divisor applied to the input after subtracting the mean."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class UNetConfig(_ComparisonNetwork):
    """A U-Net for comparison, with 16, 32 or 64 channels at its finest level."""

    kind: Literal["unet"] = "unet"
    """Network: two_scale, unet, hourglass or custom; each kind has its own settings."""
    size: Literal["small", "medium", "large"] = "medium"
    """Channels at the finest level: 16 (small), 32 (medium) or 64 (large)."""

    outputs: ClassVar[tuple[str, ...]] = ("unet",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HourglassConfig(_ComparisonNetwork):
    """Stacked hourglasses for comparison."""

    kind: Literal["hourglass"] = "hourglass"
    """Network: two_scale, unet, hourglass or custom; each kind has its own settings."""
    size: Literal["small", "medium", "large"] = "medium"
    """small: 1 stack of 64 channels; medium: 2 of 128; large: 4 of 256."""

    outputs: ClassVar[tuple[str, ...]] = ("hourglass",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CustomNetworkConfig(_Sized):
    """Your own module, passed to `depthsi.train` as `network`."""

    kind: Literal["custom"] = "custom"
    """Network: two_scale, unet, hourglass or custom; each kind has its own settings."""
    name: str = ""
    """Class and attributes of the module; recorded, but never used to load it."""

    outputs: ClassVar[tuple[str, ...]] = ("custom",)

    def missing(self, what: str = "This network") -> DepthsiError:
        """The error to raise if the module is needed but was not passed.

        Args:
          what: the network that needs the module, as the subject of the message.
        """
        name = f" ({self.name})" if self.name else ""
        return DepthsiError(
            f"{what} is a module that a program passed{name}, and no file stores its code: use it"
            " from Python, with depthsi.load(PATH, network=MODULE) or depthsi.train(CONFIG,"
            " run=PATH, network=MODULE)."
        )


ModelConfig = TwoScaleConfig | UNetConfig | HourglassConfig | CustomNetworkConfig
