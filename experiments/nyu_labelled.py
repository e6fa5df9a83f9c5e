"""Both networks on the labelled NYU Depth v2 pairs alone, small enough for two CPU cores.

Question:  how far do 719 labelled pictures carry the paper's networks, without its 120 000 video
           frames and without ImageNet?
Command:   python experiments/nyu_labelled.py --root ../shared/data/nyu_labelled
Hardware:  2 CPU cores; on a GPU use --width 1 and more samples.
Time:      about half an hour on an idle machine.
Result:    experiments/results/nyu_labelled.md and .json; the settings were chosen on the split
           `val`, the split `test` was evaluated once.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import tyro

from depthsi import commands
from depthsi.config import Config, DataConfig, OptimConfig, ScheduleConfig, from_scratch
from depthsi.machine import describe_machine
from depthsi.paper_tables import TABLE_1_NYU
from depthsi.runs import write_text
from depthsi.tables import format_table

RESULTS = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains, evaluates and writes the tables."""

    root: str
    """Folder with index.csv."""
    run: str = "runs/nyu_labelled"
    """Run directory."""
    width: float = 0.25
    """Width of both networks."""
    coarse_samples: int = 80_000
    """Of the first stage: 111 passes over the pictures."""
    fine_samples: int = 24_000
    """Of the second stage."""
    seed: int = 0
    """Of everything random."""
    resume: bool = False
    """Continue an interrupted run."""


def settings(arguments: Arguments) -> Config:
    """AdamW and a cosine in place of the paper's constant SGD rates, which need many more steps."""
    return Config(
        data=DataConfig(kind="folder", root=arguments.root),
        model=from_scratch(width=arguments.width),
        optim=OptimConfig("adamw", 1e-3, weight_decay=0.05, schedule="cosine", warmup=100),
        schedule=ScheduleConfig(
            batch_size=16,
            coarse_samples=arguments.coarse_samples,
            fine_samples=arguments.fine_samples,
            eval_every=500,
            save_every=500,
        ),
        seed=arguments.seed,
    )


def main(arguments: Arguments) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    commands.train(settings(arguments), arguments.run, resume=arguments.resume)
    commands.evaluate(arguments.run, "test", crop=None, aggregation="image")
    result = json.loads((Path(arguments.run) / "evaluation.json").read_text(encoding="utf-8"))
    result["run"]["data"]["root"] = "nyu_labelled"
    result["command"] = " ".join(["python", "experiments/nyu_labelled.py", *sys.argv[1:]])
    result["machine"] = describe_machine()
    write_text(RESULTS / "nyu_labelled.json", json.dumps(result, indent=2) + "\n")
    write_text(RESULTS / "nyu_labelled.md", report(result))


def report(result: dict[str, Any]) -> str:
    """The two tables in Markdown: each image counting the same, and pooled over pixels."""
    parts = [
        "# The labelled NYU pairs\n",
        f"`{result['command']}`, seed {result['run']['seed']}, {result['machine']['processor']}, "
        f"jax {result['machine']['jax']}.\n",
        f"719 training pictures, {result['images']} test pictures of other scenes, "
        f"crop {result['protocol']['crop']}, no depth caps. The paper's "
        "rows are of its own, larger training set and all 654 test pictures.",
    ]
    for kind, title in (("image", "Mean over images"), ("pixel", "Pooled over pixels")):
        rows = {f"ours: {name}": values[kind] for name, values in result["results"].items()}
        rows |= {f"paper: {name}": row for name, row in TABLE_1_NYU.items()}
        parts.append(f"\n## {title}\n\n{format_table(rows, markdown=True)}")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
