"""What the command line turns into one sentence: exceptions, with an exit code, and a warning."""

import signal


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
