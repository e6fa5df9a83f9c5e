"""Trainings that are stopped, killed, starved and contradicted, each in a process of its own."""

import json
import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time

import pytest
from killed_runs import (
    PROGRAM,
    arguments,
    cluster,
    environment,
    finish,
    start,
    steps_logged,
    wait_for,
    write_training_pairs,
)

from depthsi.cli import main
from depthsi.config import ComputeConfig
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.processes import hang

# Takes the terminal that it was given for its own, which sends SIGHUP when it is closed.
IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
TIMING = ("images_per_second", "waiting_share")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_training_pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    code, printed = finish(start(arguments(run, data)))
    assert code == 0, printed
    return run


def final(run):
    """Step, and checksums of every array, which are of the bits, of the newest checkpoint."""
    with Checkpoints(run / "checkpoints") as checkpoints:
        assert checkpoints.latest is not None
        record = checkpoints.record(checkpoints.latest)
    return record.step, record.arrays


def lines(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in TIMING} for row in rows]


def assert_like(run, whole):
    assert final(run) == final(whole)
    assert lines(run) == lines(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "code", "after"),
    [(signal.SIGINT, 130, 3), (signal.SIGTERM, 143, 13)],
)
def test_a_signal_stops_after_a_saved_step_and_names_the_command(
    sent, code, after, data, whole, tmp_path
):
    """In both stages and between two checkpoints."""
    run = tmp_path / "a run"  # with a space, which has to be quoted
    words = arguments(run, data)
    process = start(words, SECONDS_PER_STEP=0.2)
    wait_for(lambda: steps_logged(run) >= after, process)
    process.send_signal(sent)
    left, printed = finish(process)
    assert left == code
    assert "Traceback" not in printed
    step = final(run)[0]
    said, command = printed.strip().splitlines()[-1].split(" Continue with: ")
    assert said == f"depthsi: Stopped by {sent.name} after step {step}, which is saved."
    assert after <= step < 20
    assert shlex.split(command) == [sys.executable, "-m", "depthsi", *words, "--resume"]
    assert finish(start(shlex.split(command)[3:]))[0] == 0
    assert_like(run, whole)


@pytest.mark.slow
def test_a_closed_terminal_stops_after_a_saved_step(data, whole, tmp_path):
    """The progress bar cannot be written any more, which must not end the training before."""
    run = tmp_path / "run"
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 80))
    words, variables = arguments(run, data), environment(SECONDS_PER_STEP=0.3)
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, sys.executable, str(PROGRAM), *words],
        env=os.environ | variables,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    printed = b""

    def steps_come():
        nonlocal printed
        if select.select([terminal], [], [], 0)[0]:
            printed += os.read(terminal, 4096)
        return steps_logged(run) >= 3

    wait_for(steps_come, process)
    assert b"/20 [" in printed
    os.close(terminal)
    assert process.wait(timeout=60) == 129
    assert 3 <= final(run)[0] < 20
    assert finish(start([*words, "--resume"]))[0] == 0
    assert_like(run, whole)


@pytest.mark.slow
def test_a_second_signal_ends_at_once(data, tmp_path):
    run = tmp_path / "run"
    process = start(arguments(run, data), STUCK_AT=4)
    wait_for(lambda: steps_logged(run) >= 2, process)
    process.send_signal(signal.SIGINT)
    with pytest.raises(Exception, match="timed out"):
        process.communicate(timeout=1)
    process.send_signal(signal.SIGTERM)
    assert finish(process, timeout=20)[0] == -signal.SIGTERM


@pytest.mark.slow
def test_a_stuck_step_ends_in_a_sentence(data, tmp_path):
    words = arguments(tmp_path / "run", data, "--compute.hang-minutes", 0.15)
    code, printed = finish(start(words, STUCK_AT=4))
    assert code == 2
    assert "Nothing has happened for 0.15 minutes after step 3" in printed
    assert "Traceback" not in printed


