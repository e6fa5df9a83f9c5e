"""Kills trainings again and again, which must finish bit-identical to uninterrupted ones.

Question:  if SIGKILL ends a run at random moments, even while it saves, and the run is resumed
           until it is done, does it finish bit-identical to an uninterrupted run? How many steps
           does a kill cost? And what happens if two processes share a run and one is killed?
Command:   python -m experiments.benchmarks.faults
Time:      about 50 minutes of 2 cores.
Result:    experiments/results/faults.md; every kill is in the .json beside it.

A third of the kills come at any time after the start of a process, a third up to 0.2 s after some
step was logged (by this process or the one before it, hence also at once), a third up to 0.05 s
after the beginning of a save. After each, the newest checkpoint is compared with the state of the
undisturbed run at the same step.
"""

import csv
import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import trange

from depthsi.machine import describe_machine
from depthsi.training.state import abstract_state
from experiments.benchmarks import stand_in
from experiments.benchmarks.fault_trials import Kill, Outcome, Program, Trial
from experiments.script import RESULTS, command_line, run_script, write_result

STAND_IN = Path(__file__).with_name("stand_in.py")
SETTINGS = (
    "--data.kind folder --data.root PAIRS --schedule.batch-size 2 --schedule.coarse-samples 48"
    " --schedule.fine-samples 32 --schedule.log-every 1 --schedule.save-every 4"
)
TINY = f"--model.width 0.01 {SETTINGS} --schedule.eval-every 6"
NO_NETWORKS = f"{SETTINGS} --schedule.eval-every 0"
STEPS = 40


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Kills and resumes trainings."""

    runs: int = 100
    """Number of runs of one process with stand-in networks."""
    pairs: int = 20
    """Number of runs of two processes with stand-in networks."""
    tiny: int = 10
    """Number of runs of one process with the paper's networks at a hundredth of their width."""
    kills: int = 2
    """Maximum number of kills in a run; every run has at least one unless it ends before."""
    seed: int = 0
    """Seed of the moments."""
    out: str = str(RESULTS / "faults")
    """Path of the .json and .md files to write, without extension."""

    def trainings(self, directory: Path, pairs: Path) -> dict[str, tuple[int, Program]]:
        """How many runs of which programs; both compile for all their starts once."""
        environment = {
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(directory / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        slowly = environment | {"SECONDS_PER_STEP": "0.05"}
        words = [sys.executable, str(STAND_IN), "train", "tiny"]
        settings = NO_NETWORKS.replace("PAIRS", str(pairs)).split()
        stand_ins = [
            Program(words, settings, STEPS, stand_in.abstract_state, processes, slowly)
            for processes in (1, 2)
        ]
        words = [sys.executable, "-m", "depthsi", "train", "tiny"]
        settings = TINY.replace("PAIRS", str(pairs)).split()
        tiny = Program(words, settings, STEPS, abstract_state, 1, environment)
        return {
            "one process": (self.runs, stand_ins[0]),
            "two processes, one killed": (self.pairs, stand_ins[1]),
            "the paper's networks": (self.tiny, tiny),
        }


def main(arguments: Arguments) -> None:
    machine = describe_machine()
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        trainings = arguments.trainings(directory, write_pairs(directory / "pairs"))
        for name, (runs, program) in trainings.items():
            if not runs:
                continue
            began = time.perf_counter()
            outcomes = _trial(program, directory / name, runs, arguments)
            seconds = round(time.perf_counter() - began)
            results[name] = summary(outcomes) | {"seconds": seconds}
            results[name]["every run"] = [dataclasses.asdict(outcome) for outcome in outcomes]
    result = {
        "command": command_line("benchmarks.faults", arguments),
        "machine": machine,
        "results": results,
    }
    write_result(arguments.out, result, report(result))
    print(report(result))


def write_pairs(folder: Path, count: int = 5) -> Path:
    """A folder of images with depth, the last one of the split val: cheaper than rooms."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = [["rgb", "depth", "split", "depth_units_per_metre"]]
    for i in range(count):
        metres = np.exp(rng.uniform(0, 2) + rng.normal(0, 0.1, (240, 320)))
        picture = np.clip(40 * metres[..., None] + rng.normal(0, 9, (240, 320, 3)), 0, 255)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{i}.png", compress_level=1)
        depth = Image.fromarray((1000 * metres).astype(np.uint16))
        depth.save(folder / f"{i}d.png", compress_level=1)
        split = "val" if i == count - 1 else "train"
        rows.append([f"{i}.png", f"{i}d.png", split, "1000"])
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder


def _trial(program: Program, directory: Path, runs: int, arguments: Arguments) -> list[Outcome]:
    Trial(program, directory / "warm-up")  # fills the cache, whose time the moments shall not know
    trial = Trial(program, directory / "trial")
    rngs = np.random.default_rng([arguments.seed, program.processes]).spawn(runs)
    return [
        trial.run(f"run{number}", rngs[number], arguments.kills)
        for number in trange(runs, disable=None)
    ]


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
    lines = [
        "# Faults\n",
        f"`{result['command']}`, {machine['processor']}, jax {machine['jax']},"
        f" Python {machine['python']}.\n",
        f"Each run is of {STEPS} steps with a checkpoint every 4, on five made-up images. The"
        " paper's networks at a hundredth of their width are `depthsi train tiny"
        f" {TINY}`, with more checkpoints where the evaluation is the best so far. The other runs"
        " are of the same program, whose networks and step were replaced by a random walk of 8192"
        " numbers that depends on state, seed, step and images, without evaluations, so that"
        " there can be many.\n",
        *table,
        "\nOf two processes the other one ends within a second once they have met; if one is killed"
        " before that, it waits for it as long as `cluster.timeout` says, here 100 s.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
