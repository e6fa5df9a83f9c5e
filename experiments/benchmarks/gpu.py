"""Training steps, the loss and the paper's schedule on an accelerator, in parts.

Question:  how many images a second do the networks train on in float32, TF32 and bfloat16, and how
           does torch.compile compare? Which share of the copy bandwidth does the loss reach? How
           long does the paper's schedule of 2 M + 1.5 M samples take? Which operations take the
           time?
Command:   python -m experiments.benchmarks.gpu
           With the extra `bench`, torch.compile in bfloat16 takes part in the steps.
Hardware:  one GPU; on CPUs only to try it out, with --batches 2 --width 0.05 --samples 8.
Time:      each part ends after --minutes; results are written as they come, and a second start
           measures what is missing.
Result:    experiments/results/benchmark_gpu.md; not run on a GPU yet.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from depthsi.config import ScheduleConfig
from depthsi.machine import describe_machine
from experiments.benchmarks import gpu_parts
from experiments.script import RESULTS, command_line, made_by, run_script, write_result

Part = Literal["steps", "loss", "paper", "profile"]
Precision = Literal["float32", "tf32", "bfloat16", "torch.compile"]
SCHEDULE = ScheduleConfig()  # the paper's
PAPER_SAMPLES = {"coarse": SCHEDULE.coarse_samples, "fine": SCHEDULE.fine_samples}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measures the parts; several devices share each batch."""

    parts: tuple[Part, ...] = ("steps", "loss", "paper", "profile")
    """What to measure, in this order."""
    networks: tuple[Literal["coarse", "fine", "unet"], ...] = ("coarse", "fine", "unet")
    """Networks of the part steps."""
    precisions: tuple[Precision, ...] = ("float32", "tf32", "bfloat16", "torch.compile")
    """Arithmetic of the part steps; torch.compile is in bfloat16 and needs PyTorch on the GPU."""
    batches: tuple[int, ...] = (32, 256, 1024)
    """Images per step of the part steps."""
    per_call: tuple[int, ...] = (1, 50)
    """Steps per call, with the training pairs in device memory; on CPUs always one."""
    width: float = 1.0
    """Width of the two-scale network."""
    frames: int = 256
    """Images of 480x640 in the part loss."""
    paper_batch: int = 32
    """Images per step in the parts paper and profile."""
    samples: int = 200_000
    """Samples of each stage that the part paper trains on; the whole schedule is calculated."""
    minutes: float = 8.0
    """Minutes after which a part starts no further measurement."""
    out: str = str(RESULTS / "benchmark_gpu")
    """Path of the .json and .md files to write, without extension."""


def main(arguments: Arguments) -> None:
    """Measures what is missing, and writes the files after each measurement."""
    result = start(arguments)
    for part in arguments.parts:
        found = result["parts"].setdefault(part, {})
        until = time.monotonic() + 60 * arguments.minutes
        for name, measure in cells(part, arguments).items():
            if "error" not in found.get(name, {"error": "not measured"}):
                continue
            if time.monotonic() > until:
                over = f"{part}: {arguments.minutes:g} minutes are up"
                print(f"{over}; run the same command to continue.")
                break
            found[name] = attempt(measure)
            print(f"{part}, {name}: {found[name]}", flush=True)
            write_result(arguments.out, result, page(result))


def start(arguments: Arguments) -> dict[str, Any]:
    """What an earlier start of the same command on such a machine has measured, or nothing."""
    fresh = {
        "command": command_line("benchmarks.gpu", arguments, leave_out=("out", "parts", "minutes")),
        "machine": describe_machine(),
        "width": arguments.width,
        "paper_batch": arguments.paper_batch,
        "frames": arguments.frames,
        "parts": {},
    }
    file = Path(f"{arguments.out}.json")
    if file.exists():
        earlier = json.loads(file.read_text(encoding="utf-8"))
        if all(earlier.get(name) == fresh[name] for name in ("command", "machine")):
            return earlier
    return fresh


