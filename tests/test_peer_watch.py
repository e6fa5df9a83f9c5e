"""Processes that notice the end of another: here pairs of sockets, and threads for processes."""

import contextlib
import socket
import threading
import time
import types
import warnings
from typing import Any

import jax
import pytest

from depthsi.errors import DepthsiWarning
from depthsi.training.processes import peer_watch
from depthsi.training.processes.peer_watch import PeerWatch, watch_peers


@pytest.fixture
def exits(monkeypatch):
    """What processes exited with; beats of 0.1 s, of which five may be missed."""
    said = []
    monkeypatch.setattr(peer_watch, "exit_with_message", said.append)
    monkeypatch.setattr(peer_watch, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(peer_watch, "MISSED_BEATS", 5)
    monkeypatch.setattr(peer_watch, "GRACE_SECONDS", 0.3)
    return said


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def test_jax_acts_later_than_we_do():
    """Its client may give up after half of its timeout, in words of its own."""
    ours = peer_watch.BEAT_SECONDS * (peer_watch.MISSED_BEATS + 1) + peer_watch.GRACE_SECONDS
    earliest = peer_watch.JAX_HEARTBEAT_SECONDS / 2
    assert 1.5 * ours < earliest


@pytest.mark.parametrize("number", [0, 3])
def test_the_end_of_a_connection_is_the_end_of_its_process(number, exits):
    here, there = socket.socketpair()
    PeerWatch({number: here})
    there.sendall(b"..")
    there.close()
    wait_until(lambda: exits)
    assert len(exits) == 1
    assert (
        f"has ended or cannot be reached (process {number}: its connection was closed)" in exits[0]
    )


@pytest.mark.slow
def test_silence_counts_as_an_end_and_beats_do_not(exits):
    """Two that watch each other live longer than the silence of a third."""
    pairs = [socket.socketpair() for _ in range(2)]
    both = [PeerWatch({number: pair}) for number, pair in zip((1, 0), pairs[0], strict=True)]
    PeerWatch({2: pairs[1][0]})
    wait_until(lambda: exits)
    time.sleep(1)
    assert len(exits) == 1
    assert "(process 2: no response for 0.5 s)" in exits[0]
    for one in both:
        one.stop()
    for each in (pairs[0][1], pairs[1][1]):
        each.close()


@pytest.mark.slow
def test_nothing_is_said_after_the_stop(exits):
    """As when all processes end with the same sentence; process 0 has a moment to get there."""
    for number, moment in ((0, 0.0), (3, 0.1)):
        here, there = socket.socketpair()
        watch = PeerWatch({number: here})
        if moment:
            there.close()
            time.sleep(moment)
        watch.stop()
        there.close()
        time.sleep(0.6)
        assert exits == []


class Held(PeerWatch):
    """Only keeps the connections; process 0 sends a byte, which the others wait for."""

    def __init__(self, connections):
        self.connections = connections
        for number, connection in connections.items():
            if number:
                connection.sendall(b".")


@pytest.fixture
def three(monkeypatch):
    """Threads that JAX takes for processes, and an exchange between them."""
    own, card, given = threading.local(), [], threading.Event()

    def say(text):
        if own.index == 0:
            card.append(text)
            given.set()
        assert given.wait(30)
        return [card[0], "", ""]

    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(jax, "process_index", lambda: own.index)
    monkeypatch.setattr(peer_watch, "gather_texts", say)
    monkeypatch.setattr(peer_watch, "PeerWatch", Held)
    return types.SimpleNamespace(own=own, card=card, given=given)


def meet(three, host, indices, before=None):
    """The connections of each of the processes, by their numbers."""
    held = {}

    def process(index):
        three.own.index = index
        if index == 1 and before:
            three.given.wait(30)
            before(int(three.card[0].split()[1]))
        watch: Any = watch_peers(host)
        held[index] = watch.connections

    threads = [threading.Thread(target=process, args=(i,), daemon=True) for i in indices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return held


def close(held):
    for connections in held.values():
        for connection in connections.values():
            connection.close()


def test_a_star_of_three(exits, three):
    """A stranger who comes first is sent away."""

    def stranger(port):
        with socket.create_connection(("localhost", port), timeout=15) as other:
            other.sendall(b"GET / HTTP/1.1\r\n\r\n" * 3)
            with contextlib.suppress(ConnectionError):
                assert other.recv(1) == b""

    held = meet(three, "localhost", range(3), stranger)
    assert {index: sorted(of) for index, of in held.items()} == {0: [1, 2], 1: [0], 2: [0]}
    watch = PeerWatch(held[0])
    held[1][0].close()
    wait_until(lambda: exits)
    assert "(process 1: its connection was closed)" in exits[0]
    watch.stop()  # or the end of the other one would be said in the next test
    held[2][0].close()


def drip(port, end):
    """Connects twice: to say nothing, and to say a byte now and then."""
    with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
        calls = [socket.create_connection(("localhost", port)) for _ in range(2)]
        for call in calls:
            opened.enter_context(call)
        while not end.wait(0.2):
            calls[1].sendall(b"x")


def test_strangers_who_keep_their_connection_keep_nobody_waiting(exits, three):
    end, callers = threading.Event(), []

    def strangers(port):
        callers.append(threading.Thread(target=drip, args=(port, end), daemon=True))
        callers[0].start()
        time.sleep(0.5)  # they are there first

    begin = time.monotonic()
    held = meet(three, "localhost", range(3), strangers)
    assert time.monotonic() - begin < 5
    assert {index: sorted(of) for index, of in held.items()} == {0: [1, 2], 1: [0], 2: [0]}
    end.set()
    callers[0].join()
    close(held)


@pytest.mark.slow
def test_a_process_that_does_not_come_is_named_in_time(exits, three, monkeypatch):
    """Though somebody else calls all the time."""
    monkeypatch.setattr(peer_watch, "MEETING_SECONDS", 1.0)
    end, callers, begin = threading.Event(), [], time.monotonic()

    def strangers(port):
        callers.append(threading.Thread(target=drip, args=(port, end), daemon=True))
        callers[0].start()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        held = meet(three, "localhost", (0, 1), strangers)
    assert time.monotonic() - begin < 3
    assert {index: sorted(of) for index, of in held.items()} == {0: [1], 1: [0]}
    assert [each.category for each in told] == [DepthsiWarning]
    assert str(told[0].message).startswith("Process 2 did not connect within 1 s, so")
    end.set()
    callers[0].join()
    close(held)


def test_without_a_connection_there_is_a_warning(exits, three):
    three.own.index = 2
    with socket.create_server(("localhost", 0)) as nobody:
        port = nobody.getsockname()[1]
    three.card.append(f"localhost {port} token")
    three.given.set()
    with pytest.warns(DepthsiWarning, match=f"Process 2 cannot connect to localhost:{port}"):
        watch: Any = watch_peers("")
    assert watch.connections == {}
    assert exits == []


def test_a_connection_that_nobody_answers_is_none(exits, three, monkeypatch):
    """As where process 0 has given up waiting: nothing would ever come over it."""
    monkeypatch.setattr(peer_watch, "MEETING_SECONDS", 0.1)
    three.own.index = 2
    with socket.create_server(("localhost", 0)) as silent:
        three.card.append(f"localhost {silent.getsockname()[1]} token")
        three.given.set()
        with pytest.warns(DepthsiWarning, match="Process 2 cannot connect to .*timed out"):
            watch: Any = watch_peers("")
    assert watch.connections == {}


ANYWHERE = ("0.0.0.0", "::")


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("localhost", ["127.0.0.1", "::1"]),
        ("127.0.0.2", ["127.0.0.2"]),
        ("", ANYWHERE),
        ("192.0.2.1", ANYWHERE),  # of no machine, being for documentation
        ("no-such-host.invalid", ANYWHERE),
    ],
)
def test_listens_on_the_coordinators_address_only(host, addresses):
    with peer_watch._listener(host) as listener:
        assert listener.getsockname()[0] in addresses


def test_a_name_that_means_loopback_here_only_is_no_address_for_others(monkeypatch):
    """As Debian's /etc/hosts has it for the machine's own name."""
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.1.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])
    with peer_watch._listener("node1") as listener:
        assert listener.getsockname()[0] in ANYWHERE
