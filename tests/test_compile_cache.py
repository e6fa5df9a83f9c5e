"""Compiled programs are kept between commands, where that can be done safely."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from depthsi import compile_cache
from depthsi.compile_cache import keep_compiled_programs

CODE = """
import os, sys
from depthsi.compile_cache import keep_compiled_programs
print(keep_compiled_programs())
import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print(float(jax.jit(lambda x: x * 2 + 1)(20.5)))
"""


def start(**variables):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CODE],
        env=plain | {"JAX_PLATFORMS": "cpu"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    where, result = out.split()
    assert result == "42.0"
    return where


@pytest.mark.slow
def test_two_processes_at_once_and_a_torn_entry(tmp_path):
    both = [start(XDG_CACHE_HOME=str(tmp_path)) for _ in range(2)]
    (where,) = {finish(process) for process in both}
    assert Path(where).parent == tmp_path / "depthsi"
    programs = sorted(Path(where).glob("*-cache"))
    assert programs
    for program in programs:  # as a process killed while writing leaves them
        program.write_bytes(b"half")
        program.with_name(program.name.removesuffix("-cache") + "-atime").unlink()
        os.utime(program, (time.time() - 3600, time.time() - 3600))
    finish(start(XDG_CACHE_HOME=str(tmp_path)))
    assert all(len(program.read_bytes()) > 4 for program in programs)


@pytest.fixture
def no_jax(monkeypatch):
    monkeypatch.delitem(sys.modules, "jax")


@pytest.mark.usefixtures("no_jax")
def test_where_programs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    for wanted, parent in (
        ({}, tmp_path / "home" / ".cache" / "depthsi"),
        ({"XDG_CACHE_HOME": str(tmp_path / "x")}, tmp_path / "x" / "depthsi"),
        ({"DEPTHSI_CACHE": str(tmp_path / "own")}, tmp_path / "own"),
    ):
        environment = dict(wanted)
        found = keep_compiled_programs(environment)
        assert found is not None
        assert found.parent == parent
        assert environment["JAX_COMPILATION_CACHE_DIR"] == str(found)


@pytest.mark.usefixtures("no_jax")
@pytest.mark.parametrize(
    "environment", [{"DEPTHSI_CACHE": "off"}, {"JAX_COMPILATION_CACHE_DIR": "/mine"}]
)
def test_it_can_be_switched_off_and_leaves_the_users_own_setting(environment, tmp_path):
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    before = dict(environment)
    assert keep_compiled_programs(environment) is None
    assert environment == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_jax")
def test_a_home_that_cannot_be_written_is_no_mistake(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    assert keep_compiled_programs({"XDG_CACHE_HOME": str(tmp_path / "file")}) is None

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert keep_compiled_programs({}) is None


@pytest.mark.usefixtures("no_jax")
def test_kinds_of_cpus_do_not_share_programs(tmp_path, monkeypatch):
    def where(name):
        monkeypatch.setattr(compile_cache.platform, "processor", lambda: name)
        return keep_compiled_programs({"XDG_CACHE_HOME": str(tmp_path)})

    assert where("one") == where("one") != where("another")


CLI = """
import contextlib, os, sys
from depthsi.cli import main
with contextlib.suppress(SystemExit):
    main(sys.argv[1:])
print("kept:", "JAX_COMPILATION_CACHE_DIR" in os.environ)
"""


def test_launchers_do_not_hand_the_directory_of_this_machine_to_others(tmp_path):
    """Other machines may have other CPUs; each process that computes chooses for itself."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    launch = "launch machine --dry-run -- tiny --run runs/tiny"
    for words, kept in ((launch, "kept: False"), ("config tiny", "kept: True")):
        done = subprocess.run(
            [sys.executable, "-c", CLI, *words.split()],
            env=plain | {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == kept
