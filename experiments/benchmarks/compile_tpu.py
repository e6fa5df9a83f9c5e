"""The training steps compiled for TPU slices that are not here.

Question:  do the coarse and the fine step compile for slices of 4 to 256 chips, does a device's
           share fit its memory, and what do the devices send each other, with copies of fc6 and
           fc7 everywhere and with these two layers split?
Command:   python -m experiments.benchmarks.compile_tpu
           (needs the extra `tpu`, best in an environment of its own; needs no TPU)
Hardware:  any CPU with 8 GB of memory.
Time:      1 to 4 minutes a row on 2 cores; rows that the result already has are kept, so it may be
           interrupted.
Result:    experiments/results/compile_tpu.md and .json. They prove that the programs lower, fit and
           communicate as listed; not how fast they run, nor that the hardware computes them right.
           docs/launch.md says what follows for the sharding.
"""

import dataclasses
import importlib.metadata
import json
import os
import time
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from depthsi.config import ComputeConfig, Config
from depthsi.errors import DepthsiError
from depthsi.presets import nyu
from depthsi.training.parallel import DATA, MODEL, bind, replicated, split, state_sharding
from depthsi.training.stages import make_stages
from depthsi.training.state import abstract_state
from depthsi.training.steps import make_train_step
from experiments.benchmarks.exchanges import Exchange, exchanges
from experiments.script import RESULTS, command_line, run_script, write_result

# Memory of one device in bytes, from the tables at https://docs.cloud.google.com/tpu/docs/v5e, v6e,
# v5p and v4, whose GB and GiB are taken as 10^9 alike, to be on the safe side. A v4 chip has 32 and
# is two devices here.
MEMORY = {"v5e": 16e9, "v6e": 32e9, "v5p": 95e9, "v4": 16e9}


@dataclasses.dataclass(frozen=True)
class Case:
    """One program to compile: the step of a stage, on all devices of a topology."""

    topology: str
    stage: Literal["coarse", "fine"]
    model_devices: int
    per_device: int

    @property
    def title(self) -> str:
        """What the rows of the tables begin with."""
        layers = f"split in {self.model_devices}" if self.model_devices > 1 else "copies"
        return f"{self.topology} | {self.stage} | {layers} | {self.per_device}"


def _cases(topology: str, *model_devices: int, per_device: int = 32) -> list[Case]:
    return [
        Case(topology, stage, shared, per_device)
        for stage in ("coarse", "fine")
        for shared in model_devices
    ]


