"""The rows of the README's table: networks trained on procedural rooms, then on labelled pairs.

Question:  how far do 719 labelled NYU images and any number of procedural rooms carry the paper's
           networks, and a U-Net beside them, without any other weights or data?
Command:   python -m experiments.nyu_row.run --root FOLDER --test
           two_scale: --fc6-units 1200 --rooms-kept 15000 --rooms-coarse 120000 --rooms-fine 16000
           --coarse 32000 --fine 8000 --average 0.995 --checkpoint best
           the U-Net: --run runs/nyu_row/unet --kind unet --size small --batch 16
           --rooms-kept 9000 --rooms-coarse 36000 --rooms-again 60000 --coarse 16000 --fine 0
           --average 0.995 --checkpoint best
           on a GPU, not run yet: --width 1 --batch 64 --precision bfloat16 --rooms-kept 0
           --rooms-coarse 400000 --rooms-fine 60000 --coarse 400000 --fine 80000
Hardware:  2 CPU cores.
Time:      on two cores without AVX-512, beside other work: two_scale 106 minutes on rooms and 18 on
           pairs, the small U-Net 95 and 17. `timeout --signal=TERM 30m python
           -m ...` stops after 30 minutes with everything saved, and the same command continues.
Result:    experiments/results/nyu_two_scale.* and nyu_unet.* (test), nyu_tries.json (val).
           A try leaves in its directory row.json, and in rooms/, rooms_again/, nyu/, settled/ and
           final/ a run each, with evaluations inside; tries.json beside it has the numbers of all
           tries. README.md here says what was tried.

A network is trained on rooms and goes on from there on the split `train`, with --settle in two
parts. It is evaluated on `val`, where everything is chosen; on `test` only with --test, once. With
--final the chosen training is done again on the pairs of train and val, 719 + 76, and it is that
run which is tested.
"""

import csv
import dataclasses
import os
import time
from pathlib import Path

from depthsi.config import Config
from depthsi.data.folder.index import read_index
from depthsi.errors import DepthsiError
from depthsi.evaluation.evaluate import evaluate_and_report
from depthsi.evaluation.request import EvaluationRequest
from depthsi.machine import keep_freed_memory
from depthsi.runs import RunDirectory
from depthsi.training.run import train_run
from experiments.nyu_row.record import collect, is_complete, record
from experiments.nyu_row.settings import (
    Settings,
    final_config,
    pairs_config,
    rooms_again_config,
    rooms_config,
    settled_config,
)
from experiments.script import command_line, run_script


def main(settings: Settings) -> None:
    """Trains what is missing, evaluates, and writes row.json and tries.json."""
    path, seconds = Path(settings.run), {}
    keep_freed_memory()
    try:
        train_all(settings, seconds)
        evaluate_all(settings)
    finally:  # also what was stopped or failed is on record
        if path.is_dir():
            named = dataclasses.replace(
                settings, root=os.path.relpath(settings.root), run=os.path.relpath(path)
            )
            command = command_line("nyu_row.run", named, leave_out=(), defaults=False)
            print(f"Written: {record(settings, command, seconds)} {collect(path.parent)}")


def train_all(settings: Settings, seconds: dict[str, float]) -> None:
    """All trainings, each from where it stopped; adds to `seconds` what they take, by name."""
    path = Path(settings.run)
    config = pairs_config(settings, weights_before_pairs(settings))
    read_index(Path(settings.root) / "index.csv")  # before minutes are spent on rooms
    if settings.rooms_coarse:
        finish(path / "rooms", rooms_config(settings), seconds)
    if settings.rooms_again:
        again = rooms_again_config(settings, str(path / "rooms"))
        finish(path / "rooms_again", again, seconds)
    finish(path / "nyu", config, seconds)
    if settings.settle:
        finish(path / "settled", settled_config(settings, str(path / "nyu")), seconds)
    if settings.final:
        folder = with_val_for_training(Path(settings.root), path / "pairs")
        finish(path / "final", final_config(config, folder), seconds)
        if settings.settle:
            again = settled_config(settings, str(path / "final"))
            finish(path / "final_settled", final_config(again, folder), seconds)


def weights_before_pairs(settings: Settings) -> str:
    """The run that was, or will be, trained last before the pairs."""
    if not settings.rooms_coarse:
        return settings.start
    return str(Path(settings.run) / ("rooms_again" if settings.rooms_again else "rooms"))


def finish(path: Path, config: Config, seconds: dict[str, float]) -> None:
    """Trains the run in `path` to its end, unless it has come there."""
    resume = (path / "config.json").exists()
    if resume:
        RunDirectory(path).check_same(config)
        if is_complete(path):
            return
    began = time.monotonic()
    try:
        train_run(config, str(path), resume=resume)
    finally:
        seconds[path.name] = round(time.monotonic() - began, 1)


def evaluate_all(settings: Settings) -> None:
    """On val; on test, if that is asked for and has not been done."""
    path = Path(settings.run)
    for part in ("nyu", "settled") if settings.settle else ("nyu",):
        for which in ("newest", "best"):
            what, out = str(path / part), str(path / part / f"val_{which}")
            evaluate_and_report(
                EvaluationRequest(what=what, split="val", checkpoint=which, out=out, mirrored=True)
            )
    if not settings.test:
        return
    tested = path / last_part(settings)
    if (tested / "test" / "evaluation.json").exists():
        print(f"{tested} has been evaluated on test before: see {tested / 'test'}.")
        return
    out, which = str(tested / "test"), settings.checkpoint
    evaluate_and_report(
        EvaluationRequest(what=str(tested), checkpoint=which, out=out, mirrored=True)
    )


def last_part(settings: Settings) -> str:
    """The name of the run that is tested."""
    if settings.settle:
        return "final_settled" if settings.final else "settled"
    return "final" if settings.final else "nyu"


def with_val_for_training(root: Path, made: Path) -> Path:
    """Makes the folder `made`, whose split `train` has the pairs of `root` in train and val.

    Its images are links to those of `root`; done again, it is as before.

    Args:
      root: folder with index.csv.
      made: folder to make.

    Returns:
      `made`.

    Raises:
      DepthsiError: the index cannot be used, or has no split `val`.
    """
    pairs = read_index(root / "index.csv")
    if not any(pair.split == "val" for pair in pairs):
        raise DepthsiError(f"{root} has no split 'val' that could be added to 'train'.")
    rows = [("rgb", "depth", "split", "depth_units_per_metre", "scene")]
    for pair in pairs:
        split = "train" if pair.split == "val" else pair.split
        units = "" if pair.units_per_metre is None else str(pair.units_per_metre)
        rows.append((pair.rgb, pair.depth, split, units, pair.scene))
    made.mkdir(parents=True, exist_ok=True)
    for name in {Path(file).parts[0] for pair in pairs for file in (pair.rgb, pair.depth)}:
        if not (made / name).is_symlink():
            os.symlink((root / name).resolve(), made / name)
    with (made / "index.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return made


if __name__ == "__main__":
    run_script(main, Settings, __doc__)
