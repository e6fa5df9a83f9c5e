"""`depthsi evaluate`."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from depthsi import runs
from depthsi.commands.shared import BATCH, split_source, trained_outputs, trained_params
from depthsi.config import Config
from depthsi.config_json import to_dict
from depthsi.data.pipeline import Pairs, open_pairs, ordered_batches
from depthsi.evaluation import (
    DEFAULT_PROTOCOLS,
    Protocol,
    evaluate_mean_predictor,
    evaluate_predictor,
    evaluated_region,
    make_predictor,
    upsample_cells,
)
from depthsi.geometry import Geometry
from depthsi.metrics import DepthMetrics
from depthsi.paper_tables import TABLE_1_NYU, TABLE_2_KITTI
from depthsi.runs import RunDirectory
from depthsi.tables import format_table
from depthsi.viz import require_matplotlib, save_contact_sheet

SHEET_ROWS = 6  # pictures of an evaluation's contact sheet


def evaluate(path: str, split: str, *, crop: str | None, aggregation: str) -> None:
    """`depthsi evaluate`: the table, evaluation.json and a contact sheet."""
    require_matplotlib()
    run = RunDirectory(path)
    config = run.config()
    sizes = config.model.sizes
    protocol = DEFAULT_PROTOCOLS[sizes.name]
    protocol = dataclasses.replace(protocol, crop=crop) if crop else protocol
    evaluated_region(protocol, sizes, sizes.image)  # refuses a crop that cannot be before reading
    params, step = trained_params(config, run)
    pairs = open_pairs(split_source(config, split), sizes.image, split)

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


def _evaluate_networks(
    config: Config, params: Any, step: int, pairs: Pairs, protocol: Protocol
) -> dict[str, DepthMetrics]:
    """The coarse network, and both together if the fine one has been trained."""
    totals = {}
    for output in trained_outputs(config, step):
        predictor = make_predictor(config.model, output)
        totals["coarse" if output == "coarse" else "coarse + fine"] = evaluate_predictor(
            lambda image, predictor=predictor: predictor(params, image),
            ordered_batches(pairs, BATCH),
            config.model.sizes,
            protocol,
        )
    return totals


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
    image, depth = pairs.read(chosen)
    predictor = make_predictor(config.model, trained_outputs(config, step)[-1])
    predictions = np.asarray(upsample_cells(predictor(params, image)))
    top, bottom, left, right = config.model.sizes.region
    seen = np.s_[:, top:bottom, left:right]
    path = run.path / "samples" / f"{split}.png"
    path.parent.mkdir(exist_ok=True)
    rows = list(zip(image[seen], predictions, depth[seen], strict=True))
    save_contact_sheet(path, rows, title=f"{run.path.name}, step {step}, split {split}")
    return path
