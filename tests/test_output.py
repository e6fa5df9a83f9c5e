"""What is printed never ends the work: closed pipes, full disks, encodings without our signs."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from pictures import saved, smooth_picture, write_index

from depthsi.cli import main
from depthsi.commands.dataset_info import ASCII_BARS, BARS
from depthsi.output import LONGEST, can_encode, make_encodable, printable

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


def test_what_a_terminal_would_obey_is_shown():
    assert printable("a\x1b[2Jb\nc\rd\te\x9bf\x7f") == r"a\x1b[2Jb\nc\rd\te\x9bf\x7f"
    assert printable("a\u202egnp.b\u2028\udcff") == r"a\u202egnp.b\u2028\udcff"
    assert printable("Küche 北 \\x1b 'π'") == "Küche 北 \\x1b 'π'"
    long = printable("first" + "x" * 10**6 + "last")
    assert len(long) < LONGEST + 50
    assert long.startswith("first")
    assert long.endswith("last")
    assert "(996009 characters left out)" in long


def test_names_in_messages_do_not_move_the_cursor(tmp_path, capsys):
    name = "a\x1b[2J\nb\u202e"
    (tmp_path / name).mkdir()
    for words in (["info", tmp_path / name], ["evaluate", tmp_path / f"{name}.npy", "--data", "x"]):
        with pytest.raises(SystemExit):
            main([str(word) for word in words])
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "\x1b" not in error
        assert "\u202e" not in error


@pytest.mark.filterwarnings("default")
def test_names_in_warnings_and_bad_samples_do_not_either(tmp_path, capsys):
    rows = []
    for name in ("a\x1b[2J", "b\x1b[2J"):
        saved(tmp_path / f"{name}.png", smooth_picture(8, 9, 4))
        np.save(tmp_path / f"{name}.npy", np.ones((8, 9), np.float32))
        rows.append((f"{name}.png", f"{name}.npy", "train", ""))
    (tmp_path / "b\x1b[2J.png").write_bytes(b"damaged")
    main(["info", str(write_index(tmp_path, rows))])
    printed = capsys.readouterr()
    assert r"a\x1b[2J.png: its transparency is dropped" in printed.err
    assert r"b\x1b[2J.png is neither JPEG nor" in printed.out
    assert "\x1b" not in printed.out + printed.err
