"""A row of the README over several seeds: mean, least and greatest, beside the paper's row.

Question:  which numbers of the paper's row does the network pass, and how far apart are seeds?
Command:   python -m experiments.nyu_row.seeds --name NAME --runs RUN/nyu RUN/nyu ...
           after `python -m experiments.nyu_row.run ... --test` for each seed
Hardware:  none to speak of.
Time:      a second.
Result:    experiments/results/NAME.json and NAME.md
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from depthsi.errors import DepthsiError
from depthsi.evaluation.paper_tables import TABLE_1_NYU
from depthsi.evaluation.report import HOW
from depthsi.evaluation.tables import COLUMNS, format_table
from depthsi.machine import describe_machine
from depthsi.metrics import PAPER_METRICS
from depthsi.report.evaluation_file import REFERENCES
from experiments.nyu_row.record import NAME, read_record
from experiments.script import (
    RESULTS,
    command_line,
    made_by,
    named_without_place,
    read_json,
    run_script,
    write_result,
)

PAPER = "the paper, better of its two rows"
_INTERVALS = [f"{how}_intervals" for how in HOW]
Metrics = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes the tables of one row."""

    name: str
    """Name of the two files."""
    runs: tuple[str, ...]
    """Runs that differ in their seeds, evaluated on test."""


def main(arguments: Arguments) -> None:
    """Writes both files and prints the page."""
    found = [read(Path(run)) for run in arguments.runs]
    check_comparable(arguments.runs, found)
    result = {
        "command": command_line("nyu_row.seeds", arguments, leave_out=()),
        "machine": describe_machine(),
        "protocol": found[0]["protocol"],
        "split": found[0]["split"],
        "images": found[0]["images"],
        "paper": paper_row(),
        "runs": [
            {
                "run": named_without_place(each["run"]),
                "step": each["step"],
                "trained_by": training(Path(path)),
                "results": {
                    row: {how: _paper_metrics(values[how]) for how in (*HOW, *_INTERVALS)}
                    for row, values in each["results"].items()
                },
            }
            for path, each in zip(arguments.runs, found, strict=True)
        ],
    }
    result["rows"] = over_seeds([run["results"] for run in result["runs"]])
    text = page(arguments.name, result)
    write_result(str(RESULTS / arguments.name), result, text)
    print(text)


def read(run: Path) -> dict[str, Any]:
    """The evaluation of a run on test.

    Raises:
      DepthsiError: there is none.
    """
    advice = "run `python -m experiments.nyu_row.run` with --test"
    return read_json(run / "test" / "evaluation.json", advice)


def training(run: Path) -> dict[str, Any]:
    """The last command of the training, and how long its parts took in all starts, seconds.

    Raises:
      DepthsiError: it was not recorded.
    """
    starts = read_record(run.parent / NAME)["starts"]
    seconds: dict[str, float] = {}
    for start in starts:
        for part, took in start["seconds"].items():
            seconds[part] = round(seconds.get(part, 0.0) + took, 1)
    return {"command": starts[-1]["command"], "seconds": seconds}


def check_comparable(runs: Sequence[str], found: Sequence[Mapping[str, Any]]) -> None:
    """Raises DepthsiError unless the evaluations differ in nothing but the seed."""
    seeds = [each["run"]["seed"] for each in found]
    if len(set(seeds)) < len(seeds):
        raise DepthsiError(f"--runs: the seeds are {', '.join(map(str, seeds))}; each once.")
    for run, each in zip(runs, found, strict=True):
        for what in ("protocol", "split", "images"):  # the best steps may differ
            if each[what] != found[0][what]:
                raise DepthsiError(f"--runs: {run} differs from {runs[0]} in its {what}.")
        for part in ("data", "augment", "model", "loss", "optim", "schedule"):
            values, first = ({**one["run"][part], "root": ""} for one in (each, found[0]))
            if values != first:  # with --final, each run has its own folder of links
                raise DepthsiError(f"--runs: {run} differs from {runs[0]} in its settings {part}.")


