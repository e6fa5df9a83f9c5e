"""What the command line turns into one sentence: an exception, with exit code 2, and a warning."""


class DepthsiError(Exception):
    """Something the user gave cannot be used; the message says what, where, and the remedy."""


class DepthsiWarning(UserWarning):
    """Something was assumed about what the user gave; the message says what, and how to be sure."""
