"""Processes that notice the end of another: here pairs of sockets, and threads for processes."""

import contextlib
import socket
import threading
import time
import types

import jax
import pytest

from depthsi.errors import DepthsiWarning
from depthsi.training.processes import lifelines
from depthsi.training.processes.lifelines import Lifelines, hold_lifelines


@pytest.fixture
def ends(monkeypatch):
    """What processes gave up with; beats of 0.1 s, of which five may be missed."""
    said = []
    monkeypatch.setattr(lifelines, "give_up", said.append)
    monkeypatch.setattr(lifelines, "BEAT", 0.1)
    monkeypatch.setattr(lifelines, "MISSED", 5)
    monkeypatch.setattr(lifelines, "LAST_WORDS", 0.3)
    return said


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [0, 3])
def test_the_end_of_a_connection_is_the_end_of_its_process(number, ends):
    here, there = socket.socketpair()
    Lifelines({number: here})
    there.sendall(b"..")
    there.close()
    wait_until(lambda: ends)
    assert len(ends) == 1
    assert f"run has ended or cannot be reached (process {number}: its connection ended)" in ends[0]


def test_silence_counts_as_an_end_and_beats_do_not(ends):
    """Two that watch each other live longer than the silence of a third."""
    pairs = [socket.socketpair() for _ in range(2)]
    both = [Lifelines({number: pair}) for number, pair in zip((1, 0), pairs[0], strict=True)]
    Lifelines({2: pairs[1][0]})
    wait_until(lambda: ends)
    time.sleep(1)
    assert len(ends) == 1
    assert "(process 2: no sign of life for 0.5 s)" in ends[0]
    for one in both:
        one.stop_watching()
    for each in (pairs[0][1], pairs[1][1]):
        each.close()


def test_nothing_is_said_after_letting_go(ends):
    """As when all processes end with the same sentence; process 0 has a moment to get there."""
    for number, moment in ((0, 0.0), (3, 0.1)):
        here, there = socket.socketpair()
        held = Lifelines({number: here})
        if moment:
            there.close()
            time.sleep(moment)
        held.stop_watching()
        there.close()
        time.sleep(0.6)
        assert ends == []


class Held(Lifelines):
    """Only keeps the connections."""

    def __init__(self, connections):
        self.connections = connections


@pytest.fixture
def three(monkeypatch):
    """Threads that JAX takes for processes, and a broadcast between them."""
    own, card, given = threading.local(), [], threading.Event()

    def say(text):
        if own.index == 0:
            card.append(text)
            given.set()
        assert given.wait(30)
        return card[0]

    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(jax, "process_index", lambda: own.index)
    monkeypatch.setattr(lifelines, "from_leader", say)
    return types.SimpleNamespace(own=own, card=card, given=given)


def test_a_star_of_three(ends, three, monkeypatch):
    """A stranger who comes first is sent away."""
    held = {}
    monkeypatch.setattr(lifelines, "Lifelines", Held)

    def process(index):
        three.own.index = index
        if index == 1:
            three.given.wait(30)
            with socket.create_connection(("localhost", int(three.card[0].split()[1]))) as other:
                other.sendall(b"GET / HTTP/1.1\r\n\r\n" * 3)
                with contextlib.suppress(ConnectionError):
                    assert other.recv(1) == b""
        held[index] = hold_lifelines("localhost").connections

    threads = [threading.Thread(target=process, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {index: sorted(of) for index, of in held.items()} == {0: [1, 2], 1: [0], 2: [0]}
    watched = Lifelines(held[0])
    held[1][0].close()
    wait_until(lambda: ends)
    assert "(process 1: its connection ended)" in ends[0]
    watched.stop_watching()  # or the end of the other one would be said in the next test
    held[2][0].close()


def test_without_a_connection_there_is_a_warning(ends, three):
    three.own.index = 2
    with socket.create_server(("localhost", 0)) as nobody:
        port = nobody.getsockname()[1]
    three.card.append(f"localhost {port} token")
    three.given.set()
    with pytest.warns(DepthsiWarning, match=f"Process 2 cannot connect to localhost:{port}"):
        hold_lifelines("")
    time.sleep(0.6)
    assert ends == []