def over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Metrics]]]:
    """Row -> how -> "mean", "least" or "greatest" -> metric; rows in the order of the first."""

    def over(row: str, how: str) -> dict[str, Metrics]:
        values = {name: [each[row][how][name] for each in results] for name in PAPER_METRICS}
        return {
            "mean": {name: sum(seeds) / len(seeds) for name, seeds in values.items()},
            "least": {name: min(seeds) for name, seeds in values.items()},
            "greatest": {name: max(seeds) for name, seeds in values.items()},
        }

    return {row: {how: over(row, how) for how in HOW} for row in results[0]}


def paper_row() -> Metrics:
    """The better of the paper's two numbers for each metric."""
    coarse, fine = TABLE_1_NYU["Coarse"], TABLE_1_NYU["Coarse+Fine"]
    row = {}
    for name in PAPER_METRICS:
        both = [value for value in (coarse[name], fine[name]) if value is not None]
        row[name] = max(both) if COLUMNS[name].better == "higher" else min(both)
    return row


def passed(values: Mapping[str, float], paper: Mapping[str, float]) -> list[str]:
    """The metrics in which `values`, rounded as the paper's are, are at least as good."""
    return [
        name
        for name in PAPER_METRICS
        if (
            round(values[name], 3) >= paper[name]
            if COLUMNS[name].better == "higher"
            else round(values[name], 3) <= paper[name]
        )
    ]


def page(name: str, result: Mapping[str, Any]) -> str:
    """The tables in Markdown."""
    seeds = ", ".join(str(run["run"]["seed"]) for run in result["runs"])
    steps = ", ".join(str(run["step"]) for run in result["runs"])
    count = len(result["runs"])
    over = f"Means over {count} seeds; in brackets the least and the greatest."
    parts = [
        f"# {name}\n",
        f"{made_by(dict(result), f'seeds {seeds}' if count > 1 else f'seed {seeds}')}\n",
        f"{result['images']} images of split {result['split']!r}, protocol"
        f" {result['protocol']['name']}, {'steps' if count > 1 else 'step'} {steps}."
        f"{f' {over}' if count > 1 else ''} The paper's row is on all 654 test images.\n",
    ]
    for how, title in HOW.items():
        rows = {row: values[how]["mean"] for row, values in result["rows"].items()}
        ends = {
            row: {
                metric: (values[how]["least"][metric], values[how]["greatest"][metric])
                for metric in PAPER_METRICS
            }
            for row, values in result["rows"].items()
        }
        table = format_table(
            {**rows, PAPER: result["paper"]}, intervals=ends if count > 1 else None, markdown=True
        )
        parts.append(f"## {title}\n\n{table}\n")
        for row in [row for row in rows if row not in REFERENCES]:
            good = [COLUMNS[metric].header for metric in passed(rows[row], result["paper"])]
            share = f"{len(good)} of {len(PAPER_METRICS)} numbers of the paper's row passed"
            parts.append(f"- {row}: {share}{': ' if good else ''}{', '.join(good)}.")
        parts.append("")
    first = result["runs"][0]
    for how, title in HOW.items():
        rows = {row: values[how] for row, values in first["results"].items()}
        ends = {
            row: {name: (low, high) for name, (low, high) in values[f"{how}_intervals"].items()}
            for row, values in first["results"].items()
        }
        name = f"Seed {first['run']['seed']}, {title[0].lower()}{title[1:]}"
        table = format_table(rows, intervals=ends, markdown=True)
        parts.append(f"## {name}, with 95 % intervals over images\n\n{table}\n")
    parts.append("## Trainings\n")
    for run in result["runs"]:
        took = ", ".join(
            f"{part} {seconds / 60:.0f}" for part, seconds in run["trained_by"]["seconds"].items()
        )
        command = run["trained_by"]["command"]
        parts.append(f"- Seed {run['run']['seed']}: `{command}`; minutes: {took}.")
    return "\n".join(parts).rstrip("\n") + "\n"


def _paper_metrics(values: Mapping[str, Any]) -> Metrics:
    return {name: values[name] for name in PAPER_METRICS}


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
