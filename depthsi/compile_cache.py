"""Caches compiled programs on disk, so that later starts of a command need not compile again.

Imports no JAX: it reads these environment variables as it is imported.
"""

import contextlib
import hashlib
import itertools
import os
import platform
import sys
import time
from collections.abc import MutableMapping
from importlib import metadata
from pathlib import Path

SWITCH = "DEPTHSI_CACHE"  # a directory, or off
MAX_BYTES = 2**30
TORN_AFTER = 60.0  # seconds, more than any writing takes
_JAX = "JAX_COMPILATION_CACHE_DIR"


def keep_compiled_programs(environment: MutableMapping[str, str] = os.environ) -> Path | None:
    """Lets JAX cache programs that are slow to compile in the user's cache directory.

    Several processes can use the directory at once; JAX keeps it below 1 GiB. Each kind of CPU and
    version of JAX has its own subdirectory, since programs compiled for one may not run on another.
    JAX's own variable takes precedence if it is set. This has no effect once JAX is imported.

    Args:
      environment: environment variables to change; `DEPTHSI_CACHE` is the directory, or off.

    Returns:
      The directory; None if caching is off or the directory cannot be written.
    """
    wanted = environment.get(SWITCH, "")
    if wanted.lower() in ("off", "0", "no", "false") or _JAX in environment or "jax" in sys.modules:
        return None
    try:
        home = Path(wanted) if wanted else cache_home(environment) / "depthsi"
        directory = home / f"jax-{metadata.version('jaxlib')}-{_machine()}"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a read-only home, or none at all
        return None
    if not os.access(directory, os.W_OK):
        return None
    _remove_torn_entries(directory)
    environment[_JAX] = str(directory)
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    environment.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(MAX_BYTES))
    return directory


def _remove_torn_entries(directory: Path) -> None:
    """Removes incomplete entries of killed processes, which JAX would keep forever.

    JAX writes the two files of an entry in order: the program, then the time of its last use.
    """
    for program in directory.glob("*-cache"):
        used = program.with_name(program.name.removesuffix("-cache") + "-atime")
        try:
            if not used.exists() and time.time() - program.stat().st_mtime > TORN_AFTER:
                program.unlink()
        except OSError:  # another process was faster
            pass


def cache_home(environment: MutableMapping[str, str] = os.environ) -> Path:
    """The user's cache directory."""
    if found := environment.get("XDG_CACHE_HOME"):
        return Path(found)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path.home() / ".cache"


def _machine() -> str:
    """A short identifier of the kind of CPU."""
    text = platform.machine() + platform.processor()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", errors="replace") as file:
        for line in itertools.takewhile(str.strip, file):  # the first CPU
            if line.startswith(("model name", "flags", "Features")):
                text += line
    return hashlib.sha256(text.encode()).hexdigest()[:12]
