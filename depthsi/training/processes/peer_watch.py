"""Notices that another process of the run has died or hangs.

Each process keeps a connection to process 0, and both ends send a byte over it every few seconds.
The kernel closes the connection of a process that ends, however it ends, and a process that hangs
sends nothing. Process 0 then exits with a message, and so do the others, which lose process 0.

JAX also has a heartbeat, but it ends the process with SIGABRT and a page of addresses, and jaxlib
0.10 and 0.12 fail (std::bad_cast) to call a Python function instead. Its timeout is therefore far
longer than ours, and only serves processes that could not connect.
"""

import contextlib
import secrets
import selectors
import socket
import threading
import time
import warnings
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, cast

from depthsi.errors import DepthsiWarning
from depthsi.training.processes.exchange import gather_texts
from depthsi.training.processes.hang import LOST_PROCESS, exit_with_message

BEAT_SECONDS = 5.0
MISSED_BEATS = 12  # in a row, after which a process counts as lost
JAX_HEARTBEAT_SECONDS = 240  # JAX may act after half of it
GRACE_SECONDS = 2.0  # for a process that ends to say why itself, before others report its loss
MEETING_SECONDS = 10.0
_DIGITS = 8  # of a process's number, as it introduces itself


class PeerWatch:
    """Watches connections with other processes until told to stop; threads in the background."""

    def __init__(self, connections: Mapping[int, socket.socket]) -> None:
        """Takes `connections` with the processes of these numbers."""
        self._stopped = threading.Event()
        for number, connection in connections.items():
            connection.settimeout(BEAT_SECONDS)
            for target in (self._beat, self._listen):
                threading.Thread(target=target, args=(connection, number), daemon=True).start()

    def stop(self) -> None:
        """Stops watching the others, who still hear from this process."""
        self._stopped.set()

    def _beat(self, connection: socket.socket, _: int) -> None:
        with contextlib.suppress(OSError):  # which the other thread sees, too
            while True:
                connection.sendall(b".")
                time.sleep(BEAT_SECONDS)

    def _listen(self, connection: socket.socket, number: int) -> None:
        """Counts beats instead of looking at a clock, which runs on while this process sleeps."""
        missed, heard = 0, b"."
        with connection:
            while heard and missed < MISSED_BEATS:
                try:
                    heard, missed = connection.recv(64), 0
                except TimeoutError:
                    missed += 1
                except OSError:
                    heard = b""
        # No grace for process 0: JAX aborts almost at once when it loses that one.
        if not self._stopped.wait(GRACE_SECONDS if number else 0):
            silence = f"no response for {MISSED_BEATS * BEAT_SECONDS:g} s"
            why = silence if heard else "its connection was closed"
            exit_with_message(LOST_PROCESS.format(f"process {number}: {why}"))


def watch_peers(host: str) -> PeerWatch:
    """Connects all processes of the run, which must call this together, with process 0.

    If a connection cannot be made, both ends warn and continue without it.

    Args:
      host: name or address at which the others reach process 0; empty for its own host name.
    """
    import jax

    if jax.process_count() == 1:
        return PeerWatch({})
    if jax.process_index() == 0:
        with _listener(host) as listener:
            token = secrets.token_hex(8)  # so that nobody else counts as a process
            port = listener.getsockname()[1]
            gather_texts(f"{host or socket.gethostname()} {port} {token}")
            return PeerWatch(_accept(listener, token, set(range(1, jax.process_count()))))
    host, port, token = gather_texts("")[0].split(" ")
    try:
        connection = _call(host, int(port), f"{token}{jax.process_index():0{_DIGITS}}")
    except OSError as error:
        _warn(f"Process {jax.process_index()} cannot connect to {host}:{port} ({error})")
        return PeerWatch({})
    return PeerWatch({0: connection})


def _warn(what: str) -> None:
    text = (
        f"{what}, so only JAX may notice the loss of a process, after minutes, and abort: allow the"
        " processes of a run to connect to any port of process 0."
    )
    warnings.warn(text, DepthsiWarning, stacklevel=3)


def _listener(host: str) -> socket.socket:
    """Listens where the others reach `host`; on all interfaces where that cannot be told.

    It cannot be where process 0 has no such address itself, as behind a translated one, or where
    its own name stands for the loopback interface, as in the /etc/hosts of Debian.
    """
    if host:
        with contextlib.suppress(OSError):
            family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
            if host in ("localhost", address[0]) or not ip_address(address[0]).is_loopback:
                return socket.create_server(address, family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _call(host: str, port: int, hello: str) -> socket.socket:
    """A connection with process 0, which has answered."""
    connection = socket.create_connection((host, port), timeout=MEETING_SECONDS)
    try:
        connection.sendall(hello.encode())
        connection.settimeout(2 * MEETING_SECONDS)  # process 0 may be waiting for others
        if not connection.recv(1):
            raise ConnectionError("closed by process 0")
    except OSError:
        connection.close()
        raise
    return connection


def _accept(listener: socket.socket, token: str, expected: set[int]) -> dict[int, socket.socket]:
    """Connections with the `expected` processes by number, as far as they connect in time.

    It listens to all callers at once, so that one that sends nothing, or only a byte now and then,
    does not block the others.
    """
    found: dict[int, socket.socket] = {}
    length, end = len(token) + _DIGITS, time.monotonic() + MEETING_SECONDS
    listener.setblocking(False)
    with selectors.DefaultSelector() as callers:
        callers.register(listener, selectors.EVENT_READ)
        while expected - found.keys() and (left := end - time.monotonic()) > 0:
            for key, _ in callers.select(left):
                caller: Any = key.fileobj
                if caller is listener:
                    with contextlib.suppress(OSError):  # gone again
                        callers.register(listener.accept()[0], selectors.EVENT_READ, b"")
                    continue
                more = _receive(caller, length - len(key.data))
                hello = key.data + more
                if more and len(hello) < length:
                    callers.modify(caller, selectors.EVENT_READ, hello)
                    continue
                callers.unregister(caller)
                if hello[:-_DIGITS] == token.encode():
                    found[int(hello[-_DIGITS:])] = caller
                else:
                    caller.close()
        for key in list(callers.get_map().values()):
            cast(socket.socket, key.fileobj).close()
    if missing := sorted(expected - found.keys()):
        numbers = ", ".join(map(str, missing))
        _warn(f"Process {numbers} did not connect within {MEETING_SECONDS:g} s")
    return found


def _receive(caller: socket.socket, most: int) -> bytes:
    """What is there to read, up to `most` bytes; none where the connection has ended."""
    try:
        return caller.recv(most)
    except OSError:
        return b""
