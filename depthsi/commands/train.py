"""`depthsi train`."""

import contextlib

import jax

from depthsi.commands.shared import BATCH, record_left_out, split_source
from depthsi.config import Config
from depthsi.data.pipeline import Samples, open_samples, ordered_batches
from depthsi.data.samples import Source
from depthsi.metrics.compare import mean_depth
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.start_from_run import check_coarse_convs, check_init
from depthsi.training.feeds import check_feed
from depthsi.training.logs.metrics_log import LogOptions
from depthsi.training.loop import train as run_training
from depthsi.training.parallel import make_mesh, state_sharding
from depthsi.training.processes.cluster import Cluster, join_cluster, on_leader
from depthsi.training.processes.run_lock import run_lock
from depthsi.training.stages import make_stages
from depthsi.training.state import abstract_state


def train(
    config: Config,
    path: str,
    *,
    resume: bool,
    options: LogOptions = LogOptions(),  # noqa: B008 (frozen)
    cluster: Cluster = Cluster(),  # noqa: B008 (frozen)
) -> None:
    """`depthsi train`: all stages into the run directory `path`."""
    run = RunDirectory(path)
    with join_cluster(cluster), contextlib.ExitStack() as held:

        def lock() -> None:
            held.enter_context(run_lock(run.path))

        def begin() -> None:
            lock()
            run.check_new()  # another run may have begun since
            run.create(config)

        def describe_data() -> None:
            record_left_out(run, sources)
            if train_samples is not None and not run.mean_depth_file.exists():
                run.save_mean_depth(mean_depth(ordered_batches(train_samples, BATCH)))

        if resume:
            run.check_same(config)
            on_leader(lock)
        else:
            on_leader(run.check_new)
        # what cannot be is refused before anything is read or written
        mesh = make_mesh(config.schedule.batch_size, config.compute)
        state_sharding(abstract_state(config, make_stages(config)[0]), mesh)
        if not resume:
            check_init(config.init)
            check_coarse_convs(config)
        sources, pairs = _open(config, run)
        train_samples, val_samples = pairs.get("train"), pairs.get("val")
        check_feed(config, train_samples, mesh)
        if not resume:
            on_leader(begin)
        on_leader(describe_data)
        run_training(config, run, train_samples, val_samples, options)
        if jax.process_index() == 0:
            steps = make_stages(config)[-1].end
            print(f"Trained {steps} steps. Next: depthsi evaluate {path}")


def _open(config: Config, run: RunDirectory) -> tuple[dict[str, Source], dict[str, Samples]]:
    """The splits that this run still needs, by name, and what was read of them."""
    # a run on endless rooms takes no more than the mean predictor from `data.train` of them
    train = not config.data.endless or not run.mean_depth_file.exists()
    needed = {"train": train, "val": config.schedule.eval_every > 0}
    sources = {split: split_source(config, split) for split in needed if needed[split]}
    pairs = {
        split: open_samples(source, config.model.sizes.image, split)
        for split, source in sources.items()
    }
    return sources, pairs
