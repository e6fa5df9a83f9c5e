"""Trainings killed again and again, which have to end as if nothing had happened.

Question:  does a run that SIGKILL ends at random moments, also while it saves, and that is resumed
           until it is done, end in the same bits as one that is left alone? How many steps does a
           kill cost? And if two processes share a run and one is killed?
Command:   python experiments/benchmarks/faults.py
Time:      about an hour of 2 cores.
Result:    experiments/results/faults.md; every kill is in the .json beside it.

A third of the kills come at any time after the start of a process, a third up to 0.2 s after some
step, a third up to 0.05 s after the beginning of a save. After each, the newest checkpoint is
compared with the state of the undisturbed run at the same step.
"""

import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from fault_trials import Kill, Outcome, Program, Trial
from tqdm import trange

from depthsi.machine import describe_machine
from depthsi.runs import write_text
from depthsi.training.state import abstract_state

RESULTS = Path(__file__).parents[1] / "results"
SETTINGS = (
    "--model.width 0.01 --data.train 4 --data.val 1 --schedule.batch-size 2"
    " --schedule.coarse-samples 48 --schedule.fine-samples 32 --schedule.log-every 1"
    " --schedule.eval-every 6 --schedule.save-every 4"
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Kills trainings."""

    runs: int = 100
    """Runs of one process."""
    pairs: int = 20
    """Runs of two processes."""
    seed: int = 0
    """Of the moments."""
    out: str = str(RESULTS / "faults")
    """Where the .json and the .md go."""


def main(arguments: Arguments) -> None:
    machine = describe_machine()
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        for processes, runs in ((1, arguments.runs), (2, arguments.pairs)):
            if not runs:
                continue
            name = "one process" if processes == 1 else "two processes, one killed"
            program = Program(
                [sys.executable, "-m", "depthsi", "train", "tiny"], SETTINGS.split(), 40,
                abstract_state, processes, _environment(directory),
            )  # fmt: skip
            began = time.perf_counter()
            outcomes = _trial(program, Path(directory) / str(processes), runs, arguments.seed)
            seconds = round(time.perf_counter() - began)
            results[name] = summary(outcomes) | {"seconds": seconds}
            results[name]["every run"] = [dataclasses.asdict(outcome) for outcome in outcomes]
    result = {
        "command": f"python experiments/benchmarks/faults.py --runs {arguments.runs}"
        f" --pairs {arguments.pairs} --seed {arguments.seed}",
        "training": f"depthsi train tiny {SETTINGS}",
        "machine": machine,
        "results": results,
    }
    out = Path(arguments.out)
    write_text(out.with_suffix(".json"), json.dumps(result, indent=1) + "\n")
    write_text(out.with_suffix(".md"), report(result))
    print(report(result))


def _environment(directory: str) -> dict[str, str]:
    """One cache of compiled programs for all starts, which are otherwise the larger part."""
    return {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": f"{directory}/compiled",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def _trial(program: Program, directory: Path, runs: int, seed: int) -> list[Outcome]:
    Trial(program, directory / "warm-up")  # fills the cache, whose time the moments shall not know
    trial = Trial(program, directory / "trial")
    rngs = np.random.default_rng([seed, program.processes]).spawn(runs)
    return [trial.run(f"run{number}", rngs[number]) for number in trange(runs, disable=None)]


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """What is to be said of all runs together."""
    kills: list[Kill] = [kill for outcome in outcomes for kill in outcome.kills]
    lost = [kill.lost for kill in kills]
    ended = [kill.other_ended for kill in kills]
    return {
        "runs": len(outcomes),
        "kills": len(kills),
        "kills during a save": sum(kill.saving for kill in kills),
        "kills before the first checkpoint": sum(kill.newest == 0 for kill in kills),
        "resumes": sum(outcome.resumes for outcome in outcomes),
        "steps lost by a kill, mean": round(statistics.mean(lost), 2),
        "steps lost by a kill, most": max(lost),
        "damaged checkpoints found": sum(kill.damaged for kill in kills),
        "corrupted checkpoints accepted": sum(kill.wrong for kill in kills),
        "final states that differ in a bit": sum(not each.same_state for each in outcomes),
        "logs that differ in a line": sum(not each.same_log for each in outcomes),
        "temporary directories left": sum(outcome.leftovers for outcome in outcomes),
        "seconds until the other process ended, most": max(ended),
    }


def report(result: dict[str, Any]) -> str:
    """The summaries in Markdown."""
    machine, columns = result["machine"], result["results"]
    rows = [name for name in next(iter(columns.values())) if name != "every run"]
    table = [
        f"| | {' | '.join(columns)} |",
        f"| --- |{' ---: |' * len(columns)}",
        *(f"| {row} | {' | '.join(str(each[row]) for each in columns.values())} |" for row in rows),
    ]
    return "\n".join([
        "# Faults\n",
        f"`{result['command']}`, {machine['processor']}, jax {machine['jax']},"
        f" Python {machine['python']}.\n",
        f"Each run is `{result['training']}`: 40 steps, a checkpoint every 4 and wherever the"
        " evaluation, every 6, is the best so far.\n",
        *table,
    ]) + "\n"  # fmt: skip


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
