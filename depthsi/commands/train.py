"""`depthsi train`."""

from depthsi.commands.shared import BATCH, record_left_out, split_source
from depthsi.config import Config
from depthsi.data.pipeline import Pairs, open_pairs, ordered_batches
from depthsi.data.samples import Source
from depthsi.evaluation import mean_depth
from depthsi.runs import RunDirectory
from depthsi.training.feeds import check_feed
from depthsi.training.loop import train as run_training
from depthsi.training.parallel import data_mesh
from depthsi.training.stages import make_stages


def train(config: Config, path: str, *, resume: bool) -> None:
    """`depthsi train`: both stages into the run directory `path`."""
    run = RunDirectory(path)
    if resume:
        run.check_same(config)
    else:
        run.check_new()
    mesh = data_mesh(config.schedule.batch_size)  # refuses before anything is read or written
    sources, pairs = _open(config, run)
    train_pairs, val_pairs = pairs.get("train"), pairs.get("val")
    check_feed(config, train_pairs, mesh)
    if not resume:
        run.create(config)
    record_left_out(run, sources)
    if train_pairs is not None and not run.mean_depth_file.exists():
        run.save_mean_depth(mean_depth(ordered_batches(train_pairs, BATCH)))
    run_training(config, run, train_pairs, val_pairs)
    print(f"Trained {make_stages(config)[-1].end} steps. Next: depthsi evaluate {path}")


def _open(config: Config, run: RunDirectory) -> tuple[dict[str, Source], dict[str, Pairs]]:
    """The splits that this run still needs, by name, and what was read of them."""
    # a run on endless rooms takes no more than the mean predictor from `data.train` of them
    train = not config.data.endless or not run.mean_depth_file.exists()
    needed = {"train": train, "val": config.schedule.eval_every > 0}
    sources = {split: split_source(config, split) for split in needed if needed[split]}
    pairs = {
        split: open_pairs(source, config.model.sizes.image, split)
        for split, source in sources.items()
    }
    return sources, pairs
