"""The training loop on the host: stages in turn, with logs, evaluations and checkpoints."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from depthsi.compilation import quick_jit
from depthsi.config import Config
from depthsi.data.pipeline import Samples, ordered_batches
from depthsi.errors import StoppedError
from depthsi.inference import make_predictor
from depthsi.metrics.compare import evaluate_predictor
from depthsi.metrics.protocols import DEFAULT_PROTOCOLS
from depthsi.metrics.terms import ImageTerms
from depthsi.output import say
from depthsi.runs import RunDirectory
from depthsi.scale import log_scale_range
from depthsi.training.checkpoints.start_from_run import take_coarse_convs, warm_start
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.feeds import open_feed
from depthsi.training.logs.callbacks import Callbacks
from depthsi.training.logs.metrics_log import LogOptions, MetricsLog
from depthsi.training.own import Own
from depthsi.training.parallel import make_mesh, place_batch, replicated, state_sharding
from depthsi.training.processes.cluster import on_leader
from depthsi.training.processes.hang import PATIENCE, HangWatch, lost_processes_end_this_one
from depthsi.training.processes.stopping import StopRequest, stop_requests
from depthsi.training.stages import Stage, make_stages, stage_of
from depthsi.training.state import (
    State,
    abstract_state,
    enter_stage,
    initial_state,
    with_params,
)
from depthsi.training.steps import make_train_step


def train(
    config: Config,
    run: RunDirectory,
    train_samples: Samples | None,
    val_samples: Samples | None,
    options: LogOptions = LogOptions(),  # noqa: B008 (frozen)
    own: Own = Own(),  # noqa: B008 (frozen)
    callbacks: Callbacks = Callbacks(),  # noqa: B008 (frozen)
) -> dict[str, Any]:
    """Trains every stage, starting from the newest checkpoint of `run` if there is one.

    Args:
      config: settings of the run.
      run: directory of the run, which exists.
      train_samples: samples to train on; None for endless rooms.
      val_samples: samples to evaluate on during training; None for no evaluation.
      options: what to log in addition to metrics.jsonl.
      own: the objects of settings of the kind custom.
      callbacks: functions to call during training.

    Returns:
      The networks' parameters after the last stage.

    Raises:
      DepthsiError: a loss or an update is not finite (the message has the step and the checkpoint
        to go back to), the devices cannot share a batch, a checkpoint cannot be used, or the data
        does not suit `config.data`.
      StoppedError: SIGTERM, SIGINT or SIGHUP was received; the step in flight was finished and its
        state saved.
    """
    mesh = make_mesh(config.schedule.batch_size, config.compute)
    stages = make_stages(config)
    with (
        stop_requests() as stop,
        HangWatch(config.compute.hang_minutes) as hang,
        Checkpoints(run.checkpoints, config) as checkpoints,
        lost_processes_end_this_one(),
    ):
        hang.alive("the start", patience=PATIENCE)
        state = _begin(config, stages, checkpoints, mesh, own)
        step = int(state.step)
        on_leader(lambda: run.forget_after(step))
        with (
            open_feed(config, train_samples, mesh, step) as feed,
            MetricsLog(config, run, checkpoints, feed, step, options, callbacks) as log,
        ):
            between_steps = _BetweenSteps(config, run, checkpoints, log, hang, stop, callbacks)
            for stage in stages:
                if step >= stage.end:
                    continue
                if step == stage.start and step > 0:
                    state = _enter(state, config, stage, mesh, own)
                train_step = make_train_step(
                    config, stage, own.loss, **own.given("network", "optimiser")
                )
                sharding = state_sharding(state, mesh)
                update = log.wrap(feed.update(train_step, stage, sharding), stage)
                evaluate = _evaluator(config, stage, val_samples, mesh, hang, own)
                hang.alive(f"step {step}", patience=PATIENCE)
                while step < stage.end:
                    state, step, metrics = update(state, step)
                    between_steps.run(step, stage, state, metrics, evaluate)
        hang.alive(f"step {step}", patience=PATIENCE)
    # whole on every process, so that the first one can write them
    return jax.jit(lambda params: params, out_shardings=replicated(mesh))(state.params)


Evaluate = Callable[[Any], dict[str, float]]  # parameters -> numbers on the split `val`


class _BetweenSteps:
    """The host's work between two steps: logging, evaluating, saving, and stopping on a signal."""

    def __init__(
        self,
        config: Config,
        run: RunDirectory,
        checkpoints: Checkpoints,
        log: MetricsLog,
        hang: HangWatch,
        stop: StopRequest,
        callbacks: Callbacks,
    ) -> None:
        self._run, self._callbacks = run, callbacks
        self._schedule, self._last = config.schedule, make_stages(config)[-1].end
        self._checkpoints, self._log, self._hang, self._stop = checkpoints, log, hang, stop

    def run(
        self, step: int, stage: Stage, state: State, metrics: Any, evaluate: Evaluate | None
    ) -> None:
        """Must be called after each update; raises StoppedError if a signal was received."""
        self._log.after(step, stage, metrics)
        self._hang.alive(f"step {step}")
        signal = self._stop.due()
        val = {}
        if evaluate and self._is_due(step, stage, self._schedule.eval_every):
            self._log.flush()
            val = evaluate(state.params)
            self._log.evaluated(step, stage, val)
        save = self._is_due(step, stage, self._schedule.save_every)
        if save or signal or self._checkpoints.improves(val):
            self._log.flush()  # what is not finite is never saved
            self._hang.alive(f"step {step}", patience=PATIENCE)
            self._checkpoints.save(step, state, stage.name, val, self._log.so_far)
            if jax.process_index() == 0:
                self._callbacks.on_checkpoint(step, self._run.checkpoints / str(step))
        if signal and step < self._last:
            self._checkpoints.wait()
            raise StoppedError(step, signal)

    def _is_due(self, step: int, stage: Stage, every: int) -> bool:
        return step == stage.end or step % every == 0


