"""Locks and files written whole: who comes second, how it ends, and what is planted there."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from depthsi.errors import DepthsiError
from depthsi.files import append_text, check_no_links_outside, contents, locked, write_text
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


@pytest.mark.parametrize("planted", ["temporary", "final"])
def test_a_planted_link_is_replaced_not_followed(planted, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("thesis")
    run = tmp_path / "run"
    run.mkdir()
    name = ".evaluation.json.tmp" if planted == "temporary" else "evaluation.json"
    (run / name).symlink_to(precious)
    write_text(run / "evaluation.json", "{}")
    assert precious.read_text() == "thesis"
    assert (run / "evaluation.json").read_text() == "{}"
    assert not (run / "evaluation.json").is_symlink()
    assert [path.name for path in run.iterdir()] == ["evaluation.json"]


def test_nothing_is_appended_through_a_link(tmp_path):
    (tmp_path / "precious.txt").write_text("thesis")
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(OSError, match="symbolic"):
        append_text(tmp_path / "metrics.jsonl", "{}\n")
    assert (tmp_path / "precious.txt").read_text() == "thesis"


@pytest.mark.parametrize("part", ["samples", "checkpoints/3", "metrics.jsonl"])
def test_a_directory_whose_parts_are_links_to_elsewhere_is_refused(part, tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    (run / "checkpoints").mkdir(parents=True)
    elsewhere.mkdir()
    (run / "latest").symlink_to("checkpoints")  # inside: fine
    check_no_links_outside(run)
    (run / part).symlink_to(elsewhere)
    with pytest.raises(DepthsiError, match=f"{part} is a symbolic link to .*elsewhere"):
        check_no_links_outside(run)
    check_no_links_outside(tmp_path / "not there")


def test_of_some_parts_others_may_be_links(tmp_path):
    """Such as those of a virtual environment beside which results are written."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "python").symlink_to(tmp_path)
    check_no_links_outside(tmp_path / "here", ("samples",))
    (tmp_path / "here" / "samples").symlink_to(tmp_path)
    with pytest.raises(DepthsiError, match="samples is a symbolic link"):
        check_no_links_outside(tmp_path / "here", ("samples",))


def test_a_run_may_be_reached_by_a_link(tmp_path):
    (tmp_path / "run" / "samples").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("run")
    check_no_links_outside(tmp_path / "alias")


def test_a_failed_writing_leaves_the_old_file_and_names_it(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left") as failed:
        write_text(tmp_path / "a.txt", "new")
    assert failed.value.filename == str(tmp_path / "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"
