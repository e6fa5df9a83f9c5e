"""Ends a process that waits for other processes or devices in vain."""

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType

from depthsi.errors import DepthsiError
from depthsi.output import complain

PATIENCE = 3  # times the limit, for what compiles or writes first
EXIT_CODE = 2
LOST_PROCESS = (
    "Another process of this run has ended or cannot be reached ({}). Start all of them again with"
    " --resume."
)
_SAYS_LOST = re.compile(
    "gloo|nccl|unavailable|deadline|coordination|connection|peer", re.IGNORECASE
)


_exiting = threading.Lock()


def exit_with_message(message: str) -> None:
    """Ends the process with a message, even if other threads are stuck in calls to the devices.

    If several threads call this, only one prints its message.
    """
    _exiting.acquire()
    try:
        complain(message)
        sys.stdout.flush()
    finally:  # also where the terminal is gone
        os._exit(EXIT_CODE)


class HangWatch:
    """Gives up if `alive` has not been called for some time; a context manager.

    Threads stuck in a collective operation with a stopped process cannot be interrupted, so the
    whole process has to end.
    """

    def __init__(self, minutes: float) -> None:
        """A limit of 0 minutes means no limit."""
        self._minutes = minutes
        self._deadline, self._allowed, self._after = float("inf"), minutes, ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="depthsi-hang", daemon=True)

    def __enter__(self) -> "HangWatch":
        if self._minutes:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._end.set()

    def alive(self, after: str, *, patience: int = 1) -> None:
        """Records progress.

        Args:
          after: what has just been done, such as "step 12", for the message.
          patience: factor on the time until the next call, if more work precedes it.
        """
        self._after, self._allowed = after, self._minutes * patience
        self._deadline = time.monotonic() + 60 * self._allowed

    def _watch(self) -> None:
        interval = min(60 * self._minutes / 20, 5.0)
        while not self._end.wait(interval):
            if time.monotonic() > self._deadline:
                exit_with_message(
                    f"Nothing has happened for {self._allowed:g} minutes after {self._after}:"
                    " another process of this run or a device has stopped answering. Continue with"
                    " --resume; --compute.hang-minutes is the limit."
                )


@contextlib.contextmanager
def lost_processes_end_this_one() -> Iterator[None]:
    """Gives up if a computation fails because another process of the run has ended.

    No orderly exit is possible then: saving and leaving `jax.distributed` wait for all processes.
    """
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError, DepthsiError) as error:
        why = str(error.__cause__ if isinstance(error, DepthsiError) else error)
        if jax.process_count() == 1 or not _SAYS_LOST.search(why):
            raise
        exit_with_message(LOST_PROCESS.format(why.splitlines()[0][:200]))
