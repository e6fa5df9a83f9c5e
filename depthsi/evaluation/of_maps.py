"""The evaluation of depth maps predicted elsewhere."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from depthsi.data.bad_samples import READERS
from depthsi.data.prepared.metadata import is_prepared
from depthsi.data.samples import Source, size_text
from depthsi.errors import DepthsiError
from depthsi.evaluation.contact_sheet import ComparedImage
from depthsi.evaluation.map_checks import check_units, in_box, whole_numbers_problem
from depthsi.evaluation.map_files import Predictions, metres, open_predictions
from depthsi.evaluation.of_run import STORED, picture_names
from depthsi.evaluation.report import Evaluation
from depthsi.evaluation.request import EvaluationRequest
from depthsi.evaluation.rules import rules
from depthsi.metrics import ImageScores
from depthsi.metrics.baselines import constant_depth, mean_depth
from depthsi.metrics.compare import Compared, comparable, map_batches, score
from depthsi.metrics.protocols import DEFAULT_PROTOCOLS, PROTOCOLS, TRUTHS
from depthsi.metrics.regions import cropped_region, describe
from depthsi.runs import RunDirectory

CHECKED = 16  # pictures that the unit is checked on, evenly spread
ROW = "predictions"


class Compare:
    """Predictions beside the pictures of a split."""

    def __init__(self, request: EvaluationRequest) -> None:
        self.request = request
        self.source = open_truth(request.data, request.split, request.protocol)
        size = self.source[0].depth.shape
        street = size[1] > 2 * size[0]
        self.protocol = rules(request, DEFAULT_PROTOCOLS["kitti" if street else "nyu"])
        self.size, self.box = size, cropped_region(self.protocol, size)
        self.names = picture_names(self.source, request.split)
        self.predictions: Predictions = open_predictions(
            request.what, self.names, pattern=request.pattern, variable=request.variable
        )

    def compared_image(self, index: int, *, raw: bool = False) -> ComparedImage:
        """The picture, the prediction and the truth of the compared pixels; metres, or as stored
        if `raw`."""
        sample = self.source[index]
        size = (sample.depth.shape[0], sample.depth.shape[1])
        box = self.box if size == self.size else cropped_region(self.protocol, size)
        stored = self.predictions.stored(index)
        depth = metres(stored, None if raw else self.request.units)
        place = self.predictions.place(index)
        predicted = in_box(depth, size, box, self.protocol.resize, place)
        inside = np.s_[box.top : box.bottom, box.left : box.right]
        return ComparedImage(
            sample.image[inside], predicted.astype(np.float32), sample.depth[inside]
        )

    def check(self) -> None:
        """Refuses a wrong or missing unit before everything is read."""
        request, count = self.request, len(self.names)
        chosen = np.unique(np.linspace(0, count - 1, min(CHECKED, count)).round().astype(int))
        stored = self.predictions.stored(0)
        raw = stored.dtype.kind != "f" and request.units is None
        examples = [self.compared_image(int(index), raw=raw) for index in chosen]
        pairs = [(each.predicted, each.true) for each in examples]
        check_units(
            pairs,
            request.what,
            units_per_metre=request.units,
            factors=not raw and self.protocol.alignment == "none",
        )
        if raw:
            raise whole_numbers_problem(pairs, self.predictions.place(0), str(stored.dtype))

    def batches(self) -> Iterator[Compared]:
        """One picture each, since their sizes may differ."""
        with (
            ThreadPoolExecutor(READERS) as pool,
            tqdm(total=len(self.names), desc=self.request.split, unit="image", disable=None) as bar,
        ):
            for start in range(0, len(self.names), 4 * READERS):  # bounded, for the memory
                some = range(start, min(start + 4 * READERS, len(self.names)))
                for found in pool.map(self.compared_image, some):
                    bar.update()
                    yield found.predicted[None], found.true[None]

    def shown(self, index: int) -> ComparedImage:
        """What `compared_image` gives, with the prediction aligned and clamped."""
        found = self.compared_image(index)
        predicted, _ = comparable(found.predicted[None], found.true[None], self.protocol)
        return found._replace(predicted=np.asarray(predicted[0]))


def evaluate_predictions(request: EvaluationRequest) -> Evaluation:
    """The scores of predictions made elsewhere, and of the mean of a split's depth if asked for."""
    compare = Compare(request)
    compare.check()
    scores = {ROW: score(compare.batches(), compare.protocol, edges=request.edges)}
    _refuse_unusable(scores[ROW], compare.predictions)
    scores |= _baselines(request, compare)
    unused = compare.predictions.unused
    return Evaluation(
        title=f"Predictions {Path(request.what).name}",
        split=request.split,
        names=compare.names,
        protocol=compare.protocol,
        notes=describe(compare.protocol, compare.box, compare.size)
        + f"\nTruth: as {request.data} has it; the protocol's: {TRUTHS[compare.protocol.truth]}."
        + (f"\n{unused} files of predictions belong to no picture of the split." if unused else ""),
        scores=scores,
        main=ROW,
        compared_image=compare.shown,
        context={"predictions": request.what, "data": request.data},
        seed=request.seed,
    )


def open_truth(data: str, split: str, protocol: str) -> Source:
    """The split of a folder, of prepared data or of a run's data; full-size where it is stored so.

    Raises:
      DepthsiError: no such data or split.
    """
    if (Path(data) / "config.json").exists():
        config = RunDirectory(data).config()
        return config.data.open(split, config.model.sizes.image)
    if not is_prepared(Path(data)):
        from depthsi.data.folder.source import FolderSource

        return FolderSource(data, split)
    from depthsi.data.prepared.metadata import read_metadata
    from depthsi.data.prepared.source import PreparedSource

    source = PreparedSource(data, split)
    wanted = STORED.get(PROTOCOLS[protocol].truth) if protocol in PROTOCOLS else None
    stored = read_metadata(source.directory)[0]["depth_names"]
    return PreparedSource(data, split, depth=wanted) if wanted in stored else source


def _baselines(request: EvaluationRequest, compare: Compare) -> dict[str, ImageScores]:
    """The scores of the mean depth of a split, pixel by pixel and overall."""
    if not request.baselines:
        return {}
    training = open_truth(request.data, request.baselines, request.protocol)
    mean = mean_depth(_depths(training, compare))
    return {
        row: score(
            map_batches(depth, _depths(compare.source, compare), compare.box),
            compare.protocol,
            edges=request.edges,
        )
        for row, depth in (("mean predictor", mean), ("constant", constant_depth(mean)))
    }


def _depths(source: Source, compare: Compare) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for index in range(len(source)):
        sample = source[index]
        if sample.depth.shape != compare.size:
            raise DepthsiError(
                f"{sample.name} is {size_text(sample.depth)}, {compare.names[0]} is "
                f"{size_text(compare.source[0].depth)}: pictures of different sizes have no mean "
                "depth per pixel; leave out --baselines."
            )
        yield sample.image[None], sample.depth[None]


def _refuse_unusable(scores: ImageScores, predictions: Predictions) -> None:
    bad = np.flatnonzero(scores.unusable)
    if bad.size:
        first = int(bad[0])
        raise DepthsiError(
            f"{predictions.place(first)} has no usable depth (0, negative, NaN or inf) at "
            f"{scores.unusable[first]} of {scores.pixels[first]} compared pixels, as "
            f"{bad.size - 1} other maps have somewhere: fill them in, or choose another crop."
        )
