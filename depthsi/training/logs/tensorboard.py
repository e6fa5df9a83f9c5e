"""Writes scalars as TensorBoard event files; the only module that uses tensorboardX."""

import importlib.util
from pathlib import Path

from depthsi.errors import DepthsiError


def check_tensorboard() -> None:
    """Raises DepthsiError if the optional package is missing."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise DepthsiError(
            "--tensorboard needs the package tensorboardX: pip install 'depthsi[tensorboard]'."
        )


class TensorBoard:
    """Event files in one directory; a context manager.

    Args:
      directory: directory of the files, created if it does not exist.
      step: number of steps taken. Entries of an interrupted run for later steps are hidden.
    """

    def __init__(self, directory: Path, step: int) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(directory), purge_step=step + 1 if step else None)

    def __enter__(self) -> "TensorBoard":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, step: int, split: str, values: dict[str, float]) -> None:
        """Adds scalars: "loss" of split "train" as train/loss, norms of layers under their norm."""
        for name, value in values.items():
            self._writer.add_scalar(name if "/" in name else f"{split}/{name}", value, step)
