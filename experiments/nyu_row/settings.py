"""The command line of `run.py`, and the configurations of its trainings."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from depthsi import presets
from depthsi.config import (
    AdamWConfig,
    AugmentConfig,
    ComputeConfig,
    Config,
    Folder,
    InitConfig,
    MuonConfig,
    Rooms,
    ScheduleConfig,
    TwoScaleConfig,
)
from depthsi.config_kinds import with_kind
from depthsi.errors import DepthsiError

AUGMENT = {
    "paper": AugmentConfig(),
    "colour": AugmentConfig(
        contrast=(0.8, 1.2), saturation=(0.7, 1.3), gamma=(0.8, 1.25), noise=3.0
    ),
    "strong": AugmentConfig(
        scale=(0.9, 1.6),
        contrast=(0.7, 1.3),
        saturation=(0.6, 1.4),
        gamma=(0.75, 1.33),
        blur=0.7,
        noise=4.0,
        cut_flip=0.15,
        cut_depth=0.15,
        erase=0.25,
    ),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Pre-trains on rooms, trains on pairs, evaluates on val and, with --test, on test."""

    root: str
    """Folder of pairs with index.csv, whose splits are train, val and test."""
    run: str = "runs/nyu_row/two_scale"
    """Directory for everything this makes."""
    kind: Literal["two_scale", "unet", "hourglass"] = "two_scale"
    """The network."""
    width: float = 0.25
    """Width of two_scale."""
    fc6_units: int = 4096
    """Units of two_scale's layer fc6 at width 1."""
    size: Literal["small", "medium", "large"] = "medium"
    """Size of unet and hourglass."""
    batch: int = 32
    """Images per step."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the networks' arithmetic."""
    optimiser: Literal["muon", "adamw"] = "muon"
    """Of the training on pairs."""
    fully_connected: bool = False
    """Whether muon updates fully connected layers as well, on pairs."""
    rooms_fully_connected: bool = False
    """The same on rooms."""
    rooms_rate: float = 0.012
    """Learning rate on rooms, of muon."""
    rooms_adamw_rate_factor: float = 0.01
    """Factor on --rooms-rate for the layers that are not convolutions."""
    rate: float = 0.006
    """Learning rate on pairs."""
    adamw_rate_factor: float = 0.01
    """Factor on --rate for the layers that are not convolutions, with muon."""
    weight_decay: float = 0.05
    """On pairs."""
    rooms_dropout: float = 0.1
    """On rooms, of two_scale."""
    dropout: float = 0.5
    """On pairs, of two_scale."""
    rooms_coarse: int = 57_600
    """Samples of rooms for the coarse network, or the only one; 0 for no pre-training."""
    rooms_fine: int = 0
    """Samples of rooms for the fine network of two_scale."""
    rooms_kept: int = 11_900
    """Render so many rooms and augment them; 0 renders a new room for each sample."""
    rooms_again: int = 0
    """Samples of a second training on rooms, for which others are rendered; 0 skips it."""
    rooms_again_kept: int = 15_000
    """As --rooms-kept, in the second training on rooms."""
    coarse: int = 60_000
    """Samples of pairs for the coarse network, or the only one."""
    fine: int = 12_000
    """Samples of pairs for the fine network of two_scale."""
    augment: Literal["paper", "colour", "strong"] = "paper"
    """Of the training on pairs: the paper's changes; colours as well; or all there are."""
    average: float = 0.0
    """Decay of the moving average of the parameters, on pairs."""
    settle: int = 0
    """Samples per stage of a last training on pairs, with views like the test's: enlarged by at
    most 1.1 and rotated by at most 2 degrees; 0 skips it."""
    warmup: int = 0
    """Steps over which the rate rises, on pairs; 0 for 20 with muon and 100 with adamw."""
    seed: int = 0
    """Random seed."""
    start: str = ""
    """Run whose weights the first training begins with."""
    final: bool = False
    """Train once more in the end, on train and val together."""
    checkpoint: Literal["newest", "best"] = "newest"
    """What is tested without --final."""
    test: bool = False
    """Evaluate on the split test, once, when all trainings are complete."""

    def __post_init__(self) -> None:
        if self.final and self.checkpoint == "best":
            raise DepthsiError(
                "--final trains on the split val, so no best checkpoint can be chosen on it:"
                " leave out --checkpoint."
            )
        if self.rooms_again and not self.rooms_coarse:
            raise DepthsiError(
                "--rooms-again follows a training on rooms: give --rooms-coarse as well."
            )


