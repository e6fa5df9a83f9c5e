"""Settings of the paper's tables, and of runs that suit a small machine."""

import dataclasses
from typing import Any

from depthsi.config import (
    LOG_STD,
    AugmentConfig,
    Config,
    Folder,
    MuonConfig,
    Rooms,
    ScaleInvariantConfig,
    ScheduleConfig,
    TwoScaleConfig,
)


def nyu() -> Config:
    """The paper's Table 1: its networks and schedule on NYU Depth v2, from random weights.

    Command:   depthsi train nyu --data.root FOLDER --run runs/nyu
    Hardware:  a GPU or TPU; 62 500 + 46 875 steps of 32 images at full width.
    Time:      not measured.
    Result:    the paper reports d<1.25 0.611, RMSE log SI 0.219 (coarse + fine, from ImageNet
               weights and 120 000 frames); a run from random weights has not been recorded.
    """
    return Config(
        data=Folder(),
        loss=ScaleInvariantConfig(reduction="authors", multiplier=1 / LOG_STD**2),
    )


def kitti() -> Config:
    """The paper's Table 2: its networks and schedule on KITTI, from random weights.

    Command:   depthsi train kitti --data.root FOLDER --run runs/kitti
    Hardware:  a GPU or TPU; 46 875 + 31 250 steps of 32 images at full width.
    Time:      not measured.
    Result:    the paper reports d<1.25 0.692, RMSE log SI 0.246 (coarse + fine); a run from random
               weights has not been recorded.
    """
    config = nyu()
    return dataclasses.replace(
        config,
        augment=AugmentConfig(scale=(1.0, 1.2), rotation=0.0),
        model=TwoScaleConfig(geometry="kitti"),
        schedule=ScheduleConfig(coarse_samples=1_500_000, fine_samples=1_000_000),
    )


def rooms() -> Config:
    """Narrow networks on procedural rooms: a few minutes on two CPU cores, nothing to download.

    Command:   depthsi train rooms --run runs/rooms && depthsi evaluate runs/rooms
    Hardware:  2 CPU cores.
    Time:      6 minutes without AVX-512, with the evaluation.
    Result:    d<1.25 0.589, RMSE log SI 0.244 on 256 unseen rooms, means of three seeds; the mean
               predictor has 0.465 and 0.324 (experiments/results/rooms_seeds.md).
    """
    return Config(
        data=Rooms(train=3000),
        # rendering new rooms is cheaper than augmenting them; only crops and flips remain
        augment=AugmentConfig(scale=(1.0, 1.0), rotation=0.0, colour=(1.0, 1.0)),
        model=from_scratch(width=0.1875, fc6_units=800, dropout=0.0, log_mean=1.07),
        optim=MuonConfig(
            learning_rate=0.012,
            fully_connected=True,
            adamw_rate_factor=0.03,
            weight_decay=1e-2,
            rate_schedule="cosine",
            warmup=20,
        ),
        schedule=ScheduleConfig(
            batch_size=16,
            coarse_samples=16_000,
            fine_samples=2_400,
            log_every=50,
            eval_every=250,
            save_every=500,
        ),
    )


def tiny() -> Config:
    """The smallest run that uses every part of depthsi, for trying things out.

    Command:   depthsi train tiny --run runs/tiny
    Hardware:  1 CPU core.
    Time:      a minute or two, nearly all of it compilation.
    Result:    none worth reporting after 30 steps.
    """
    config = rooms()
    return dataclasses.replace(
        config,
        data=Rooms(train=32, val=8, test=8),
        model=dataclasses.replace(config.model, width=0.0625),
        optim=dataclasses.replace(config.optim, fully_connected=False, warmup=2),  # compiles sooner
        schedule=ScheduleConfig(
            batch_size=8,
            coarse_samples=160,
            fine_samples=80,
            log_every=5,
            eval_every=10,
            save_every=10,
        ),
    )


def from_scratch(**changes: Any) -> TwoScaleConfig:
    """The paper's networks with initialisers and scales for training without ImageNet weights."""
    values: dict[str, Any] = {
        "initialisers": "scaled",
        "feature_scale": 1.0,
        "coarse_input_mean": 109.31410628,
        "coarse_input_std": 76.18328376,
    }
    return TwoScaleConfig(**values | changes)


PRESETS = {"rooms": rooms, "nyu": nyu, "kitti": kitti, "tiny": tiny}
