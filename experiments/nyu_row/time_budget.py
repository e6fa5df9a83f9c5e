"""Ending a training when the time for it is over."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from types import FrameType

from depthsi.errors import StoppedError


class TimeUpError(Exception):
    """The time is over; a training that was running has saved its state."""


class Budget:
    """Minutes that began when it was made; 0 for as many as it takes."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes if minutes else math.inf

    @property
    def seconds(self) -> float:
        """What is left; infinite where there is no limit."""
        return self._end - time.monotonic()


@contextlib.contextmanager
def stop_after(seconds: float) -> Iterator[None]:
    """Lets the body run for so long; to be used in the main thread.

    A training in the body is asked to stop as by SIGTERM, so that it saves after the step in
    flight. Anything else is left where it is.

    Raises:
      TimeUpError: the time was over before the body was.
    """
    if seconds <= 0:
        raise TimeUpError
    if math.isinf(seconds):
        yield
        return
    outside, rang = signal.getsignal(signal.SIGTERM), False

    def ring(number: int, frame: FrameType | None) -> None:
        nonlocal rang
        rang = True
        if signal.getsignal(signal.SIGTERM) is outside:  # no training that would save
            raise TimeUpError
        signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except StoppedError as stopped:
        if rang:
            raise TimeUpError from stopped
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
