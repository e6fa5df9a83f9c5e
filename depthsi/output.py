"""Printing that survives a closed pipe, a full disk, and encodings that lack characters."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from depthsi.files import write_text

LONGEST = 4000  # signs of a message
STDOUT = "-"  # instead of a file's name
CLOSED_PIPE = 141  # what shells report for a program whose reader has gone


class _Nowhere(io.TextIOBase):
    """Takes text and forgets it."""

    def write(self, text: str) -> int:
        return len(text)


def make_encodable(stream: Any) -> None:
    """Lets `stream` write a question mark instead of each sign that its encoding lacks."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


def can_encode(text: str, stream: Any) -> bool:
    """Whether the encoding of `stream` has all signs of `text`."""
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def printable(text: str) -> str:
    """A one-line message that is safe to show on a terminal, whatever names it quotes.

    Control characters, including line ends, and characters that change the direction of writing
    become escapes such as \\x1b. The middle of a very long message is left out.
    """
    if len(text) > LONGEST:
        left_out = len(text) - LONGEST
        text = f"{text[: LONGEST // 2]} ({left_out} characters left out) {text[-LONGEST // 2 :]}"
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def complain(text: str, stream: Any = None) -> None:
    """Prints a message of this program, made `printable`, by default on standard error."""
    print(f"depthsi: {printable(text)}", file=stream or sys.stderr, flush=True)


def discard_output() -> None:
    """Discards what remains to be printed on standard output, also at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):  # no real file, as under a test
        sys.stdout = _Nowhere()
    finally:
        os.close(null)


def say(text: str) -> None:
    """Prints a line if standard output is still open; work continues if it is not."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()


def write_numbers(file: str, numbers: Any) -> None:
    """Writes plain values as JSON to a file and says so, or to standard output.

    Args:
      file: its name, or `STDOUT`.
      numbers: what JSON can hold.

    Raises:
      OSError: the file cannot be written.
    """
    text = json.dumps(numbers, indent=2)
    if file == STDOUT:
        print(text)
    else:
        write_text(Path(file), text + "\n")
        print(f"JSON: {file}")
