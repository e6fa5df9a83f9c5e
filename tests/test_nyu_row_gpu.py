"""The visit to a rented machine: the row's script in the time there is, and what comes back."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from labelled_pairs import write_labelled_pairs

from depthsi.data.folder.source import FolderSource
from depthsi.errors import DepthsiError, StoppedError
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.processes.stopping import stop_requests
from depthsi.training.stages import make_stages
from depthsi.training.state import State
from experiments.nyu_row import pack_pairs
from experiments.nyu_row import record as nyu_row_record
from experiments.nyu_row import run as nyu_row
from experiments.nyu_row.settings import pairs_config, parse, rooms_config
from experiments.nyu_row.speed import affordable, images_per_second
from experiments.nyu_row.time_budget import Budget, TimeUpError, stop_after

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "experiments"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_labelled_pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="module")
def packed(pairs, tmp_path_factory):
    file = tmp_path_factory.mktemp("packed") / "pairs.npz"
    pack_pairs.pack(str(pairs), str(file))
    return file


def test_settings_from_words():
    settings = parse(["--root", "data", "--sizes", "gpu", "--width", "0.5", "--final"])
    assert (settings.width, settings.batch, settings.final) == (0.5, 64, True)
    rooms = rooms_config(settings, "somewhere")
    assert rooms.data.endless
    assert (rooms.optim.kind, rooms.init.weights) == ("muon", "somewhere")
    config = pairs_config(settings, "", (1000, 10))
    assert config.data.resident
    assert config.compute.precision == "bfloat16"
    assert [stage.steps for stage in make_stages(config)] == [16, 1]
    few = parse(["--root", "data", "--rooms-kept", "100"])
    kept = rooms_config(few, "")
    assert (kept.data.endless, kept.data.train) == (False, 100)
    assert kept.augment == pairs_config(few, "", (1000, 10)).augment
    assert kept.augment != rooms.augment  # a new room needs no variation
    unet = pairs_config(parse(["--root", "data", "--kind", "unet"]), "", (1000, 10))
    assert [stage.name for stage in make_stages(unet)] == ["unet"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--root is missing"),
        (["--root", "x", "--shorten"], "add --minutes"),
        (["--root", "x", "--minutes", "-1"], "minutes is -1.0"),
        (["--root", "x", "--rooms-share", "1"], "rooms_share is 1.0"),
        (["--root", "x", "--final", "--checkpoint", "best"], "leave out --checkpoint"),
    ],
)
def test_settings_that_cannot_be(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        nyu_row.main(words)
    printed = capsys.readouterr().err
    assert (stopped.value.code, printed.count("\n")) == (2, 1)
    assert message in printed


def test_samples_that_time_allows():
    assert affordable((1000, 200), 10.0, 200.0) == (1000, 200)
    assert affordable((1000, 200), 10.0, 60.0) == (500, 100)
    with pytest.raises(DepthsiError, match="raise --minutes"):
        affordable((1000, 200), 10.0, -3.0)


def test_the_speed_of_a_training(pairs, monkeypatch):
    def fake_step(config, stage):
        return lambda state, image, depth: (
            state.replace(step=state.step + 1),
            {"loss": jnp.mean(depth)},
        )

    monkeypatch.setattr("nyu_row_speed.make_train_step", fake_step)
    monkeypatch.setattr(
        "nyu_row_speed.initial_state",
        lambda config, stage: State(jnp.int32(0), {}, (), jax.random.key(0)),
    )
    config = pairs_config(parse(["--root", str(pairs), "--sizes", "tiny"]), "", (400, 0))
    assert 0 < images_per_second(config, 0.2) < 1e6


def train_until_stopped(asked=0):
    """As `depthsi.training.loop` does, with a signal from itself if one is given."""
    with stop_requests() as stop:
        if asked:
            signal.raise_signal(asked)
        while not stop.due():
            time.sleep(0.01)
        raise StoppedError(3, stop.due())


def test_time_that_is_up():
    with pytest.raises(TimeUpError), stop_after(0.05):
        time.sleep(5)
    with pytest.raises(TimeUpError), stop_after(0.0):
        pytest.fail("began")
    with pytest.raises(TimeUpError), stop_after(0.05):
        train_until_stopped()
    with pytest.raises(StoppedError), stop_after(60):
        train_until_stopped(signal.SIGTERM)
    with stop_after(Budget(0).seconds):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


class FakeTrainings:
    """In the place of `train` and `evaluate`: ends at once, or when it is told to."""

    def __init__(self, monkeypatch):
        self.trained, self.evaluated, self.late = [], [], ""
        monkeypatch.setattr(nyu_row, "train", self.train)
        monkeypatch.setattr(nyu_row, "evaluate", self.evaluate)
        monkeypatch.setattr(nyu_row, "images_per_second", lambda config: 1000.0)

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
            raise TimeUpError

    def evaluate(self, request):
        self.evaluated.append((Path(request.what).name, request.split, request.checkpoint))
        Path(request.out).mkdir(exist_ok=True)
        image = dict.fromkeys(nyu_row_record.PAPER_METRICS, 0.25)
        found = {"results": {"coarse + fine": {"image": image}}}
        (Path(request.out) / "evaluation.json").write_text(json.dumps(found))


def test_a_row_is_trained_evaluated_and_recorded(pairs, tmp_path, monkeypatch, capsys):
    fake, run = FakeTrainings(monkeypatch), tmp_path / "rows" / "first"
    words = ["--root", str(pairs), "--run", str(run), "--sizes", "tiny", "--final", "--test"]

    fake.late = "nyu"
    nyu_row.main(words)
    assert "The time is over and all is saved. Continue with: python" in capsys.readouterr().out
    assert [name for name, _, _ in fake.trained] == ["rooms", "nyu"]
    assert fake.evaluated == [("nyu", "val", "newest"), ("nyu", "val", "best")]

    fake.late, fake.trained, fake.evaluated = "", [], []
    nyu_row.main(words)
    (nyu, config, resumed), (final, again, _) = fake.trained
    assert (nyu, resumed, final) == ("nyu", True, "final")
    assert config.init.weights == again.init.weights == str(run / "rooms")
    assert again.schedule.eval_every == 0
    assert FolderSource(again.data.root, "train").splits == {"train": 6, "test": 2}
    assert fake.evaluated[2:] == [("final", "test", "newest")]

    fake.trained, fake.evaluated = [], []
    nyu_row.main(words)
    assert "has been evaluated on test before" in capsys.readouterr().out
    assert not fake.trained
    assert "test" not in [split for _, split, _ in fake.evaluated]

    row = json.loads((run / "row.json").read_text())
    assert len(row["starts"]) == 3
    assert row["starts"][0]["machine"]["jax"] == jax.__version__
    assert row["settings"]["root"] == "pairs"
    assert row["seed"] == 0
    assert row["runs"]["nyu"]["complete"]
    assert row["runs"]["nyu"]["val"][-1]["rmse_log_si"] == 0.5
    numbers = row["runs"]["final"]["evaluations"]["test"]["coarse + fine"]
    assert set(numbers.values()) == {0.25}
    tries = json.loads((run.parent / "tries.json").read_text())
    assert tries["first"]["steps"] == {"rooms": "3 of 3", "nyu": "3 of 3", "final": "3 of 3"}

    with pytest.raises(SystemExit) as stopped:
        nyu_row.main([*words, "--rate", "0.5"])
    assert stopped.value.code == 2
    assert "was started with optim.learning_rate" in capsys.readouterr().err


def test_a_row_fits_into_the_minutes(pairs, tmp_path, monkeypatch, capsys):
    fake, run = FakeTrainings(monkeypatch), tmp_path / "row"
    words = ["--root", str(pairs), "--run", str(run), "--minutes", "2", "--shorten"]
    words += ["--coarse", "80000", "--fine", "24000"]
    fake.late = "rooms"  # what there is of them will do
    nyu_row.main(words)
    (rooms, _, _), (nyu, config, _) = fake.trained
    assert (rooms, nyu) == ("rooms", "nyu")
    assert config.init.weights == str(run / "rooms")
    assert 30_000 < config.schedule.coarse_samples < 80_000
    assert "All trainings are complete." in capsys.readouterr().out
    # another start neither goes back to the rooms nor changes what has begun
    nyu_row.main(words)
    assert len(fake.trained) == 2


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tyro", "grain", "tensorflow_datasets"):
            raise ModuleNotFoundError(f"{name} is not there")
sys.meta_path.insert(0, Blocked())
import nyu_row, pack_pairs, small_weights
import depthsi.evaluation.of_maps, depthsi.evaluation.of_run, depthsi.viz.depth_maps
nyu_row.parse(["--root", "x"])
print("imported")
"""


