"""`depthsi train`."""

from depthsi.commands.shared import BATCH, split_source
from depthsi.config import Config
from depthsi.data.pipeline import open_pairs, ordered_batches
from depthsi.evaluation import mean_depth
from depthsi.runs import RunDirectory
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
    data_mesh(config.schedule.batch_size)  # refuses before anything is read or written
    splits = ("train", "val") if config.schedule.eval_every else ("train",)
    sources = [(split_source(config, split), config.model.sizes.image, split) for split in splits]
    train_pairs, *others = (open_pairs(*source) for source in sources)
    if not resume:
        run.create(config)
    if not run.mean_depth_file.exists():
        run.save_mean_depth(mean_depth(ordered_batches(train_pairs, BATCH)))
    run_training(config, run, train_pairs, others[0] if others else None)
    print(f"Trained {make_stages(config.schedule)[-1].end} steps. Next: depthsi evaluate {path}")
