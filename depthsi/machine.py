"""This computer: its description for the records of measurements, and its memory."""

import ctypes
import os
import platform
from pathlib import Path

# The limits of a container, in versions 2 and 1 of Linux' control groups
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_MALLOC = {  # the numbers of malloc.h
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: what may stay unused at the end of the heap
    -2: 2**26,  # M_TOP_PAD: what the heap grows by
    -3: 2**30,  # M_MMAP_THRESHOLD: from where on arrays are mapped anew
}


def describe_machine() -> dict[str, str]:
    """Processor, accelerators and versions, as text; initialises the jax backend."""
    import jax

    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "devices": ", ".join(f"{device.platform} {device.device_kind}" for device in jax.devices()),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def host_bytes() -> int:
    """What samples may take of the computer's memory, in bytes: half of what this process may."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    texts = [file.read_text(encoding="utf-8").strip() for file in CONTAINER_LIMITS if file.exists()]
    return min([memory, *(int(text) for text in texts if text.isdecimal())]) // 2  # not "max"


def keep_freed_memory() -> None:
    """Lets this process reuse the memory of freed arrays instead of returning it to the system.

    By default glibc maps large arrays anew each time, and Linux clears every page of them again: a
    tenth of the time of a small training. Does nothing with other C libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _MALLOC.items():
            mallopt(option, value)


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown")
