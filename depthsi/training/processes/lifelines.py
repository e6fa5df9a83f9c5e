"""Connections over which the processes of a run notice the end of another one.

Each process has a connection to process 0 and now and then sends a byte over it. The kernel ends
the connection with its process, however that ends, and a process that stands still sends nothing.
Process 0 then ends with a sentence, and so all others do. JAX notices such things, too, but waits
in collective operations on GPUs, and where it ends a process it aborts with pages of its own: a
tenth of a second after the loss of process 0, after 100 s where one stands still. This is earlier.
"""

import contextlib
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Mapping

from depthsi.errors import DepthsiWarning
from depthsi.training.processes.broadcast import from_leader
from depthsi.training.processes.hang import LOST, give_up

BEAT = 5.0  # seconds between two signs of life
MISSED = 12  # beats in a row without one, after which a process counts as lost
LAST_WORDS = 2.0  # seconds in which a process may still say itself why it ends
_MEETING = 10.0  # seconds to connect in
_DIGITS = 8  # of a process's number, as it introduces itself


class Lifelines:
    """Watches connections with other processes until told to let go; threads in the background."""

    def __init__(self, connections: Mapping[int, socket.socket]) -> None:
        """Takes `connections` with the processes of these numbers."""
        self._end = threading.Event()
        for number, connection in connections.items():
            connection.settimeout(BEAT)
            for target in (self._beat, self._listen):
                threading.Thread(target=target, args=(connection, number), daemon=True).start()

    def stop_watching(self) -> None:
        """Stops watching the others, who still get signs of life from this process."""
        self._end.set()

    def _beat(self, connection: socket.socket, _: int) -> None:
        with contextlib.suppress(OSError):  # which the other thread sees, too
            while True:
                connection.sendall(b".")
                time.sleep(BEAT)

    def _listen(self, connection: socket.socket, number: int) -> None:
        """Counts beats instead of looking at a clock, which runs on while this process sleeps."""
        missed, heard = 0, b"."
        with connection:
            while heard and missed < MISSED:
                try:
                    heard, missed = connection.recv(64), 0
                except TimeoutError:
                    missed += 1
                except OSError:
                    heard = b""
        # What ends all processes is said by each of them, and perhaps by this one a bit later; but
        # to the loss of process 0 JAX reacts almost at once.
        if not self._end.wait(LAST_WORDS if number else 0):
            why = f"no sign of life for {MISSED * BEAT:g} s" if heard else "its connection ended"
            give_up(LOST.format(f"process {number}: {why}"))


def hold_lifelines(host: str) -> Lifelines:
    """Connects all processes of the run, which have to call this join_cluster, with process 0.

    Where that cannot be, a process warns, and goes without.

    Args:
      host: name or address of process 0 for the others; empty for the name it has for itself.
    """
    import jax

    if jax.process_count() == 1:
        return Lifelines({})
    if jax.process_index() == 0:
        with _listener() as listener:
            token = secrets.token_hex(8)  # so that nobody else counts as a process
            from_leader(f"{host or socket.gethostname()} {listener.getsockname()[1]} {token}")
            return Lifelines(_accept(listener, token, jax.process_count() - 1))
    host, port, token = from_leader("").split(" ")
    try:
        connection = socket.create_connection((host, int(port)), timeout=_MEETING)
        connection.sendall(f"{token}{jax.process_index():0{_DIGITS}}".encode())
    except OSError as error:
        text = (
            f"Process {jax.process_index()} cannot connect to {host}:{port} ({error}), so that it"
            " will notice the end of another process later, and in JAX's words."
        )
        warnings.warn(text, DepthsiWarning, stacklevel=2)
        return Lifelines({})
    return Lifelines({0: connection})


def _listener() -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _accept(listener: socket.socket, token: str, count: int) -> dict[int, socket.socket]:
    """The connections of the other processes, by number: of all that come in time."""
    connections: dict[int, socket.socket] = {}
    end = time.monotonic() + _MEETING
    with contextlib.suppress(TimeoutError):
        while len(connections) < count:
            listener.settimeout(max(end - time.monotonic(), 0.01))
            connection, _ = listener.accept()
            connection.settimeout(1)
            hello = b""
            with contextlib.suppress(OSError), connection.makefile("rb") as file:
                hello = file.read(len(token) + _DIGITS)
            if hello[:-_DIGITS] == token.encode():
                connections[int(hello[-_DIGITS:])] = connection
            else:
                connection.close()
    return connections