def rooms_config(settings: Settings) -> Config:
    """Of the pre-training on rooms."""
    preset, kept = presets.rooms(), settings.rooms_kept
    if kept:
        data, augment = Rooms(seed=settings.seed, train=kept, val=64), AugmentConfig()
    else:  # train is only for the mean predictor; a new room needs no augmentation
        data = Rooms(seed=settings.seed, endless=True, train=64, val=64)
        augment = preset.augment
    config = dataclasses.replace(
        preset,
        data=data,
        model=dataclasses.replace(preset.model, dropout=settings.rooms_dropout),
        augment=augment,
        optim=dataclasses.replace(
            preset.optim,
            learning_rate=settings.rooms_rate,
            fully_connected=settings.rooms_fully_connected,
            adamw_rate_factor=settings.rooms_adamw_rate_factor,
        ),
    )
    return _shared(config, settings, settings.start, settings.rooms_coarse, settings.rooms_fine)


def rooms_again_config(settings: Settings, weights: str) -> Config:
    """Of the second training on rooms, from the weights of the run `weights`."""
    again = dataclasses.replace(
        settings,
        rooms_coarse=settings.rooms_again,
        rooms_kept=settings.rooms_again_kept,
        rooms_again=0,
        seed=settings.seed + 1,  # also of the rooms
        start=weights,
    )
    return rooms_config(again)


def pairs_config(settings: Settings, weights: str) -> Config:
    """Of the training on the split `train`, from the weights of the run `weights`."""
    muon = settings.optimiser == "muon"
    kind: Callable[..., MuonConfig | AdamWConfig] = AdamWConfig
    if muon:
        kind = partial(
            MuonConfig,
            fully_connected=settings.fully_connected,
            adamw_rate_factor=settings.adamw_rate_factor,
        )
    config = Config(
        data=Folder(root=settings.root, resident=True),
        model=presets.from_scratch(dropout=settings.dropout),
        optim=kind(
            learning_rate=settings.rate,
            weight_decay=settings.weight_decay,
            rate_schedule="cosine",
            warmup=settings.warmup or (20 if muon else 100),
            average=settings.average,
        ),
        augment=AUGMENT[settings.augment],
    )
    return _shared(config, settings, weights, settings.coarse, settings.fine)


def settled_config(settings: Settings, weights: str) -> Config:
    """Of the short training that follows, from the weights of the run `weights`.

    Random enlargements of 1 to 1.5 keep a network from memorising 719 images, but the test images
    are not enlarged. This training adapts the network to them.
    """
    few = dataclasses.replace(
        settings,
        coarse=settings.settle,
        fine=settings.settle if settings.fine else 0,
        rate=settings.rate / 4,
        average=0.99,
    )
    config = pairs_config(few, weights)
    augment = dataclasses.replace(config.augment, scale=(1.0, 1.1), rotation=2.0)
    return dataclasses.replace(config, augment=augment)


def final_config(config: Config, folder: Path) -> Config:
    """Like the training `config`, on a folder whose split `train` has the pairs of val as well."""
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, root=str(folder)),
        schedule=dataclasses.replace(config.schedule, eval_every=0),
    )


def _shared(config: Config, settings: Settings, weights: str, coarse: int, fine: int) -> Config:
    every = max(3, (coarse + fine) // settings.batch // 10)
    model = with_kind(config, "model", settings.kind).model
    if isinstance(model, TwoScaleConfig):
        model = dataclasses.replace(model, width=settings.width, fc6_units=settings.fc6_units)
    else:
        model = dataclasses.replace(model, size=settings.size)
    shortest = min(-(-samples // settings.batch) for samples in (coarse, fine or coarse))
    return dataclasses.replace(
        config,
        model=model,
        # of a stage of a few steps, with which the experiment is tried out, there is less
        optim=dataclasses.replace(config.optim, warmup=min(config.optim.warmup, shortest - 1)),
        schedule=ScheduleConfig(
            batch_size=settings.batch,
            coarse_samples=coarse,
            fine_samples=fine,
            log_every=min(50, every),
            eval_every=every,
            save_every=every,
            keep=1,
        ),
        init=InitConfig(weights=weights),
        compute=ComputeConfig(precision=settings.precision),
        seed=settings.seed,
    )
