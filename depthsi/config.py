"""Everything a run depends on, as frozen dataclasses.

The field comments are the help of the command line. Nothing here imports an array library.
"""

import dataclasses
import math
from typing import Any, Literal, TypeVar

from depthsi.errors import DepthsiError
from depthsi.geometry import Geometry, geometry

T = TypeVar("T")
HIGHER_IS_BETTER = ("d1", "d2", "d3")  # of the numbers of an evaluation
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
LOG_STD = 0.45723134  # of log depth on NYU, from the authors' release, like the values below


def _require_at_least(section: str, values: Any, **least: float | int) -> None:
    for name, limit in least.items():
        value = getattr(values, name)
        if not value >= limit:
            raise DepthsiError(f"{section}.{name} is {value}; it must be at least {limit}.")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where pictures with depth come from."""

    kind: Literal["rooms", "folder", "prepared"] = "rooms"
    """rooms: procedural scenes, nothing to download; folder: a directory with index.csv;
    prepared: what depthsi prepare made."""
    root: str = ""
    """The directory of kind=folder or kind=prepared."""
    depth: str = ""
    """Which of the depth maps of kind=prepared; the first, if none is named."""
    pattern: str = ""
    """How pairs are named in a folder without index.csv, such as
    '{split}/rgb/{name}.jpg -> {split}/depth/{name}.png', which is also the default."""
    units_per_metre: float = 0.0
    """Value for one metre in depth files of whole numbers, where no index says; 0: guess it."""
    on_bad: Literal["strict", "skip"] = "strict"
    """strict: stop at the first sample that cannot be used; skip: leave up to 1 % out."""
    seed: int = 0
    """Of the procedural rooms."""
    train: int = 2000
    """How many rooms to train on."""
    val: int = 64
    """How many rooms to watch the training with."""
    test: int = 256
    """How many rooms to evaluate on; none of them is ever trained on."""
    scale_range: tuple[float, float] = (1.0, 1.0)
    """Each room as a whole is made larger by a log-uniform factor from this range."""
    even_scenes: int = 0
    """Samples of each scene in one pass over the training data, 1200 in the paper; 0: all once."""
    workers: int = 0
    """Processes that read training files too many for the memory; 0 for threads of this one."""
    resident: bool = False
    """Keep the training pairs in device memory, depth in 16 bits, and sample them there."""
    endless: bool = False
    """Train on a new room in every sample, rendered on the devices, instead of on `train` rooms."""

    def __post_init__(self) -> None:
        _require_at_least("data", self, train=1, val=1, test=1, even_scenes=0, workers=0)
        if self.endless and self.kind != "rooms":
            raise DepthsiError(f"data.endless needs data.kind rooms, not {self.kind}.")
        if self.endless and (self.resident or self.even_scenes):
            raise DepthsiError(
                "data.endless keeps no samples that data.resident or data.even_scenes could apply"
                " to: set either it or them."
            )
        if self.workers and (self.kind == "rooms" or self.resident):
            raise DepthsiError(
                f"data.workers is {self.workers}, but rooms and data.resident read no files"
                " during training: set it to 0."
            )


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """The paper's random changes of a training sample; zeros and ones switch each off."""

    scale: tuple[float, float] = (1.0, 1.5)
    """Range of the enlargement s; depth is divided by s."""
    rotation: float = 5.0
    """Largest rotation in the image plane, degrees, either way."""
    colour: tuple[float, float] = (0.8, 1.2)
    """Range of the factor on each of red, green and blue."""
    flip: float = 0.5
    """Probability of mirroring left and right."""
    mask_extremes: bool = False
    """Ignore pixels equal to the least or greatest depth of their image, as for raw NYU depth."""

    def __post_init__(self) -> None:
        for name in ("scale", "colour"):
            low, high = getattr(self, name)
            if not 0 < low <= high < math.inf:
                raise DepthsiError(
                    f"augment.{name} is {low} {high}; give the smaller number first, above 0."
                )
        if not 0 <= self.rotation <= 180:
            raise DepthsiError(
                f"augment.rotation is {self.rotation}; it must be from 0 to 180 degrees."
            )
        if not 0 <= self.flip <= 1:
            raise DepthsiError(f"augment.flip is {self.flip}; it must be in [0, 1].")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The networks. The defaults are the authors' values, as far as they are known."""

    kind: Literal["two_scale", "unet", "hourglass"] = "two_scale"
    """two_scale: the paper's coarse and fine networks; unet, hourglass: networks to compare with,
    which take from this section `size`, `geometry`, `fine_input_*`, `log_mean` and `log_std`."""
    size: Literal["small", "medium", "large"] = "medium"
    """Of unet (16, 32 or 64 channels at first) and hourglass (1, 2 or 4 stacks)."""
    geometry: Literal["nyu", "kitti"] = "nyu"
    """Sizes of input and output."""
    variant: Literal["A", "B", "C"] = "A"
    """Rounding of convolutions and pools; all three give the paper's sizes."""
    width: float = 1.0
    """Multiplies the number of channels of two_scale; the output size does not change."""
    initialisers: Literal["paper", "scaled"] = "paper"
    """paper: the authors' constants, meant for pre-trained convolutions. scaled: variance kept
    from layer to layer, the coarse network starts at `log_mean`, the fine one as its copy."""
    local_response_norm: bool = True
    """Normalise the outputs of the first two coarse convolutions over 5 channels."""
    feature_scale: float = 0.01
    """Factor on the convolutional features before the full layers."""
    dropout: float = 0.5
    """Share of fc6 switched off in training."""
    coarse_input_mean: float = 128.0
    """Subtracted from the coarse network's input (0..255)."""
    coarse_input_std: float = 1.0
    """Divides it."""
    fine_input_mean: float = 109.31410628
    """Subtracted from the fine network's input (0..255)."""
    fine_input_std: float = 76.18328376
    """Divides it."""
    log_mean: float = 0.82473954
    """Log depth (metres) the untrained network predicts."""
    log_std: float = LOG_STD
    """Factor from the last layer's output to log depth."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.width) and self.width > 0):
            raise DepthsiError(
                f"model.width is {self.width}; it must be greater than 0, e.g. 0.25."
            )
        if not math.isfinite(self.log_mean):
            raise DepthsiError(f"model.log_mean is {self.log_mean}; it must be a finite number.")
        if not 0 <= self.dropout < 1:
            raise DepthsiError(f"model.dropout is {self.dropout}; it must be in [0, 1).")
        for name in ("coarse_input_std", "fine_input_std", "log_std"):
            if not getattr(self, name) > 0:
                raise DepthsiError(f"model.{name} is {getattr(self, name)}; it must be positive.")

    @property
    def sizes(self) -> Geometry:
        """The geometry these networks are built for."""
        return geometry(self.geometry, self.variant)

    def pick(self, paper: T, scaled: T) -> T:
        """The argument that belongs to the chosen initialisers."""
        return paper if self.initialisers == "paper" else scaled


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Eq. 4 of the paper and how images of a batch are weighted."""

    lam: float = 0.5
    """lambda: 0 is plain L2 in log space, 1 does not see the scale at all."""
    space: Literal["log", "linear"] = "log"
    """log: of log depth, as in the paper; linear: of metres, with lam 1 the reconstruction loss of
    Domain Separation Networks, which does not see an added constant."""
    reduction: Literal["image", "pixel", "authors"] = "image"
    """Images weigh the same, by their valid pixels n, or by n^2 as in the authors' code."""
    multiplier: float = 1.0
    """Constant factor; 1 / log_std^2 gives the units the authors' learning rates are meant for."""

    def __post_init__(self) -> None:
        if not 0 <= self.lam <= 1:
            raise DepthsiError(f"loss.lam is {self.lam}; lambda must be in [0, 1].")
        if not self.multiplier > 0:
            raise DepthsiError(f"loss.multiplier is {self.multiplier}; it must be positive.")


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """How gradients become updates."""

    kind: Literal["sgd", "adamw", "muon"] = "sgd"
    """sgd: momentum and the paper's rate per layer; adamw: one rate for all layers; muon: momentum
    made orthogonal for the convolutions' kernels, adamw for the rest."""
    learning_rate: float = 1.0
    """Factor on the paper's table of rates (sgd), or the rate itself (adamw, muon)."""
    rest: float = 0.01
    """Of muon: factor on the rate for everything but the convolutions' kernels."""
    momentum: float = 0.9
    """Of sgd."""
    weight_decay: float = 1.0
    """Factor on the authors' table of decays (sgd), or the decoupled decay itself."""
    schedule: Literal["constant", "cosine"] = "constant"
    """constant as in the paper; cosine falls to 0 over each stage."""
    warmup: int = 0
    """Steps over which the rate rises from 0 at the start of each stage."""
    clip: float = 0.0
    """Largest global norm of a gradient; 0 leaves gradients as they are."""

    def __post_init__(self) -> None:
        _require_at_least("optim", self, learning_rate=0, rest=0, weight_decay=0, clip=0, warmup=0)
        if not 0 <= self.momentum < 1:
            raise DepthsiError(f"optim.momentum is {self.momentum}; it must be in [0, 1).")


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """How long each stage is, and what happens along the way."""

    batch_size: int = 32
    """Images in a step, over all devices."""
    coarse_samples: int = 2_000_000
    """Samples the coarse network trains on (the first stage)."""
    fine_samples: int = 1_500_000
    """Samples the fine network trains on (the second stage); 0 leaves the stage out. A network of
    one stage, unet or hourglass, trains on as many as both together."""
    log_every: int = 50
    """Steps between two lines in metrics.jsonl."""
    eval_every: int = 2000
    """Steps between two evaluations on the split `val`; 0 for none."""
    save_every: int = 2000
    """Steps between two checkpoints; each stage's end is saved in any case."""
    keep: int = 3
    """Number of newest checkpoints kept."""
    best: str = "rmse_log_si"
    """Number of the evaluations on `val` whose best checkpoint is kept as well: the state with the
    least (of d1, d2, d3 the greatest) is saved whenever it is found."""

    def __post_init__(self) -> None:
        _require_at_least(
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
                f"schedule.best is {self.best!r}, no number of the evaluations: choose one of"
                f" {', '.join(names)}."
            )


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """Weights a run starts from, instead of random ones."""

    weights: str = ""
    """Another run's directory, for its newest checkpoint, or one of its checkpoints' (such as
    RUN/checkpoints/2000): layers of the same name and shape start from those weights."""
    coarse_convs: str = ""
    """A .safetensors or .npz file with CaffeNet-shaped weights for coarse/conv1 to conv5."""


