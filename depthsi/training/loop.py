"""The host's part of training: stages in turn, with logs, evaluations and checkpoints."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from depthsi.config import Config
from depthsi.data.pipeline import Pairs, ordered_batches
from depthsi.errors import DepthsiError
from depthsi.evaluation import DEFAULT_PROTOCOLS, evaluate_predictor, make_predictor
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints import Checkpoints
from depthsi.training.feeds import open_feed
from depthsi.training.parallel import data_mesh, replicated
from depthsi.training.stages import Stage, make_stages, stage_of
from depthsi.training.state import State, enter_stage, initial_state
from depthsi.training.steps import make_train_step


def train(
    config: Config, run: RunDirectory, train_pairs: Pairs | None, val_pairs: Pairs | None
) -> dict[str, Any]:
    """Trains every stage, from the newest checkpoint of `run` on if there is one.

    Args:
      config: of the run.
      run: its directory, which exists.
      train_pairs: samples to train on; None for endless rooms.
      val_pairs: samples to evaluate on along the way; None for no such evaluation.

    Returns:
      The networks' parameters after the last stage.

    Raises:
      DepthsiError: a loss or an update that is not finite, with the step and the checkpoint to go
        back to; a batch the devices cannot share; an unusable checkpoint; data that the settings
        of `config.data` do not allow for.
    """
    mesh = data_mesh(config.schedule.batch_size)
    stages = make_stages(config.schedule)
    with Checkpoints(run.checkpoints, config.schedule.keep) as checkpoints:
        state = _begin(config, stages, checkpoints, replicated(mesh))
        step = int(state.step)
        run.forget_after(step)
        with (
            open_feed(config, train_pairs, mesh, step) as feed,
            tqdm(total=stages[-1].end, initial=step, unit="step", disable=None) as bar,
        ):
            watch = _Watch(config, run, bar, checkpoints, step)
            for stage in stages:
                if step >= stage.end:
                    continue
                if step == stage.start and step > 0:
                    enter = jax.jit(lambda s, stage=stage: enter_stage(s, config, stage))
                    state = enter(state)
                update = feed.update(make_train_step(config, stage), stage)
                evaluate = _evaluator(config, stage, val_pairs)
                while step < stage.end:
                    state, step, metrics = update(state, step)
                    watch.after(step, stage, metrics)
                    due = config.schedule.eval_every
                    if evaluate and (step == stage.end or step % due == 0):
                        watch.settle()
                        watch.evaluated(step, stage, evaluate(state.params))
                    if step == stage.end or step % config.schedule.save_every == 0:
                        watch.settle()  # what is not finite is never saved
                        checkpoints.save(step, state)
    return state.params


def _begin(
    config: Config,
    stages: tuple[Stage, ...],
    checkpoints: Checkpoints,
    sharding: jax.sharding.Sharding,
) -> State:
    latest = checkpoints.latest
    stage = stage_of(stages, latest or 0)

    def fresh() -> State:
        return initial_state(config, stage)

    if latest is None:
        return jax.jit(fresh, out_shardings=sharding)()
    return checkpoints.restore(latest, jax.eval_shape(fresh), sharding)


def _evaluator(
    config: Config, stage: Stage, pairs: Pairs | None
) -> Callable[[Any], dict[str, float]] | None:
    if pairs is None or not config.schedule.eval_every:
        return None
    predict = make_predictor(config.model, stage.output)
    sizes = config.model.sizes

    def evaluate(params: Any) -> dict[str, float]:
        batches = ordered_batches(pairs, config.schedule.batch_size)
        protocol = DEFAULT_PROTOCOLS[sizes.name]
        total = evaluate_predictor(lambda image: predict(params, image), batches, sizes, protocol)
        return total.compute("image")

    return evaluate


class _Watch:
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
