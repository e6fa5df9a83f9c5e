"""The launchers: what they would run, literally; what they run; and what they refuse."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from depthsi import cli
from depthsi.launch import one_machine, tpu_slice

ROOT = Path(__file__).resolve().parents[1]
TRAINING = ["--", "nyu", "--run", "/mnt/a run", "--data.root", "/mnt/nyu"]


def launched(capfd, *arguments):
    """What was printed, and the exit code."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["launch", *(str(argument) for argument in arguments)])
    return capfd.readouterr(), stopped.value.code


def dry(capfd, *arguments):
    printed, code = launched(capfd, *arguments, "--dry-run", *TRAINING)
    assert (printed.err, code) == ("", 0)
    return printed.out


def program(path, text):
    """An executable script instead of a program."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_tpu(capfd, monkeypatch, tmp_path):
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(tpu_slice, "ROOT", tmp_path)
    monkeypatch.setattr(tpu_slice.tempfile, "gettempdir", lambda: "/tmp")
    out = dry(capfd, "tpu", "--name", "pod-1", "--zone", "us-central2-b", "--python", "python3.12")
    assert out == (
        f"tar -czf /tmp/depthsi.tar.gz --exclude=__pycache__ -C {tmp_path} pyproject.toml README.md"
        " LICENSE depthsi\n"
        "gcloud compute tpus tpu-vm scp /tmp/depthsi.tar.gz pod-1:depthsi.tar.gz"
        " --zone=us-central2-b --worker=all\n"
        "gcloud compute tpus tpu-vm ssh pod-1 '--command=set -e; rm -rf depthsi; mkdir depthsi;"
        " tar -xzf depthsi.tar.gz -C depthsi; python3.12 -m venv depthsi/.venv;"
        """ depthsi/.venv/bin/pip install --quiet '"'"'./depthsi[tpu]'"'"''"""
        " --zone=us-central2-b --worker=all\n"
        "gcloud compute tpus tpu-vm ssh pod-1 '--command=depthsi/.venv/bin/depthsi train nyu --run"
        """ '"'"'/mnt/a run'"'"' --data.root /mnt/nyu --cluster.coordinator auto'"""
        " --zone=us-central2-b --worker=all\n"
    )
    again = dry(
        capfd,
        "tpu",
        "--name",
        "pod-1",
        "--zone",
        "us-central2-b",
        "--skip-install",
        "--project",
        "mine-1",
    )
    assert again == out.splitlines(keepends=True)[-1].replace("all\n", "all --project=mine-1\n")


def test_what_the_tpu_launcher_packs_is_there():
    for name in tpu_slice.SOURCES:
        assert (tpu_slice.ROOT / name).exists()


def test_without_a_source_tree_only_an_earlier_installation_is_started(
    capfd, monkeypatch, tmp_path
):
    monkeypatch.setattr(tpu_slice, "ROOT", tmp_path)  # as in a wheel
    words = ["tpu", "--name", "pod-1", "--zone", "us-central2-b", "--dry-run"]
    printed, code = launched(capfd, *words, *TRAINING)
    assert (code, printed.out) == (2, "")
    assert f"{tmp_path} is not a source tree of depthsi" in printed.err
    assert printed.err.count("\n") == 1
    assert dry(capfd, *words[:-1], "--skip-install").count("\n") == 1


@pytest.mark.parametrize("words", [["--run", "d", "--resume"], ["--config=c.json", "--run", "d"]])
def test_a_training_without_a_preset(words, capfd):
    """That takes its settings from its run or from a file."""
    printed, code = launched(capfd, "machine", "--python", "py", "--dry-run", "--", *words)
    assert (printed.err, code) == ("", 0)
    assert printed.out == f"py -m depthsi train {' '.join(words)}\n"


def test_slurm(capfd):
    out = dry(
        capfd,
        "slurm",
        "--nodes",
        "2",
        "--gpus-per-node",
        "4",
        "--partition",
        "gpu_long",
        "--python",
        "/opt/my env/bin/python",
    )
    assert out == (
        "sbatch <<'END'\n"
        "#!/bin/bash\n"
        "#SBATCH --job-name=depthsi\n"
        "#SBATCH --partition=gpu_long\n"
        "#SBATCH --nodes=2\n"
        "#SBATCH --ntasks-per-node=4\n"
        "#SBATCH --gpus-per-node=4\n"
        "#SBATCH --cpus-per-task=4\n"
        "#SBATCH --time=24:00:00\n"
        "#SBATCH --signal=TERM@300\n"
        "#SBATCH --output=depthsi-%j.log\n"
        "# Every process sees all GPUs of its node and takes the one of its own number.\n"
        "srun --gpu-bind=none --cpus-per-task=4 '/opt/my env/bin/python' -m depthsi train nyu"
        " --run '/mnt/a run' --data.root /mnt/nyu --cluster.coordinator auto\n"
        "END\n"
    )


