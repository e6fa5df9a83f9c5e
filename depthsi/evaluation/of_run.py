"""Evaluation of a run: its networks, and the baselines of its training data."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from depthsi.config import Config, DataConfig, Folder, Prepared
from depthsi.config_json import to_dict
from depthsi.data.pipeline import Samples, open_samples, ordered_batches
from depthsi.data.prepared.metadata import is_prepared
from depthsi.data.samples import Source
from depthsi.errors import DepthsiError
from depthsi.evaluation.contact_sheet import ComparedImage
from depthsi.evaluation.report import Evaluation, clamped_notes
from depthsi.evaluation.request import EvaluationRequest
from depthsi.evaluation.rules import rules
from depthsi.geometry import Crop
from depthsi.inference import FLIPS, compiled_depths
from depthsi.metrics import ImageScores
from depthsi.metrics.baselines import constant_depth
from depthsi.metrics.compare import comparable, compared_cells, map_batches
from depthsi.metrics.protocols import DEFAULT_PROTOCOLS, TRUTHS, Protocol
from depthsi.metrics.regions import describe, evaluated_region
from depthsi.metrics.scorer import Scorer
from depthsi.models.settings import ModelConfig
from depthsi.runs import RunDirectory, is_run
from depthsi.training.checkpoints.trained import trained_network
from depthsi.weights.network_file import SUFFIX, TrainedNetwork
from depthsi.weights.shipped import named_file

BATCH = 16  # images evaluated at a time
ORACLE = "oracle scale"
STORED = {"raw": "depth_raw", "lidar_x": "depth_lidar_x", "annotated": "depth_annotated"}


@dataclasses.dataclass(frozen=True)
class EvaluatedNetwork:
    """A network to evaluate, with information on its training.

    Attributes:
      network: settings and parameters.
      name: its name in the table.
      config: settings of its run, whose data is used unless other data is given; None for a network
        without a run.
      mean_depth: (H, W) metres, the prediction of the mean predictor of its training data.
    """

    network: TrainedNetwork
    name: str
    config: Config | None = None
    mean_depth: np.ndarray | None = None


def evaluate_run(request: EvaluationRequest, module: Any = None) -> Evaluation:
    """Scores a run or a weights file, on its own data or on the data of the request.

    Args:
      request: what to evaluate, how, and on which data.
      module: the network of settings of the kind custom.

    Raises:
      DepthsiError: the request cannot be evaluated.
    """
    if (file := named_file(request.what)).suffix == SUFFIX:
        network = trained_network(file, request.checkpoint, module)
        return evaluate_network(request, EvaluatedNetwork(network, Path(request.what).name))
    run = RunDirectory(request.what)
    config = run.config()
    _protocol(request, config.model)  # refuses before anything is read
    network = trained_network(run.path, request.checkpoint, module)
    mean = None if request.data and not run.mean_depth_file.exists() else run.mean_depth()
    return evaluate_network(request, EvaluatedNetwork(network, run.path.name, config, mean))


def evaluate_network(
    request: EvaluationRequest, evaluated: EvaluatedNetwork, source: Source | None = None
) -> Evaluation:
    """Scores a network's maps, its final maps with the true scale, and the baselines.

    Args:
      request: how to evaluate, and on which data.
      evaluated: the network.
      source: samples to evaluate on, instead of named data; of the network's image size.

    Raises:
      DepthsiError: there is no data, or the request cannot be evaluated.
    """
    network, sizes = evaluated.network, evaluated.network.settings.sizes
    protocol, box = _protocol(request, network.settings)
    source, truth = _source(request, evaluated, protocol, source)
    pairs = open_samples(source, sizes.image, request.split)

    notes = [describe(protocol, box, sizes.image), truth]
    if request.mirrored:
        notes.append("With flips: mean log depth of each image and of its mirror image.")
    main = row_names(network, request.mirrored)[-1]
    if protocol.alignment == "none":
        notes.append(
            f"Oracle scale: {main}, each map scaled to the true mean log depth of its image."
        )
    scores, predicted = _score_rows(request, evaluated, pairs, protocol)
    for row, found in scores.items():
        notes += clamped_notes(row, found)

    def compared_image(index: int) -> ComparedImage:
        image, depth = pairs.read(np.array([index]))
        maps, true = compared_cells(predicted[index, None], depth, sizes, protocol)
        shown, _ = comparable(maps, true, protocol)
        picture = image[0, box.top : box.bottom, box.left : box.right]
        return ComparedImage(picture, np.asarray(shown[0]), true[0])

    return Evaluation(
        title=f"{evaluated.name}, step {network.step}",
        split=request.split,
        names=picture_names(source, request.split),
        protocol=protocol,
        notes="\n".join(notes),
        scores=scores,
        main=main,
        compared_image=compared_image,
        context=_context(request, evaluated),
        seed=request.seed,
    )


def picture_names(source: Source, split: str) -> tuple[str, ...]:
    """Names of the source's images, or their indices if they have no names."""
    names = getattr(source, "names", None)
    return tuple(names or (f"{split}/{index:06d}" for index in range(len(source))))


def truth_note(protocol: Protocol, data: DataConfig) -> str:
    """A note on the protocol's ground truth and, where known, that of the data."""
    wanted = TRUTHS[protocol.truth]
    if data.kind == "rooms":
        here = "rendered, camera z"
    elif not isinstance(data, Prepared) or not data.depth:
        here = "as stored in the data"
    elif STORED.get(protocol.truth) == data.depth:
        return f"Ground truth: {wanted}."
    else:
        here = f"{data.depth!r}"
    return f"Ground truth: {here}; the protocol's: {wanted}."


