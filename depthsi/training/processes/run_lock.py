"""Locks a run directory, so that only one training uses it at a time."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from depthsi.errors import DepthsiError
from depthsi.files import locked
from depthsi.runs import LOCK_FILE


@contextlib.contextmanager
def run_lock(directory: Path) -> Iterator[None]:
    """Creates `directory` and locks it; only the first process of a run calls this.

    Raises:
      DepthsiError: another process holds it, or the directory cannot be written.
    """
    in_use = f"{directory} is in use by another run"
    advice = "wait until it has ended, stop it, or choose another --run"
    with contextlib.ExitStack() as held:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(directory / LOCK_FILE, in_use, advice))
        except OSError as error:
            raise DepthsiError(f"{directory} cannot be written ({error.strerror}).") from error
        yield
