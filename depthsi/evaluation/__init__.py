"""A run, or depth maps predicted elsewhere, scored under a protocol: tables, report, sheet.

`depthsi.evaluate` does it; the names below, which are loaded when they are first used, are what it
is asked with and what it gives.
"""

from typing import TYPE_CHECKING

from depthsi.lazy_names import lazy_names

if TYPE_CHECKING:
    from depthsi.evaluation.report import Evaluation, terminal, write
    from depthsi.evaluation.request import EvaluationRequest

_MODULES = {
    "Evaluation": "report",
    "EvaluationRequest": "request",
    "terminal": "report",
    "write": "report",
}
__all__ = [
    "Evaluation",
    "EvaluationRequest",
    "terminal",
    "write",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES, __all__)
