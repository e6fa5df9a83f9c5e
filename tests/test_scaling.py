"""The benchmark of scaling: every part of it runs, and its tables say what was measured."""

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.benchmarks import scaling
from experiments.benchmarks.scaling import Arguments

BENCHMARKS = Path(__file__).resolve().parents[1] / "experiments" / "benchmarks"

SMALL = Arguments(width=0.02, batch=4, devices=(2,), rounds=2, saves=2, starts=2, batches=(4,))


@pytest.mark.slow
def test_a_process_for_each_number_of_devices_takes_steps_in_turn(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    found = scaling.binding_times(SMALL)
    assert list(found) == ["2"]
    assert set(found["2"]) == {"jit", "pmap", "jit, split in 2"}
    assert all(len(times) == 2 and min(times) > 0 for times in found["2"].values())


def test_a_worker_that_ends_is_an_error():
    process = SimpleNamespace(stdout=io.StringIO(""), wait=lambda: 3)
    with pytest.raises(RuntimeError, match="with code 3"):
        scaling.answer(process)


def test_starts_with_and_without_a_cache(monkeypatch):
    caches = []

    @contextlib.contextmanager
    def worker(task, arguments, **environment):
        assert (task, arguments) == ("start", SMALL)
        cache = environment.get("JAX_COMPILATION_CACHE_DIR")
        caches.append((cache, cache and os.listdir(cache)))
        if cache:
            Path(cache, "program").touch()
        yield SimpleNamespace(stdout=io.StringIO("imported\ninitialised\nstepped\n"))

    monkeypatch.setattr(scaling, "worker", worker)
    found = scaling.start_times(SMALL)
    assert list(found) == ["no cache", "empty compilation cache", "filled compilation cache"]
    for times in found.values():
        assert [len(each) for each in times.values()] == [2, 2, 2]
        assert times["imported"][0] <= times["stepped"][0]
    assert [files for _, files in caches] == 2 * [None, [], ["program"]]
    assert caches[1][0] == caches[2][0] != caches[4][0] == caches[5][0]


@pytest.mark.slow
def test_steps_with_and_without_a_checkpoint(monkeypatch):
    saved = []
    save = scaling.Checkpoints.save
    monkeypatch.setattr(
        scaling.Checkpoints,
        "save",
        lambda self, step, *rest: (saved.append(step), save(self, step, *rest)),
    )
    found = scaling.checkpoint_times(SMALL, 2)
    assert saved == [0, 1, 2]
    assert [len(times) for times in found.values()] == [2, 2]


@pytest.mark.slow
def test_both_precisions_are_timed():
    found = scaling.step_times(SMALL, 0.02, 1, ("coarse",))
    assert list(found) == ["coarse, 4"]
    assert list(found["coarse, 4"]) == ["float32", "bfloat16"]
    assert all(len(each) == 2 for each in found["coarse, 4"].values())


def test_the_tables_say_what_was_measured():
    seconds = {
        "start": {"no cache": {"imported": [1.0, 2.0, 9.0], "stepped": [3.0, 4.0, 5.0]}},
        "bindings": {
            # rounds of a machine that becomes slower: the ratios stay
            "1": {"jit": [0.1, 0.2, 0.4], "plain jit": [0.1, 0.1, 0.4], "pmap": [0.2, 0.4, 0.8]},
            "2": {
                "jit": [0.15, 0.3, 0.6],
                "pmap": [0.3, 0.3, 0.6],
                "jit, split in 2": [0.3, 0.9, 1.2],
            },
        },
        "checkpoint": {
            "steps": 2,
            "seconds": {"steps": [0.2, 0.4, 0.2], "steps and checkpoint": [0.5, 0.6, 0.6]},
        },
        "throughput": {"coarse, 32": {"float32": [2.0, 4.0, 3.0], "bfloat16": [1.0, 1.0, 1.0]}},
    }
    machine = {"processor": "2 x P", "devices": "gpu G", "jax": "1", "python": "3"}
    command = "python -m experiments.benchmarks.scaling --devices 1 2 --width 0.5"
    text = scaling.report({"command": command, "machine": machine, "seconds": seconds})
    assert "`python -m experiments.benchmarks.scaling --devices 1 2 --width 0.5`, 2 x P" in text
    assert "| 1 | 200 | 1.00 | 2.000 | - |" in text
    assert "| 2 | 300 | 1.50 | 1.000 | 2.000 |" in text
    assert "takes 1.000 of the time of plain" in text
    assert "adds 300 ms to steps of 100 ms: 0.60% of the time with one every 500 steps" in text
    assert "| no cache | 2.0 | 4.0 |" in text
    assert "| coarse, 32 | 11 | 32 | 3.00 |" in text
    without = scaling.report(
        {"command": command, "machine": machine, "seconds": seconds | {"throughput": {}}}
    )
    assert "there was no accelerator" in without


RESULTS = BENCHMARKS.parent / "results" / "benchmark_scaling"


@pytest.mark.skipif(not RESULTS.with_suffix(".json").exists(), reason="not measured yet")
def test_the_committed_tables_are_of_the_committed_numbers():
    saved = json.loads(RESULTS.with_suffix(".json").read_text())
    assert scaling.report(saved) == RESULTS.with_suffix(".md").read_text()
