"""Scores of every image of a split, collected batch after batch."""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from depthsi.metrics import BOUNDARY_METRICS, ImageScores, boundary_metrics
from depthsi.metrics.compare import Compared, comparable, compare_and_count
from depthsi.metrics.protocols import Protocol
from depthsi.metrics.terms import ImageTerms


def score(batches: Iterable[Compared], protocol: Protocol, *, edges: bool = False) -> ImageScores:
    """The scores of all images.

    Args:
      batches: predictions and ground truth of the pixels to compare, (b, h, w) each, metres.
      protocol: the protocol; its crop and resizing must already be applied.
      edges: whether to also compute `BOUNDARY_METRICS`, on the host, for the aligned and clamped
        maps.

    Example:
      >>> import numpy as np
      >>> from depthsi.metrics.scorer import score
      >>> from depthsi.metrics.protocols import protocol
      >>> targets = np.array([[[2.0, 4.0]], [[1.0, 0.0]]], np.float32)
      >>> score([(targets + 1, targets)], protocol("nyu_bts")).per_image()["mae"].tolist()
      [1.0, 1.0]
    """
    scorer = Scorer(protocol, edges=edges)
    for predictions, targets in batches:
        scorer.add(predictions, targets)
    return scorer.scores()


class Scorer:
    """Collects the scores of images, batch after batch.

    Example:
      >>> import numpy as np
      >>> from depthsi.metrics.scorer import Scorer
      >>> from depthsi.metrics.protocols import protocol
      >>> scorer, targets = Scorer(protocol("nyu_bts")), np.full((2, 1, 3), 2, np.float32)
      >>> scorer.add(targets + 1, targets)
      >>> scorer.add(targets + 2, targets, count=1)  # the second image only fills up the batch
      >>> scorer.scores().per_image()["mae"].tolist()
      [1.0, 1.0, 2.0]
    """

    def __init__(self, protocol: Protocol, *, edges: bool = False) -> None:
        """Begins without images.

        Args:
          protocol: the protocol; its crop and resizing must already be applied.
          edges: whether to also compute `BOUNDARY_METRICS`, see `score`.
        """
        self.protocol, self.edges = protocol, edges
        self._terms: list[ImageTerms] = []
        self._clamped: list[Any] = []
        self._boundaries: list[dict[str, float]] = []

    def add(self, predictions: Any, targets: Any, count: int | None = None) -> None:
        """Scores a batch.

        Args:
          predictions: (b, h, w) metres.
          targets: (b, h, w) metres; 0, negative, NaN or inf = missing.
          count: the number of images to keep, from the first; None for all.
        """
        found = compare_and_count(predictions, targets, self.protocol)
        terms, clamped = jax.tree.map(lambda values: values[:count], found)
        self._terms.append(terms)
        self._clamped.append(clamped)
        if self.edges:
            maps, where = comparable(predictions, targets, self.protocol)
            images = zip(
                *(np.asarray(each)[:count] for each in (maps, targets, where)), strict=True
            )
            self._boundaries += [boundary_metrics(y, true, where=w) for y, true, w in images]

    def scores(self) -> ImageScores:
        """The scores of all images so far."""
        names = BOUNDARY_METRICS if self.edges else ()
        extras = {name: np.array([row[name] for row in self._boundaries]) for name in names}
        return ImageScores.from_terms(self._terms, extras, self._clamped)
