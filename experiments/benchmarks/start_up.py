"""What a user waits for before anything is computed: every verb, from the shell to its answer.

Question:  how many CPU-seconds does each verb of the command line take on the first call ever and
           on the next one, and which part of them is importing, tracing, lowering and compiling?
Command:   python -m experiments.benchmarks.start_up
Hardware:  2 CPU cores.
Time:      about 15 minutes.
Result:    experiments/results/benchmark_start_up.md. Each round begins with an empty cache of
           compiled programs and calls every verb twice; the table has the smallest of the rounds.

CPU-seconds are user and system time of the process and its children, so that other load counts for
little. The parts are wall-clock seconds of a third call, which is watched.
"""

import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from depthsi.machine import describe_machine
from experiments.script import RESULTS, command_line, made_by, run_script, write_result

WATCH = Path(__file__).with_name("start_up_watch.py")
ROOT = Path(__file__).parents[2]
ONE_STEP = "--schedule.coarse-samples 16 --schedule.fine-samples 16 --schedule.eval-every 0"
VERBS = {
    "--help": "--help",
    "models": "models",
    "predict, one photo of 320x240": "predict photo.png --out {new}",
    "evaluate, 8 images": "evaluate unet_nyu --data pairs --split test --out {new}",
    "train rooms, one step of each network": (
        f"train rooms --run {{new}} {ONE_STEP} --optim.warmup 0"
    ),
    "train tiny, all of it": "train tiny --run {new}",
}
PARTS = ("import", "trace", "lower", "compile", "rest")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Times the verbs."""

    rounds: int = 3
    """Rounds, each with an empty cache at its beginning."""
    out: str = str(RESULTS / "benchmark_start_up")
    """Result files, without the .json and .md."""


def measure(rounds: int, verbs: Mapping[str, str] = VERBS) -> dict[str, Any]:
    """Verb -> CPU-seconds of first and second calls, one a round, and seconds of the parts."""
    found: dict[str, Any] = {verb: {"first": [], "second": []} for verb in verbs}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            write_inputs(Path(place))
            for place_of_verb, (verb, times) in enumerate(found.items()):
                for number, call in enumerate(("first", "second", "watched")):
                    words = verbs[verb].format(new=f"out{place_of_verb}{number}")
                    seconds, said = run(words.split(), Path(place), watch=call == "watched")
                    if call == "watched":
                        times["parts"] = json.loads(said.splitlines()[-1])
                    else:
                        times[call].append(seconds)
    return found


def write_inputs(place: Path) -> None:
    """A photo, and a folder of 8 pairs of the split test."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (240, 320, 3), np.uint8)).save(place / "photo.png")
    pairs = place / "pairs"
    pairs.mkdir()
    rows = ["rgb,depth,split,depth_units_per_metre"]
    for k in range(8):
        image = rng.integers(0, 256, (480, 640, 3), np.uint8)
        depth = rng.integers(1000, 6000, (480, 640)).astype(np.uint16)
        Image.fromarray(image).save(pairs / f"rgb{k}.png")
        Image.fromarray(depth).save(pairs / f"depth{k}.png")
        rows.append(f"rgb{k}.png,depth{k}.png,test,1000")
    (pairs / "index.csv").write_text("\n".join(rows) + "\n")


def run(words: list[str], place: Path, *, watch: bool) -> tuple[float, str]:
    """CPU-seconds of one call in `place`, with the cache of that place, and what it printed."""
    program = [str(WATCH)] if watch else ["-m", "depthsi"]
    others = {name: text for name, text in os.environ.items() if not name.startswith("JAX_")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *program, *words],
        cwd=place,
        env=others | {"PYTHONPATH": str(ROOT), "DEPTHSI_CACHE": str(place / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"depthsi {' '.join(words)} failed: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, done.stdout


def table(result: dict[str, Any]) -> str:
    """The page about `result`."""
    rounds = f"Smallest of {n} rounds" if (n := result["rounds"]) > 1 else "One round"
    lines = [
        "# Start-up",
        "",
        f"{made_by(result)} {rounds}, CPU-seconds; the parts are"
        " seconds of a further call with a filled cache, whose compiling is reading the cache.",
        "",
        f"| depthsi | first call | next call | {' | '.join(PARTS)} |",
        f"| --- {'| ---: ' * (2 + len(PARTS))}|",
    ]
    for verb, times in result["verbs"].items():
        numbers = [min(times["first"]), min(times["second"]), *map(times["parts"].get, PARTS)]
        lines.append(f"| {verb} | {' | '.join(f'{number:.2f}' for number in numbers)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Arguments) -> None:
    """Measures, and writes the result and its page."""
    began = time.monotonic()
    result = {
        "command": command_line("benchmarks.start_up", arguments),
        "machine": describe_machine(),
        "rounds": arguments.rounds,
        "load": os.getloadavg()[0],
        "verbs": measure(arguments.rounds),
    }
    result["minutes"] = round((time.monotonic() - began) / 60, 1)
    write_result(arguments.out, result, table(result))
    print(table(result))


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