@dataclasses.dataclass(frozen=True)
class ComputeConfig:
    """How the devices share a step: what may change from one start of a run to the next."""

    binding: Literal["jit", "pmap"] = "jit"
    """jit on a mesh of all devices, or pmap over them."""
    model_devices: int = 1
    """Devices that share fc6 and fc7, each holding a part; 1 for copies everywhere."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the networks' arithmetic in training; parameters, loss and optimiser stay float32, and so
    do evaluations and predictions."""
    accumulate: int = 1
    """Parts a batch is computed in one after the other, to save memory; the result is the same."""
    remat: bool = False
    """Compute activations a second time in the backward pass, instead of keeping them."""
    hang_minutes: float = 10.0
    """Minutes without a step or an evaluated batch after which a process gives up waiting for the
    others or for its devices, three times that for what is compiled or saved; 0: wait forever."""

    def __post_init__(self) -> None:
        _require_at_least("compute", self, model_devices=1, accumulate=1, hang_minutes=0)
        if self.binding == "pmap" and self.model_devices > 1:
            raise DepthsiError(
                f"compute.model_devices is {self.model_devices}, which pmap cannot do:"
                " set compute.binding jit."
            )


@dataclasses.dataclass(frozen=True)
class Config:
    """One training run."""

    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    init: InitConfig = InitConfig()
    compute: ComputeConfig = ComputeConfig()
    seed: int = 0
    """Of parameters, order, augmentation and dropout."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise DepthsiError(f"seed is {self.seed}; it must be from 0 to {2**32 - 1}.")
