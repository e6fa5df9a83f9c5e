"""Training steps and predictions beside the same ones in PyTorch, on this machine's CPU.

Question:  how long do a step and a prediction take, as a multiple of what PyTorch takes for the
           same network, loss, augmentation, optimiser and batch, eagerly and compiled? Which share
           of the machine's measured matrix peak and copy bandwidth is that?
Command:   python -m experiments.benchmarks.peers
           in an environment with PyTorch (extra `bench`)
Hardware:  CPU cores.
Time:      about 20 minutes on 2 cores.
Result:    experiments/results/benchmark_peers.md. Weights are copied across, and the losses have to
           agree to 1e-4 before anything is timed. The contestants of a task take turns, so that a
           machine whose speed drifts treats all alike: quote the ratios.
"""

import dataclasses
import importlib.metadata
import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax

from depthsi.errors import DepthsiError
from depthsi.machine import describe_machine
from experiments.script import RESULTS, command_line, made_by, run_script, write_result

Task = Literal["coarse", "fine", "unet", "predict", "predict one"]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Times depthsi and PyTorch in turn."""

    width: float = 1.0
    """Width of the two-scale network."""
    batch: int = 32
    """Images in a step."""
    rounds: int = 9
    """Timed turns of each contestant."""
    tasks: tuple[Task, ...] = ("coarse", "fine", "unet", "predict", "predict one")
    """What to time."""
    compiled: bool = True
    """Whether to time torch.compile as well."""
    out: str = str(RESULTS / "benchmark_peers")
    """Result files, without the .json and .md."""


def race(runners: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, all taking turns, after two turns that do not count."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(-2, rounds):
        for name, run in runners.items():
            began = time.perf_counter()
            run()
            if turn >= 0:
                times[name].append(time.perf_counter() - began)
    return times


def table(result: dict[str, Any]) -> str:
    """The page about `result`."""
    peak = result["peaks"]
    lines = [
        "# Beside PyTorch",
        "",
        f"{made_by(result)} PyTorch {result['torch']}, {result['threads']} threads; load average"
        f" {result['load']:.1f} before. Two-scale of width {result['width']:g}, steps of"
        f" {result['batch']} images with the paper's augmentation, loss and SGD, float32."
        f" {result['rounds']} rounds; a ratio under 1 means that depthsi is faster. In brackets the"
        " ratio of the medians; the other is that of the fastest rounds.",
        "",
        f"Measured peaks: {peak['flops'] / 1e9:.0f} GFLOP/s in products of 2048x2048 matrices,"
        f" {peak['bytes'] / 1e9:.1f} GB/s read and written in copies by one thread.",
        "",
        "| task | depthsi, ms | depthsi / eager | depthsi / compiled | share of the matrix peak |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for task, found in result["tasks"].items():
        times = found["seconds"]
        ours = times["depthsi"]
        cells = []
        for name in ("torch, eager", "torch.compile"):
            if name not in times:
                cells.append("-")
                continue
            least = min(ours) / min(times[name])
            middle = statistics.median(ours) / statistics.median(times[name])
            cells.append(f"{least:.2f} ({middle:.2f})")
        share = found["flops"] / min(ours) / peak["flops"]
        lines.append(f"| {task} | {min(ours) * 1e3:.0f} | {' | '.join(cells)} | {share:.0%} |")
    return "\n".join(lines) + "\n"


def main(arguments: Arguments) -> None:
    """Measures, and writes the result and its page."""
    if importlib.util.find_spec("torch") is None:
        raise DepthsiError("PyTorch is missing: pip install 'depthsi[bench]'.")
    if jax.default_backend() != "cpu":
        raise DepthsiError("This benchmark is about CPUs: set JAX_PLATFORMS=cpu.")
    from experiments.benchmarks import peers_pair  # imports PyTorch

    result: dict[str, Any] = {
        "command": command_line("benchmarks.peers", arguments),
        "machine": describe_machine(),
        "torch": importlib.metadata.version("torch"),
        "threads": peers_pair.torch.get_num_threads(),
        "load": os.getloadavg()[0],
        **{name: getattr(arguments, name) for name in ("width", "batch", "rounds")},
        "peaks": peers_pair.peaks(),
        "tasks": {},
    }
    for task in arguments.tasks:
        runners, found = peers_pair.contestants(
            task, arguments.width, arguments.batch, compiled=arguments.compiled
        )
        result["tasks"][task] = found | {"seconds": race(runners, arguments.rounds)}
        write_result(arguments.out, result, table(result))
        print(task, "done", flush=True)
    print(table(result))


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
