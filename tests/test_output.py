"""What is printed never ends the work: closed pipes, full disks, encodings without our signs."""

import io
import os
import subprocess
import sys

import pytest

from depthsi.commands.dataset_info import ASCII_BARS, BARS
from depthsi.output import can_encode, make_encodable

INFO = [sys.executable, "-m", "depthsi", "info", "rooms", "--limit", "1"]


def shell(command, **environment):
    """Runs `command` with `info` standing for `depthsi info rooms --limit 1`."""
    command = command.replace("info", " ".join(INFO), 1)
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_ends_it_quietly():
    done = shell("info | head -n 0")
    assert done.returncode == 141
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "it/s" in line]
    assert "Error" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_named():
    done = shell("info > /dev/full")
    assert done.returncode == 2
    assert "depthsi: the output: No space left on device." in done.stderr
    assert "None" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_encoding_without_blocks_gets_other_bars(encoding):
    done = shell("info", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    (bars, *_) = (line for line in done.stdout.splitlines() if line.count("|") == 2)
    assert set(bars.split("|")[1]) <= set(ASCII_BARS)
    assert len(set(bars.split("|")[1])) > 2


def test_signs_that_cannot_be_written_become_question_marks():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert not can_encode(BARS, stream)
    assert can_encode(ASCII_BARS, stream)
    make_encodable(stream)
    print("d → 1 m", file=stream, flush=True)
    assert stream.buffer.getvalue() == b"d ? 1 m\n"


def test_a_training_goes_on_without_its_reader(tmp_path):
    program = f"""
import sys
from depthsi.output import say
say("first")
sys.stdin.readline()
for number in range(3):
    say("nobody reads this")
open({str(tmp_path / "done")!r}, "w").close()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdin
        assert running.stdout
        assert running.stderr
        assert running.stdout.readline() == "first\n"
        running.stdout.close()
        running.stdin.write("\n")
        running.stdin.close()
        assert running.wait(60) == 0
        assert running.stderr.read() == ""
    assert (tmp_path / "done").exists()
