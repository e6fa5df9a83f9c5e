"""The evaluation of a run: its networks and the baselines of its training data."""

import dataclasses
import functools

import numpy as np

from depthsi.config import Config, Prepared
from depthsi.config_json import to_dict
from depthsi.data.pipeline import Samples, open_samples, ordered_batches
from depthsi.data.samples import Source
from depthsi.errors import DepthsiError
from depthsi.evaluation.contact_sheet import ComparedImage
from depthsi.evaluation.report import Evaluation, clamped_notes
from depthsi.evaluation.request import EvaluationRequest
from depthsi.evaluation.rules import rules
from depthsi.inference import make_predictor
from depthsi.metrics import ImageScores
from depthsi.metrics.baselines import constant_depth
from depthsi.metrics.compare import Predictor, cell_batches, comparable, map_batches, score
from depthsi.metrics.protocols import DEFAULT_PROTOCOLS, TRUTHS, Protocol
from depthsi.metrics.regions import describe, evaluated_region
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.trained import trained_network
from depthsi.weights.network_file import TrainedNetwork

BATCH = 16  # images evaluated at a time
STORED = {"raw": "depth_raw", "lidar_x": "depth_lidar_x", "annotated": "depth_annotated"}


def evaluate_run(request: EvaluationRequest) -> Evaluation:
    """The scores of a run's networks, of the last one with the true scale, and of the baselines."""
    run = RunDirectory(request.what)
    config = run.config()
    sizes = config.model.sizes
    protocol = rules(request, DEFAULT_PROTOCOLS[sizes.name])
    if protocol.alignment == "disparity":
        raise DepthsiError(
            f"--alignment disparity is for relative inverse depth, but {request.what} is a run,"
            " which predicts metres: give another --alignment."
        )
    box = evaluated_region(protocol, sizes, sizes.image)  # refuses before anything is read
    network = trained_network(run, request.checkpoint)
    config, source = open_source(config, request.split, protocol)
    pairs = open_samples(source, sizes.image, request.split)

    notes = [describe(protocol, box, sizes.image), truth_note(protocol, config)]
    scores, predictors = {}, network_predictors(network, request.mirrored)
    if request.mirrored:
        notes.append("Mirrored too: mean log depth of each picture and of its mirror image.")
    for row, predict in predictors.items():
        scores[row] = _score(predict, pairs, config, protocol, request.edges)
    main, predict = list(predictors.items())[-1]
    if protocol.alignment == "none":
        notes.append(f"Oracle scale: {main} with the true mean log depth of each image.")
        scaled = dataclasses.replace(protocol, alignment="log_mean")
        scores["oracle scale"] = _score(predict, pairs, config, scaled, request.edges)
    for row, depth in _baselines(run).items():
        maps = map_batches(depth, ordered_batches(pairs, BATCH), box)
        scores[row] = score(maps, protocol, edges=request.edges)
    for row, found in scores.items():
        notes += clamped_notes(row, found)

    def compared_image(index: int) -> ComparedImage:
        image, depth = pairs.read(np.array([index]))
        ((maps, truth),) = cell_batches(predict, [(image, depth)], sizes, protocol)
        shown, _ = comparable(maps, truth, protocol)
        picture = image[0, box.top : box.bottom, box.left : box.right]
        return ComparedImage(picture, np.asarray(shown[0]), truth[0])

    return Evaluation(
        title=f"{run.path.name}, step {network.step}",
        split=request.split,
        names=picture_names(source, request.split),
        protocol=protocol,
        notes="\n".join(notes),
        scores=scores,
        main=main,
        compared_image=compared_image,
        context={"run": to_dict(config), "step": network.step},
        seed=request.seed,
    )


def picture_names(source: Source, split: str) -> tuple[str, ...]:
    """What the source calls its pictures, or their numbers."""
    names = getattr(source, "names", None)
    return tuple(names or (f"{split}/{index:06d}" for index in range(len(source))))


def truth_note(protocol: Protocol, config: Config) -> str:
    """What the protocol's truth is, and what the data's is as far as that is known."""
    wanted, data = TRUTHS[protocol.truth], config.data
    if data.kind == "rooms":
        here = "rendered, camera z"
    elif not isinstance(data, Prepared) or not data.depth:
        here = "as the data has it"
    elif STORED.get(protocol.truth) == data.depth:
        return f"Truth: {wanted}."
    else:
        here = f"{data.depth!r}"
    return f"Truth: {here}; the protocol's: {wanted}."


def open_source(config: Config, split: str, protocol: Protocol) -> tuple[Config, Source]:
    """The split with the depth map that the protocol is defined with, if the data stores it."""
    wanted, size = STORED.get(protocol.truth), config.model.sizes.image
    if isinstance(config.data, Prepared) and wanted and not config.data.depth:
        data = dataclasses.replace(config.data, depth=wanted)
        try:
            return dataclasses.replace(config, data=data), data.open(split, size)
        except DepthsiError as error:
            if "no depth map" not in str(error):
                raise
    return config, config.data.open(split, size)


def network_predictors(network: TrainedNetwork, mirrored: bool = False) -> dict[str, Predictor]:
    """Row -> network, for every network that has been trained, and the last one `mirrored`."""
    compiled = {}
    for output in network.outputs:
        row = "coarse + fine" if output == "fine" else output
        compiled[row] = make_predictor(network.settings, output)
    if mirrored:
        row = f"{list(compiled)[-1]}, mirrored too"
        compiled[row] = make_predictor(network.settings, network.outputs[-1], mirrored=True)
    return {row: functools.partial(each, network.params) for row, each in compiled.items()}


def _score(
    predict: Predictor, pairs: Samples, config: Config, protocol: Protocol, edges: bool
) -> ImageScores:
    batches = ordered_batches(pairs, BATCH)
    maps = cell_batches(predict, batches, config.model.sizes, protocol)
    return score(maps, protocol, edges=edges)


def _baselines(run: RunDirectory) -> dict[str, np.ndarray]:
    mean = run.mean_depth()
    return {"mean predictor": mean, "constant": constant_depth(mean)}
