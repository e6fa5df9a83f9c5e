"""Describes this computer, for the records of measurements."""

import os
import platform
from pathlib import Path


def describe_machine() -> dict[str, str]:
    """Processor, accelerators and versions, as text; initialises the jax backend."""
    import jax

    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "devices": ", ".join(f"{device.platform} {device.device_kind}" for device in jax.devices()),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown")
