"""Several processes on one machine, through the real command: the same training as one process."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from pictures import write_pairs

from depthsi.errors import DepthsiError
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.processes import cluster as processes
from depthsi.training.processes.cluster import Cluster, join_cluster, on_leader, start
from depthsi.training.processes.exchange import gather_texts
from depthsi.training.stages import make_stages
from depthsi.training.state import abstract_state

PACKAGE = Path(__file__).parent.parent
SETTINGS = """
    --model.width 0.02 --data.kind folder --optim.kind sgd --optim.weight-decay 0 --optim.warmup 1
    --augment.scale 1 1 --augment.rotation 0 --loss.reduction pixel
    --schedule.batch-size 4 --schedule.coarse-samples 12 --schedule.fine-samples 8
    --schedule.log-every 1 --schedule.eval-every 3 --schedule.save-every 2 --schedule.keep 9
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images whose depth is missing here and there, in one of them everywhere."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    pairs = []
    rows, cols = np.mgrid[:240, :320] / 320
    for i in range(9):
        tilt = rng.normal(size=(3, 2))
        waves = np.sin(4 * (tilt[:, :1, None] * rows + tilt[:, 1:, None] * cols))
        picture = np.moveaxis(127.5 + 120 * waves, 0, -1).astype(np.uint8)
        metres = np.exp(1 + 0.5 * waves[0])
        metres[: 25 * i] = 0
        pairs.append(("train" if i % 3 else "val", picture, metres))
    return write_pairs(root, pairs)


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def launch(run, folder, count, devices, *more):
    """`depthsi train` in `count` processes of so many devices: exit code and output of each."""
    environment = os.environ | {
        "JAX_NUM_CPU_DEVICES": str(devices),
        "PYTHONPATH": str(PACKAGE),
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiling is most of the work here
    }
    command = [
        sys.executable,
        "-m",
        "depthsi",
        "train",
        "tiny",
        "--run",
        str(run),
        "--data.root",
        str(folder),
        *SETTINGS.split(),
        *more,
    ]
    cluster = f"--cluster.coordinator 127.0.0.1:{free_port()} --cluster.processes {count}".split()
    together = [
        subprocess.Popen(
            [*command, *cluster, "--cluster.process", str(i)] if count > 1 else command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for i in range(count)
    ]
    try:
        said = [process.communicate(timeout=300) for process in together]
    finally:
        for process in together:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(together, said, strict=True)]


def trained(*args):
    results = launch(*args)
    for code, _, errors in results:
        assert code == 0, errors[-3000:]
    return results


def lines_of(run):
    timing = {"images_per_second", "waiting_share"}
    lines = map(json.loads, RunDirectory(run).metrics.read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in timing} for line in lines]


def params_of(run):
    config = RunDirectory(run).config()
    abstract = abstract_state(config, make_stages(config)[0]).params
    with Checkpoints(RunDirectory(run).checkpoints) as checkpoints:
        newest = checkpoints.newest_params(abstract)
    assert newest
    params, step = newest
    assert step == 5
    return params