@pytest.mark.slow
def test_a_full_disk_leaves_the_checkpoint_before(data, whole, tmp_path):
    run = tmp_path / "run"
    words = arguments(run, data)
    code, printed = finish(start(words, FULL_AT=8, SECONDS_PER_STEP=0.5))
    assert code == 2
    assert "Traceback" not in printed
    assert (
        printed.strip()
        .splitlines()[-1]
        .startswith(
            f"depthsi: A checkpoint could not be written to {run / 'checkpoints'} (File too large);"
            " the one of step 5 is kept."
        )
    )
    assert final(run)[0] == 5
    assert finish(start([*words, "--resume"]))[0] == 0
    assert_like(run, whole)


@pytest.mark.slow
def test_a_full_disk_ends_both_processes(data, tmp_path):
    """With the same sentence, though one of them alone finishes checkpoints."""
    run = tmp_path / "run"
    words = arguments(run, data)
    pair = [start([*words, *options], FULL_AT=8, SECONDS_PER_STEP=0.5) for options in cluster(2)]
    for code, printed in map(finish, pair):
        assert code == 2, printed
        assert "could not be written" in printed
        assert printed.count("the one of step 5 is kept.") == printed.count("depthsi: ") == 1
        assert "Traceback" not in printed
    assert final(run)[0] == 5


@pytest.mark.slow
def test_two_runs_in_one_directory(data, whole, tmp_path):
    """Started afresh at the same time, and resumed while one is running; SIGKILL frees the lock."""
    run = tmp_path / "run"
    words = arguments(run, data)
    both = [start(words, SECONDS_PER_STEP=2) for _ in range(2)]
    wait_for(lambda: both[0].poll() or both[1].poll() or steps_logged(run) > 1, both[0])
    refused, running = sorted(both, key=lambda process: process.poll() is None)
    if refused.poll() is None:  # both still start: one of them has yet to find the other
        wait_for(lambda: any(process.poll() for process in both), both[0])
    code, printed = finish(refused)
    assert code == 2
    assert "is in use by another run" in printed or "already has another run" in printed
    code, printed = finish(start([*words, "--resume"]))
    assert code == 2
    assert f"is in use by another run (process {running.pid} on " in printed
    running.kill()
    running.communicate()
    assert finish(start([*words, "--resume"]))[0] == 0
    assert_like(run, whole)


