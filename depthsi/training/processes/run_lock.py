"""One run at a time in a directory."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from depthsi.errors import DepthsiError
from depthsi.runs import LOCK_FILE


@contextlib.contextmanager
def run_lock(directory: Path) -> Iterator[None]:
    """Makes `directory` and holds the lock on it; of a run's processes, the first one calls this.

    The kernel lets go of the lock when the process ends, however it ends; the file that carries it
    stays, since removing it would let two others in.

    Raises:
      DepthsiError: another process holds it, or the directory cannot be written.
    """
    import fcntl

    file = directory / LOCK_FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DepthsiError(f"{directory} cannot be written ({error.strerror}).") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            raise DepthsiError(
                f"{directory} is in use by another run ({holder}): wait until it has ended, stop"
                " it, or choose another --run."
            ) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(descriptor)
