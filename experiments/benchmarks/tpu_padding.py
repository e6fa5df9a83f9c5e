"""How much of what the training steps write on a TPU is padding, and to which arrays it goes.

Question:  a TPU rounds the innermost axes of arrays up to tiles of 8 by 128: what do the 63 + 1
           channels of the fine network, the 3 of images and the 55 x 74 maps cost, and does a
           larger batch help?
Command:   python -m experiments.benchmarks.tpu_padding
           (needs the extra `tpu`, best in an environment of its own; needs no TPU)
Hardware:  any CPU with 8 GB of memory.
Time:      2 to 5 minutes a row on 2 cores.
Result:    experiments/results/tpu_padding.md and .json. The layouts are those that the compiler
           chose; nothing was timed.
"""

import dataclasses
from typing import Any

from depthsi.config import ComputeConfig
from depthsi.presets import nyu
from experiments.benchmarks.compile_tpu import Case, compile_step, installed_versions, tpu_mesh
from experiments.benchmarks.padding import written_arrays
from experiments.script import RESULTS, command_line, run_script, write_result

SHOWN = 6  # arrays of each step


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Compiles the steps for a slice of v5e chips and reads their layouts."""

    topology: str = "v5e:2x2"
    """The slice."""
    images: tuple[int, ...] = (32, 128)
    """Images per device."""
    out: str = str(RESULTS / "tpu_padding")
    """Path of the .json and .md files to write, without extension."""


def measure(case: Case) -> dict[str, Any]:
    """Bytes that a step of one device writes, with and without padding, and the largest wastes."""
    mesh = tpu_mesh(case.topology, case.model_devices)
    config = dataclasses.replace(nyu(), compute=ComputeConfig(precision="bfloat16"))
    arrays = written_arrays(compile_step(config, case, mesh).as_text() or "")
    return {
        "bytes": sum(each.bytes for each in arrays),
        "padded": sum(each.padded for each in arrays),
        "arrays": [each._asdict() for each in arrays[:SHOWN]],
    }


def report(result: dict[str, Any]) -> str:
    """The page about `result`."""
    versions = result["versions"]
    lines = [
        "# Padding on a TPU",
        "",
        f"`{result['command']}`, {result['topology']}, jax {versions['jax']}, libtpu"
        f" {versions['libtpu']}, on a machine without a TPU. The paper's NYU networks at full"
        " width, arithmetic in bfloat16. MB are 10^6 bytes that one device writes in a step, loops"
        " counted once.",
        "",
        "| step | images | elements, MB | written, MB | written / elements |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in result["rows"]:
        ratio = row["padded"] / row["bytes"]
        cells = [row["stage"], row["images"], *(f"{row[k] / 1e6:.0f}" for k in ("bytes", "padded"))]
        lines.append(f"| {' | '.join(map(str, cells))} | {ratio:.2f} |")
    for row in result["rows"]:
        lines += [
            "",
            f"## {row['stage']}, {row['images']} images",
            "",
            "| array | number | elements, MB | written, MB |",
            "| --- | ---: | ---: | ---: |",
        ]
        for each in row["arrays"]:
            sizes = " | ".join(f"{each[k] / 1e6:.0f}" for k in ("bytes", "padded"))
            lines.append(f"| `{each['type']}` | {each['arrays']} | {sizes} |")
    return "\n".join(lines) + "\n"


def main(arguments: Arguments) -> None:
    """Compiles every case, and writes the result after each."""
    versions, rows = installed_versions(), list[dict[str, Any]]()
    for images in arguments.images:
        for stage in ("fine", "coarse"):
            found = measure(Case(arguments.topology, stage, 1, images))
            rows.append({"stage": stage, "images": images} | found)
            result = {
                "command": command_line("benchmarks.tpu_padding", arguments),
                "topology": arguments.topology,
                "versions": versions,
                "rows": rows,
            }
            write_result(arguments.out, result, report(result))
            print(stage, images, found["padded"] / found["bytes"])


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
