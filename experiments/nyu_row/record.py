"""What a try at the row leaves to be read: settings, progress and the numbers on val, as JSON."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from depthsi.config_json import to_dict
from depthsi.evaluation.report import HOW
from depthsi.files import write_text
from depthsi.machine import describe_machine
from depthsi.metrics import PAPER_METRICS
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.trained import latest_step
from depthsi.training.stages import make_stages
from experiments.nyu_row.settings import Settings
from experiments.script import named_without_place, read_json

NAME = "row.json"
QUESTION = "How far do 719 labelled images and procedural rooms carry the network?"
RUNS = ("rooms", "rooms_again", "nyu", "settled", "final", "final_settled")


def record(settings: Settings, command: str, seconds: dict[str, float]) -> Path:
    """Writes what has come of the try so far.

    Args:
      settings: of the try.
      command: that was started this time; those before it stay in the file.
      seconds: that the trainings took this time, by name.

    Returns:
      The file.

    Raises:
      DepthsiError: the file is there and cannot be read.
    """
    directory = Path(settings.run)
    file = directory / NAME
    earlier = read_record(file)["starts"] if file.exists() else []
    start = {"command": command, "seconds": seconds, "machine": describe_machine()}
    row = {
        "question": QUESTION,
        "seed": settings.seed,
        "settings": dataclasses.asdict(settings) | {"root": Path(settings.root).name},
        "starts": [*earlier, start],
        "runs": {
            name: _of_run(directory / name)
            for name in RUNS
            if (directory / name / "config.json").exists()
        },
    }
    directory.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(row, indent=2) + "\n")
    return file


def is_complete(path: Path) -> bool:
    """Whether the run in `path` has been trained to its end."""
    run = RunDirectory(path)
    return latest_step(run) == make_stages(run.config())[-1].end


def collect(directory: Path) -> Path:
    """Writes tries.json with the numbers of all tries in `directory`, and prints those on val."""
    tries = {}
    for file in sorted(directory.glob(f"*/{NAME}")):
        row = read_record(file)
        tries[file.parent.name] = {
            "settings": row["settings"],
            "steps": {
                name: f"{run['step']} of {run['steps']}" for name, run in row["runs"].items()
            },
            "evaluations": {name: run["evaluations"] for name, run in row["runs"].items()},
        }
        for part in ("nyu", "settled"):
            for name, numbers in row["runs"].get(part, {}).get("evaluations", {}).items():
                for network, values in numbers.items():
                    shown = ", ".join(f"{key} {_short(values[key])}" for key in PAPER_METRICS)
                    print(f"{file.parent.name}, {part}, {name}, {network}: {shown}")
    write_text(directory / "tries.json", json.dumps(tries, indent=2) + "\n")
    return directory / "tries.json"


def _of_run(path: Path) -> dict[str, Any]:
    run = RunDirectory(path)
    config = named_without_place(to_dict(run.config()))
    text = run.metrics.read_text(encoding="utf-8") if run.metrics.exists() else ""
    lines = [json.loads(line) for line in text.splitlines()]
    train = [line for line in lines if line["split"] == "train"]
    return {
        "config": config,
        "step": latest_step(run) or 0,
        "steps": make_stages(run.config())[-1].end,
        "complete": is_complete(path),
        "images_per_second": train[-1]["images_per_second"] if train else None,
        "val": [line for line in lines if line["split"] == "val"],
        "evaluations": {
            file.parent.name: _numbers(file) for file in sorted(path.glob("*/evaluation.json"))
        },
    }


def _numbers(file: Path) -> dict[str, dict[str, float]]:
    """Row -> the paper's numbers, mean over images."""
    how = next(iter(HOW))
    results = read_record(file)["results"]
    return {
        row: {name: values[how][name] for name in PAPER_METRICS} for row, values in results.items()
    }


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def read_record(file: Path) -> dict[str, Any]:
    return read_json(file, "move it away")
