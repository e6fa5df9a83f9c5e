"""The row of the README's table, from rooms and labelled pairs alone, in the time there is.

Question:  how far do 719 labelled NYU pictures and any number of procedural rooms carry the paper's
           networks, and a U-Net beside them, without any other weights or data?
Command:   python -m experiments.nyu_row.run --root FOLDER --run runs/nyu_row/two_scale
           python -m experiments.nyu_row.run --root FOLDER --run runs/nyu_row/unet --kind unet
           --size small --batch 16 --rooms-kept 6000 --rooms-coarse 20000 --coarse 24000 --fine 0
           on a GPU: --sizes gpu --minutes 8 --shorten
Hardware:  2 CPU cores, or one GPU (experiments/nyu_row/gpu_run.sh, not run yet).
Time:      on one core of a CPU with AVX-512: two_scale 27 minutes on rooms and 26 on pairs, the
           small U-Net 20 and 21.
Result:    experiments/results/nyu_two_scale.* and nyu_unet.* (test), nyu_tries.json (val).
           A try leaves in its directory row.json, and in rooms/, nyu/ and final/ a run
           each, with evaluations inside; tries.json beside it has the numbers of all tries.
Tried:     without rooms, with AdamW (experiments/nyu_labelled.py): d1 0.483 on test, where this
           has 0.564; rooms, muon and batch were not taken apart. Rooms of which none comes twice,
           64 000 of them, then 40 000 samples of pairs in batches of 16: d1 0.51, RMSE log 0.317,
           SI 0.241 on val, about as good as kept ones. On val the coarse network hardly gains any
           more after a quarter of its 60 000 samples of pairs (SI 0.242 at step 450, 0.239 at end).
           The hourglass, which takes twice the U-Net's time, was not tried; nor were more than one
           seed, and --final.

A network is trained on rooms and goes on from there on the split `train`. It is evaluated
on `val`, where everything is chosen; on `test` only with --test, once. With --final the chosen
training is done again on the pairs of train and val, 719 + 76, and it is that run which is tested.
The same line continues what was stopped. With --shorten the rooms end after their part of the
minutes, wherever they are, and the training on pairs is made short enough to end in time, its
cosine included. Evaluations come on top of the minutes. Neither tyro nor grain nor
tensorflow-datasets is needed: rooms and pairs are drawn on the device.
"""

import contextlib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from depthsi.config import Config
from depthsi.evaluation.evaluate import evaluate_and_report
from depthsi.evaluation.request import EvaluationRequest
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.trained import latest_step
from depthsi.training.run import train_run
from experiments.nyu_row.merge_splits import with_val_for_training
from experiments.nyu_row.plain_errors import plain_errors
from experiments.nyu_row.record import NAME, collect, is_complete, record
from experiments.nyu_row.settings import Settings, final_config, pairs_config, parse, rooms_config
from experiments.nyu_row.small_weights import as_run
from experiments.nyu_row.speed import affordable, images_per_second
from experiments.nyu_row.time_budget import Budget, TimeUpError, stop_after


class Row:
    """One try, as far as it has come; the methods are its parts, in this order."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.path = settings, Path(settings.run)
        self.seconds: dict[str, float] = {}  # of the trainings of this start
        self._budget = Budget(settings.minutes)

    def train(self) -> None:
        """All trainings, each from where it stopped; raises TimeUpError if they are not done."""
        weights = self._pre_train()
        with stop_after(self._budget.seconds):
            config = self._pairs_config(weights)
        self._finish("nyu", config, self._budget.seconds)
        if self.settings.final:
            folder = with_val_for_training(Path(self.settings.root), self.path / "pairs")
            self._finish("final", final_config(config, folder), self._budget.seconds)

    def evaluate(self) -> None:
        """On val, what there is; on test, what is complete, unless it has been."""
        nyu = self.path / "nyu"
        if latest_step(RunDirectory(nyu)) is not None:
            for which in ("newest", "best") if self._was_evaluated(nyu) else ("newest",):
                out = str(nyu / f"val_{which}")
                request = EvaluationRequest(
                    what=str(nyu), split="val", checkpoint=which, out=out, mirrored=True
                )
                evaluate_and_report(request)
        if not self.settings.test:
            return
        tested = self.path / ("final" if self.settings.final else "nyu")
        if (tested / "test" / "evaluation.json").exists():
            print(f"{tested} has been evaluated on test before: see {tested / 'test'}.")
        elif not ((tested / "config.json").exists() and is_complete(tested)):
            print(f"{tested} is not complete: it is not evaluated on test yet.")
        else:
            which, out = self.settings.checkpoint, str(tested / "test")
            request = EvaluationRequest(what=str(tested), checkpoint=which, out=out, mirrored=True)
            evaluate_and_report(request)

    def _pre_train(self) -> str:
        """Trains on rooms; the run to start from, "" for none."""
        settings = self.settings
        weights = settings.start and str(as_run(settings.start, self.path / "start"))
        if not settings.rooms_coarse:
            return weights
        rooms, config = self.path / "rooms", rooms_config(settings, weights)
        if not settings.shorten:
            self._finish("rooms", config, self._budget.seconds)
        elif not (self.path / "nyu" / "config.json").exists():
            with contextlib.suppress(TimeUpError):  # what there is of it will do
                self._finish("rooms", config, settings.rooms_share * self._budget.seconds)
        return weights if latest_step(RunDirectory(rooms)) is None else str(rooms)

    def _pairs_config(self, weights: str) -> Config:
        """Of the training on pairs: as long as asked for, or as there is time, or as it began."""
        settings = self.settings
        most = settings.coarse, settings.fine
        if not settings.shorten:
            return pairs_config(settings, weights, most)
        if (self.path / "nyu" / "config.json").exists():
            begun = RunDirectory(self.path / "nyu").config()
            samples = begun.schedule.coarse_samples, begun.schedule.fine_samples
            return pairs_config(settings, begun.init.weights, samples)
        speed = images_per_second(pairs_config(settings, "", most))
        each = self._budget.seconds / (2 if settings.final else 1)
        # a training cut short is better than none
        samples = affordable(most, speed, max(each - settings.reserve, each / 3))
        print(f"{speed:.0f} pairs a second: {samples[0]} for coarse and {samples[1]} for fine.")
        return pairs_config(settings, weights, samples)

    def _finish(self, name: str, config: Config, seconds: float) -> None:
        path, began = self.path / name, time.monotonic()
        resume = (path / "config.json").exists()
        if resume:
            RunDirectory(path).check_same(config)
            if is_complete(path):
                return
        try:
            with stop_after(seconds):
                train_run(config, str(path), resume=resume)
        finally:
            self.seconds[name] = round(time.monotonic() - began, 1)

    def _was_evaluated(self, path: Path) -> bool:
        metrics = RunDirectory(path).metrics
        return metrics.exists() and '"split": "val"' in metrics.read_text(encoding="utf-8")


def main(words: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if words is None else list(words)
    command = shlex.join(["python", "experiments/nyu_row/run.py", *arguments])
    with plain_errors("nyu_row"):
        row, ending = Row(parse(arguments)), "All trainings are complete."
        try:
            try:
                row.train()
            except TimeUpError:
                ending = f"The time is over and all is saved. Continue with: {command}"
            row.evaluate()
        finally:  # also what failed is on record
            if row.path.is_dir():
                record(row.settings, command, row.seconds)
        print(f"Written: {row.path / NAME} {collect(row.path.parent)}\n{ending}")


if __name__ == "__main__":
    main()
