"""Everything a run depends on, as frozen dataclasses.

The field comments are the help of the command line. Nothing here imports an array library.
"""

import dataclasses
import math
from typing import Literal

from depthsi.config_optim import (
    AdamWConfig,
    CustomOptimConfig,
    MuonConfig,
    OptimConfig,
    SgdConfig,
)
from depthsi.data.settings import CustomData, Folder, Prepared
from depthsi.errors import DepthsiError, require_at_least
from depthsi.losses.settings import (
    BerhuConfig,
    CustomConfig,
    EigenFergus2015Config,
    LossConfig,
    PairwiseConfig,
    RankingConfig,
    ScaleInvariantConfig,
    SilogConfig,
    SiMseConfig,
    SsiConfig,
    SumConfig,
)
from depthsi.models.settings import (
    LOG_STD,
    CustomNetworkConfig,
    HourglassConfig,
    ModelConfig,
    TwoScaleConfig,
    UNetConfig,
)
from depthsi.rooms.settings import Rooms

__all__ = [
    "LOG_STD",
    "AdamWConfig",
    "AugmentConfig",
    "BerhuConfig",
    "ComputeConfig",
    "Config",
    "CustomConfig",
    "CustomData",
    "CustomNetworkConfig",
    "CustomOptimConfig",
    "DataConfig",
    "EigenFergus2015Config",
    "Folder",
    "HourglassConfig",
    "InitConfig",
    "LossConfig",
    "ModelConfig",
    "MuonConfig",
    "OptimConfig",
    "PairwiseConfig",
    "Prepared",
    "RankingConfig",
    "Rooms",
    "ScaleInvariantConfig",
    "ScheduleConfig",
    "SgdConfig",
    "SiMseConfig",
    "SilogConfig",
    "SsiConfig",
    "SumConfig",
    "TwoScaleConfig",
    "UNetConfig",
]