def test_neither_tyro_nor_grain_nor_tfds_is_needed():
    path = os.pathsep.join([str(SCRIPTS), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.stdout.strip() == "imported", done.stderr


def gpu_run(*words, **variables):
    """The script with these variables; what it printed, and its exit code."""
    done = subprocess.run(
        ["bash", str(SCRIPTS / "gpu_run.sh"), *words],
        env=os.environ | {"PYTHON": sys.executable, "JAX_PLATFORMS": "cpu"} | variables,
        capture_output=True,
        text=True,
        timeout=500,
    )
    return done.stdout + done.stderr, done.returncode


def test_what_would_be_run(tmp_path):
    printed, code = gpu_run("--benchmarks", DRY="1", RUNS=str(tmp_path / "r"), ROW="--seed 3")
    assert code == 0
    for part in (
        "pack_pairs.py unpack build/nyu_pairs.npz build/nyu_pairs",
        "--sizes gpu --shorten --kind two_scale --root build/nyu_pairs",
        "--minutes 3.5 --seed 3",
        "--kind unet",
        "r/unet/nyu",
        "benchmarks/scaling.py",
    ):
        assert part in printed
    assert not (tmp_path / "r").exists()
    printed, code = gpu_run("--benchmark", DRY="1")
    assert code == 2
    assert "--benchmark is unknown" in printed


def test_a_fast_run_from_end_to_end(packed, tmp_path):
    out, runs = tmp_path / "out", tmp_path / "runs"
    printed, code = gpu_run(
        FAST="1",
        KINDS="two_scale",
        PAIRS=str(packed),
        FOLDER=str(tmp_path / "pairs"),
        OUT=str(out),
        RUNS=str(runs),
        ROW="--rooms-coarse 0 --fine 0 --precision float32 --optimiser adamw",
        WHEELS=str(tmp_path),
        XLA_FLAGS="--xla_backend_optimization_level=0",  # compiles sooner
    )
    assert code == 0, printed
    assert sorted(path.name for path in out.iterdir()) == [
        "results.tar.gz",
        "tries.json",
        "two_scale.npz.00",
    ]
    with tarfile.open(out / "results.tar.gz") as archive:
        names = archive.getnames()
    for name in (
        "row.json",
        "nyu/metrics.jsonl",
        "nyu/config.json",
        "nyu/val_best/evaluation.md",
        "nyu/val_newest/evaluation.json",
        "nyu/val_newest/samples/val.png",
    ):
        assert f"./two_scale/{name}" in names
    assert not [name for name in names if "checkpoints" in name or "pairs" in name]
    with np.load(out / "two_scale.npz.00", allow_pickle=False) as archive:
        assert archive["coarse/conv1/kernel"].dtype == np.float16
    evaluations = json.loads((out / "tries.json").read_text())["two_scale"]["evaluations"]
    assert evaluations["nyu"]["val_newest"]["coarse"]["rmse_log"] > 0


def test_without_data_it_says_so(tmp_path):
    printed, code = gpu_run(
        FAST="1",
        PAIRS=str(tmp_path / "no.npz"),
        OUT=str(tmp_path / "out"),
        RUNS=str(tmp_path / "runs"),
        WHEELS=str(tmp_path),
        FOLDER=str(tmp_path / "pairs"),
    )
    assert code == 2
    assert f"pack_pairs: {tmp_path}/no.npz does not exist" in printed
    assert not (tmp_path / "out" / "tries.json").exists()