def test_machine(capfd):
    words = "py -m depthsi train nyu --run '/mnt/a run' --data.root /mnt/nyu"
    assert dry(capfd, "machine", "--python", "py") == f"{words}\n"
    assert dry(capfd, "machine", "--python", "py", "--gpus", "2") == (
        f"CUDA_VISIBLE_DEVICES=0,1 {words}\n"
    )
    cluster = "--cluster.coordinator 127.0.0.1:2345 --cluster.processes 2 --cluster.process"
    out = dry(capfd, "machine", "--python", "py", "--processes", "2", "--port", "2345")
    assert out == (
        f"CUDA_VISIBLE_DEVICES=0 {words} {cluster} 0 &\n"
        f"CUDA_VISIBLE_DEVICES=1 {words} {cluster} 1 &\n"
        "wait\n"
    )
    out = dry(capfd, "machine", "--python", "py", "--processes", "2", "--gpus", "6")
    assert [line.split()[0] for line in out.splitlines()] == [
        "CUDA_VISIBLE_DEVICES=0,1,2",
        "CUDA_VISIBLE_DEVICES=3,4,5",
        "wait",
    ]


@pytest.mark.parametrize(
    "target",
    [
        ["tpu", "--name", "pod-1", "--zone", "us-central2-b", "--skip-install"],
        ["slurm", "--python", "python"],
        ["machine", "--python", "python", "--processes", "2"],
    ],
)
def test_what_is_printed_can_be_pasted_and_is_what_runs(target, capfd, tmp_path, monkeypatch):
    """The same words reach the program, whether a shell or the launcher starts it."""
    script = dry(capfd, *target)
    tell = 'for word; do echo "<$word>"; done; [ "$0" = "${0%sbatch}" ] || cat'
    for name in ("gcloud", "sbatch", "python"):
        program(tmp_path / name, f"({tell}) > {tmp_path}/out.$$; cat {tmp_path}/out.$$")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    pasted = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    ran, code = launched(capfd, *target, *TRAINING)
    assert code == 0
    assert sorted(ran.out.splitlines()) == sorted(pasted.stdout.splitlines())
    assert "/mnt/a run" in ran.out


