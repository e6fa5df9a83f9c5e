"""Signals that ask to stop, in this process; see test_survival.py for those in trainings."""

import os
import signal

import pytest

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


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_requests() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.due() == 0
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.due() == signal.SIGTERM
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
