"""The host's part of training: stages in turn, with logs, evaluations and checkpoints."""

from collections.abc import Callable
from typing import Any

import jax
from tqdm import tqdm

from depthsi.config import Config
from depthsi.data.pipeline import Pairs, ordered_batches
from depthsi.evaluation import DEFAULT_PROTOCOLS, evaluate_predictor, make_predictor
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints import Checkpoints
from depthsi.training.feeds import open_feed
from depthsi.training.parallel import data_mesh, replicated
from depthsi.training.stages import Stage, make_stages, stage_of
from depthsi.training.state import State, enter_stage, initial_state
from depthsi.training.steps import make_train_step
from depthsi.training.watch import Watch


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
    stages = make_stages(config)
    with Checkpoints(run.checkpoints, config.schedule.keep) as checkpoints:
        state = _begin(config, stages, checkpoints, replicated(mesh))
        step = int(state.step)
        run.forget_after(step)
        with (
            open_feed(config, train_pairs, mesh, step) as feed,
            tqdm(total=stages[-1].end, initial=step, unit="step", disable=None) as bar,
        ):
            watch = Watch(config, run, bar, checkpoints, step)
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
