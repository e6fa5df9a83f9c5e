"""A short form of `experiments/benchmarks/faults.py`: its own machinery on stand-in networks."""

import json
import sys

import numpy as np
import pytest
from killed_runs import PROGRAM, arguments, environment, write_training_pairs
from small_training import abstract_state

from experiments.benchmarks import fault_trials, faults


def program(data, processes=1):
    words = arguments("", data)
    del words[words.index("--run") : words.index("--run") + 2]
    return fault_trials.Program(
        [sys.executable, str(PROGRAM), *words[:2]],
        words[2:],
        20,
        abstract_state,
        processes,
        environment(SECONDS_PER_STEP=0.05),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "most"), [(1, 3), (2, 1)])
def test_a_killed_run_ends_like_the_one_left_alone(processes, most, tmp_path):
    trial = fault_trials.Trial(
        program(write_training_pairs(tmp_path / "pairs"), processes), tmp_path / "t"
    )
    outcomes = [trial.run("run", np.random.default_rng(0), most)]
    numbers = faults.summary(outcomes)
    assert numbers["kills"] > 0
    assert numbers["steps lost by a kill, most"] <= 2 * 5  # those of a save under way, too
    for name in (
        "damaged checkpoints found",
        "corrupted checkpoints accepted",
        "final states that differ in a bit",
        "logs that differ in a line",
        "temporary directories left",
    ):
        assert numbers[name] == 0, (name, outcomes)
    assert numbers["seconds until the other process ended, most"] < 100


@pytest.mark.slow
def test_a_checkpoint_that_is_not_the_undisturbed_runs_is_counted(tmp_path):
    """With one run's checkpoint in the place of another's."""
    data = write_training_pairs(tmp_path / "pairs")
    trial = fault_trials.Trial(program(data), tmp_path / "t")
    (step, state), damaged = trial._newest(tmp_path / "t" / "whole")
    assert (step, damaged) == (20, 0)
    assert state == trial._states[20]
    assert state != trial._states[15]


@pytest.mark.skipif(not (faults.RESULTS / "faults.json").exists(), reason="not measured yet")
def test_the_committed_numbers_are_those_of_the_script():
    """Of at least 100 runs, none of which ended in other bits."""
    result = json.loads((faults.RESULTS / "faults.json").read_text())
    one, two, tiny = result["results"].values()
    assert one["runs"] >= 100
    assert two["runs"] >= 20
    assert tiny["runs"] >= 10
    for column in (one, two, tiny):
        assert column["corrupted checkpoints accepted"] == 0
        assert column["final states that differ in a bit"] == 0
        kills = [kill for run in column["every run"] for kill in run["kills"]]
        assert len(kills) == column["kills"] >= column["runs"]
    assert (faults.RESULTS / "faults.md").read_text() == faults.report(result)
