"""Strict settings for every test: four virtual CPU devices and no silent broadcasting of ranks.

Compiling is most of what the tests do, so programs are hardly optimised, and once compiled they are
kept for the session's other tests and processes. The directory is new in every session: nothing
old is tested. `DEPTHSI_TESTS=optimised` compiles as users do.
"""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import jax
import pytest

from depthsi import compilation, errors

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")

OPTIMISED = os.environ.get("DEPTHSI_TESTS") == "optimised"
KEPT = {
    "jax_persistent_cache_min_compile_time_secs": 0.2,
    "jax_compilation_cache_max_size": 8 * 2**30,  # without a limit, jax takes no lock
    "jax_disable_most_optimizations": not OPTIMISED,
}
# XLA's older way to loops, which takes a third of the time to compile where nothing is optimised
QUICK = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # of pytest-xdist: it has the environment below
        return
    if not OPTIMISED:
        flags = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}".strip()
        if _accepts(flags):
            os.environ["XLA_FLAGS"] = flags
    directory = tempfile.mkdtemp(prefix="depthsi-tests-")
    config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))
    for name, value in {"jax_compilation_cache_dir": directory, **KEPT}.items():
        os.environ[name.upper()] = str(value)
        jax.config.update(name, value)


def _accepts(flags: str) -> bool:
    """Whether this version of XLA knows the flags: it ends processes over unknown ones."""
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    code = [sys.executable, "-c", "import jax; jax.devices()"]
    return not subprocess.run(code, env=environment, capture_output=True, check=False).returncode


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once in a process is said in every test."""
    monkeypatch.setattr(errors, "_warned", set())


@pytest.fixture(autouse=True)
def garbage_collected_as_usual() -> Iterator[None]:
    """The command line collects garbage late, which would let it appear in other tests."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.fixture
def nothing_remembered() -> Iterator[None]:
    """For tests that replace what is traced: they trace it, and no later test uses the result."""
    compilation.forget()
    yield
    compilation.forget()
