"""Callbacks of a training that was started from a program."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def _nothing(*_: Any) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """Functions that the loop calls, in the first process only; an exception ends the training.

    Attributes:
      on_step: (step, metrics) after every step: loss, learning_rate, valid_share, norms.
      on_eval: (step, metrics) after every evaluation on the split val.
      on_checkpoint: (step, directory) when the writing of a checkpoint to the directory starts.

    Example:
      >>> from depthsi.training import Callbacks
      >>> callbacks = Callbacks(on_step=lambda step, metrics: print(step, metrics["loss"]))
      >>> callbacks.on_step(1, {"loss": 0.5})
      1 0.5
    """

    on_step: Callable[[int, Mapping[str, float]], object] = _nothing
    on_eval: Callable[[int, Mapping[str, float]], object] = _nothing
    on_checkpoint: Callable[[int, Path], object] = _nothing
