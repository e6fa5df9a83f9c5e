"""What the command line turns into one sentence: exceptions, with an exit code, and a warning."""

import multiprocessing
import signal
import warnings
from collections.abc import Iterable


class DepthsiError(Exception):
    """Something the user gave cannot be used; the message says what, where, and the remedy."""


class StoppedError(Exception):
    """A signal asked the training to stop, which it did after `step`, with its state saved.

    Attributes:
      exit_code: what shells report for the signal: 143 for SIGTERM, 130 for SIGINT, 129 for SIGHUP.
    """

    def __init__(self, step: int, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(f"Stopped by {name} after step {step}, which is saved.")
        self.exit_code = 128 + number


class DepthsiWarning(UserWarning):
    """Something was assumed about what the user gave; the message says what, and how to be sure."""


_warned: set[str] = set()


def warn_once(about: str, message: str) -> None:
    """Warns of what holds for many files only for the first of them in a run.

    Processes that only read files for this one say nothing: it has read them as well, or will.

    Args:
      about: names what the warning is about; later ones of the same are dropped.
      message: the sentence, which may name the first file.
    """
    if about not in _warned and multiprocessing.parent_process() is None:
        _warned.add(about)
        warnings.warn(message, DepthsiWarning, stacklevel=2)


def first_few(names: Iterable[str], limit: int = 10) -> str:
    """The first names for a message, and how many more there are, however many that is."""
    names = list(names)
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def require_at_least(section: str, settings: object, **least: float | int) -> None:
    """Raises DepthsiError for the first field of `settings` that is below its limit in `least`."""
    for name, limit in least.items():
        value = getattr(settings, name)
        if not value >= limit:
            raise DepthsiError(f"{section}.{name} is {value}; it must be at least {limit}.")