def assert_same(run, other):
    lines, others = lines_of(run), lines_of(other)
    assert [(line["step"], line["split"]) for line in lines] == [
        (1, "train"),
        (2, "train"),
        (3, "train"),
        (3, "val"),
        (4, "train"),
        (5, "train"),
        (5, "val"),
    ]
    for a, b in zip(lines, others, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            if isinstance(value, float):
                np.testing.assert_allclose(value, b[name], rtol=1e-4, atol=1e-7, err_msg=name)
            else:
                assert value == b[name]
    for a, b in zip(*(jax.tree.leaves(params_of(each)) for each in (run, other)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(np.max(np.abs(a))))


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("alone") / "run"
    trained(run, folder, 1, 4)
    return run


@pytest.fixture(scope="module")
def two_by_two(folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("two") / "run"
    return run, trained(run, folder, 2, 2, "--compute.model-devices", "2")


@pytest.mark.slow
def test_two_processes_of_two_devices(alone, two_by_two):
    """The full layers split between the devices of each process."""
    run, (first, second) = two_by_two
    assert_same(run, alone)
    assert "Trained 5 steps" in first[1]
    assert "Trained" not in second[1]
    assert "step" not in second[2].replace("time step", "")
    assert RunDirectory(run).mean_depth().shape == (240, 320)


@pytest.mark.slow
def test_four_processes_continue_what_two_began(alone, two_by_two, folder, tmp_path):
    """From the middle of the first stage, with the full layers whole on every device."""
    run = tmp_path / "run"
    shutil.copytree(two_by_two[0], run)
    for saved in RunDirectory(run).checkpoints.iterdir():
        if saved.name.isdecimal() and int(saved.name) > 2:
            shutil.rmtree(saved)
    results = trained(run, folder, 4, 1, "--resume")
    assert ["Trained 5 steps" in out for _, out, _ in results] == [True, False, False, False]
    assert_same(run, alone)


@pytest.mark.slow
def test_a_refusal_ends_all_processes(two_by_two, folder):
    before = lines_of(two_by_two[0])
    for code, out, errors in launch(two_by_two[0], folder, 2, 2):
        assert code == 2
        assert "already has another run" in errors
        assert "Traceback" not in errors
        assert "Trained" not in out
    assert lines_of(two_by_two[0]) == before


@pytest.mark.slow
def test_processes_that_do_not_meet_give_up_in_time():
    """The coordinator that nobody comes to, and the one that cannot be reached."""
    code = (
        "import sys; from depthsi.training.processes.cluster import Cluster, start\n"
        "start(Cluster(f'127.0.0.1:{sys.argv[1]}', 2, int(sys.argv[2]), timeout=2))"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    begin = time.monotonic()
    waiting = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(free_port()), str(process)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for process in (0, 1)
    ]
    for i, each in enumerate(waiting):
        _, errors = each.communicate(timeout=60)
        assert each.returncode == 2
        assert f"depthsi: Process {i} of the 2 with cluster.coordinator 127.0.0.1" in errors
        assert "did not meet the others within 2 s" in errors
        assert "Check failure" not in errors
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"coordinator": "a:1", "processes": 2, "process": 2}, "numbers 0 to 1"),
        ({"coordinator": "a:1", "process": -1}, "process is -1"),
        ({"processes": 2}, "coordinator is not set"),
        ({"coordinator": "localhost"}, "must be HOST:PORT"),
        ({"coordinator": ":80"}, "must be HOST:PORT"),
        ({"coordinator": "a:1", "timeout": 0}, "timeout is 0"),
    ],
)
def test_clusters_that_cannot_be(values, words):
    with pytest.raises(DepthsiError, match=words):
        Cluster(**values)


@pytest.mark.slow
def test_no_cluster_where_one_should_be_found():
    code = (
        "from depthsi.training.processes.cluster import *\n"
        "try: start(Cluster('auto'))\n"
        "except DepthsiError as error: print(error)"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "coordinator auto cannot be used" in done.stdout
    assert "no SLURM, Open MPI or TPU pod found" in done.stdout


def test_one_process_needs_nobody():
    start(Cluster())
    done = []
    on_leader(lambda: done.append(1))
    assert done == [1]
    with pytest.raises(DepthsiError, match="said"), join_cluster(Cluster()):
        on_leader(refuse)


def refuse():
    raise DepthsiError("said so")


def test_texts_of_any_length_and_script_in_one_process():
    for text in ("", "x", "Möbel \udcff", 3000 * "x"):
        assert gather_texts(text) == [text]


@pytest.mark.parametrize("index", [0, 1])
def test_of_several_processes_the_first_one_acts_and_all_hear_of_it(monkeypatch, index):
    """Without the network: what the first one would send is kept and handed to the second."""
    sent = []

    def gather(value):
        sent.append(value)
        return np.stack([value, np.zeros_like(value)])

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 0)
    monkeypatch.setattr("jax.experimental.multihost_utils.process_allgather", gather)
    with pytest.raises(DepthsiError, match=r"^said so$"):
        on_leader(refuse)
    replies = [np.stack([value, np.zeros_like(value)]) for value in sent]
    assert len(replies) == 2  # lengths and texts
    exited = []
    monkeypatch.setattr(jax, "process_index", lambda: index)
    monkeypatch.setattr(
        "jax.experimental.multihost_utils.process_allgather", lambda value: replies.pop(0)
    )
    monkeypatch.setattr(processes, "exit_with_message", exited.append)
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.0)
    with join_cluster(Cluster()):
        on_leader(lambda: exited.append("acted"))
    assert exited == (["acted"] if index == 0 else []) + ["said so"]
