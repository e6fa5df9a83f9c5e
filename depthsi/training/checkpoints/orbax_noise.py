"""Silences irrelevant output of Orbax."""

import functools
import logging
import re
import sys
import warnings
from types import CodeType

from absl import logging as absl_logging

_LEFTOVER = re.compile(r"Event loop is closed|coroutine .* was never awaited")


def keep_logs_quiet() -> None:
    """Silences Orbax's log: it warns about normal operation, and its errors are raised as well."""
    absl_logging.set_verbosity(absl_logging.FATAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


@functools.cache
def keep_leftovers_quiet() -> None:
    """Silences warnings about coroutines that a failed read leaves unfinished.

    They appear when the garbage is collected, long after the actual error was reported.
    """
    warnings.filterwarnings("ignore", _LEFTOVER.pattern, RuntimeWarning)
    others = sys.unraisablehook

    def hook(what: "sys.UnraisableHookArgs") -> None:
        code = getattr(what.object, "cr_code", None)
        of_orbax = isinstance(code, CodeType) and "orbax" in code.co_filename
        if not of_orbax and not _LEFTOVER.search(str(what.exc_value)):
            others(what)

    sys.unraisablehook = hook
