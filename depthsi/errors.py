"""Exceptions and warnings that the command line reports in one sentence."""

import multiprocessing
import signal
import warnings
from collections.abc import Iterable
from typing import get_args


class DepthsiError(Exception):
    """Invalid input of the user; the message says what is wrong, where, and what to do."""


class DivergedError(DepthsiError):
    """A training was stopped because its loss, its gradient or its update is not finite."""


class StoppedError(Exception):
    """A training was stopped by a signal after `step`, with its state saved.

    Attributes:
      exit_code: exit code for the signal: 143 for SIGTERM, 130 for SIGINT, 129 for SIGHUP.
    """

    def __init__(self, step: int, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(f"Stopped by {name} after step {step}, which is saved.")
        self.exit_code = 128 + number


class DepthsiWarning(UserWarning):
    """An assumption about the user's input; the message says which, and how to be explicit."""


_warned: set[str] = set()


def warn_once(about: str, message: str) -> None:
    """Warns only once per run about something that applies to many files.

    Processes that only read files for this one do not warn, because it reads the same files.

    Args:
      about: subject of the warning; later warnings about the same subject are dropped.
      message: the sentence, which may name the first file.
    """
    if about not in _warned and multiprocessing.parent_process() is None:
        _warned.add(about)
        warnings.warn(message, DepthsiWarning, stacklevel=2)


def first_few(names: Iterable[str], limit: int = 10) -> str:
    """The first names for a message, and the number of further ones."""
    names = list(names)
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def require_choice(name: str, value: object, choices: object) -> None:
    """Raises DepthsiError if the argument `name` is none of `choices`, a Literal of strings."""
    if value not in (words := get_args(choices)):
        raise DepthsiError(f"{name} is {value!r}: choose one of {', '.join(words)}.")


def require_at_least(section: str, settings: object, **least: float | int) -> None:
    """Raises DepthsiError for the first field of `settings` that is below its limit in `least`."""
    for name, limit in least.items():
        value = getattr(settings, name)
        if not value >= limit:
            raise DepthsiError(f"{section}.{name} is {value}; it must be at least {limit}.")
