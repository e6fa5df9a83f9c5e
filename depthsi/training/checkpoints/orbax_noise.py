"""Keeping quiet what Orbax says to nobody in particular."""

import functools
import logging
import re
import sys
import warnings
from types import CodeType

from absl import logging as absl_logging

_LEFTOVER = re.compile(r"Event loop is closed|coroutine .* was never awaited")


def keep_logs_quiet() -> None:
    """No log lines: it warns of its ordinary work, and its errors are raised as well."""
    absl_logging.set_verbosity(absl_logging.FATAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


@functools.cache
def keep_leftovers_quiet() -> None:
    """No complaints of the coroutines that a failed reading leaves half done.

    They come when the garbage is collected, long after the reason for them was told.
    """
    warnings.filterwarnings("ignore", _LEFTOVER.pattern, RuntimeWarning)
    others = sys.unraisablehook

    def hook(what: "sys.UnraisableHookArgs") -> None:
        code = getattr(what.object, "cr_code", None)
        of_orbax = isinstance(code, CodeType) and "orbax" in code.co_filename
        if not of_orbax and not _LEFTOVER.search(str(what.exc_value)):
            others(what)

    sys.unraisablehook = hook
