"""What an evaluation is asked for."""

import dataclasses

from depthsi.metrics.protocols import Protocol, protocol


@dataclasses.dataclass(frozen=True)
class Request:
    """What to evaluate; empty strings stand for the usual.

    Attributes:
      what: directory of a run, or predictions made elsewhere.
      data: of predictions: a folder, prepared data or a run whose data it is.
      split: of the data.
      protocol: name of a protocol; "" for the paper's.
      crop, alignment, aggregation: in place of the protocol's.
      checkpoint: of a run: "newest", "best" or a step.
      out: directory for the results; "" for the run's, or `evaluation`.
      units_per_metre: of predictions; None for metres.
      pattern: how files of predictions are named.
      variable: array in files of predictions that hold several.
      baselines: split of the data whose mean depth is evaluated beside predictions; "" for none.
      mirrored: of a run: evaluate the mean log depth of each picture and its mirror image, too.
      edges: evaluate depth edges, too.
      seed: of the intervals.
    """

    what: str
    data: str = ""
    split: str = "test"
    protocol: str = ""
    crop: str = ""
    alignment: str = ""
    aggregation: str = ""
    checkpoint: str = "newest"
    out: str = ""
    units_per_metre: float | int | None = None
    pattern: str = "{name}"
    variable: str = ""
    baselines: str = ""
    mirrored: bool = False
    edges: bool = False
    seed: int = 0

    def rules(self, default: Protocol) -> Protocol:
        """The protocol asked for, with the changes asked for.

        Raises:
          DepthsiError: no such protocol, crop or alignment.
        """
        chosen = protocol(self.protocol) if self.protocol else default
        return chosen.with_changes(
            crop=self.crop or None,
            alignment=self.alignment or None,
            aggregation=self.aggregation or None,
        )