@pytest.fixture(scope="module")
def whole_pair(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("pair") / "run"
    pair = [start([*arguments(run, data), *options]) for options in cluster(2)]
    assert [finish(process)[0] for process in pair] == [0, 0]
    return run


@pytest.mark.slow
def test_two_processes_stop_at_the_same_step(data, whole_pair, tmp_path):
    """Only one is asked to."""
    run = tmp_path / "run"
    pair = [
        start([*arguments(run, data), *options], SECONDS_PER_STEP=0.3) for options in cluster(2)
    ]
    wait_for(lambda: steps_logged(run) >= 3, pair[0])
    pair[1].send_signal(signal.SIGTERM)
    ends = [finish(process) for process in pair]
    assert [code for code, _ in ends] == [143, 143], ends
    said = [printed.split("depthsi: ")[1].split(" Continue")[0] for _, printed in ends]
    step = final(run)[0]
    assert said == [f"Stopped by SIGTERM after step {step}, which is saved."] * 2
    pair = [start([*arguments(run, data, "--resume"), *options]) for options in cluster(2)]
    assert [finish(process)[0] for process in pair] == [0, 0]
    assert_like(run, whole_pair)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other(killed, data, whole_pair, tmp_path):
    """Before JAX does, which aborts where the killed one is 0, through which it is connected."""
    run = tmp_path / "run"
    pair = [
        start([*arguments(run, data), *options], SECONDS_PER_STEP=0.3) for options in cluster(2)
    ]
    wait_for(lambda: steps_logged(run) >= 6, pair[0])
    pair[killed].kill()
    pair[killed].communicate()
    code, printed = finish(pair[1 - killed])
    assert code == 2, printed
    assert printed.count("depthsi: Another process of this run has ended") == 1
    assert "Traceback" not in printed
    pair = [start([*arguments(run, data, "--resume"), *options]) for options in cluster(2)]
    assert [finish(process)[0] for process in pair] == [0, 0]
    assert_like(run, whole_pair)


def assert_all_notice(lost, why, processes):
    """That all but the lost one exit with one sentence; the first of them watches the lost one."""
    rest = [process for process in processes if process is not lost]
    ends = [finish(process) for process in rest]
    lost.kill()
    lost.communicate()
    said = "depthsi: Another process of this run has ended or cannot be reached (process "
    assert [code for code, _ in ends] == [2] * len(rest), ends
    assert f"{said}{processes.index(lost)}: {why})" in ends[0][1]
    assert all(printed.count(said) == 1 for _, printed in ends), ends
    assert not any("Traceback" in printed for _, printed in ends), ends


@pytest.mark.slow
def test_a_loss_is_noticed_outside_of_a_step(data, tmp_path):
    """The others do not compute together then, so that no exchange of theirs can fail."""
    run = tmp_path / "run"
    words = arguments(run, data, "--schedule.batch-size", 3)
    three = [start([*words, *options], STUCK_AT=4) for options in cluster(3)]
    wait_for(lambda: steps_logged(run) >= 2, three[0])
    time.sleep(0.5)
    three[0].kill()
    assert_all_notice(three[0], "its connection was closed", three)


@pytest.mark.slow
def test_a_standstill_is_noticed_in_a_step_and_outside(data, tmp_path):
    """Of process 0 in a step, of process 1 outside of one, at the same time."""
    runs = [tmp_path / "in", tmp_path / "outside"]
    pair = [start([*arguments(runs[0], data), *more], SECONDS_PER_STEP=1) for more in cluster(2)]
    words = arguments(runs[1], data, "--schedule.batch-size", 3)
    three = [start([*words, *more], STUCK_AT=4) for more in cluster(3)]
    wait_for(lambda: steps_logged(runs[0]) >= 2, pair[0])
    pair[0].send_signal(signal.SIGSTOP)
    wait_for(lambda: steps_logged(runs[1]) >= 2, three[0])
    time.sleep(0.5)
    three[1].send_signal(signal.SIGSTOP)
    assert_all_notice(pair[0], "no response for 60 s", pair)
    assert_all_notice(three[1], "no response for 60 s", three)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "more", "words"),
    [
        (
            None,
            ("--schedule.batch-size", 3),
            "schedule.batch_size is 3, which 2 devices cannot share",
        ),
        (
            None,
            ("--compute.model-devices", 4),
            "compute.model_devices is 4, but there are 2 devices",
        ),
        (None, ("--resume",), "is not a run"),
        (lambda run: (run / "x").write_text(""), ("--resume",), "is not a run"),
        (
            lambda run: (run / "config.json").write_text('{"learning_rate": 3}'),
            ("--resume",),
            "config.json: config.",
        ),
        (lambda run: contradict(run, seed=9), ("--resume", "--seed", 9), "20 was started with"),
    ],
)
def test_what_cannot_be_ends_both_processes(make, more, words, data, whole, tmp_path):
    """The last: a checkpoint of other settings than those beside it and those asked for."""
    run = tmp_path / "run"
    if make:
        shutil.copytree(whole, run) if "--seed" in more else run.mkdir()
        make(run)
    pair = [start([*arguments(run, data, *more), *options]) for options in cluster(2)]
    for process in pair:
        code, printed = finish(process)
        assert code == 2, printed
        assert printed.count("depthsi: ") == 1
        assert words in printed
        assert "Traceback" not in printed
    assert run.exists() == bool(make)


