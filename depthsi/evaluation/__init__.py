"""A run, or depth maps predicted elsewhere, scored under a protocol: tables, report, sheet.

`depthsi.evaluate` does it; the names below, which are loaded when they are first used, are what it
is asked with and what it gives.
"""

import importlib
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'depthsi.evaluation' has no attribute {name!r}")
    return getattr(importlib.import_module(f"depthsi.evaluation.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