DataConfig = Rooms | Folder | Prepared | CustomData
HIGHER_IS_BETTER = ("d1", "d2", "d3")  # metrics of an evaluation
LOWER_IS_BETTER = (
    "abs_rel",
    "sq_rel",
    "rmse",
    "rmse_log",
    "rmse_log_si",
    "mae",
    "log10",
    "silog",
    "sq_rel_squared",
    "irmse",
    "imae",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes of training samples; zeros and ones disable them.

    Scale, rotation, colour and flip are the paper's; the others are off unless asked for.
    """

    scale: tuple[float, float] = (1.0, 1.5)
    """Range of the scale factor s; depth is divided by s."""
    rotation: float = 5.0
    """Largest rotation in the image plane, in degrees, in either direction."""
    colour: tuple[float, float] = (0.8, 1.2)
    """Range of the factor on each of red, green and blue."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    mask_extremes: bool = False
    """Ignore pixels equal to the least or greatest depth of their image, as for raw NYU depth."""
    contrast: tuple[float, float] = (1.0, 1.0)
    """Range of the factor on the distance of every value from the image's mean luma."""
    saturation: tuple[float, float] = (1.0, 1.0)
    """Range of the factor on the distance of every colour from grey."""
    gamma: tuple[float, float] = (1.0, 1.0)
    """Range of the exponent on values scaled to 0..1, drawn uniformly in its logarithm."""
    blur: float = 0.0
    """Largest standard deviation of a Gaussian blur, in pixels of the network's input."""
    noise: float = 0.0
    """Largest standard deviation of Gaussian noise, on the scale 0..255."""
    jpeg_quality: int = 100
    """Lowest quality of a JPEG compression; 100 disables it."""
    cut_flip: float = 0.0
    """Probability of cutting an image at a random row and swapping the two parts."""
    cut_depth: float = 0.0
    """Probability of showing the true depth as grey values in a random rectangle of the image."""
    erase: float = 0.0
    """Probability of filling a random rectangle of the image with its mean colour."""

    def __post_init__(self) -> None:
        for name in ("scale", "colour", "contrast", "saturation", "gamma"):
            low, high = getattr(self, name)
            if not 0 < low <= high < math.inf:
                raise DepthsiError(
                    f"augment.{name} is {low} {high}; give the smaller number first, above 0."
                )
        if not 0 <= self.rotation <= 180:
            raise DepthsiError(
                f"augment.rotation is {self.rotation}; it must be from 0 to 180 degrees."
            )
        for name in ("flip", "cut_flip", "cut_depth", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise DepthsiError(
                    f"augment.{name} is {getattr(self, name)}; it must be in [0, 1]."
                )
        for name, most in (("blur", 10), ("noise", 255)):
            if not 0 <= getattr(self, name) <= most:
                raise DepthsiError(
                    f"augment.{name} is {getattr(self, name)}; it must be from 0 to {most}."
                )
        if not 1 <= self.jpeg_quality <= 100:
            raise DepthsiError(
                f"augment.jpeg_quality is {self.jpeg_quality}; it must be from 1 to 100."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Lengths of the stages, and intervals of logging, evaluation and saving."""

    batch_size: int = 32
    """Images per step, over all devices."""
    coarse_samples: int = 2_000_000
    """Training samples of the coarse network (the first stage)."""
    fine_samples: int = 1_500_000
    """Samples the fine network trains on (the second stage); 0 leaves the stage out. A network of
    one stage, any but two_scale, trains on as many as both together."""
    log_every: int = 50
    """Steps between two lines of metrics.jsonl."""
    eval_every: int = 2000
    """Steps between two evaluations on the split `val`; 0 disables them."""
    save_every: int = 2000
    """Steps between two checkpoints; the end of each stage is always saved."""
    keep: int = 3
    """Number of newest checkpoints to keep."""
    best: str = "rmse_log_si"
    """Metric of the evaluations on `val` whose best checkpoint is kept as well: the state with the
    least (of d1, d2, d3 the greatest) is saved whenever it is found."""

    def __post_init__(self) -> None:
        require_at_least(
            "schedule",
            self,
            batch_size=1,
            coarse_samples=1,
            fine_samples=0,
            log_every=1,
            eval_every=0,
            save_every=1,
            keep=1,
        )
        names = (*LOWER_IS_BETTER, *HIGHER_IS_BETTER)
        if self.best not in names:
            raise DepthsiError(
                f"schedule.best is {self.best!r}, not a metric of the evaluations: choose one of"
                f" {', '.join(names)}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Weights to start from, instead of random ones."""

    weights: str = ""
    """A run, for its newest checkpoint, one of its checkpoints (such as RUN/checkpoints/2000), a
    file of weights (.safetensors) or the name of a network of `depthsi models`: layers of the same
    name and shape start from those weights."""
    coarse_convs: str = ""
    """A .safetensors or .npz file with CaffeNet-shaped weights for coarse/conv1 to conv5."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """How devices share a step; these settings may differ between starts of a run."""

    binding: Literal["jit", "pmap"] = "jit"
    """jit: on a mesh of all devices. pmap: mapped over the devices."""
    model_devices: int = 1
    """Number of devices that share fc6 and fc7; 1 keeps a copy on every device."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the networks in training; parameters, loss and optimiser stay float32, and so
    do evaluations and predictions."""
    accumulate: int = 1
    """Number of parts in which a batch is computed, to save memory; the result is the same."""
    remat: bool = False
    """Recompute activations in the backward pass instead of storing them."""
    hang_minutes: float = 10.0
    """Minutes without a step or an evaluated batch after which a process gives up waiting for the
    others or for its devices, three times that for what is compiled or saved; 0: wait forever."""

    def __post_init__(self) -> None:
        require_at_least("compute", self, model_devices=1, accumulate=1, hang_minutes=0)
        if self.binding == "pmap" and self.model_devices > 1:
            raise DepthsiError(
                f"compute.model_devices is {self.model_devices}, which pmap cannot do:"
                " set compute.binding jit."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """One training run."""

    data: DataConfig = dataclasses.field(default_factory=Rooms)
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = dataclasses.field(default_factory=TwoScaleConfig)
    loss: LossConfig = dataclasses.field(default_factory=ScaleInvariantConfig)
    optim: OptimConfig = dataclasses.field(default_factory=SgdConfig)
    schedule: ScheduleConfig = ScheduleConfig()
    init: InitConfig = InitConfig()
    compute: ComputeConfig = ComputeConfig()
    seed: int = 0
    """Seed of parameters, order, augmentation and dropout."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise DepthsiError(f"seed is {self.seed}; it must be from 0 to {2**32 - 1}.")
