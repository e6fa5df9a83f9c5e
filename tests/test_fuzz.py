"""A short share of `experiments/fuzz/run.py`: every reader on damaged files, and the script."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from depthsi.errors import DepthsiError
from experiments.fuzz import run as fuzz_readers
from experiments.fuzz import targets as fuzz_targets
from experiments.fuzz.run import ALL_TARGETS, _kind, run_cases

CASES = 10  # of each reader
MODULES = {
    "NYU labelled .mat (HDF5)": "h5py",
    "FastDepth .h5": "h5py",
    "EXR depth": "OpenEXR",
    "MATLAB maps": "h5py",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ALL_TARGETS))
def test_damaged_files_are_refused_or_keep_the_contract(name, tmp_path):
    if module := MODULES.get(name):
        pytest.importorskip(module, reason=f"{module}, of the extra data, is not installed")
    results = list(run_cases(name, 1, range(CASES), tmp_path))
    assert [each for each in results if _kind(each["verdict"]) == "fault"] == []
    counts = Counter(each["verdict"] for each in results)
    assert counts["refused"] >= CASES // 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: sys.exit(3), "SystemExit"),
        (lambda: __import__("warnings").warn("odd", stacklevel=1), "warning: odd"),
        (lambda: __import__("time").sleep(5), "hang"),
        (lambda: (_ for _ in ()).throw(DepthsiError("two\nlines")), "no single sentence"),
        (lambda: (_ for _ in ()).throw(DepthsiError("something is wrong")), "file not named"),
        (lambda: fuzz_targets.check_depth(np_full(float("nan")), Path("x")), "AssertionError"),
        (lambda: fuzz_targets.check_depth(np_full(-1.0), Path("x")), "AssertionError"),
    ],
)
def test_every_fault_would_be_noticed(fault, words, tmp_path, monkeypatch):
    whole = fuzz_targets.written(tmp_path / "whole", bytes(range(200))).read_bytes()

    def read(_, file):
        if file.read_bytes() != whole:
            fault()

    target = fuzz_targets.Target(lambda folder: [folder / "whole"], read)
    monkeypatch.setitem(fuzz_readers.ALL_TARGETS, "faulty", target)
    monkeypatch.setattr(fuzz_readers, "SECONDS", 1)
    (result,) = run_cases("faulty", 0, range(1), tmp_path)
    assert result["verdict"].startswith(words)
    assert _kind(result["verdict"]) == "fault"


def np_full(value):
    return np.full((2, 2), value, np.float32)


def test_a_process_that_dies_is_a_fault_of_its_case(monkeypatch):
    """The workers' output is played: two cases done, then a crash, then the rest."""
    calls = []

    def run(command, **_):
        calls.append(command[-1])
        if len(calls) == 1:
            return subprocess.CompletedProcess(command, -11, '{"case": 0}\n{"case": 1}\n{"ca', "")
        return subprocess.CompletedProcess(command, 0, '{"case": 3}\n{"case": 4}\n', "")

    monkeypatch.setattr(fuzz_readers.subprocess, "run", run)
    results = fuzz_readers.fuzz("PNG depth", 7, 5)
    assert [each["case"] for each in results] == [0, 1, 2, 3, 4]
    assert results[2]["verdict"] == "crash: signal 11"
    assert "7, range(0, 5)" in calls[0]
    assert "7, range(3, 5)" in calls[1]
