"""Training on the devices of one machine, in one or several processes."""

import dataclasses
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

from depthsi.errors import DepthsiError
from depthsi.launch.checks import check_at_least

GRACE = 60.0  # seconds for the others to end by themselves when one process has failed
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # on which a training saves and stops
_STOPPED = tuple(128 + number for number in _SIGNALS)


@dataclasses.dataclass(frozen=True)
class Machine:
    """Train on this machine, in one process that uses all devices or in several that share GPUs.

    Put the arguments of `depthsi train` after --, such as: -- nyu --run DIR.
    """

    processes: int = 1
    """Number of processes; each reads its own part of every batch."""
    gpus: int = 0
    """Number of GPUs to divide among the processes; 0 gives one to each of several processes, and
    all of them to a single one."""
    port: int = 12321
    """Port through which the processes find each other."""
    python: str = sys.executable
    """Python interpreter with depthsi installed."""
    dry_run: bool = False
    """Print the commands without running them."""

    def launch(self, training: tuple[str, ...]) -> int:
        """Runs `depthsi train` with these arguments; returns the first exit code that is not 0."""
        check_at_least("--processes", self.processes, 1)
        check_at_least("--gpus", self.gpus, 0)
        if self.gpus % self.processes:
            raise DepthsiError(
                f"--gpus is {self.gpus}, which {self.processes} processes cannot share equally:"
                f" use a multiple of {self.processes}."
            )
        if not 1024 <= self.port < 65536:
            raise DepthsiError(f"--port is {self.port}; it must be from 1024 to 65535.")
        commands = [self._command(i, training) for i in range(self.processes)]
        if self.dry_run:
            _show(commands)
            return 0
        if self.processes > 1:
            _check_free(self.port)
        code = _run(commands)
        if self.processes > 1 and code in _STOPPED:
            print("depthsi: to continue, append --resume to the same command.", file=sys.stderr)
        return code

    def _command(self, i: int, training: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
        """Variables of the environment, and the words, of process `i`."""
        words = [self.python, "-m", "depthsi", "train", *training]
        if self.processes > 1:
            words += [
                "--cluster.coordinator",
                f"127.0.0.1:{self.port}",
                "--cluster.processes",
                str(self.processes),
                "--cluster.process",
                str(i),
            ]
        each = self.gpus // self.processes or int(self.processes > 1)
        numbers = ",".join(map(str, range(i * each, (i + 1) * each)))
        return ({"CUDA_VISIBLE_DEVICES": numbers} if each else {}), words


def _show(commands: list[tuple[dict[str, str], list[str]]]) -> None:
    several = len(commands) > 1
    for variables, words in commands:
        assignments = [f"{name}={value}" for name, value in variables.items()]
        print(" ".join([*assignments, shlex.join(words)]) + (" &" if several else ""))
    if several:
        print("wait")


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise DepthsiError(f"--port {port} is in use: choose another one.") from None


def _run(commands: list[tuple[dict[str, str], list[str]]]) -> int:
    """Runs all commands at once, forwards signals to them, and ends the others when one fails."""
    # In sessions of their own; otherwise Ctrl-C at a terminal would reach them twice.
    running = [
        subprocess.Popen(words, env=os.environ | variables, start_new_session=True)
        for variables, words in commands
    ]

    def hand_on(number: int, _: FrameType | None) -> None:
        for process in running:
            process.send_signal(number)

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it ignored
            signal.signal(number, hand_on)
    deadline = None
    while any(process.poll() is None for process in running):
        if deadline is None and any(process.poll() for process in running):
            deadline = time.monotonic() + GRACE
        if deadline is not None and time.monotonic() > deadline:
            for process in running:
                process.kill()
        time.sleep(0.1)
    codes = [process.returncode for process in running if process.returncode]
    return 0 if not codes else codes[0] if codes[0] > 0 else 128 - codes[0]
