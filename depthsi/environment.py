"""Explains failures caused by environment variables."""

import os
from collections.abc import Mapping

PREFIXES = ("JAX_", "XLA_", "MPL", "CUDA_", "TF_")  # of variables that others read


def failing_setting(
    error: BaseException, environment: Mapping[str, str] = os.environ
) -> str | None:
    """A sentence about the environment variable that caused `error`; None if there is none.

    Args:
      error: an unexpected error.
      environment: environment variables of the process.
    """
    text = " ".join(str(error).split())
    if "Disallowed" in text and "transfer" in text:
        name = next((n for n in environment if n.startswith("JAX_TRANSFER_GUARD")), None)
        what = f"{name}={environment[name]}" if name else "jax_transfer_guard"
        return f"{what} forbids copies to and from the device, which depthsi makes: unset it."
    for name, value in environment.items():
        if name.startswith(PREFIXES) and (name in text or name.lower() in text):
            return f"{name}={value} is refused ({text[:200]}): correct or unset it."
    if (reason := _why_no_device()) is not None:
        if platforms := environment.get("JAX_PLATFORMS"):
            what = f"JAX_PLATFORMS={platforms} asks for a device that is not there"
            return f"{what} ({reason}): unset it, or set it to cpu."
        return f"JAX finds no device ({reason}): correct its installation."
    return None


def _why_no_device() -> str | None:
    try:
        import jax

        jax.devices()
    except Exception as error:
        return " ".join(str(error).split())[:200] or "no reason given"
    return None
