"""Settings survive JSON, and wrong ones are refused by name."""

import dataclasses
import json

import pytest

from depthsi.config import ScaleInvariantConfig, ScheduleConfig, SgdConfig, TwoScaleConfig
from depthsi.config_json import FORMAT, config_from_dict, to_dict
from depthsi.errors import DepthsiError
from depthsi.presets import PRESETS, kitti, nyu


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = PRESETS[name]()
    assert config_from_dict(json.loads(json.dumps(to_dict(config)))) == config


def test_presets_of_the_paper_have_its_numbers():
    """Sections 3 and 4: steps at batch 32, rates, augmentation."""
    assert (nyu().schedule.coarse_samples, nyu().schedule.fine_samples) == (2_000_000, 1_500_000)
    assert (kitti().schedule.coarse_samples, kitti().schedule.fine_samples) == (
        1_500_000,
        1_000_000,
    )
    assert nyu().augment.scale == (1.0, 1.5)
    assert (kitti().augment.scale, kitti().augment.rotation) == ((1.0, 1.2), 0.0)
    for config in (nyu(), kitti()):
        assert isinstance(config.optim, SgdConfig)
        assert isinstance(config.model, TwoScaleConfig)
        assert (config.optim.kind, config.optim.momentum) == ("sgd", 0.9)
        assert isinstance(config.loss, ScaleInvariantConfig)
        assert (config.schedule.batch_size, config.loss.lam, config.model.width) == (32, 0.5, 1.0)
        assert config.loss.multiplier == pytest.approx(4.783, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["data"].update(kind="nyu"), "config.data.kind is 'nyu'; choose one of rooms"),
        (lambda d: d["data"].pop("kind"), "config.data.kind is None; choose one of rooms"),
        (lambda d: d["data"].update(depth="raw"), "config.data.depth is unknown"),
        (lambda d: d["model"].update(size="small"), "config.model.size is unknown"),
        (lambda d: d["optim"].update(adamw_rate_factor=1.0), "adamw_rate_factor is unknown"),
        (lambda d: d.update(format=FORMAT + 1), "install a later version"),
        (lambda d: d.update(format=True), "config.format is True"),
        (lambda d: d.update(format=0), "config.format is 0"),
        (lambda d: d["model"].update(depth=3), "config.model.depth is unknown"),
        (lambda d: d["model"].update(width="wide"), "config.model.width is 'wide'"),
        (lambda d: d["model"].update(width=True), "config.model.width is True"),
        (lambda d: d["model"].update(variant="D"), "config.model.variant is 'D'"),
        (lambda d: d["augment"].update(scale=[1.0]), "config.augment.scale"),
        (lambda d: d["schedule"].update(batch_size=1.5), "config.schedule.batch_size is 1.5"),
        (lambda d: d.update(data=7), "config.data must be an object"),
        (lambda d: d["model"].update(width=0), "width is 0"),
    ],
)
def test_settings_from_elsewhere_are_checked(change, words):
    values = to_dict(nyu())
    change(values)
    with pytest.raises(DepthsiError, match=words):
        config_from_dict(values)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ScaleInvariantConfig(lam=1.5), "loss.lam is 1.5"),
        (lambda: ScaleInvariantConfig(multiplier=0.0), "loss.multiplier"),
        (lambda: SgdConfig(learning_rate=-1.0), "optim.learning_rate"),
        (lambda: SgdConfig(momentum=1.0), "optim.momentum"),
        (lambda: ScheduleConfig(batch_size=0), "schedule.batch_size is 0"),
        (lambda: ScheduleConfig(coarse_samples=0), "schedule.coarse_samples"),
    ],
)
def test_impossible_settings_are_refused(make, words):
    with pytest.raises(DepthsiError, match=words):
        make()


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        nyu().seed = 3  # pyright: ignore[reportAttributeAccessIssue]
