"""A complete training: opens the data, checks the settings, and trains all stages of a run."""

import contextlib
import shlex
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax

from depthsi.config import Config
from depthsi.config_json import to_dict
from depthsi.data.bad_samples import GoodSamples
from depthsi.data.pipeline import Samples, open_samples, ordered_batches
from depthsi.data.samples import Source
from depthsi.errors import DepthsiError
from depthsi.metrics.baselines import mean_depth
from depthsi.output import say
from depthsi.runs import RunDirectory
from depthsi.scale import describe_scale
from depthsi.training.checkpoints.start_from_run import check_coarse_convs, check_init
from depthsi.training.checkpoints.trained import trained_outputs
from depthsi.training.feeds import check_feed
from depthsi.training.logs.callbacks import Callbacks
from depthsi.training.logs.metrics_log import LogOptions
from depthsi.training.loop import train
from depthsi.training.own import Own
from depthsi.training.parallel import make_mesh, state_sharding
from depthsi.training.processes.agreement import check_agreement, fingerprint
from depthsi.training.processes.cluster import Cluster, join_cluster, on_leader
from depthsi.training.processes.run_lock import run_lock
from depthsi.training.stages import check_warmup, make_stages
from depthsi.training.state import abstract_state
from depthsi.weights.network_file import TrainedNetwork, write_network

BATCH = 16  # samples read at a time for the mean depth


def train_run(
    config: Config,
    path: str,
    *,
    resume: bool = False,
    options: LogOptions = LogOptions(),  # noqa: B008 (frozen)
    cluster: Cluster = Cluster(),  # noqa: B008 (frozen)
    own: Own = Own(),  # noqa: B008 (frozen)
    data: Mapping[str, Source] | None = None,
    callbacks: Callbacks = Callbacks(),  # noqa: B008 (frozen)
) -> RunDirectory:
    """Trains all stages of the run in the directory `path`.

    Args:
      config: settings of the run.
      path: the directory; created, or continued from its newest checkpoint with `resume`.
      resume: whether to continue; everything except `config.compute` must then be the same.
      options: what to log in addition to metrics.jsonl.
      cluster: the processes that train together.
      own: loss, network and optimiser to use instead of those that `config` describes.
      data: samples by split, instead of those of `config.data`.
      callbacks: functions to call during training.

    Raises:
      DepthsiError: the settings, the data or the directory cannot be used.
      StoppedError: a signal was received; the state is saved.
    """
    config = own.settings(config)
    own.check(config)  # refuses what cannot be
    run = RunDirectory(path)
    with join_cluster(cluster), contextlib.ExitStack() as held:

        def lock() -> None:
            held.enter_context(run_lock(run.path))

        def begin() -> None:
            lock()
            run.check_new()  # another run may have begun since
            run.create(config)

        def describe_data() -> None:
            run.record_left_out(
                {
                    split: source.bad.messages
                    for split, source in sources.items()
                    if isinstance(source, GoodSamples)
                }
            )
            if train_samples is not None and not run.mean_depth_file.exists():
                run.save_mean_depth(mean_depth(ordered_batches(train_samples, BATCH)))

        versions = {name: metadata.version(name) for name in ("depthsi", "jax")}
        given = {"--run": path, "--resume": resume, **to_dict(config)}
        check_agreement(fingerprint(given, {}, versions))
        if resume:
            run.check_same(config)
            on_leader(run.check_own)
            on_leader(lock)
        else:
            on_leader(run.check_new)
        # what cannot be is refused before anything is read or written
        mesh = make_mesh(config.schedule.batch_size, config.compute)
        if not resume:
            own.check_network(config)
        parts = own.given("network", "optimiser")
        state_sharding(abstract_state(config, make_stages(config)[0], **parts), mesh)
        if not resume:
            check_warmup(config)
            check_init(config.init)
            check_coarse_convs(config)
        sources, samples = _open(config, run, data or {})
        check_agreement(fingerprint({}, sources, {}))
        train_samples, val_samples = samples.get("train"), samples.get("val")
        check_feed(config, train_samples, mesh)
        if not resume:
            on_leader(begin)
        on_leader(describe_data)
        params = train(
            config, run, train_samples, val_samples, options, own=own, callbacks=callbacks
        )
        if jax.process_index() == 0:
            steps = make_stages(config)[-1].end
            outputs = trained_outputs(config, steps)
            about = describe_scale(_last_evaluation(run, steps), outputs[-1])
            trained = TrainedNetwork(config.model, params, outputs, steps, about)
            write_network(run.weights, trained)
            where = shlex.quote(str(path))
            command = f"depthsi evaluate {where}"
            if own.network is not None:  # no command has its code
                command = f"in Python, depthsi.load({str(path)!r}, network=...)"
            say(f"Trained {steps} steps. Next: {command}")
            say(f"For a report on the run: depthsi report {where}")
    return run


def _last_evaluation(run: RunDirectory, step: int) -> dict[str, Any]:
    """The metrics on val of the network after `step`, if it was evaluated.

    They are read from metrics.jsonl, because all processes would have to read a checkpoint
    together.
    """
    rows = [row for row in run.rows() if (row.get("split"), row["step"]) == ("val", step)]
    return rows[-1] if rows else {}


def _open(
    config: Config, run: RunDirectory, given: Mapping[str, Source]
) -> tuple[dict[str, Source], dict[str, Samples]]:
    """The splits that this run still needs, by name, and the files read from them."""
    # a run on endless rooms takes no more than the mean predictor from `data.train` of them
    train = not config.data.endless or not run.mean_depth_file.exists()
    needed = {"train": train, "val": config.schedule.eval_every > 0}
    size = config.model.sizes.image
    sources = {
        split: given.get(split) or _source(config, split) for split in needed if needed[split]
    }
    return sources, {split: open_samples(one, size, split) for split, one in sources.items()}


def _source(config: Config, split: str) -> Source:
    try:
        return config.data.open(split, config.model.sizes.image)
    except DepthsiError as error:
        if split == "val" and config.data.kind != "rooms":
            remedy = "to train without evaluating on a split 'val', set --schedule.eval-every 0."
            raise DepthsiError(f"{error} Or {remedy}") from error
        raise