def _protocol(request: EvaluationRequest, settings: ModelConfig) -> tuple[Protocol, Crop]:
    """The protocol of the request and the compared pixels."""
    sizes = settings.sizes
    protocol = rules(request, DEFAULT_PROTOCOLS[sizes.name])
    if protocol.alignment == "disparity":
        raise DepthsiError(
            f"--alignment disparity is for relative inverse depth, but {request.what} is a network"
            " that predicts metres: give another --alignment."
        )
    return protocol, evaluated_region(protocol, sizes, sizes.image)


def _source(
    request: EvaluationRequest,
    evaluated: EvaluatedNetwork,
    protocol: Protocol,
    given: Source | None,
) -> tuple[Source, str]:
    """The samples to evaluate on, and a note on their ground truth."""
    size, wanted = evaluated.network.settings.sizes.image, TRUTHS[protocol.truth]
    if given is not None:
        return given, f"Ground truth: as in the samples; the protocol's: {wanted}."
    if request.data:
        data = data_settings(request.data)
        note = f"Data: {request.data}, resized to {size[0]}x{size[1]}."
    elif evaluated.config is not None:
        data, note = evaluated.config.data, ""
    else:
        raise DepthsiError(
            f"{request.what} is a network without data: choose what to evaluate it on with --data"
            " (a folder of pairs, prepared data or a run)."
        )
    data, source = open_source(data, request.split, size, protocol)
    return source, f"{note} {truth_note(protocol, data)}".strip()


def data_settings(data: str) -> DataConfig:
    """A split of a folder of pairs, of prepared data, or of a run's data."""
    if is_run(data):
        return RunDirectory(data).config().data
    return Prepared(root=data) if is_prepared(Path(data)) else Folder(root=data)


def open_source(
    data: DataConfig, split: str, size: tuple[int, int] | None, protocol: Protocol | None
) -> tuple[DataConfig, Source]:
    """The split, with the depth map that the protocol uses if the data has it."""
    wanted = STORED.get(protocol.truth) if protocol else None
    if isinstance(data, Prepared) and wanted and not data.depth:
        stored = dataclasses.replace(data, depth=wanted)
        try:
            return stored, stored.open(split, size)
        except DepthsiError as error:
            if "no depth map" not in str(error):
                raise
    return data, data.open(split, size)


def _context(request: EvaluationRequest, evaluated: EvaluatedNetwork) -> dict[str, Any]:
    """Entries of the JSON other than the scores."""
    found: dict[str, Any] = {"step": evaluated.network.step}
    if evaluated.config is not None:
        found["run"] = to_dict(evaluated.config)
    else:
        found["network"] = dataclasses.asdict(evaluated.network.settings)
    return found | ({"data": request.data} if request.data else {})


def row_names(network: TrainedNetwork, mirrored: bool = False) -> list[str]:
    """The rows of a network in tables: every trained part; with `mirrored`, the last with flips."""
    rows = ["coarse + fine" if output == "fine" else output for output in network.outputs]
    return rows + [f"{rows[-1]} with flips"] * mirrored


def rows_predictor(
    network: TrainedNetwork, mirrored: bool = False
) -> Callable[[Any], dict[str, Any]]:
    """From uint8 images (b, H, W, 3) to a map of metres (b, h, w) for each of `row_names`."""
    outputs = (*network.outputs, FLIPS) if mirrored else network.outputs
    rows = dict(zip(row_names(network, mirrored), outputs, strict=True))
    predict = compiled_depths(
        network.settings, tuple(network.outputs), mirrored, module=network.module
    )

    def predict_rows(image: Any) -> dict[str, Any]:
        found = predict(network.params, image)
        return {row: found[output] for row, output in rows.items()}

    return predict_rows


def _score_rows(
    request: EvaluationRequest, evaluated: EvaluatedNetwork, pairs: Samples, protocol: Protocol
) -> tuple[dict[str, ImageScores], Float32[np.ndarray, "N h w"]]:
    """Scores by row, and the cells of the last network's maps, metres; reads every image once."""
    network, constants = evaluated.network, _baselines(evaluated.mean_depth)
    sizes, rows = network.settings.sizes, row_names(network, request.mirrored)
    rules, cells = dict.fromkeys(rows, protocol), []
    if protocol.alignment == "none":
        rules[ORACLE] = dataclasses.replace(protocol, alignment="log_mean")
    rules |= dict.fromkeys(constants, protocol)
    scorers = {row: Scorer(each, edges=request.edges) for row, each in rules.items()}
    box = evaluated_region(protocol, sizes, sizes.image)
    predict = rows_predictor(network, request.mirrored)
    for image, depth, count in _full_batches(pairs):
        found = predict(image)
        cells.append(np.asarray(found[rows[-1]])[:count])
        compared = {
            row: compared_cells(each, depth, sizes, protocol) for row, each in found.items()
        }
        compared[ORACLE] = compared[rows[-1]]
        for row, each in constants.items():
            compared[row] = next(map_batches(each, [(image, depth)], box))
        for row, scorer in scorers.items():
            scorer.add(*compared[row], count)
    return {row: each.scores() for row, each in scorers.items()}, np.concatenate(cells)


def _full_batches(pairs: Samples) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Batches of every sample in order, and their number of samples.

    The last batch is filled up with nothing, so that no program is compiled for its size alone.
    """
    for image, depth in ordered_batches(pairs, BATCH):
        count, size = len(image), min(BATCH, len(pairs))
        missing = [(0, size - count)]
        yield (
            np.pad(image, missing + [(0, 0)] * 3),
            np.pad(depth, missing + [(0, 0)] * 2),
            count,
        )


def _baselines(mean: np.ndarray | None) -> dict[str, np.ndarray]:
    if mean is None:
        return {}
    return {"mean predictor": mean, "constant": constant_depth(mean)}
