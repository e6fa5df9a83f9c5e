"""The README's first command over several seeds, and its margin over the mean predictor.

Question:  how far below the mean predictor's is the scale-invariant error after a few minutes of
           training, and how far apart are seeds?
Command:   python -m experiments.rooms_seeds --runs RUN RUN RUN
           after `depthsi train rooms --run RUN --seed SEED` and `depthsi evaluate RUN` for each
Hardware:  2 CPU cores.
Time:      a second, after six minutes for each training and evaluation.
Result:    experiments/results/rooms_seeds.json and rooms_seeds.md
"""

import dataclasses
from pathlib import Path
from typing import Any

from depthsi.evaluation.tables import format_table
from depthsi.machine import describe_machine
from depthsi.metrics import PAPER_METRICS
from experiments.nyu_row.seeds import check_comparable, over_seeds
from experiments.script import (
    RESULTS,
    made_by,
    named_without_place,
    read_json,
    run_script,
    write_result,
)

NETWORK, REFERENCE = "coarse + fine", "mean predictor"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes the tables of runs of `depthsi train rooms` that differ in their seeds."""

    runs: tuple[str, ...]
    """Run directories with evaluation.json."""
    out: str = str(RESULTS / "rooms_seeds")
    """Path of the two files, without their endings."""


def main(arguments: Arguments) -> None:
    """Writes both files and prints the page."""
    found = [
        read_json(Path(run) / "evaluation.json", f"run `depthsi evaluate {run}`")
        for run in arguments.runs
    ]
    check_comparable(arguments.runs, found)
    result: dict[str, Any] = {
        "command": "depthsi train rooms --run RUN --seed SEED && depthsi evaluate RUN",
        "machine": describe_machine(),
        "seeds": [each["run"]["seed"] for each in found],
        **{name: found[0][name] for name in ("protocol", "split", "images", "step")},
        "run": {**named_without_place(found[0]["run"]), "seed": None},
        "rows": over_seeds([each["results"] for each in found]),
        "margins": [margin(each["results"]) for each in found],
    }
    text = page(result)
    write_result(arguments.out, result, text)
    print(text)


def margin(results: dict[str, Any]) -> float:
    """How far the network's SI is below the mean predictor's, as a share of the latter."""
    si = {row: results[row]["image"]["rmse_log_si"] for row in (NETWORK, REFERENCE)}
    return 1 - si[NETWORK] / si[REFERENCE]


def page(result: dict[str, Any]) -> str:
    """The table in Markdown."""
    rows = {row: values["image"] for row, values in result["rows"].items()}
    table = format_table(
        {row: values["mean"] for row, values in rows.items()},
        intervals={
            row: {name: (values["least"][name], values["greatest"][name]) for name in PAPER_METRICS}
            for row, values in rows.items()
        },
        markdown=True,
    )
    margins = [100 * share for share in result["margins"]]
    seeds = f"seeds {', '.join(map(str, result['seeds']))}"
    return f"""# rooms_seeds

{made_by(result, seeds)}

{result["images"]} images of split {result["split"]!r}, step {result["step"]}, protocol
{result["protocol"]["name"]}. Means over {len(margins)} seeds of means over images; in brackets the
least and the greatest seed's.

{table}

RMSE log SI of {NETWORK} is {sum(margins) / len(margins):.1f} % below that of the {REFERENCE}
(mean of the seeds; least {min(margins):.1f} %, greatest {max(margins):.1f} %).
"""


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
