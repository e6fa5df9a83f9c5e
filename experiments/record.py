"""Adds the metrics of an evaluated run to the results, with the paper's below them.

Command:   python -m experiments.record RUN --name NAME --command "what trained the run"
Result:    experiments/results/NAME.json and NAME.md
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from depthsi.errors import DepthsiError
from depthsi.evaluation.paper_tables import PAPER_TABLES
from depthsi.evaluation.report import GROUPS, HOW
from depthsi.evaluation.tables import LEGEND, format_table
from depthsi.machine import describe_machine
from experiments.script import (
    RESULTS,
    made_by,
    named_without_place,
    read_json,
    run_script,
    write_result,
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes the tables of one run; evaluate it first with `depthsi evaluate RUN`."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Run directory with evaluation.json."""
    name: str
    """Name of the two files."""
    command: str
    """Command that trained the run."""


def main(arguments: Arguments) -> None:
    file = Path(arguments.run) / "evaluation.json"
    result = read_json(file, f"run `depthsi evaluate {arguments.run}`")
    if "run" not in result:
        raise DepthsiError(f"{file} does not belong to a run: only runs can be recorded.")
    result["run"] = named_without_place(result["run"])
    result |= {"command": arguments.command, "machine": describe_machine()}
    write_result(str(RESULTS / arguments.name), result, report(arguments.name, result))


def report(name: str, result: dict[str, Any]) -> str:
    """The tables in Markdown: each image counting the same, and pooled over pixels."""
    paper = PAPER_TABLES[result["protocol"]["data_set"]]
    parts = [
        f"# {name}\n",
        f"{made_by(result, 'seed ' + str(result['run']['seed']))}\n",
        f"{result['images']} images of split {result['split']!r}, step {result['step']}. "
        f"In brackets: 95 % intervals over images.\n\n{result['notes']}\n",
    ]
    for how, title in HOW.items():
        parts.append(f"## {title}\n")
        for group in GROUPS:
            rows = {row: _only(group, each[how]) for row, each in result["results"].items()}
            ends = {
                row: _only(group, each[f"{how}_intervals"])
                for row, each in result["results"].items()
            }
            if any(rows.values()):
                parts.append(format_table(rows, intervals=ends, markdown=True) + "\n")
    parts.append(f"{LEGEND}\n\n## {paper.title}\n\n{format_table(paper.rows, markdown=True)}")
    return "\n".join(parts) + "\n"


def _only(group: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in group if name in values}


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
