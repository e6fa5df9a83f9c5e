"""How long a step would take on 1 to 1024 TPU chips, from its arithmetic and its bytes.

Question:  how far does the coarse step of the paper's NYU networks scale on v5e, with copies of fc6
           and fc7 everywhere and with these layers split?
Command:   python -m experiments.benchmarks.scale_model
Hardware:  none; nothing is run.
Time:      a second.
Result:    experiments/results/scale_model.md and .json. A prediction, not a measurement: nothing of
           it was run on a TPU. With the time of a step on one chip, `--milliseconds` replaces the
           arithmetic and the update, of which the least possible is assumed otherwise.

The bytes are those of the compiled programs (compile_tpu.py); the times are lower bounds:
  arithmetic  FLOPs of the compiled step at the chip's peak
  update      20 bytes for each parameter of a chip, at its memory's bandwidth
  sent        a ring's or torus' least bytes over the links of a chip; latencies are left out
  pods        more than 256 chips are pods of 256: each sums first, then what a chip holds of the
              sum is summed over the pods, through the data centre's network
A step takes the sum of the three if exchanges wait for the arithmetic, the larger of (arithmetic +
update) and sent if they overlap entirely.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.script import RESULTS, command_line, run_script, write_result

# https://docs.cloud.google.com/tpu/docs/v5e
PEAK = 197e12  # FLOP/s in bfloat16
MEMORY = 819e9  # bytes/s
LINK = 400e9 / 2 / 4  # bytes/s in one direction, of 4 links
POD, POD_NETWORK = 256, 6.4e12 / 8  # chips; bytes/s of all of them
LINKS = {1: 4, 8: 2, 64: 2, 256: 4, 1024: 4}  # in use: corners of a mesh have 2, a torus has 4

# The coarse network, Figure 1 of the paper; gradients of fc7 are float32, the others bfloat16
CONVOLUTIONS = sum(
    k * k * n * m + m
    for k, n, m in [(11, 3, 96), (5, 96, 256), (3, 256, 384), (3, 384, 384), (3, 384, 256)]
)
FC6, FC7 = 12288 * 4096 + 4096, 4096 * 4070 + 4070
ACTIVATIONS = 12288 * (2 + 2 + 2) + 4070 * (4 + 2 + 2)  # bytes of an image, exchanged in a group
UPDATE = 20  # bytes moved for each parameter: read and written in float32, momentum, gradient


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Predicts the steps and writes them."""

    images: int = 32
    """Images per chip, 32 or 4: the compiled programs."""
    milliseconds: float = 0.0
    """Measured time of a step on one chip with that many images; 0 assumes the chip's peaks."""
    out: str = str(RESULTS / "scale_model")
    """Path of the .json and .md files to write, without extension."""


def ring(group: int, payload: float) -> float:
    """Bytes a device sends at least to sum `payload` bytes over a group."""
    return 2 * (group - 1) / group * payload


def sent_bytes(devices: int, split: int, images: int) -> tuple[float, float]:
    """Bytes a chip sends in a step inside its pod, and to other pods.

    Args:
      devices: all chips.
      split: chips that share fc6 and fc7.
      images: per chip.
    """
    local = min(devices, POD)
    pods, layers = devices // local, (2 * FC6 + 4 * FC7) / split
    inside = ring(local, 2 * CONVOLUTIONS) + ring(local // split, layers)
    inside += (split - 1) * images * ACTIVATIONS
    return inside, ring(pods, 2 * CONVOLUTIONS / local + layers / (local // split))


def predict(devices: int, split: int, images: int, flops: float, once: float = 0) -> dict[str, Any]:
    """Times of the parts of a step in milliseconds, and images per second.

    Args:
      devices: all chips.
      split: chips that share fc6 and fc7.
      images: per chip.
      flops: of a chip's part of the step.
      once: measured milliseconds of arithmetic and update, if not 0.
    """
    inside, outside = sent_bytes(devices, split, images)
    held = CONVOLUTIONS + (FC6 + FC7) / split
    own = once or 1e3 * (flops / PEAK + UPDATE * held / MEMORY)
    sent = 1e3 * (inside / (LINKS[devices] * LINK) + outside / (POD_NETWORK / POD))
    waiting, overlapping = own + sent, max(own, sent)
    return {
        "devices": devices,
        "split": split,
        "own": own,
        "sent_mb": (inside + outside) / 1e6,
        "sent": sent,
        "step": [overlapping, waiting],
        "images_per_second": [1e3 * images * devices / each for each in (waiting, overlapping)],
    }


def rows(images: int, flops: float, once: float = 0) -> list[dict[str, Any]]:
    """Copies and the best split, for each number of chips, with the share of linear scaling."""
    single = predict(1, 1, images, flops, once)["step"][1]
    found = []
    for devices in LINKS:
        splits = [m for m in (2, 4, 8, 16, 32) if m <= devices]
        tried = [predict(devices, m, images, flops, once) for m in splits]
        best = min(tried, key=lambda row: row["step"][1], default=None)
        for row in (predict(devices, 1, images, flops, once), best):
            if row:
                found.append(row | {"efficiency": [single / each for each in row["step"][::-1]]})
    return found


def main(arguments: Arguments) -> None:
    """Writes the predictions."""
    programs = json.loads((RESULTS / "compile_tpu.json").read_text(encoding="utf-8"))["rows"]
    flops = programs[f"v5e:16x16 | coarse | copies | {arguments.images}"]["flops"]
    result = {
        "command": command_line(
            "benchmarks.scale_model", arguments, leave_out=("out",), defaults=False
        ),
        "images": arguments.images,
        "measured_milliseconds": arguments.milliseconds or None,
        "rows": rows(arguments.images, flops, arguments.milliseconds),
    }
    write_result(arguments.out, result, report(result))
    print(f"Written: {Path(arguments.out).name}.json and .md")


def report(result: dict[str, Any]) -> str:
    """The table, in Markdown."""
    own = "measured on one chip" if result["measured_milliseconds"] else "at the chip's peaks"
    lines = [
        "# A step on 1 to 1024 chips, predicted",
        f"`{result['command']}`. TPU v5e, the coarse step at full width in bfloat16,"
        f" {result['images']} images per chip. Not run on a TPU: arithmetic and update {own},"
        " exchanges at the links' bandwidth. Ranges run from exchanges that overlap with the"
        " arithmetic entirely to exchanges that wait for it. Efficiency is the speed per chip"
        " relative to a single chip. experiments/benchmarks/scale_model.py lists the assumptions.",
        "| chips | fc6, fc7 | arithmetic and update, ms | sent, MB | sent, ms | step, ms |"
        " images per second | efficiency |\n"
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in result["rows"]:
        split = f"split in {row['split']}" if row["split"] > 1 else "copies"
        lines[-1] += (
            f"\n| {row['devices']} | {split} | {row['own']:.1f} | {row['sent_mb']:.1f} |"
            f" {row['sent']:.2f} | {_span(row['step'], '.1f')} |"
            f" {_span(row['images_per_second'], '.2g')} |"
            f" {_span(row['efficiency'], '.2f')} |"
        )
    return "\n\n".join(lines) + "\n"


def _span(values: Sequence[float], form: str) -> str:
    ends = [f"{float(f'{each:{form}}'):,.10g}" for each in values]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
