"""Stopping on a signal, between two steps."""

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """The signal (SIGTERM, SIGINT or SIGHUP) that this process got, and when all may obey it."""

    def __init__(self) -> None:
        self.signal = 0
        self._terminals = [stream for stream in (1, 2) if os.isatty(stream)]
        self._before: jax.Array | None = None

    def due(self) -> int:
        """The signal to stop for, or 0 to continue; must be called once after each step.

        All processes get the same answer after the same step, whichever of them got the signal: the
        largest of their signals after the previous step. It is exchanged while this step is
        computed, so nothing waits for it.
        """
        if jax.process_count() == 1:
            return self.signal
        before, self._before = self._before, _largest(self.signal)
        return 0 if before is None else int(before)

    def ask(self, number: int, _: FrameType | None = None) -> None:
        """Handles the first signal; a second one ends the process at once, as by default.

        SIGHUP is an exception, because a closed terminal sends several of them.
        """
        self.signal = number
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for stream in self._terminals:
            if not os.isatty(stream):  # closed; writing to it would fail, before the state is saved
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turns the first SIGTERM, SIGINT or SIGHUP into a request, while the context lasts.

    A SIGHUP that is ignored from the start, as under nohup, stays ignored.

    Outside the main thread, where Python allows no handlers, the request stays empty.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heeded = SIGNALS if ignored else (*SIGNALS, signal.SIGHUP)
    before = {each: signal.signal(each, request.ask) for each in heeded}
    try:
        yield request
    finally:
        for each, handler in before.items():
            # None is a handler that was not installed from Python, such as the one of
            # jax.distributed, and cannot be put back
            signal.signal(each, signal.SIG_DFL if handler is None else handler)


def _largest(number: int) -> jax.Array:
    """The largest of the numbers that the processes give, on all of them."""
    split, largest = _maximum()
    own = np.full(len(jax.local_devices()), number, np.int32)
    return largest(jax.make_array_from_process_local_data(split, own))


@functools.cache
def _maximum() -> tuple[NamedSharding, Callable[[jax.Array], jax.Array]]:
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    mesh = Mesh(np.array(devices), ("devices",))
    split = NamedSharding(mesh, PartitionSpec("devices"))
    whole = NamedSharding(mesh, PartitionSpec())
    return split, jax.jit(jnp.max, out_shardings=whole)
