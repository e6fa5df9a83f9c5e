"""What a user has set in the environment ends in a sentence, never in a traceback."""

import os
import subprocess
import sys

import pytest

from depthsi.environment import failing_setting


def depthsi(*words, **variables):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    return subprocess.run(
        [sys.executable, "-m", "depthsi", *words],
        capture_output=True,
        text=True,
        check=False,
        env=plain | {"DEPTHSI_CACHE": "off"} | variables,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "name", "value", "said"),
    [
        (("info",), "JAX_PLATFORMS", "cuda", "JAX_PLATFORMS=cuda asks for a device that is not"),
        (("info",), "JAX_PLATFORMS", "typo", "JAX_PLATFORMS=typo is refused"),
        (("info",), "JAX_ENABLE_X64", "maybe", "JAX_ENABLE_X64=maybe is refused"),
        (("info",), "JAX_TRANSFER_GUARD", "typo", "JAX_TRANSFER_GUARD=typo is refused"),
        (
            ("info", "rooms", "--limit", "2"),
            *("JAX_TRANSFER_GUARD", "disallow"),
            "JAX_TRANSFER_GUARD=disallow forbids copies",
        ),
        (("info", "rooms", "--limit", "2", "--out", "look"), "MPLBACKEND", "typo", "MPLBACKEND"),
    ],
)
def test_a_setting_that_cannot_be_is_named(words, name, value, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = depthsi(*words, **{name: value})
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_variable_behind_an_error_is_found():
    guard = RuntimeError("Disallowed host-to-device transfer: aval=ShapedArray(float32[])")
    environment = {"JAX_TRANSFER_GUARD": "disallow", "HOME": "/home/me"}
    assert "JAX_TRANSFER_GUARD=disallow forbids" in str(failing_setting(guard, environment))
    assert "jax_transfer_guard forbids" in str(failing_setting(guard, {}))
    wrong = ValueError('Invalid value "x" for JAX flag jax_debug_nans')
    found = failing_setting(wrong, {"JAX_DEBUG_NANS": "x"})
    assert found is not None
    assert found.startswith("JAX_DEBUG_NANS=x is refused")


def test_a_fault_of_ours_is_not_blamed_on_the_environment():
    environment = {"JAX_PLATFORMS": "cpu", "HOME": "/home/me", "JAX_ENABLE_X64": "1"}
    assert failing_setting(KeyError("home"), environment) is None