def contradict(run, **settings):
    """Other settings in the config.json of `run`."""
    file = run / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


@pytest.mark.slow
def test_two_processes_go_back_from_a_damaged_checkpoint(data, whole_pair, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole_pair, run)
    for file in (run / "checkpoints" / "20" / "params").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-9])
    pair = [start([*arguments(run, data, "--resume"), *options]) for options in cluster(2)]
    ends = [finish(process) for process in pair]
    assert [code for code, _ in ends] == [0, 0], ends
    said = "step 20 is damaged, so the one of step 15 is used"
    assert all(said in printed and "Traceback" not in printed for _, printed in ends), ends
    assert (run / "checkpoints" / "damaged-20").is_dir()
    assert_like(run, whole_pair)


def refusal(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return " ".join(error.split())


@pytest.mark.slow
def test_what_cannot_be_resumed_is_one_sentence(data, whole, tmp_path, capsys):
    def resume(run, *more):
        return refusal(capsys, *arguments(run, data, "--resume", *more))

    assert "is not a run" in resume(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "is not a run" in resume(empty)
    assert not list(empty.iterdir())
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"learning_rate": 3}')
    assert "config.json: config." in resume(foreign)
    assert "started with seed = 0, not 4" in resume(whole, "--seed", 4)
    assert "started with schedule.save_every = 5, not 6" in resume(
        whole, "--schedule.save-every", 6
    )


@pytest.mark.slow
def test_a_config_that_contradicts_the_checkpoint(data, whole, tmp_path, capsys):
    """Another config.json beside the checkpoints of a run."""
    run = tmp_path / "run"
    run.mkdir()
    config = json.loads((whole / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"seed": 9}))
    shutil.copytree(whole / "checkpoints", run / "checkpoints")
    code, printed = finish(start([*arguments(run, data, "--seed", 9), "--resume"]))
    assert code == 2
    assert "checkpoints/20 was started with seed = 0, not 9" in printed
    assert final(whole)[0] == 20


def watched(monkeypatch, minutes, act):
    """What the process was ended with while `act` had a watch of so many minutes."""
    messages = []
    monkeypatch.setattr(hang, "exit_with_message", messages.append)
    with hang.HangWatch(minutes) as watch:
        act(watch)
    if minutes:  # its last words are not to be taken for those of the next watch
        watch._thread.join()
    return messages


@pytest.mark.slow
def test_the_watch_gives_up_only_when_nothing_happens(monkeypatch):
    """Limits of 0.3 s."""
    limit = 0.3 / 60

    def busy(watch):
        for step in range(8):
            watch.alive(f"step {step}")
            time.sleep(0.1)

    def idle(watch):
        watch.alive("step 7")
        time.sleep(1)

    def compiling(watch):
        watch.alive("step 7", patience=10)
        time.sleep(1)

    assert watched(monkeypatch, limit, idle)[0].startswith(
        "Nothing has happened for 0.005 minutes after step 7"
    )
    assert watched(monkeypatch, limit, compiling) == []
    assert watched(monkeypatch, limit, lambda _: time.sleep(1)) == []  # before the first sign
    assert watched(monkeypatch, 0.0, idle) == []
    if watched(monkeypatch, limit, busy):  # once more, should this process have had to wait itself
        assert watched(monkeypatch, 20 * limit, busy) == []


def test_compiling_and_saving_may_take_as_much_longer_as_the_help_says():
    assert hang.PATIENCE == 3
    assert ComputeConfig().hang_minutes == 10


def test_the_exit_does_not_depend_on_somebody_reading_the_message():
    """A terminal that was closed, a pipe that nobody reads any more."""
    ours, theirs = os.pipe()
    os.close(ours)
    code = "from depthsi.training.processes.hang import exit_with_message as end; end('lost')"
    end = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment(), stderr=theirs
    )
    os.close(theirs)
    assert end.returncode == 2
