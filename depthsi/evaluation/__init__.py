"""Evaluation of a network or of external predictions under a protocol: tables, report, sheet.

`depthsi.evaluate` runs an evaluation; the names below are its request and its result. They are
loaded on first use.
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
