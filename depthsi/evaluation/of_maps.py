"""Evaluation of external predictions."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from depthsi.data.samples import Source, size_text
from depthsi.errors import DepthsiError
from depthsi.evaluation.compared_maps import ComparedMaps
from depthsi.evaluation.of_run import data_settings, open_source
from depthsi.evaluation.report import Evaluation, clamped_notes
from depthsi.evaluation.request import EvaluationRequest
from depthsi.metrics import ImageScores
from depthsi.metrics.baselines import constant_depth, mean_depth
from depthsi.metrics.compare import map_batches
from depthsi.metrics.protocols import PROTOCOLS, TRUTHS
from depthsi.metrics.regions import describe
from depthsi.metrics.scorer import score
from depthsi.runs import RunDirectory, is_run

ROW = "predictions"


def evaluate_predictions(request: EvaluationRequest) -> Evaluation:
    """Scores external predictions and, if requested, the mean depth of a split as a baseline."""
    maps = ComparedMaps(request, open_truth(request.data, request.split, request.protocol))
    maps.check()
    found = score(maps.batches(), maps.protocol, edges=request.edges)
    found = dataclasses.replace(found, clamped=found.clamped + maps.clamped_first)
    _refuse_unusable(found, maps)
    truth = TRUTHS[maps.protocol.truth]
    notes = [
        describe(maps.protocol, maps.box, maps.size),
        f"Ground truth: as stored in {request.data}; the protocol's: {truth}.",
        *maps.notes(),
        *clamped_notes(ROW, found),
    ]
    return Evaluation(
        title=f"Predictions {Path(request.what).name}",
        split=request.split,
        names=maps.names,
        protocol=maps.protocol,
        notes="\n".join(notes),
        scores={ROW: found} | _baselines(request, maps),
        main=ROW,
        compared_image=maps.shown,
        context={"predictions": request.what, "data": request.data},
        seed=request.seed,
    )


def open_truth(data: str, split: str, protocol: str) -> Source:
    """The split of a folder, of prepared data or of a run's data, at its stored size.

    Raises:
      DepthsiError: there is no such data or split.
    """
    if is_run(data):
        config = RunDirectory(data).config()
        return config.data.open(split, config.model.sizes.image)
    return open_source(data_settings(data), split, None, PROTOCOLS.get(protocol))[1]


def _baselines(request: EvaluationRequest, maps: ComparedMaps) -> dict[str, ImageScores]:
    """The scores of the mean depth of a split, pixel by pixel and overall."""
    if not request.baselines:
        return {}
    training = open_truth(request.data, request.baselines, request.protocol)
    mean = mean_depth(_depths(training, maps))
    inverse = maps.protocol.alignment == "disparity"  # which is what is aligned then
    return {
        row: score(
            map_batches(1 / depth if inverse else depth, _depths(maps.source, maps), maps.box),
            maps.protocol,
            edges=request.edges,
        )
        for row, depth in (("mean predictor", mean), ("constant", constant_depth(mean)))
    }


def _depths(source: Source, maps: ComparedMaps) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for index in range(len(source)):
        sample = source[index]
        if sample.depth.shape != maps.size:
            raise DepthsiError(
                f"{sample.name} is {size_text(sample.depth)}, {maps.names[0]} is "
                f"{size_text(maps.source[0].depth)}: images of different sizes have no mean "
                "depth per pixel; leave out --baselines."
            )
        yield sample.image[None], sample.depth[None]


def _refuse_unusable(scores: ImageScores, maps: ComparedMaps) -> None:
    bad = np.flatnonzero(scores.unusable)
    if not bad.size:
        return
    first, rules = int(bad[0]), maps.protocol
    aligned = ", aligned to the truth," if rules.affine else ""
    if rules.clamp is None:
        remedy = "choose a --protocol that clamps them, such as nyu_bts or garg_kitti"
    elif rules.invalid == "refuse":
        remedy = "leave out --invalid refuse, which clamps all but NaN"
    else:
        remedy = "give --invalid clamp, which sets NaN to the least depth"
    raise DepthsiError(
        f"{maps.predictions.place(first)}{aligned} has no usable depth (0, negative, NaN or inf) at"
        f" {scores.unusable[first]} of {scores.pixels[first]} compared pixels, and {bad.size - 1}"
        f" other maps have such pixels, too: fill them in, choose another crop, or {remedy}."
    )