def test_a_job_script_is_one_for_bash(capfd, tmp_path):
    script = "".join(dry(capfd, "slurm", "--python", "py").splitlines(keepends=True)[1:-1])
    program(tmp_path / "srun", 'for word; do echo "<$word>"; done')
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash"], input=script, env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[2:8] == [
        "<py>",
        "<-m>",
        "<depthsi>",
        "<train>",
        "<nyu>",
        "<--run>",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["machine"], "Put the arguments of depthsi train after --"),
        (["machine", "--", "--run", "x"], "a preset (rooms, nyu, kitti, tiny)"),
        (["machine", "--", "tiny"], "--run is missing"),
        (["machine", "--", "tiny", "--run", "x", "--cluster.process=1"], "leave them out"),
        (["machine", "--processes", "0", *TRAINING], "--processes is 0; it must be at least 1"),
        (["machine", "--processes", "2", "--gpus", "3", *TRAINING], "use a multiple of 2"),
        (["machine", "--port", "80", *TRAINING], "--port is 80"),
        (["slurm", "--nodes", "0", *TRAINING], "--nodes is 0"),
        (["slurm", "--cpus-per-gpu", "0", *TRAINING], "--cpus-per-gpu is 0"),
        (["slurm", "--time", "1 day", *TRAINING], "--time is '1 day'; it must look like"),
        (["slurm", "--job-name", "a b", *TRAINING], "--job-name is 'a b'"),
        (["slurm", "--partition", "a;b", *TRAINING], "--partition is 'a;b'"),
        (["tpu", "--name", "Pod_1", "--zone", "us-central2-b", *TRAINING], "--name is 'Pod_1'"),
        (["tpu", "--name", "pod", "--zone", "us", *TRAINING], "--zone is 'us'"),
        (["tpu", "--name", "", "--zone", "us-central2-b", *TRAINING], "--name is ''"),
        (["tpu", "--name", "pod", "--zone", "us-central2-b", *TRAINING], "gcloud is not installed"),
        (["slurm", *TRAINING], "sbatch is not installed: use --dry-run"),
    ],
)
def test_refusals(arguments, words, capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    printed, code = launched(capfd, *arguments)
    assert code == 2
    assert words in printed.err
    assert printed.err.startswith("depthsi: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "option"), [("machine", "--processes"), ("slurm", "--nodes"), ("tpu", "--zone")]
)
def test_help_needs_no_jax(target, option):
    """It answers at once, on a login node as well."""
    program = (
        "import sys\nfrom depthsi.cli import main\ntry:\n    main()\nexcept SystemExit as end:\n"
        "    assert not end.code\nassert 'jax' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "launch", target, "--help"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: depthsi launch {target}" in done.stdout
    assert option in done.stdout


def test_a_port_in_use_is_refused(capfd):
    with one_machine.socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        printed, code = launched(capfd, "machine", "--processes", 2, "--port", port, *TRAINING)
    assert (code, printed.err) == (2, f"depthsi: --port {port} is in use: choose another one.\n")


def test_a_command_that_fails_is_the_last(capfd, tmp_path, monkeypatch):
    program(tmp_path / "gcloud", f"echo $4 >> {tmp_path}/log; [ $4 = scp ] || exit 7")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(tpu_slice.tempfile, "gettempdir", lambda: str(tmp_path))
    _, code = launched(capfd, "tpu", "--name", "pod", "--zone", "us-central2-b", *TRAINING)
    assert code == 7
    assert (tmp_path / "log").read_text() == "scp\nssh\n"
    assert (tmp_path / "depthsi.tar.gz").stat().st_size > 10_000


def shell(text):
    return {}, ["sh", "-c", text]


@pytest.fixture
def own_signals():
    """Whatever handlers a launcher sets, pytest gets its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_processes_run_at_the_same_time_and_the_first_failure_counts(tmp_path):
    meet = [
        f"touch {tmp_path}/{i}; while ! [ -e {tmp_path}/{1 - i} ]; do sleep 0.05; done"
        for i in (0, 1)
    ]
    assert one_machine._run([shell(text) for text in meet]) == 0
    assert one_machine._run([shell("exit 0"), shell("exit 3")]) == 3
    assert one_machine._run([shell("kill -9 $$"), shell("exit 0")]) == 128 + 9


@pytest.mark.usefixtures("own_signals")
def test_when_one_process_fails_the_others_end(monkeypatch, tmp_path):
    monkeypatch.setattr(one_machine, "GRACE", 0.3)
    survivor = shell(f"for i in 1 2 3 4 5; do sleep 1; done; touch {tmp_path}/survived")
    assert one_machine._run([shell("exit 2"), survivor]) == 2
    assert list(tmp_path.iterdir()) == []


STUB = """#!{python}
import os, signal, sys, time
caught = []
def note(number, frame):
    caught.append(number)
    print("caught", file=open({log!r}, "a"))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, note)
print("up", os.getpgrp(), file=open({log!r}, "a"))
while not caught:
    time.sleep(0.01)
time.sleep(0.3)  # for a second signal to come
sys.exit(128 + caught[0])
"""


@pytest.mark.slow
def test_signals_reach_every_process_once(tmp_path):
    """As sent by `kill` or by Ctrl-C at a terminal, which reaches the launcher's whole group."""
    stub = tmp_path / "python"
    stub.write_text(STUB.format(python=sys.executable, log=str(tmp_path / "log")))
    stub.chmod(0o755)
    for number in (signal.SIGTERM, signal.SIGINT):
        (tmp_path / "log").write_text("")
        words = [
            sys.executable,
            "-m",
            "depthsi",
            "launch",
            "machine",
            "--processes",
            "2",
            "--python",
            stub,
            "--port",
            "12399",
            *TRAINING,
        ]
        running = subprocess.Popen(
            words,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while (tmp_path / "log").read_text().count("up") < 2:
            assert running.poll() is None
            time.sleep(0.05)
        assert f"up {running.pid}" not in (tmp_path / "log").read_text()  # two may count as one
        os.killpg(running.pid, number)
        assert "append --resume to the same command" in running.communicate(timeout=60)[1]
        assert running.returncode == 128 + number
        assert (tmp_path / "log").read_text().count("caught") == 2
