"""What the verbs of the command line do."""

import dataclasses
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

import depthsi
from depthsi import runs
from depthsi.config import Config
from depthsi.config_json import to_dict
from depthsi.data.decoding import read_image
from depthsi.data.pipeline import Pairs, open_pairs, ordered_batches
from depthsi.data.samples import Source
from depthsi.data.sources import open_source
from depthsi.errors import DepthsiError
from depthsi.evaluation import (
    DEFAULT_PROTOCOLS,
    Protocol,
    evaluate_mean_predictor,
    evaluate_predictor,
    evaluated_region,
    make_predictor,
    mean_depth,
    upsample_cells,
)
from depthsi.geometry import Geometry
from depthsi.inference import make_window_network, predict_depth
from depthsi.machine import describe_machine
from depthsi.metrics import DepthMetrics
from depthsi.paper_tables import TABLE_1_NYU, TABLE_2_KITTI
from depthsi.runs import RunDirectory
from depthsi.tables import format_table
from depthsi.training.checkpoints import Checkpoints
from depthsi.training.loop import train as run_training
from depthsi.training.parallel import data_mesh
from depthsi.training.stages import make_stages, stage_of
from depthsi.training.state import initial_state
from depthsi.viz import require_matplotlib, save_contact_sheet, save_panel

SHEET_ROWS = 6  # pictures of an evaluation's contact sheet
BATCH = 16  # pictures evaluated at a time


def train(config: Config, path: str, *, resume: bool) -> None:
    """`depthsi train`: both stages into the run directory `path`."""
    run = RunDirectory(path)
    if resume:
        run.check_same(config)
    else:
        run.check_new()
    data_mesh(config.schedule.batch_size)  # refuses before anything is read or written
    splits = ("train", "val") if config.schedule.eval_every else ("train",)
    sources = [(_source(config, split), config.model.sizes.image, split) for split in splits]
    train_pairs, *others = (open_pairs(*source) for source in sources)
    if not resume:
        run.create(config)
    if not run.mean_depth_file.exists():
        run.save_mean_depth(mean_depth(ordered_batches(train_pairs, BATCH)))
    run_training(config, run, train_pairs, others[0] if others else None)
    print(f"Trained {make_stages(config.schedule)[-1].end} steps. Next: depthsi evaluate {path}")


def evaluate(path: str, split: str, *, crop: str | None, aggregation: str) -> None:
    """`depthsi evaluate`: the table, evaluation.json and a contact sheet."""
    require_matplotlib()
    run = RunDirectory(path)
    config = run.config()
    sizes = config.model.sizes
    protocol = DEFAULT_PROTOCOLS[sizes.name]
    protocol = dataclasses.replace(protocol, crop=crop) if crop else protocol
    evaluated_region(protocol, sizes, sizes.image)  # refuses a crop that cannot be before reading
    params, step = _trained(config, run)
    pairs = open_pairs(_source(config, split), sizes.image, split)

    totals = _evaluate_networks(config, params, step, pairs, protocol)
    totals["mean predictor"] = evaluate_mean_predictor(
        run.mean_depth(), ordered_batches(pairs, BATCH), sizes, protocol
    )
    ours = {name: total.compute(aggregation) for name, total in totals.items()}
    print(_report(ours, sizes, len(pairs), split, protocol, aggregation, step))

    both = ("image", "pixel")
    result = {
        "run": to_dict(config),
        "step": step,
        "split": split,
        "images": len(pairs),
        "protocol": dataclasses.asdict(protocol)
        | {"max_depth": protocol.max_depth if math.isfinite(protocol.max_depth) else None},
        "results": {
            name: {"pixels": int(total.pixels)} | {kind: total.compute(kind) for kind in both}
            for name, total in totals.items()
        },
    }
    runs.write_text(run.path / "evaluation.json", json.dumps(result, indent=2) + "\n")
    print(f"Numbers: {run.path / 'evaluation.json'}")
    print(f"Pictures: {_contact_sheet(config, params, step, pairs, run, split)}")


def predict(path: str, photos: Sequence[str], out: str) -> None:
    """`depthsi predict`: depth maps and panels of photos into the directory `out`."""
    require_matplotlib()
    run = RunDirectory(path)
    config = run.config()
    names = [Path(photo).stem for photo in photos]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DepthsiError(
            f"Two photos are called {repeated[0]!r} and would overwrite each other's results:"
            " predict them into different --out directories."
        )
    pictures = [read_image(photo, exif=True) for photo in photos]
    params, step = _trained(config, run)
    output = _trained_outputs(config, step)[-1]
    network = make_window_network(config.model, params, output)
    directory = Path(out)
    directory.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures, strict=True):
        depth = predict_depth(network, picture, config.model.sizes)
        files = [directory / f"{name}_{kind}" for kind in ("depth.png", "depth.npy", "panel.png")]
        _save_depth(depth, *files[:2])
        save_panel(files[2], picture, depth, title=name)
        print(" ".join(map(str, files)))


