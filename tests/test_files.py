"""The lock of a directory: who comes second, how it ends, and what is planted at its name."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from depthsi.errors import DepthsiError
from depthsi.files import contents, locked
from depthsi.runs import LOCK_FILE
from depthsi.training.processes.run_lock import run_lock

HOLDER = """
import sys, time
from pathlib import Path
from depthsi.files import locked
with locked(Path(sys.argv[1]), "taken", "wait"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_comes_second_hears_who_was_first(tmp_path):
    file = tmp_path / "lock"
    file.write_text("a longer note, of another program that held it before\n")
    for _ in range(2):
        with locked(file, "taken", "wait"):
            holder = rf"\(process {os.getpid()} on \S+\)"
            for _ in range(2):
                with (
                    pytest.raises(DepthsiError, match=rf"^It is taken {holder}: wait for it\.$"),
                    locked(file, "It is taken", "wait for it"),
                ):
                    pytest.fail("two hold it")
        assert file.read_text().startswith(f"process {os.getpid()} on ")
        assert "before" not in file.read_text()


def test_the_lock_ends_with_its_process_however_it_ends(tmp_path):
    file = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(file)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(DepthsiError, match=rf"^taken \(process {holder.pid} on "):
        locked(file, "taken", "wait").__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with locked(file, "taken", "wait"):
        pass


@pytest.mark.parametrize("there", [True, False])
def test_a_link_at_the_name_of_the_lock_is_not_followed(tmp_path, there):
    precious, run = tmp_path / "thesis.txt", tmp_path / "run"
    if there:
        precious.write_text("precious")
    run.mkdir()
    (run / LOCK_FILE).symlink_to(precious)
    with (
        pytest.raises(DepthsiError, match=rf"run/{LOCK_FILE} is a symbolic link, not a lock; del"),
        run_lock(run),
    ):
        pytest.fail("locked")
    assert precious.exists() == there
    assert not there or precious.read_text() == "precious"


def test_a_run_directory_that_cannot_be_locked_is_one_sentence(tmp_path):
    (tmp_path / "run" / LOCK_FILE).mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "run", tmp_path / "file"):
        with (
            pytest.raises(DepthsiError, match=rf"^{directory} cannot be written \(.*\)\.$"),
            run_lock(directory),
        ):
            pytest.fail("locked")


def test_the_first_bytes_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(100)))
    assert contents(tmp_path / "a", 8) == bytes(range(8))
    assert contents(tmp_path / "a", 200) == contents(tmp_path / "a") == bytes(range(100))
