"""Runs a network on every image of a split, to analyse its errors and to select images."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from depthsi.data.pipeline import Samples, open_samples, ordered_batches
from depthsi.errors import DepthsiError
from depthsi.evaluation.contact_sheet import chosen
from depthsi.evaluation.depth_tally import DepthTally, tally_depths
from depthsi.evaluation.error_split import ErrorParts, split_error
from depthsi.evaluation.of_run import (
    BATCH,
    open_source,
    picture_names,
    row_names,
    rows_predictor,
    truth_note,
)
from depthsi.geometry import Geometry
from depthsi.metrics.compare import comparable, compared_cells
from depthsi.metrics.protocols import DEFAULT_PROTOCOLS, Protocol
from depthsi.metrics.regions import describe, evaluated_region
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.trained import trained_network


@dataclasses.dataclass(frozen=True, eq=False)
class ShownImage:
    """The compared part of an image of the gallery.

    Attributes:
      name: name of the image.
      kind: reason for showing it, such as worst.
      error: RMSE log of the last prediction.
      picture: uint8 (h, w, 3).
      true: (h, w) metres; 0, negative, NaN or inf mean missing.
      where: bool (h, w) mask of the pixels that count.
      predictions: predictions of each network, (h, w) metres.
    """

    name: str
    kind: str
    error: float
    picture: np.ndarray
    true: np.ndarray
    where: Bool[np.ndarray, "h w"]
    predictions: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Analysis:
    """The errors of a run's last network on a split.

    Attributes:
      split: name of the split.
      step: step of the checkpoint.
      network: name of the last network.
      parameters: number of its parameters.
      notes: notes on the protocol.
      parts: parts of the squared log error of each image.
      tally: predicted against true depth.
      shown: the images of the gallery, worst first.
      indices: their indices in the split, and the reasons for showing them.
    """

    split: str
    step: int
    network: str
    parameters: int
    notes: str
    parts: ErrorParts
    tally: DepthTally
    shown: tuple[ShownImage, ...]
    indices: tuple[tuple[int, str], ...]

    @property
    def errors(self) -> Float64[np.ndarray, " N"]:
        """RMSE log of each image; NaN where it could not be scored."""
        return np.sqrt(self.parts.whole)


def analyse(
    run: RunDirectory,
    split: str,
    protocol: Protocol | None = None,
    indices: Sequence[tuple[int, str]] | None = None,
) -> Analysis:
    """Predicts a split with the newest checkpoint of a run.

    Args:
      run: run whose network and data are used.
      split: split of its data.
      protocol: protocol of the comparison. Default: the paper's for the data set.
      indices: the images to show and why. Default: the worst, middle and best.

    Raises:
      DepthsiError: there is no undamaged checkpoint, the data cannot be read, or there is nothing
        to compare.
    """
    config = run.config()
    sizes = config.model.sizes
    rules = protocol or DEFAULT_PROTOCOLS[sizes.name]
    box = evaluated_region(rules, sizes, sizes.image)
    network = trained_network(run.path)
    data, source = open_source(config.data, split, sizes.image, rules)
    samples = open_samples(source, sizes.image, split)
    rows = row_names(network)
    predict = rows_predictor(network)
    images = _Images(samples, picture_names(source, split), predict, rows[-1], sizes, rules)
    parts, tally = _scored(images)
    errors = np.sqrt(parts.whole)
    if not np.isfinite(errors).any():
        raise DepthsiError(f"No image of the split {split!r} can be compared with its depth.")
    places = tuple(indices if indices is not None else chosen(errors))
    return Analysis(
        split=split,
        step=network.step,
        network=images.main,
        parameters=_count(network.params),
        notes="\n".join([describe(rules, box, sizes.image), truth_note(rules, data)]),
        parts=parts,
        tally=tally,
        shown=tuple(_shown(images, index, kind, float(errors[index])) for index, kind in places),
        indices=places,
    )


class _Images(NamedTuple):
    """The images of a split, and their compared pixels."""

    samples: Samples
    names: tuple[str, ...]
    predict: Callable[[Any], dict[str, Any]]
    main: str
    sizes: Geometry
    rules: Protocol


def _scored(images: _Images) -> tuple[ErrorParts, DepthTally]:
    """The last network's errors on every image."""
    parts, tallies = [], []
    batches = ordered_batches(images.samples, BATCH)
    for image, depth in batches:
        cells = images.predict(image)[images.main]
        predicted, true = compared_cells(cells, depth, images.sizes, images.rules)
        maps, where = map(np.asarray, comparable(predicted, true, images.rules))
        parts.append(split_error(maps, true, where))
        tallies.append(tally_depths(maps, true, where))
    joined = ErrorParts(*map(np.concatenate, zip(*parts, strict=True)))
    return joined, functools.reduce(operator.add, tallies)


def _shown(images: _Images, index: int, kind: str, error: float) -> ShownImage:
    """An image with the predictions of all networks."""
    image, depth = images.samples.read(np.array([index]))
    box = evaluated_region(images.rules, images.sizes, images.sizes.image)
    inside = np.s_[box.top : box.bottom, box.left : box.right]
    true, found, where = depth[0][inside], {}, np.zeros(0, bool)
    for row, cells in images.predict(image).items():
        maps, truth = compared_cells(cells, depth, images.sizes, images.rules)
        each, where = map(np.asarray, comparable(maps, truth, images.rules))
        found[row] = each[0]
    return ShownImage(images.names[index], kind, error, image[0][inside], true, where[0], found)


def _count(params: Mapping) -> int:
    return sum(
        _count(each) if isinstance(each, Mapping) else int(np.size(each))
        for each in params.values()
    )


Analyse = Callable[..., Analysis]