def _begin(
    config: Config, stages: tuple[Stage, ...], checkpoints: Checkpoints, mesh: Mesh, own: Own
) -> State:
    """The newest state saved, or the first one."""
    parts = own.given("network", "optimiser")

    def abstract(step: int) -> State:
        return abstract_state(config, stage_of(stages, step), **parts)

    def shardings(state: State) -> State:
        return state_sharding(state, mesh)

    state = checkpoints.restore_newest(abstract, shardings)
    if state is not None:
        return state
    placed = shardings(abstract(0))
    state = initial_state(config, stages[0], placed, **parts)
    params, report = warm_start(state.params, config.init)
    params, convolutions = take_coarse_convs(params, config)
    for line in filter(None, (report, convolutions) if jax.process_index() == 0 else ()):
        say(line)
    return with_params(state, params)


def _enter(state: State, config: Config, stage: Stage, mesh: Mesh, own: Own) -> State:
    def enter(state: State) -> State:
        return enter_stage(state, config, stage, **own.given("optimiser"))

    sharding = state_sharding(jax.eval_shape(enter, state), mesh)
    return quick_jit(enter, out_shardings=sharding)(state)


def _evaluator(
    config: Config,
    stage: Stage,
    pairs: Samples | None,
    mesh: Mesh,
    hang: HangWatch,
    own: Own,
) -> Evaluate | None:
    if pairs is None or not config.schedule.eval_every:
        return None
    predict = make_predictor(config.model, stage.output, module=own.network)
    sizes = config.model.sizes

    def predict_while_watched(params: Any, image: Any) -> Any:
        hang.alive("a batch of the evaluation", patience=PATIENCE)
        return predict(params, place_batch(image, mesh))

    def on_host(terms: ImageTerms) -> list[np.ndarray]:
        return [np.asarray(each) for each in whole((terms.pixels, terms.means["offset"]))]

    whole = jax.jit(lambda arrays: arrays, out_shardings=replicated(mesh))

    def evaluate(params: Any) -> dict[str, float]:
        batches = ordered_batches(pairs, config.schedule.batch_size)
        protocol, kept = DEFAULT_PROTOCOLS[sizes.name], []
        total = evaluate_predictor(
            lambda image: predict_while_watched(params, image),
            batches,
            sizes,
            protocol,
            each=lambda terms: kept.append(on_host(terms)),
        )
        pixels, offsets = map(np.concatenate, zip(*kept, strict=True))
        return total.compute("image") | log_scale_range(-offsets[pixels > 0].astype(np.float64))

    return evaluate
