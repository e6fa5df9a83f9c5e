"""Keeps the numbers of an evaluated run among the results, beside the paper's.

Command:   python experiments/record.py RUN --name NAME --command "what trained the run"
Result:    experiments/results/NAME.json and NAME.md
"""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import tyro

from depthsi.geometry import geometry
from depthsi.machine import describe_machine
from depthsi.paper_tables import TABLE_1_NYU, TABLE_2_KITTI
from depthsi.runs import write_text
from depthsi.tables import format_table

RESULTS = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes the tables of one run; evaluate it first with `depthsi evaluate RUN`."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Run directory with evaluation.json."""
    name: str
    """Of the two files."""
    command: str
    """What trained the run."""


def main(arguments: Arguments) -> None:
    file = Path(arguments.run) / "evaluation.json"
    result = json.loads(file.read_text(encoding="utf-8"))
    result["run"]["data"]["root"] = Path(result["run"]["data"]["root"]).name
    result |= {"command": arguments.command, "machine": describe_machine()}
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_text(RESULTS / f"{arguments.name}.json", json.dumps(result, indent=2) + "\n")
    write_text(RESULTS / f"{arguments.name}.md", report(arguments.name, result))


def report(name: str, result: dict[str, Any]) -> str:
    """The two tables in Markdown: each image counting the same, and pooled over pixels."""
    run, protocol, machine = result["run"], result["protocol"], result["machine"]
    nyu = geometry(run["model"]["geometry"]).name == "nyu"
    table, number = (TABLE_1_NYU, 1) if nyu else (TABLE_2_KITTI, 2)
    capped = protocol["min_depth"] > 0 or protocol["max_depth"] is not None
    caps = f"depth {protocol['min_depth']:g} to {protocol['max_depth']} m" if capped else "no caps"
    parts = [
        f"# {name}\n",
        f"`{result['command']}`, seed {run['seed']}, {machine['processor']}, "
        f"devices: {machine['devices']}, jax {machine['jax']}, Python {machine['python']}.\n",
        f"{result['images']} pictures of split {result['split']!r}, step {result['step']}; crop "
        f"{protocol['crop']} where the network predicts, {caps}. The paper's rows are its Table "
        f"{number}, on its own training and test pictures.",
    ]
    for kind, title in (("image", "Mean over images"), ("pixel", "Pooled over pixels")):
        rows = {f"ours: {row}": values[kind] for row, values in result["results"].items()}
        rows |= {f"paper: {row}": values for row, values in table.items()}
        parts.append(f"\n## {title}\n\n{format_table(rows, markdown=True)}")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
