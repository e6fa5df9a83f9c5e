"""Both networks on the labelled NYU Depth v2 pairs alone, small enough for two CPU cores.

Question:  how far do 719 labelled images carry the paper's networks, without its 120 000 video
           frames and without ImageNet?
Command:   python -m experiments.nyu_labelled --root ../shared/data/nyu_labelled
Hardware:  2 CPU cores; on a GPU use --width 1 and more samples.
Time:      about half an hour on an idle machine.
Result:    experiments/results/nyu_labelled.md and .json; the settings were chosen on the split
           `val`, the split `test` was evaluated once. `python -m experiments.record` wrote them.
           Random keys have been derived differently since, so the same command gives slightly
           different results. experiments/nyu_row/run.py, which starts on rooms, goes further.
"""

import dataclasses

from depthsi.config import AdamWConfig, Config, Folder, ScheduleConfig
from depthsi.evaluation.evaluate import evaluate_and_report
from depthsi.evaluation.request import EvaluationRequest
from depthsi.presets import from_scratch
from depthsi.training.run import train_run
from experiments.script import run_script


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains both networks and evaluates them on the test scenes."""

    root: str
    """Folder with index.csv."""
    run: str = "runs/nyu_labelled"
    """Run directory."""
    width: float = 0.25
    """Width of both networks."""
    coarse_samples: int = 80_000
    """Samples of the first stage: 111 passes over the images."""
    fine_samples: int = 24_000
    """Samples of the second stage."""
    seed: int = 0
    """Random seed."""
    resume: bool = False
    """Continue an interrupted run."""


def settings(arguments: Arguments) -> Config:
    """AdamW and a cosine instead of the paper's constant SGD rates, which need many more steps."""
    return Config(
        data=Folder(root=arguments.root),
        model=from_scratch(width=arguments.width),
        optim=AdamWConfig(
            learning_rate=1e-3, weight_decay=0.05, rate_schedule="cosine", warmup=100
        ),
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
    train_run(settings(arguments), arguments.run, resume=arguments.resume)
    evaluate_and_report(EvaluationRequest(what=arguments.run))


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
