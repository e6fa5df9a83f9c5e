"""Measures the cost of several devices, of checkpoints, and of startup.

Question:  how long is a step on 1, 2, 4 and 8 virtual devices under jit and pmap, and on a mesh of
           one device beside plain `jax.jit`? What do asynchronous checkpoints add? How long is the
           way to the first step? On an accelerator: how many images a second, in float32 and
           bfloat16?
Command:   python -m experiments.benchmarks.scaling
           on a GPU: --width 1.0 --batch 256
Time:      about 5 minutes on 2 cores.
Result:    experiments/results/benchmark_scaling.md. What is compared takes turns, round after
           round, so that a machine whose speed drifts treats all alike; ratios are medians of the
           ratios of every round.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from depthsi.machine import describe_machine
from depthsi.training.checkpoints.store import Checkpoints
from experiments.benchmarks.scaling_worker import PLAIN, SPLIT, Training, settings
from experiments.script import RESULTS, command_line, made_by, run_script, write_result

WORKER = Path(__file__).with_name("scaling_worker.py")
SAVE_EVERY = 500  # steps between the checkpoints whose cost is told
Times = dict[str, list[float]]  # seconds of each contestant, one a round


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Times bindings, checkpoints, the start, and on an accelerator the throughput."""

    width: float = 0.25
    """Width of the networks, except for the throughput, where it is 1."""
    batch: int = 16
    """Images per step, over all devices."""
    devices: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of virtual devices."""
    rounds: int = 40
    """Number of rounds for every binding."""
    saves: int = 7
    """Number of checkpoints."""
    starts: int = 3
    """Number of starts of every kind."""
    batches: tuple[int, ...] = (32, 256, 1024)
    """Images per step on an accelerator."""
    out: str = str(RESULTS / "benchmark_scaling")
    """Path of the .json and .md files to write, without extension."""


def binding_times(arguments: Arguments) -> dict[str, Times]:
    """Seconds of a step by number of virtual devices and by binding."""
    with contextlib.ExitStack() as stack:
        workers = {
            n: stack.enter_context(
                worker("serve", arguments, JAX_PLATFORMS="cpu", JAX_NUM_CPU_DEVICES=str(n))
            )
            for n in arguments.devices
        }
        names = {n: json.loads(answer(process)) for n, process in workers.items()}
        found: dict[str, Times] = {str(n): {name: [] for name in names[n]} for n in workers}
        for turn in range(arguments.rounds):
            for n, process in workers.items():
                for name in names[n][:: 1 if turn % 2 else -1]:  # nobody is always first
                    print(name, file=process.stdin, flush=True)
                    found[str(n)][name].append(float(answer(process)))
    return found


@contextlib.contextmanager
def worker(task: str, arguments: Arguments, **environment: str) -> Iterator[Any]:
    """A process of its own that says lines; it has ended when the context is left."""
    job = json.dumps({"width": arguments.width, "batch": arguments.batch})
    with subprocess.Popen(
        [sys.executable, str(WORKER), task, job],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def answer(process: Any) -> str:
    """The next line of a worker; RuntimeError if it ended instead."""
    if line := process.stdout.readline():
        return line.strip()
    raise RuntimeError(f"a worker of the benchmark ended, with code {process.wait()}")


def start_times(arguments: Arguments) -> dict[str, dict[str, list[float]]]:
    """Seconds from the start of a process to each of its marks, by kind of start."""
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(arguments.starts):
        with tempfile.TemporaryDirectory() as cache:
            kept = {
                "JAX_COMPILATION_CACHE_DIR": cache,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
            for kind, environment in {
                "no cache": {},
                "empty compilation cache": kept,
                "filled compilation cache": kept,
            }.items():
                begin = time.perf_counter()
                with worker("start", arguments, **environment) as process:
                    for _ in range(3):
                        times = found.setdefault(kind, {}).setdefault(answer(process), [])
                        times.append(time.perf_counter() - begin)
    return found


def checkpoint_times(arguments: Arguments, steps: int) -> Times:
    """Seconds of some steps alone, and with a checkpoint that begins after the first of them.

    The time ends when the checkpoint is on the disk: it includes what saving takes from the steps
    beside it, and what of it no step hides.
    """
    config = settings(arguments.width, arguments.batch)
    training = Training(config)
    found: Times = {"steps": [], "steps and checkpoint": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        Checkpoints(Path(folder) / "checkpoints", config) as checkpoints,
    ):
        for turn in range(arguments.saves + 1):
            for name, seconds in found.items():
                begin = time.perf_counter()
                training.run(1)
                if name != "steps":
                    checkpoints.save(turn, training.state, "coarse", {})
                training.run(steps - 1)
                if name != "steps":
                    checkpoints.wait()
                if turn:  # the first steps are compiled, and the first save prepares much
                    seconds.append(time.perf_counter() - begin)
    return found


def step_times(
    arguments: Arguments, width: float, steps: int, stages: tuple[str, ...] = ("coarse", "fine")
) -> dict[str, Times]:
    """Seconds of a step by stage and batch size, and by precision, on the devices there are."""
    found: dict[str, Times] = {}
    for stage, batch in itertools.product(stages, arguments.batches):
        trainings = {
            precision: Training(settings(width, batch, precision=precision), stage)
            for precision in ("float32", "bfloat16")
        }
        for training in trainings.values():
            training.run(2)
        times = found[f"{stage}, {batch}"] = {name: [] for name in trainings}
        for _ in range(arguments.rounds):
            for name, training in trainings.items():
                begin = time.perf_counter()
                training.run(steps)
                times[name].append((time.perf_counter() - begin) / steps)
    return found


def main(arguments: Arguments) -> None:
    """Measures; other processes first, while this one holds no accelerator."""
    found: dict[str, Any] = {"start": start_times(arguments), "bindings": binding_times(arguments)}
    accelerated = jax.default_backend() != "cpu"
    steps = SAVE_EVERY if accelerated else 8
    found["checkpoint"] = {"steps": steps, "seconds": checkpoint_times(arguments, steps)}
    found["throughput"] = step_times(arguments, 1.0, 20) if accelerated else {}
    options = dataclasses.asdict(arguments)
    del options["out"]
    result = {
        "command": command_line("benchmarks.scaling", arguments),
        "settings": options,
        "machine": describe_machine(),
        "seconds": found,
    }
    write_result(arguments.out, result, report(result))
    print(report(result))


def report(result: dict[str, Any]) -> str:
    """The tables, and how to read them."""
    seconds = result["seconds"]
    parts = [
        f"{made_by(result)}\n",
        "Medians; the contestants of a table took turns, and a ratio is the median of the ratios"
        " of every round.\n",
        *_bindings_report(seconds["bindings"]),
        *_checkpoint_report(**seconds["checkpoint"]),
        *_start_report(seconds["start"]),
        *_throughput_report(seconds["throughput"]),
    ]
    return "\n".join(parts) + "\n"


def ratio(times: list[float], of: list[float]) -> float:
    """Median of the ratios of every round."""
    return statistics.median(a / b for a, b in zip(times, of, strict=True))


def _bindings_report(found: dict[str, Times]) -> list[str]:
    lines = [
        "## Bindings\n",
        "The coarse step on virtual devices that share the cores of one CPU. The work is the same"
        " however many there are; what a step takes longer is the price of dividing it, of"
        " exchanging its sums, and of everything that is not divided: every device updates its own"
        " copy of the parameters. The speed-up on real devices is another matter.\n",
        "| devices | jit, ms | over 1 device | pmap over jit | fc6, fc7 split in 2 over jit |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    alone = next(iter(found.values()))["jit"]
    for devices, times in found.items():
        jit = times["jit"]
        cells = [f"{statistics.median(jit) * 1e3:.0f}", f"{ratio(jit, alone):.2f}"]
        cells += [
            f"{ratio(times[name], jit):.3f}" if name in times else "-" for name in ("pmap", SPLIT)
        ]
        lines.append(f"| {devices} | {' | '.join(cells)} |")
    if "1" in found:
        over = ratio(found["1"]["jit"], found["1"][PLAIN])
        lines.append(f"\nA mesh of one device takes {over:.3f} of the time of plain `jax.jit`.\n")
    return lines


def _checkpoint_report(steps: int, seconds: Times) -> list[str]:
    alone, saving = seconds["steps"], seconds["steps and checkpoint"]
    step = statistics.median(alone) / steps
    added = statistics.median(b - a for a, b in zip(alone, saving, strict=True))
    return [
        "## Checkpoints\n",
        f"An asynchronous checkpoint adds {added * 1e3:.0f} ms to steps of {step * 1e3:.0f} ms:"
        f" {added / (SAVE_EVERY * step):.2%} of the time with one every {SAVE_EVERY} steps.\n",
    ]


def _start_report(found: dict[str, dict[str, list[float]]]) -> list[str]:
    marks = next(iter(found.values()))
    return [
        "## Start\n",
        "Seconds from the start of the process, data apart.\n",
        f"| | {' | '.join(marks)} |",
        "| --- |" + " ---: |" * len(marks),
        *(
            f"| {kind} | {' | '.join(f'{statistics.median(t):.1f}' for t in times.values())} |"
            for kind, times in found.items()
        ),
        "",
    ]


def _throughput_report(found: dict[str, Times]) -> list[str]:
    if not found:
        return ["## Throughput\n", "Not measured: there was no accelerator."]
    lines = [
        "## Throughput\n",
        "Images a second at full width, from a batch on the device.\n",
        "| stage, images in a step | float32 | bfloat16 | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, times in found.items():
        images = int(name.split()[-1])
        rates = [images / statistics.median(times[kind]) for kind in ("float32", "bfloat16")]
        faster = ratio(times["float32"], times["bfloat16"])
        lines.append(f"| {name} | {rates[0]:,.0f} | {rates[1]:,.0f} | {faster:.2f} |")
    return lines


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
