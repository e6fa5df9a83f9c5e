"""Signals that ask to stop, in this process; see test_survival.py for those in trainings."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from depthsi.training.processes import stopping
from depthsi.training.processes.stopping import stop_requests

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers():
    """Those of the tests, put back after each."""
    before = {each: signal.getsignal(each) for each in ASKING}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
    yield before
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", ASKING)
def test_a_signal_is_a_request(number):
    before = [signal.getsignal(each) for each in ASKING]
    with stop_requests() as stop:
        assert stop.due() == 0
        os.kill(os.getpid(), number)
        assert stop.due() == number
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # a second one ends the process
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert [signal.getsignal(each) for each in ASKING] == before


def test_a_closed_terminal_may_say_so_several_times():
    """It does, itself and through the shell; the first one is being heeded."""
    with stop_requests() as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.due() == signal.SIGHUP
    with stop_requests() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.due() == signal.SIGTERM


def test_several_processes_heed_the_largest_signal_of_the_step_before(monkeypatch):
    """The exchange is among all devices of all processes, here four of one."""
    monkeypatch.setattr("jax.process_count", lambda: 2)
    with stop_requests() as stop:
        assert stop.due() == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.due() == 0  # nobody knew after the step before
        assert stop.due() == signal.SIGTERM
        assert stop.due() == signal.SIGTERM
    devices = jax.devices()
    of_each = [0, signal.SIGINT, signal.SIGTERM, 0]
    split, largest = stopping._maximum()
    parts = [
        jax.device_put(np.array([n], np.int32), d) for n, d in zip(of_each, devices, strict=True)
    ]
    given = jax.make_array_from_single_device_arrays((len(devices),), split, parts)
    assert largest(given) == signal.SIGTERM


def test_a_thread_leaves_signals_alone():
    """Python lets only the main thread handle them."""
    before = [signal.getsignal(each) for each in ASKING]

    def train():
        with stop_requests() as stop:
            return stop.due(), [signal.getsignal(each) for each in ASKING]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train).result() == (0, before)


def test_a_handler_that_is_not_of_python_is_replaced_by_the_usual_one(monkeypatch):
    """As that of jax.distributed, for which Python says None and which it cannot put back."""
    install = signal.signal

    def says_none(number, handler):
        before = install(number, handler)
        return None if number == signal.SIGTERM else before

    monkeypatch.setattr("signal.signal", says_none)
    with stop_requests():
        pass
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_terminal_that_is_gone_is_written_to_no_more(monkeypatch):
    """Its streams lead to nothing, so that a message before the state is saved cannot fail."""
    primary, secondary = os.openpty()
    kept = os.dup(2)
    try:
        os.dup2(secondary, 2)
        with stop_requests() as stop:
            monkeypatch.setattr("os.isatty", lambda stream: False)
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.due() == signal.SIGHUP
            same = os.path.samestat(os.fstat(2), os.stat(os.devnull))
    finally:
        os.dup2(kept, 2)
        for each in (primary, secondary, kept):
            os.close(each)
    assert same


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_requests() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.due() == 0
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.due() == signal.SIGTERM
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
