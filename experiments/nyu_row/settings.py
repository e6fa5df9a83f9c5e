"""What `nyu_row.py` can be told, and the configurations of its trainings that follow from it."""

import argparse
import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

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

# What --sizes stands for. Those of cpu are the row's in experiments/results; the samples of gpu are
# upper bounds that --shorten brings down to what the time allows.
SIZES: dict[str, dict[str, Any]] = {
    "cpu": {},
    "gpu": {
        "width": 1.0,
        "batch": 64,
        "precision": "bfloat16",
        "rooms_kept": 0,
        "rooms_coarse": 400_000,
        "rooms_fine": 60_000,
        "coarse": 400_000,
        "fine": 80_000,
    },
    "tiny": {
        "width": 0.0625,
        "size": "small",
        "batch": 4,
        "rooms_kept": 0,
        "rooms_coarse": 8,
        "rooms_fine": 4,
        "coarse": 8,
        "fine": 4,
        "reserve": 1.0,
    },
}


def _setting(default: Any, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of one try at the row; a fine network, and so --fine, is only there in two_scale."""

    root: str = _setting("", "folder of pairs with index.csv, whose splits are train, val and test")
    run: str = _setting("runs/nyu_row/two_scale", "directory of this try, for all it makes")
    kind: Literal["two_scale", "unet", "hourglass"] = _setting("two_scale", "the network")
    width: float = _setting(0.25, "of two_scale")
    size: Literal["small", "medium", "large"] = _setting("medium", "of unet and hourglass")
    batch: int = _setting(32, "pictures in a step")
    precision: Literal["float32", "bfloat16"] = _setting("float32", "of the networks' arithmetic")
    optimiser: Literal["muon", "adamw"] = _setting("muon", "of the training on the pairs")
    rooms_rate: float = _setting(0.012, "learning rate on rooms, of muon")
    rate: float = _setting(0.006, "learning rate on the pairs")
    weight_decay: float = _setting(0.05, "on the pairs")
    dropout: float = _setting(0.5, "on the pairs, of two_scale")
    rooms_coarse: int = _setting(57_600, "rooms for the coarse network; 0 for no pre-training")
    rooms_fine: int = _setting(0, "rooms for the fine network")
    rooms_kept: int = _setting(11_900, "render so many rooms and vary them; 0: each sample is new")
    coarse: int = _setting(60_000, "samples of pairs for the coarse network")
    fine: int = _setting(12_000, "samples of pairs for the fine network")
    seed: int = _setting(0, "of everything random")
    minutes: float = _setting(0.0, "of training, after which it saves and stops; 0 for no limit")
    shorten: bool = _setting(False, "bring the samples down to what the minutes allow")
    rooms_share: float = _setting(0.4, "with --shorten, the part of the minutes that is for rooms")
    reserve: float = _setting(60.0, "with --shorten, seconds kept for compiling, for each training")
    start: str = _setting("", "file of weights to begin with, made by small_weights.py")
    final: bool = _setting(False, "train once more in the end, on train and val together")
    checkpoint: Literal["newest", "best"] = _setting("newest", "what is tested without --final")
    test: bool = _setting(
        False, "evaluate on the split test, once, when all trainings are complete"
    )

    def __post_init__(self) -> None:
        if not self.root:
            raise DepthsiError("--root is missing: name the folder of pairs with index.csv.")
        for name in ("rooms_coarse", "rooms_fine", "rooms_kept", "minutes", "reserve"):
            if not getattr(self, name) >= 0:
                raise DepthsiError(f"{name} is {getattr(self, name)}; it must be at least 0.")
        if not 0 < self.rooms_share < 1:
            raise DepthsiError(f"rooms_share is {self.rooms_share}; it must be between 0 and 1.")
        if self.shorten and not self.minutes:
            raise DepthsiError("--shorten needs the time there is: add --minutes.")
        if self.final and self.checkpoint == "best":
            raise DepthsiError(
                "--final trains on the split val, so that no best checkpoint can be chosen on it:"
                " leave out --checkpoint."
            )


def parse(words: Sequence[str] | None = None) -> Settings:
    """The settings in the words of a command line: --sizes first, then what is named itself.

    Raises:
      DepthsiError: values that cannot be; a word that is none of the settings ends the program.
    """
    parser = argparse.ArgumentParser(
        prog="nyu_row.py",
        description="Pre-trains on endless rooms, trains on pairs, evaluates on val.",
    )
    parser.add_argument("--sizes", choices=SIZES, default="cpu", help="what the rest starts from")
    hints = typing.get_type_hints(Settings)
    for field in dataclasses.fields(Settings):
        flag, text = f"--{field.name.replace('_', '-')}", field.metadata["help"]
        text += "" if field.type is bool else f" (cpu: {field.default})"
        options: dict[str, Any] = {"help": text, "default": argparse.SUPPRESS}
        if hints[field.name] is bool:
            options["action"] = "store_true"
        elif choices := typing.get_args(hints[field.name]):
            options["choices"] = choices
        else:
            options["type"] = hints[field.name]
        parser.add_argument(flag, **options)
    given = vars(parser.parse_args(words))
    return Settings(**SIZES[given.pop("sizes")] | given)


def rooms_config(settings: Settings, weights: str) -> Config:
    """Of the pre-training on rooms, which starts from the run `weights` if it is named."""
    preset, kept = presets.rooms(), settings.rooms_kept
    if kept:
        data, augment = Rooms(train=kept, val=64), AugmentConfig()
    else:
        data, augment = Rooms(endless=True, train=64, val=64), preset.augment
    return _shared(
        dataclasses.replace(
            preset,
            data=data,  # of endless rooms, train is only for the mean predictor
            augment=augment,
            optim=dataclasses.replace(preset.optim, learning_rate=settings.rooms_rate),
        ),
        settings,
        weights,
        (settings.rooms_coarse, settings.rooms_fine),
    )


def pairs_config(settings: Settings, weights: str, samples: tuple[int, int]) -> Config:
    """Of the training on the split `train` for so many samples (coarse, fine)."""
    muon = settings.optimiser == "muon"
    config = Config(
        data=Folder(root=settings.root, resident=True),
        model=presets.from_scratch(dropout=settings.dropout),
        optim=(MuonConfig if muon else AdamWConfig)(
            learning_rate=settings.rate,
            weight_decay=settings.weight_decay,
            rate_schedule="cosine",
            warmup=20 if muon else 100,
        ),
    )
    return _shared(config, settings, weights, samples)


def final_config(config: Config, folder: Path) -> Config:
    """Like the training `config`, on a folder whose split `train` has the pairs of val as well."""
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, root=str(folder)),
        schedule=dataclasses.replace(config.schedule, eval_every=0),
    )


def _shared(config: Config, settings: Settings, weights: str, samples: tuple[int, int]) -> Config:
    every = max(3, sum(samples) // settings.batch // 10)
    model = with_kind(config, "model", settings.kind).model
    if isinstance(model, TwoScaleConfig):
        model = dataclasses.replace(model, width=settings.width)
    else:
        model = dataclasses.replace(model, size=settings.size)
    schedule = ScheduleConfig(
        batch_size=settings.batch,
        coarse_samples=samples[0],
        fine_samples=samples[1],
        log_every=min(50, every),
        eval_every=every,
        save_every=every,
        keep=1,
    )
    return dataclasses.replace(
        config,
        model=model,
        schedule=schedule,
        init=InitConfig(weights=weights),
        compute=ComputeConfig(precision=settings.precision),
        seed=settings.seed,
    )
