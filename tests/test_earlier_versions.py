"""Runs of earlier versions are read, evaluated and resumed.

`data/run_format_1` was written by version 0.1.0 at commit 955da02, whose settings had no format
number, by

  depthsi train tiny --run DIR --model.width 0.004 --data.train 8 --data.val 4 --data.test 4
  --schedule.coarse-samples 24 --schedule.fine-samples 24 --schedule.eval-every 2
  --schedule.save-every 2 --schedule.log-every 1 --schedule.keep 10

and cut back to its checkpoint of step 4 of 6. The numbers below are what that version went on to
log for steps 5 and 6, on a CPU.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from depthsi.cli import main
from depthsi.config import (
    AdamWConfig,
    CustomOptimConfig,
    MuonConfig,
    Rooms,
    ScaleInvariantConfig,
    SgdConfig,
    TwoScaleConfig,
)
from depthsi.config_json import config_from_dict, to_dict
from depthsi.errors import DepthsiError
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.store import Checkpoints

FORMAT_1 = Path(__file__).parent / "data" / "run_format_1"
STEP_5 = {
    "loss": 0.201195,
    "gradient_norm": 1.02476,
    "update_norm": 0.00589875,
    "learning_rate": 0.006,
}
STEP_6 = {
    "loss": 0.197071,
    "gradient_norm": 0.74782,
    "update_norm": 0.0206906,
    "learning_rate": 0.012,
}
VAL_6 = {
    "rmse_log": 0.505052,
    "rmse_log_si": 0.410042,
    "d1": 0.42181,
    "abs_rel": 0.549073,
    "rmse": 1.77309,
}


@pytest.fixture
def run(tmp_path):
    shutil.copytree(FORMAT_1, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_its_settings_are_those_it_was_started_with():
    config = RunDirectory(FORMAT_1).config()
    assert config.data == Rooms(train=8, val=4, test=4)
    assert isinstance(config.model, TwoScaleConfig)
    assert (config.model.width, config.model.log_mean, config.model.dropout) == (0.004, 1.07, 0.1)
    assert config.optim == MuonConfig(
        learning_rate=0.012,
        adamw_rate_factor=0.01,
        weight_decay=0.01,
        rate_schedule="cosine",
        warmup=2,
    )
    assert config_from_dict(json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.slow
def test_it_is_resumed_and_ends_as_it_would_have(run, monkeypatch):
    monkeypatch.chdir(run.path.parent)
    main(["train", "--run", "run", "--resume"])
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    last = {(row["step"], row["split"]): row for row in rows if row["step"] > 4}
    for key, expected in {(5, "train"): STEP_5, (6, "train"): STEP_6, (6, "val"): VAL_6}.items():
        for name, value in expected.items():
            np.testing.assert_allclose(last[key][name], value, rtol=1e-4, err_msg=f"{key} {name}")
    with Checkpoints(run.checkpoints) as checkpoints:
        assert checkpoints.steps == [4, 6]


@pytest.mark.slow
def test_it_is_evaluated(run, capsys, tmp_path):
    main(["evaluate", str(run.path), "--split", "val", "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    before = next(
        row
        for row in map(json.loads, run.metrics.read_text().splitlines())
        if (row["step"], row["split"]) == (4, "val")
    )
    fine = found["results"]["coarse + fine"]["image"]
    for name in ("rmse_log", "rmse_log_si", "d1", "abs_rel", "rmse"):
        np.testing.assert_allclose(fine[name], before[name], rtol=1e-4, err_msg=name)


@pytest.mark.slow
def test_new_settings_start_from_it(run, tmp_path, capsys):
    config = str(run.path / "config.json")
    main(["config", "--config", config, "--optim.learning-rate", "0.5"])
    changed = config_from_dict(json.loads(capsys.readouterr().out))
    assert not isinstance(changed.optim, CustomOptimConfig)
    assert changed.optim.learning_rate == 0.5
    assert changed.data == run.config().data


def test_other_settings_are_refused_by_name(run, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--run", str(run.path), "--resume", "--optim.learning-rate", "0.5"])
    assert "was started with optim.learning_rate = 0.012, not 0.5" in capsys.readouterr().err


def old(**sections):
    """Settings of format 1 with some fields of some sections changed."""
    values = json.loads((FORMAT_1 / "config.json").read_text())
    for section, changes in sections.items():
        values[section] |= changes
    return values


def test_what_a_kind_did_not_look_at_is_dropped_and_the_rest_kept():
    folder = config_from_dict(
        old(data={"kind": "folder", "root": "pairs", "even_scenes": 3, "depth": "raw", "seed": 9})
    )
    assert folder.data.kind == "folder"
    assert (folder.data.root, folder.data.even_scenes) == ("pairs", 3)
    unet = config_from_dict(
        old(model={"kind": "unet", "size": "small", "fine_input_mean": 100.0, "log_mean": 0.5})
    )
    assert unet.model.kind == "unet"
    assert (unet.model.size, unet.model.input_mean, unet.model.log_mean) == ("small", 100.0, 0.5)
    sgd = config_from_dict(old(optim={"kind": "sgd", "momentum": 0.8, "schedule": "constant"}))
    assert isinstance(sgd.optim, SgdConfig)
    assert (sgd.optim.kind, sgd.optim.momentum) == ("sgd", 0.8)
    assert (sgd.optim.rate_schedule, sgd.optim.warmup) == ("constant", 2)
    adamw = config_from_dict(old(optim={"kind": "adamw", "rest": 0.5}))
    assert isinstance(adamw.optim, AdamWConfig)
    assert (adamw.optim.kind, adamw.optim.rate_schedule) == ("adamw", "cosine")


def test_a_field_that_was_not_there_yet_has_its_default():
    values = old()
    del values["loss"]["space"], values["compute"]["remat"]
    config = config_from_dict(values)
    assert isinstance(config.loss, ScaleInvariantConfig)
    assert (config.loss.space, config.compute.remat) == ("log", False)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"model": {"colour": 3}}, "config.model.colour is unknown; the fields there are geometry"),
        ({"data": {"kind": "video"}}, "config.data.kind is 'video'; choose one of rooms, folder"),
        ({"data": {"even_scenes": 5}}, "even_scenes is set for rooms"),
        ({"optim": {"momentum": "much", "kind": "sgd"}}, "config.optim.momentum is 'much'"),
    ],
)
def test_what_never_was_a_setting_is_refused(sections, words):
    with pytest.raises(DepthsiError, match=words):
        config_from_dict(old(**sections))


@pytest.mark.parametrize("name", ["rooms", "folder_unet_adamw", "prepared_hourglass_sgd"])
@pytest.mark.parametrize("number", [2, 3])
def test_settings_of_a_format_keep_their_meaning(number, name):
    """Written when the format began: later versions add fields, and change none of these."""
    text = (FORMAT_1.parent / f"config_format_{number}.json").read_text()
    values = json.loads(text)[name]
    read = to_dict(config_from_dict(values))
    for section, fields in values.items():
        if isinstance(fields, dict):
            kept = json.loads(json.dumps(read[section]))
            assert {field: kept[field] for field in fields} == fields
        elif section != "format":
            assert read[section] == fields
