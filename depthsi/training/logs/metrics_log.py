"""Logs a run while it trains: lines of metrics, a progress bar, and checks of the metrics.

In a run of several processes, all of them check the metrics, and only the first one logs.
"""

import contextlib
import dataclasses
import math
import sys
import time
from collections import deque
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from depthsi.config import Config
from depthsi.errors import DepthsiError, DivergedError
from depthsi.output import discard_output
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.feeds import Feed, Update
from depthsi.training.logs.callbacks import Callbacks
from depthsi.training.logs.profiling import Profile
from depthsi.training.logs.tensorboard import TensorBoard, check_tensorboard
from depthsi.training.stages import Stage, make_stages


@dataclasses.dataclass(frozen=True)
class LogOptions:
    """What to log in addition to metrics.jsonl; the results do not depend on it.

    Attributes:
      tensorboard: also write the metrics as TensorBoard event files, to RUN/tensorboard.
      profile: number of steps to profile, to RUN/profile; 0 for none.

    Raises:
      DepthsiError: the number of steps is negative, or tensorboardX is missing.
    """

    tensorboard: bool = False
    profile: int = 0

    def __post_init__(self) -> None:
        if self.profile < 0:
            raise DepthsiError(f"--profile is {self.profile}; it must be at least 0.")
        if self.tensorboard:
            check_tensorboard()


class MetricsLog:
    """Fetches metrics one call late, so that devices never wait; logs and checks them.

    This is a context manager, which closes what it has opened.
    """

    def __init__(
        self,
        config: Config,
        run: RunDirectory,
        checkpoints: Checkpoints,
        feed: Feed,
        step: int,
        options: LogOptions,
        callbacks: Callbacks = Callbacks(),  # noqa: B008 (frozen)
    ) -> None:
        """Starts after global step `step`, with the time that `feed` has waited so far."""
        self._config, self._run, self._checkpoints = config, run, checkpoints
        self._feed, self._options, self._callbacks = feed, options, callbacks
        self._pending: tuple[int, Stage, Any] | None = None
        self._seen = step
        self._train: dict[str, float] = {}
        self._newest: deque[tuple[int, dict[str, float]]] = deque(maxlen=5)
        self._board: TensorBoard | None = None
        self._profile: Profile | None = None
        self._open = contextlib.ExitStack()
        self._leads = jax.process_index() == 0
        self._bar = tqdm(
            total=make_stages(config)[-1].end,
            initial=step,
            unit="step",
            disable=None if self._leads else True,  # None: where nobody watches a terminal
        )
        self._val = _evaluations(run) if self._leads else []
        self._restart_clock()

    def __enter__(self) -> "MetricsLog":
        self._open.enter_context(contextlib.closing(self._bar))
        if self._leads and self._options.tensorboard:
            board = TensorBoard(self._run.path / "tensorboard", self._seen)
            self._board = self._open.enter_context(board)
        if self._leads and self._options.profile:
            directory, steps = self._run.path / "profile", self._options.profile
            self._profile = self._open.enter_context(Profile(directory, steps, self.say))
        return self

    def __exit__(self, *raised: Any) -> None:
        self._open.__exit__(*raised)

    @property
    def so_far(self) -> dict[str, Any]:
        """The metrics to store in a checkpoint: those of the newest step, and all evaluations."""
        return {"train": self._train, "val": self._val}

    def say(self, text: str) -> None:
        """Prints a line above the progress bar."""
        if not self._leads:
            return
        try:
            self._bar.write(text)
            sys.stdout.flush()
        except BrokenPipeError:  # the training goes on without its reader
            discard_output()

    def wrap(self, update: Update, stage: Stage) -> Update:
        """The same update, recorded until the requested profile is complete."""
        return self._profile.wrap(update, stage) if self._profile else update

    def after(self, step: int, stage: Stage, metrics: Any) -> None:
        """Records the steps just started, up to `step`, and checks the ones before them."""
        previous, self._pending = self._pending, (step, stage, metrics)
        if previous:
            self._check_and_log(*previous)

    def flush(self) -> None:
        """Waits for the steps in flight and checks them."""
        previous, self._pending = self._pending, None
        if previous:
            self._check_and_log(*previous)

    def evaluated(self, step: int, stage: Stage, metrics: dict[str, float]) -> None:
        """Logs an evaluation; the time it took does not count against the training."""
        self._val.append(self._log(step, stage, "val", metrics))
        if self._leads:
            self._callbacks.on_eval(step, metrics)
        self.say(
            f"{stage.name} step {step}: val rmse_log {metrics['rmse_log']:.3f},"
            f" rmse_log_si {metrics['rmse_log_si']:.3f}, d1 {metrics['d1']:.3f}"
        )
        self._restart_clock()

    def _check_and_log(self, last: int, stage: Stage, metrics: Any) -> None:
        columns = {name: np.atleast_1d(values) for name, values in jax.device_get(metrics).items()}
        for row, step in enumerate(range(self._seen + 1, last + 1)):
            self._note(step, stage, {name: float(column[row]) for name, column in columns.items()})
        self._seen = last

    def _note(self, step: int, stage: Stage, values: dict[str, float]) -> None:
        self._refuse_nonsense(step, stage, values)
        self._train = values
        if self._leads:
            self._callbacks.on_step(step, values)
        self._steps += 1
        self._bar.set_description(stage.name, refresh=False)
        self._bar.update()
        if step % self._config.schedule.log_every and step != stage.end:
            return
        elapsed = time.perf_counter() - self._since
        speed = self._steps * self._config.schedule.batch_size / elapsed
        waiting = (self._feed.waited - self._waited) / elapsed
        self._restart_clock()
        timing = {"images_per_second": round(speed, 2), "waiting_share": round(waiting, 4)}
        values = dict(sorted((values | timing).items(), key=lambda item: "norm" in item[0]))
        self._log(step, stage, "train", values)  # what most people look for comes first
        self._bar.set_postfix_str(f"loss {values['loss']:.4f}, {speed:.0f} images/s")

    def _log(self, step: int, stage: Stage, split: str, values: dict[str, float]) -> dict[str, Any]:
        row = {"step": step, "stage": stage.name, "split": split, **values}
        if self._leads:
            self._run.append(**row)
        if self._board:
            self._board.write(step, split, values)
        return row

    def _restart_clock(self) -> None:
        self._since, self._waited, self._steps = time.perf_counter(), self._feed.waited, 0

    def _refuse_nonsense(self, step: int, stage: Stage, values: dict[str, float]) -> None:
        if values["valid_share"] == 0 and step == stage.start + 1:
            raise DepthsiError(
                f"Training stopped at step {step} ({stage.name}): no pixel of the first batch has"
                " known depth; check the depth files and augment.mask_extremes."
            )
        norms = {name: values[name] for name in ("loss", "gradient_norm", "update_norm")}
        self._newest.append((step, norms))
        if all(math.isfinite(norm) for norm in norms.values()):
            return
        kept = self._checkpoints.latest
        where = f"the checkpoint of step {kept} is kept" if kept else "no checkpoint was made yet"
        shown = "; ".join(
            f"step {number}: {', '.join(f'{name} {value:.3g}' for name, value in row.items())}"
            for number, row in self._newest
        )
        raise DivergedError(
            f"Training stopped at step {step} ({stage.name}): not a finite number ({shown});"
            f" {where}. Lower optim.learning_rate or set optim.clip, and start another --run."
        )


def _evaluations(run: RunDirectory) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl that a resumed run will not write again."""
    return [row for row in run.rows() if row.get("split") == "val"]
