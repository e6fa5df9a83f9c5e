"""The rows of the README: their settings, what is trained and evaluated when, what is recorded."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from labelled_pairs import SPLITS, write_labelled_pairs

from depthsi.config import MuonConfig, Rooms
from depthsi.config_json import config_from_dict, to_dict
from depthsi.data.folder.source import FolderSource
from depthsi.errors import DepthsiError, StoppedError
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.stages import check_warmup, make_stages
from depthsi.training.state import State
from experiments.nyu_row import record
from experiments.nyu_row import run as nyu_row
from experiments.nyu_row.settings import Settings, pairs_config, rooms_config, settled_config
from experiments.script import RESULTS

TINY = {"width": 0.0625, "batch": 4, "rooms_kept": 0, "rooms_coarse": 8, "coarse": 8, "fine": 4}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_labelled_pairs(tmp_path_factory.mktemp("data") / "pairs")


def test_the_configurations_that_follow_from_the_settings():
    settings = Settings(
        "data",
        batch=64,
        coarse=1000,
        fine=10,
        start="somewhere",
        rooms_kept=0,
        rooms_fine=5,
        precision="bfloat16",
    )
    rooms = rooms_config(settings)
    assert rooms.data.endless
    assert (rooms.optim.kind, rooms.init.weights) == ("muon", "somewhere")
    config = pairs_config(settings, "rooms")
    assert config.data.resident
    assert config.init.weights == "rooms"
    assert config.compute.precision == rooms.compute.precision == "bfloat16"
    assert [stage.steps for stage in make_stages(config)] == [16, 1]
    few = Settings("data", rooms_kept=100)
    kept = rooms_config(few)
    assert isinstance(kept.data, Rooms)
    assert (kept.data.endless, kept.data.train) == (False, 100)
    assert kept.augment == pairs_config(few, "").augment
    assert kept.augment != rooms.augment  # a new room needs no variation
    end, before = settled_config(dataclasses.replace(few, settle=320), "nyu"), pairs_config(few, "")
    assert isinstance(end.optim, MuonConfig)
    assert isinstance(before.optim, MuonConfig)
    assert (end.init.weights, end.optim.average) == ("nyu", 0.99)
    assert end.optim.learning_rate == before.optim.learning_rate / 4
    assert (end.augment.scale, end.augment.rotation) == ((1.0, 1.1), 2.0)
    assert [stage.steps for stage in make_stages(end)] == [10, 10]
    own = Settings(
        "data",
        rooms_dropout=0.0,
        rooms_adamw_rate_factor=0.03,
        adamw_rate_factor=0.02,
        fully_connected=True,
    )
    found = [to_dict(config) for config in (rooms_config(own), pairs_config(own, ""))]
    assert [config["model"]["dropout"] for config in found] == [0, 0.5]
    assert [config["optim"]["adamw_rate_factor"] for config in found] == [0.03, 0.02]
    assert [config["optim"]["fully_connected"] for config in found] == [False, True]
    rooms_too = to_dict(rooms_config(dataclasses.replace(own, rooms_fully_connected=True)))
    assert rooms_too["optim"]["fully_connected"]
    unet = pairs_config(Settings("data", kind="unet"), "")
    assert [stage.name for stage in make_stages(unet)] == ["unet"]
    assert pairs_config(Settings("data"), "").optim.warmup == 20
    for make in (rooms_config, lambda settings: pairs_config(settings, "")):
        for optimiser in ("muon", "adamw"):
            check_warmup(make(Settings("data", optimiser=optimiser, **TINY)))


@pytest.mark.parametrize("name", ["two_scale", "unet"])
def test_the_committed_rows_have_these_configurations(name):
    tried = json.loads((RESULTS / "nyu_tries.json").read_text())[name]["settings"]
    known = {key: value for key, value in tried.items() if key in Settings.__dataclass_fields__}
    result = json.loads((RESULTS / f"nyu_{name}.json").read_text())
    recorded = result["runs"][0]["run"] if "runs" in result else result["run"]
    settings = Settings(**known)
    if settings.settle:
        config = settled_config(settings, f"{tried['run']}/nyu")
    else:
        config = pairs_config(settings, nyu_row.weights_before_pairs(settings))
    assert config == config_from_dict(recorded)


def test_a_best_checkpoint_needs_val():
    with pytest.raises(DepthsiError, match="leave out --checkpoint"):
        Settings("data", final=True, checkpoint="best")


def test_other_rooms_come_after_the_first_ones(pairs, tmp_path, monkeypatch):
    fake, run = FakeTrainings(monkeypatch), tmp_path / "row"
    sizes = {**TINY, "rooms_kept": 9, "rooms_again": 16, "rooms_again_kept": 12}
    settings = Settings(str(pairs), run=str(run), seed=3, **sizes)
    nyu_row.main(settings)
    (_, first, _), (_, second, _), (_, nyu, _) = fake.trained
    assert [name for name, _, _ in fake.trained] == ["rooms", "rooms_again", "nyu"]
    assert [(each.data.train, each.data.seed) for each in (first, second)] == [(9, 3), (12, 4)]
    assert make_stages(second)[-1].end == 2 * make_stages(first)[-1].end
    starts = [each.init.weights for each in (first, second, nyu)]
    assert starts == ["", str(run / "rooms"), str(run / "rooms_again")]
    assert [each.seed for each in (first, second, nyu)] == [3, 4, 3]
    row = json.loads((run / "row.json").read_text())
    assert row["runs"]["rooms_again"]["complete"]
    with pytest.raises(DepthsiError, match="give --rooms-coarse as well"):
        Settings("data", rooms_coarse=0, rooms_again=16)


def test_a_folder_without_index_is_refused_before_any_training(tmp_path, monkeypatch):
    monkeypatch.setattr(nyu_row, "train_run", lambda *_, **__: pytest.fail("began"))
    with pytest.raises(DepthsiError, match=r"index\.csv does not exist"):
        nyu_row.main(Settings(str(tmp_path), run=str(tmp_path / "row")))
    assert not list(tmp_path.iterdir())


class FakeTrainings:
    """In the place of training and evaluation: ends at once, or is stopped where it is told to."""

    def __init__(self, monkeypatch):
        self.trained, self.evaluated, self.late = [], [], ""
        monkeypatch.setattr(nyu_row, "train_run", self.train)
        monkeypatch.setattr(nyu_row, "evaluate_and_report", self.evaluate)

    def train(self, config, path, *, resume):
        run = RunDirectory(path)
        name, end = run.path.name, make_stages(config)[-1].end
        self.trained.append((name, config, resume))
        if not resume:
            run.create(config)
        step = 1 if self.late == name else end
        with Checkpoints(run.checkpoints, config) as checkpoints:
            state = State(jnp.int32(step), {"coarse": {"a": jnp.zeros(2)}}, (), jax.random.key(0))
            checkpoints.save(step, state, "coarse", {})
        if config.schedule.eval_every:
            run.append(step=step, stage="coarse", split="val", rmse_log_si=0.5)
        if self.late == name:
            raise StoppedError(step, signal.SIGTERM)

    def evaluate(self, request):
        self.evaluated.append((Path(request.what).name, request.split, request.checkpoint))
        Path(request.out).mkdir(exist_ok=True)
        image = dict.fromkeys(record.PAPER_METRICS, 0.25)
        found = {"results": {"coarse + fine": {"image": image}}}
        (Path(request.out) / "evaluation.json").write_text(json.dumps(found))


@pytest.mark.slow
def test_a_row_is_trained_evaluated_and_recorded(pairs, tmp_path, monkeypatch, capsys):
    fake, run = FakeTrainings(monkeypatch), tmp_path / "rows" / "first"
    settings = Settings(str(pairs), run=str(run), final=True, test=True, **TINY)

    fake.late = "nyu"
    with pytest.raises(StoppedError):
        nyu_row.main(settings)
    assert [name for name, _, _ in fake.trained] == ["rooms", "nyu"]
    assert not fake.evaluated
    stopped = json.loads((run / "row.json").read_text())
    assert stopped["runs"]["rooms"]["complete"]
    assert not stopped["runs"]["nyu"]["complete"]

    fake.late, fake.trained = "", []
    nyu_row.main(settings)
    (nyu, config, resumed), (final, again, _) = fake.trained
    assert (nyu, resumed, final) == ("nyu", True, "final")
    assert config.init.weights == again.init.weights == str(run / "rooms")
    assert again.schedule.eval_every == 0
    assert FolderSource(again.data.root, "train").splits == {"train": 6, "test": 2}
    assert fake.evaluated == [
        ("nyu", "val", "newest"),
        ("nyu", "val", "best"),
        ("final", "test", "newest"),
    ]

    fake.trained, fake.evaluated = [], []
    nyu_row.main(settings)
    assert "has been evaluated on test before" in capsys.readouterr().out
    assert not fake.trained
    assert "test" not in [split for _, split, _ in fake.evaluated]

    row = json.loads((run / "row.json").read_text())
    assert len(row["starts"]) == 3
    assert row["starts"][0]["machine"]["jax"] == jax.__version__
    assert row["starts"][0]["command"].startswith(
        f"python -m experiments.nyu_row.run --root {os.path.relpath(pairs)} --run"
    )
    assert list(row["starts"][0]["seconds"]) == ["rooms", "nyu"]
    assert row["settings"]["root"] == "pairs"
    assert row["seed"] == 0
    assert row["runs"]["nyu"]["complete"]
    assert row["runs"]["nyu"]["val"][-1]["rmse_log_si"] == 0.5
    numbers = row["runs"]["final"]["evaluations"]["test"]["coarse + fine"]
    assert set(numbers.values()) == {0.25}
    tries = json.loads((run.parent / "tries.json").read_text())
    assert tries["first"]["steps"] == {"rooms": "2 of 2", "nyu": "3 of 3", "final": "3 of 3"}

    with pytest.raises(DepthsiError, match=r"was started with optim\.learning_rate"):
        nyu_row.main(Settings(str(pairs), run=str(run), final=True, rate=0.5, **TINY))


def test_a_row_that_settles_is_evaluated_and_tested_there(pairs, tmp_path, monkeypatch, capsys):
    fake, run = FakeTrainings(monkeypatch), tmp_path / "rows" / "first"
    settings = Settings(str(pairs), run=str(run), settle=4, test=True, **TINY)
    nyu_row.main(settings)
    assert [name for name, _, _ in fake.trained] == ["rooms", "nyu", "settled"]
    assert fake.trained[-1][1].init.weights == str(run / "nyu")
    assert [(name, split) for name, split, _ in fake.evaluated] == [
        *[("nyu", "val")] * 2,
        *[("settled", "val")] * 2,
        ("settled", "test"),
    ]
    assert "first, settled, val_newest, coarse + fine: d1 0.250" in capsys.readouterr().out

    fake.trained, fake.evaluated = [], []
    nyu_row.main(dataclasses.replace(settings, final=True))
    assert [name for name, _, _ in fake.trained] == ["final", "final_settled"]
    last = fake.trained[-1][1]
    assert last.init.weights == str(run / "final")
    assert last.data.root == fake.trained[0][1].data.root != str(pairs)
    assert fake.evaluated[-1] == ("final_settled", "test", "newest")


@pytest.mark.slow
def test_a_row_from_end_to_end(pairs, tmp_path):
    """From the command line: a real training of the coarse network, and real evaluations."""
    run = tmp_path / "rows" / "first"
    words = (
        f"--root {pairs} --run {run} --width 0.02 --batch 4 --rooms-coarse 0 --coarse 8 --fine 0"
    )
    fast = {"XLA_FLAGS": "--xla_backend_optimization_level=0", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.nyu_row.run", *words.split(), "--optimiser", "adamw"],
        cwd=RESULTS.parents[1],
        env=os.environ | fast,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in (
        "row.json",
        "nyu/metrics.jsonl",
        "nyu/config.json",
        "nyu/val_best/evaluation.md",
        "nyu/val_newest/evaluation.json",
        "nyu/val_newest/samples/val.png",
    ):
        assert (run / name).exists()
    evaluations = json.loads((run.parent / "tries.json").read_text())["first"]["evaluations"]
    assert evaluations["nyu"]["val_newest"]["coarse"]["rmse_log"] > 0


def test_val_is_trained_on_in_the_end(pairs, tmp_path):
    nyu_row.with_val_for_training(pairs, tmp_path / "made")
    made = nyu_row.with_val_for_training(pairs, tmp_path / "made")  # again
    source = FolderSource(made, "train")
    assert source.splits == {"train": 6, "test": 2}
    names = [f"rgb/{split}{i}.jpg" for split in ("train", "val") for i in range(SPLITS[split])]
    assert list(source.names) == names
    before = [*FolderSource(pairs, "train"), *FolderSource(pairs, "val")]
    for one, other in zip(iter(source), before, strict=True):
        assert (one.image == other.image).all()
        assert (one.depth == other.depth).all()
    with pytest.raises(DepthsiError, match="no split 'val'"):
        nyu_row.with_val_for_training(made, tmp_path / "again")
