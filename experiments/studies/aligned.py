"""Code shared by the studies of losses that ignore a factor or an offset of a map."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from depthsi.metrics.protocols import Protocol
from experiments.studies.lab import PROTOCOL, markdown, spread

ALIGNMENTS = {"none": "as predicted", "log_mean": "true scale", "scale_shift": "scale and shift"}


def aligned_protocol(alignment: str) -> Protocol:
    """The protocol of the studies with maps that are aligned first."""
    # scaled and shifted depths may be negative, for which logarithms and ratios do not exist
    clamp = (0.1, 20.0) if alignment == "scale_shift" else None
    return dataclasses.replace(PROTOCOL, alignment=alignment, clamp=clamp)


def aligned_tables(found: dict[str, Any], metrics: Sequence[str]) -> list[str]:
    """A table of data set -> loss -> alignment -> metric for each data set and alignment."""
    tables = []
    for data, by_loss in found.items():
        for how, title in ALIGNMENTS.items():
            rows = [
                [name, *(spread(by_how[how][metric]) for metric in metrics)]
                for name, by_how in by_loss.items()
            ]
            tables.append(f"## {data}, {title}\n\n{markdown(['loss', *metrics], rows)}")
    return tables
