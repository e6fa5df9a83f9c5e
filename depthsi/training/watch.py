"""What a run tells of itself while it trains: lines of metrics, a progress bar, refusals."""

import math
import time
from typing import Any

import jax
import numpy as np

from depthsi.config import Config
from depthsi.errors import DepthsiError
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints import Checkpoints
from depthsi.training.stages import Stage


class Watch:
    """Fetches metrics one call late, so that the device never waits; logs and checks them."""

    def __init__(
        self, config: Config, run: RunDirectory, bar: Any, checkpoints: Checkpoints, step: int
    ) -> None:
        self._schedule = config.schedule
        self._run, self._bar, self._checkpoints = run, bar, checkpoints
        self._pending: tuple[int, Stage, Any] | None = None
        self._seen = step
        self._since, self._steps = time.perf_counter(), 0

    def after(self, step: int, stage: Stage, metrics: Any) -> None:
        """Notes the steps just started, up to `step`, and looks at those before them."""
        previous, self._pending = self._pending, (step, stage, metrics)
        if previous:
            self._look(*previous)

    def settle(self) -> None:
        """Waits for the steps in flight and looks at them."""
        previous, self._pending = self._pending, None
        if previous:
            self._look(*previous)

    def evaluated(self, step: int, stage: Stage, metrics: dict[str, float]) -> None:
        """Logs an evaluation; the time it took does not count against the training."""
        self._run.append(step=step, stage=stage.name, split="val", **metrics)
        self._bar.write(
            f"{stage.name} step {step}: val rmse_log {metrics['rmse_log']:.3f},"
            f" rmse_log_si {metrics['rmse_log_si']:.3f}, d1 {metrics['d1']:.3f}"
        )
        self._since, self._steps = time.perf_counter(), 0

    def _look(self, last: int, stage: Stage, metrics: Any) -> None:
        columns = {name: np.atleast_1d(values) for name, values in jax.device_get(metrics).items()}
        for row, step in enumerate(range(self._seen + 1, last + 1)):
            self._note(step, stage, {name: float(column[row]) for name, column in columns.items()})
        self._seen = last

    def _note(self, step: int, stage: Stage, values: dict[str, float]) -> None:
        self._refuse_nonsense(step, stage, values)
        self._steps += 1
        self._bar.update()
        if step % self._schedule.log_every and step != stage.end:
            return
        elapsed = time.perf_counter() - self._since
        speed = self._steps * self._schedule.batch_size / elapsed
        self._since, self._steps = time.perf_counter(), 0
        self._run.append(
            step=step, stage=stage.name, split="train", **values, images_per_second=round(speed, 2)
        )
        self._bar.set_description(stage.name, refresh=False)
        self._bar.set_postfix_str(f"loss {values['loss']:.4f}, {speed:.0f} images/s")

    def _refuse_nonsense(self, step: int, stage: Stage, values: dict[str, float]) -> None:
        if values["valid_share"] == 0 and step == stage.start + 1:
            raise DepthsiError(
                f"Training stopped at step {step} ({stage.name}): no pixel of the first batch has"
                " known depth; check the depth files and augment.mask_extremes."
            )
        if all(math.isfinite(values[name]) for name in ("loss", "gradient_norm", "update_norm")):
            return
        kept = self._checkpoints.latest
        where = f"the checkpoint of step {kept} is kept" if kept else "no checkpoint was made yet"
        shown = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        raise DepthsiError(
            f"Training stopped at step {step} ({stage.name}): not a finite number ({shown});"
            f" {where}. Lower optim.learning_rate or set optim.clip, and start another --run."
        )