def info(path: str | None) -> None:
    """`depthsi info`: versions and devices, or what a run is made of."""
    if path is None:
        _print_installation()
        return
    run = RunDirectory(path)
    config = run.config()
    stages = make_stages(config.schedule)
    state = jax.eval_shape(lambda: initial_state(config, stages[0]))
    sizes = config.model.sizes
    print(f"{run.path}: step {_latest(run) or 0} of {stages[-1].end}")
    print(f"geometry {sizes.name} {sizes.variant}: input {sizes.input}, output {sizes.output}")
    for name, layers in state.params.items():
        for layer, arrays in layers.items():
            shape = "x".join(map(str, arrays["kernel"].shape))
            print(f"  {name}/{layer:<6} {shape:>16} {_count(arrays):>12,}")
        print(f"  {name:<13} {'':>16} {_count(layers):>12,} parameters")
    for stage in stages:
        print(f"stage {stage.name}: steps {stage.start + 1} to {stage.end}")


def _source(config: Config, split: str) -> Source:
    data = config.data
    counts = {"train": data.train, "val": data.val, "test": data.test}
    try:
        return open_source(
            data.kind,
            split,
            root=data.root,
            size=config.model.sizes.image,
            count=counts.get(split, 0),
            seed=data.seed,
            scale_range=data.scale_range,
        )
    except DepthsiError as error:
        if split == "val" and data.kind == "folder":
            remedy = "to train without looking at a split 'val', set --schedule.eval-every 0."
            raise DepthsiError(f"{error} Or {remedy}") from error
        raise


def _trained(config: Config, run: RunDirectory) -> tuple[dict[str, Any], int]:
    """Parameters and step of the newest checkpoint."""
    stages = make_stages(config.schedule)
    if (latest := _latest(run)) is None:
        raise DepthsiError(f"{run.path} has no checkpoint yet: train it first.")
    with Checkpoints(run.checkpoints) as checkpoints:
        abstract = jax.eval_shape(lambda: initial_state(config, stages[0])).params
        return checkpoints.restore_params(latest, abstract), latest


def _latest(run: RunDirectory) -> int | None:
    """Step of the newest checkpoint; writes nothing where there is none."""
    if not run.checkpoints.is_dir():
        return None
    with Checkpoints(run.checkpoints) as checkpoints:
        return checkpoints.latest


def _evaluate_networks(
    config: Config, params: Any, step: int, pairs: Pairs, protocol: Protocol
) -> dict[str, DepthMetrics]:
    """The coarse network, and both together if the fine one has been trained."""
    totals = {}
    for output in _trained_outputs(config, step):
        predictor = make_predictor(config.model, output)
        totals["coarse" if output == "coarse" else "coarse + fine"] = evaluate_predictor(
            lambda image, predictor=predictor: predictor(params, image),
            ordered_batches(pairs, BATCH),
            config.model.sizes,
            protocol,
        )
    return totals


def _trained_outputs(config: Config, step: int) -> list[Any]:
    reached = stage_of(make_stages(config.schedule), step)
    return ["coarse"] if reached.name == "coarse" else ["coarse", "fine"]


def _report(
    ours: dict[str, Any],
    sizes: Geometry,
    images: int,
    split: str,
    protocol: Protocol,
    aggregation: str,
    step: int,
) -> str:
    table, number = (TABLE_1_NYU, 1) if sizes.name == "nyu" else (TABLE_2_KITTI, 2)
    rows = {f"ours: {name}": row for name, row in ours.items()}
    rows |= {f"paper: {name}": row for name, row in table.items()}
    how = "mean over images" if aggregation == "image" else "pooled over pixels"
    return (
        f"{images} pictures of split {split!r}, step {step}; {how}.\n"
        f"{protocol.describe(sizes)}.\n"
        f"The paper's rows are its Table {number}, on its own data: to compare with only where\n"
        f"the pictures are the same.\n\n{format_table(rows)}\n"
    )


def _contact_sheet(
    config: Config, params: Any, step: int, pairs: Pairs, run: RunDirectory, split: str
) -> Path:
    """Some evenly spaced pictures of the split with predicted and true depth."""
    chosen = np.linspace(0, len(pairs) - 1, min(SHEET_ROWS, len(pairs))).round().astype(int)
    image, depth = (
        np.stack(column) for column in zip(*(pairs[int(i)] for i in chosen), strict=True)
    )
    predictor = make_predictor(config.model, _trained_outputs(config, step)[-1])
    predictions = np.asarray(upsample_cells(predictor(params, image)))
    top, bottom, left, right = config.model.sizes.region
    seen = np.s_[:, top:bottom, left:right]
    path = run.path / "samples" / f"{split}.png"
    path.parent.mkdir(exist_ok=True)
    rows = list(zip(image[seen], predictions, depth[seen], strict=True))
    save_contact_sheet(path, rows, title=f"{run.path.name}, step {step}, split {split}")
    return path


def _save_depth(depth: np.ndarray, png: Path, npy: Path) -> None:
    """uint16 millimetres (0 where unknown, 65.535 m at most) and float32 metres (NaN there)."""
    millimetres = np.clip(np.nan_to_num(depth * 1000), 0, 65535).round().astype(np.uint16)
    Image.fromarray(millimetres).save(buffer := io.BytesIO(), format="PNG")
    runs.write_bytes(png, buffer.getvalue())
    np.save(buffer := io.BytesIO(), depth.astype(np.float32))
    runs.write_bytes(npy, buffer.getvalue())


def _print_installation() -> None:
    import importlib.metadata as metadata

    print(f"depthsi {depthsi.__version__}")
    for name in ("flax", "optax", "orbax-checkpoint", "grain"):
        try:
            print(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            print(f"{name} is not installed")
    for name, text in describe_machine().items():
        print(f"{name} {text}")


def _count(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
