"""External predictions paired with the images they belong to."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int64
from tqdm import tqdm

from depthsi.data.bad_samples import READERS
from depthsi.data.samples import Source
from depthsi.evaluation.contact_sheet import ComparedImage
from depthsi.evaluation.map_checks import check_units, unit_doubt, whole_numbers_problem
from depthsi.evaluation.map_files import Predictions, metres, open_predictions
from depthsi.evaluation.of_run import picture_names
from depthsi.evaluation.placing import STREET, in_box, shown_part
from depthsi.evaluation.request import EvaluationRequest
from depthsi.evaluation.rules import rules
from depthsi.geometry import Crop, Size
from depthsi.metrics.clamping import clamped_first
from depthsi.metrics.compare import Compared, comparable
from depthsi.metrics.protocols import DEFAULT_PROTOCOLS
from depthsi.metrics.regions import cropped_region
from depthsi.valid import valid_depth

CHECKED = 16  # number of images on which the unit is checked, evenly spaced


class ComparedMaps:
    """External predictions paired with the images of a split.

    Attributes:
      protocol: the protocol to follow.
      size: (H, W) of the first image.
      box: the compared pixels of the first image.
      names: names of the images.
      predictions: the files with the predicted maps.
      in_part: indices of the images whose map covers only the bottom centre (KITTI).
      clamped_first: per image, the number of compared pixels without valid depth, or resized from
        such pixels, if the protocol clamps before it resizes.
      doubt: a sentence if the given unit looks wrong, or "".
    """

    def __init__(self, request: EvaluationRequest, source: Source) -> None:
        self.request, self.source = request, source
        size = self.source[0].depth.shape
        street = size[1] > 2 * size[0]
        self.protocol = rules(request, DEFAULT_PROTOCOLS["kitti" if street else "nyu"])
        self.size, self.box = size, cropped_region(self.protocol, size)
        self.names = picture_names(self.source, request.split)
        self.predictions: Predictions = open_predictions(
            request.what, self.names, pattern=request.pattern, variable=request.variable
        )
        self.in_part: set[int] = set()
        self.clamped_first: Int64[np.ndarray, " N"] = np.zeros(len(self.names), np.int64)
        self.doubt = ""

    def compared_image(self, index: int, *, as_stored: bool = False) -> ComparedImage:
        """The image, the prediction and the ground truth of the compared pixels, in metres.

        Args:
          index: index of the image.
          as_stored: return the prediction without dividing it by a unit or clamping it.
        """
        sample = self.source[index]
        size = (sample.depth.shape[0], sample.depth.shape[1])
        box = self.box if size == self.size else cropped_region(self.protocol, size)
        stored = self.predictions.stored(index)
        depth = metres(stored, None if as_stored else self.request.units)
        if shown_part((depth.shape[0], depth.shape[1]), size, box, street=self._street) == "kb":
            self.in_part.add(index)
        inside = np.s_[box.top : box.bottom, box.left : box.right]
        true, predicted = sample.depth[inside], self._in_box(depth, size, box, index)
        if self.protocol.clamps_first and not as_stored:
            usable = valid_depth(predicted)
            predicted = self._in_box(clamped_first(depth, self.protocol, np), size, box, index)
            lost = ~usable & valid_depth(predicted)
            self.clamped_first[index] = np.sum(lost & self.protocol.counts(true))
        return ComparedImage(sample.image[inside], predicted.astype(np.float32), true)

    @property
    def _street(self) -> bool:
        return self.protocol.data_set == "kitti"

    def _in_box(self, depth: np.ndarray, size: Size, box: Crop, index: int) -> np.ndarray:
        return in_box(
            depth,
            size,
            box,
            self.protocol.resize,
            self.predictions.place(index),
            usable=np.isfinite if self.protocol.affine else valid_depth,
            street=self._street,
        )

    def check(self) -> None:
        """Refuses a wrong or missing unit before everything is read.

        Raises:
          DepthsiError: `check_units` refuses the predictions, or they are integers without a unit.
            A unit that was given is trusted; `doubt` then has a sentence if it looks wrong.
        """
        request, count, alignment = self.request, len(self.names), self.protocol.alignment
        chosen = np.unique(np.linspace(0, count - 1, min(CHECKED, count)).round().astype(int))
        stored = self.predictions.stored(0)
        metric = alignment == "none"  # else the truth gives the unit
        raw = metric and stored.dtype.kind != "f" and request.units is None
        units = request.units or 1.0
        examples = [self.compared_image(int(index), as_stored=True) for index in chosen]
        pairs = [(each.predicted / units, each.true) for each in examples]
        believed = request.units is not None
        factors = metric and not raw and not believed
        check_units(pairs, request.what, factors=factors, alignment=alignment)
        if raw:
            raise whole_numbers_problem(pairs, self.predictions.place(0), str(stored.dtype))
        if metric and believed:
            self.doubt = unit_doubt(pairs, request.what, request.units)

    def notes(self) -> list[str]:
        """Notes on these predictions, printed with the table."""
        height, width = STREET
        lines = [self.doubt] if self.doubt else []
        if self.in_part:
            lines.append(
                f"{len(self.in_part)} of {len(self.names)} predictions show {height}x{width} pixels"
                " (crop kb) and were placed at the bottom centre of their images."
            )
        if unused := self.predictions.unused:
            lines.append(f"{unused} prediction files belong to no image of the split.")
        return lines

    def batches(self) -> Iterator[Compared]:
        """Batches of one image each, since sizes may differ."""
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
        """The result of `compared_image`, with the prediction aligned and clamped."""
        found = self.compared_image(index)
        predicted, _ = comparable(found.predicted[None], found.true[None], self.protocol)
        return found._replace(predicted=np.asarray(predicted[0]))
