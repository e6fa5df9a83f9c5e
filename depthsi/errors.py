"""The one exception the command line turns into a sentence and exit code 2."""


class DepthsiError(Exception):
    """Something the user gave cannot be used; the message says what, where, and the remedy."""