def cells(part: Part, arguments: Arguments) -> dict[str, Any]:
    """Name -> function that measures it."""
    width = arguments.width
    if part == "steps":
        made = {}
        for network in arguments.networks:
            for batch in arguments.batches:
                for precision in arguments.precisions:
                    name = f"{network}, {batch}, {precision}"
                    if precision == "torch.compile":
                        made[name] = gpu_parts.TorchSteps(network, width, batch)
                        continue
                    for calls in arguments.per_call:
                        made[f"{name}, {calls}"] = gpu_parts.Steps(
                            network, width, batch, precision, calls
                        )
        return made
    if part == "loss":
        return {"loss": gpu_parts.LossBandwidth(arguments.frames)}
    batch = arguments.paper_batch
    if part == "paper":
        return {
            stage: gpu_parts.PaperStage(stage, width, batch, min(arguments.samples, whole), whole)
            for stage, whole in PAPER_SAMPLES.items()
        }
    return {stage: gpu_parts.StepProfile(stage, width, batch) for stage in PAPER_SAMPLES}


def attempt(measure: Any) -> dict[str, Any]:
    """What it measures, or why it could not: a batch too large for the memory ends nothing else."""
    try:
        return measure()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}


def page(result: dict[str, Any]) -> str:
    """The tables in Markdown, of what has been measured so far."""
    parts = [f"# An accelerator\n\n{made_by(result)} Width {result['width']:g}.\n"]
    for part, rows in (
        ("steps", _steps),
        ("loss", _loss),
        ("paper", _paper),
        ("profile", _profile),
    ):
        if found := result["parts"].get(part):
            parts.append("\n".join(rows(found, result)) + "\n")
    return "\n".join(parts)


def _steps(found: dict[str, Any], result: dict[str, Any]) -> list[str]:
    del result
    lines = [
        "## Training steps\n",
        "Pairs in device memory, the paper's augmentation, loss and SGD. Steps per call is the"
        " number of steps in one compiled loop.\n",
    ]
    return lines + _table(
        "network, images, arithmetic, steps per call",
        {
            "images/s": lambda cell: f"{cell['images_per_second']:.0f}",
            "ms per step": lambda cell: f"{1e3 * cell['seconds_per_step']:.2f}",
        },
        found,
    )


def _loss(found: dict[str, Any], result: dict[str, Any]) -> list[str]:
    cell = found["loss"]
    if "error" in cell:
        return ["## Loss\n", cell["error"]]
    return [
        "## Loss\n",
        f"Value and gradient of the scale-invariant loss of {result['frames']} maps of 480x640:"
        f" {1e3 * cell['seconds']:.2f} ms, {cell['bytes'] / cell['seconds'] / 1e9:.0f} GB/s of what"
        f" the compiled program reads and writes, {cell['share']:.0%} of a copy"
        f" ({cell['copy'] / 1e9:.0f} GB/s).",
    ]


def _paper(found: dict[str, Any], result: dict[str, Any]) -> list[str]:
    lines = [
        "## The paper's schedule\n",
        f"Batches of {result['paper_batch']}, bfloat16, pairs in device memory.\n",
    ]
    return lines + _table(
        "stage",
        {
            "measured samples": lambda cell: f"{cell['samples']}",
            "images/s": lambda cell: f"{cell['images_per_second']:.0f}",
            "whole stage, calculated": lambda cell: f"{cell['whole_seconds'] / 60:.1f} minutes",
        },
        found,
    )


def _table(
    first: str, columns: Mapping[str, Callable[[dict[str, Any]], str]], found: dict[str, Any]
) -> list[str]:
    """A row for each cell, named in the column `first`; an error stands in the second column."""
    lines = [f"| {' | '.join([first, *columns])} |", "| --- |" + " ---: |" * len(columns)]
    for name, cell in found.items():
        if "error" in cell:
            lines.append(f"| {name} | {cell['error']} |" + " |" * (len(columns) - 1))
        else:
            lines.append(f"| {' | '.join([name, *(show(cell) for show in columns.values())])} |")
    return lines


def _profile(found: dict[str, Any], result: dict[str, Any]) -> list[str]:
    lines = [f"## Where the time goes\n\nBatches of {result['paper_batch']}, bfloat16."]
    for stage, cell in found.items():
        if "error" in cell:
            lines.append(f"\n{stage}: {cell['error']}")
            continue
        lines += [f"\n| {stage}: operation | share |", "| --- | ---: |"]
        lines += [f"| {name} | {share:.1%} |" for name, share in cell["shares"].items()]
    return lines


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