# The most telling first: a run that is interrupted leaves the rest for the next.
CASES = [
    *_cases("v5e:2x2", 1, 2),
    *_cases("v5e:16x16", 1, 16),
    Case("v5e:16x16", "coarse", 1, 4),
    Case("v5e:16x16", "coarse", 16, 4),
    *_cases("v5e:4x4", 1, 4),
    *_cases("v6e:4x4", 1, 4),
    *_cases("v5p:2x2x2", 1, 4),
    *_cases("v4:2x2x2", 1, 4),
]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Compiles what is missing from the table, and writes it after every row."""

    only: str = ""
    """Compile nothing but missing rows that begin with this, such as v5e:16x16."""
    out: str = str(RESULTS / "compile_tpu")
    """Path of the .json and .md files to write, without extension."""


def compile_case(case: Case) -> dict[str, Any]:
    """Compiles one program and reads what the compiler says of a device's share of it.

    Raises:
      DepthsiError: the compiler for TPUs does not know the topology, or another process uses it.
    """
    mesh = tpu_mesh(case.topology, case.model_devices)
    compute = ComputeConfig(precision="bfloat16", model_devices=case.model_devices)
    config = dataclasses.replace(nyu(), compute=compute)
    start = time.perf_counter()
    try:
        compiled: Any = compile_step(config, case, mesh)  # its parts may be None, but not here
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return {"fits": False, "refused": str(error).splitlines()[0]}
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    arguments, outputs = memory.argument_size_in_bytes, memory.output_size_in_bytes
    reused = memory.alias_size_in_bytes
    temporary, code = memory.temp_size_in_bytes, memory.generated_code_size_in_bytes
    needed = arguments + outputs - reused + temporary + code
    limit = MEMORY[case.topology.split(":")[0]]
    return {
        "devices": mesh.size,
        "flops": cost["flops"],
        "argument_bytes": arguments,
        "output_bytes": outputs,
        "reused_bytes": reused,
        "temporary_bytes": temporary,
        "program_bytes": code,
        "needed_bytes": needed,
        "memory_bytes": limit,
        "fits": needed <= limit,
        "exchanges": [
            dataclasses.asdict(each) for each in exchanges(compiled.as_text(), mesh.size)
        ],
        "seconds": round(time.perf_counter() - start),
    }


def tpu_mesh(topology: str, model_devices: int) -> Mesh:
    """A mesh as `depthsi.training.parallel.make_mesh` makes it, of devices that are not here."""
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # asks no machine that is not there
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # shares no chips with others
    try:
        described = topologies.get_topology_desc(topology_name=topology, platform="tpu")
    except jax.errors.JaxRuntimeError as error:
        raise DepthsiError(
            f"The compiler for TPUs refuses {topology}: {str(error).splitlines()[0]}"
        ) from error
    devices = sorted(described.devices, key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices).reshape(-1, model_devices), (DATA, MODEL))


def compile_step(
    config: Config, case: Case, mesh: Mesh, platform: str = "tpu"
) -> jax.stages.Compiled:
    """The step on batches from the host, with its state donated, as training compiles it."""
    stage = next(stage for stage in make_stages(config) if stage.name == case.stage)
    state = abstract_state(config, stage)
    sharding = state_sharding(state, mesh)
    placed = jax.tree.map(
        lambda a, where: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where), state, sharding
    )
    shape = (case.per_device * mesh.size, *config.model.sizes.image)
    image = jax.ShapeDtypeStruct((*shape, 3), np.uint8, sharding=split(mesh))
    depth = jax.ShapeDtypeStruct(shape, np.float32, sharding=split(mesh))
    step = jax.jit(
        bind(make_train_step(config, stage), mesh, config.compute),
        donate_argnums=0,
        out_shardings=(sharding, replicated(mesh)),
    )
    return step.trace(placed, image, depth).lower(lowering_platforms=(platform,)).compile()


def installed_versions() -> dict[str, str]:
    """What a compiled program depends on, besides this package.

    Raises:
      DepthsiError: the compiler for TPUs is not installed.
    """
    try:
        return {name: importlib.metadata.version(name) for name in ("jax", "libtpu")}
    except importlib.metadata.PackageNotFoundError:
        raise DepthsiError(
            "The compiler for TPUs is not installed: run pip install 'depthsi[tpu]'."
        ) from None


def main(arguments: Arguments) -> None:
    """Compiles the cases that the result lacks or that another compiler made."""
    versions = installed_versions()
    file = Path(arguments.out + ".json")
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    rows = kept["rows"] if kept.get("versions") == versions else {}
    for case in CASES:
        if case.title in rows or not case.title.startswith(arguments.only):
            continue
        rows[case.title] = compile_case(case)
        print(
            case.title, json.dumps({k: v for k, v in rows[case.title].items() if k != "exchanges"})
        )
        rows = {one.title: rows[one.title] for one in CASES if one.title in rows}
        command = command_line("benchmarks.compile_tpu", arguments, leave_out=("only", "out"))
        result = {"command": command, "versions": versions, "rows": rows}
        write_result(arguments.out, result, report(result))


def report(result: dict[str, Any]) -> str:
    """Both tables in Markdown."""
    versions, rows = result["versions"], result["rows"]
    lines = [
        "# The training steps compiled for TPUs",
        "",
        f"`{result['command']}`, jax {versions['jax']}, libtpu"
        f" {versions['libtpu']}, on a machine without a TPU. The paper's NYU networks at full"
        " width, arithmetic in bfloat16, batches of 240 x 320 images from the host, state"
        " donated. All numbers are per device; MB and GB are 10^6 and 10^9 bytes. Needed:"
        " arguments, temporaries, outputs that reuse no argument, and the program. Sent: the least"
        " that the exchanges listed below need, all groups being rings.",
        "",
        "That a program stands here proves that it lowers, what it holds and which exchanges it"
        " makes. It says nothing of its speed, and nothing of its results on the hardware.",
        "",
        "| topology | step | fc6, fc7 | images | GFLOP | arguments, MB | temporaries, MB"
        " | outputs, MB | needed of, GB | fits | sent, MB |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
        *(f"| {title} | {_numbers(row)} |" for title, row in rows.items()),
        "",
        "## Exchanges",
        "",
        "How many, among how many devices, and the bytes of the arrays exchanged, together.",
        "",
        "| topology | step | fc6, fc7 | images | exchanges |",
        "| --- | --- | --- | ---: | --- |",
        *(f"| {title} | {_listed(row)} |" for title, row in rows.items() if "exchanges" in row),
    ]
    return "\n".join(lines) + "\n"


def _numbers(row: dict[str, Any]) -> str:
    if "refused" in row:
        return f"- | - | - | - | - | no: {row['refused']} | -"
    sent = sum(Exchange(**each).sent for each in row["exchanges"])
    cells = [
        f"{row['flops'] / 1e9:.1f}",
        *(f"{row[f'{name}_bytes'] / 1e6:.0f}" for name in ("argument", "temporary", "output")),
        f"{row['needed_bytes'] / 1e9:.2f} of {row['memory_bytes'] / 1e9:.0f}",
        "yes" if row["fits"] else "no",
        f"{sent / 1e6:.1f}",
    ]
    return " | ".join(cells)


def _listed(row: dict[str, Any]) -> str:
    groups: dict[tuple[str, int], list[int]] = {}
    for each in row["exchanges"]:
        groups.setdefault((each["kind"], each["group"]), []).append(each["payload"])
    return "; ".join(
        f"{len(sizes)} {kind} among {group}, {sum(sizes) / 1e6:.2f} MB"
        for (kind, group), sizes in groups.items()
    )


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
