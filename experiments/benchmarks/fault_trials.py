"""Trainings in separate processes, killed at random and compared with an uninterrupted one."""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from depthsi.config import Config
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.record import DamagedError
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.stages import Stage, make_stages, stage_of
from depthsi.training.state import State

LIMIT = 900  # seconds after which a process that should have ended counts as hanging
TIMING = ("images_per_second", "waiting_share")


@dataclasses.dataclass(frozen=True)
class Kill:
    """One SIGKILL and what it left.

    Attributes:
      moment: kind of moment that was waited for.
      process: number of the process that was killed.
      done: last step that had been logged.
      newest: step of the newest checkpoint, 0 for none.
      saving: whether a save was under way.
      damaged: checkpoints that were not whole, and found to be so.
      wrong: whether the newest whole one is another state than that of the undisturbed run.
      other_ended: seconds until the other process had ended by itself; 0 where there is none.
    """

    moment: str
    process: int
    done: int
    newest: int
    saving: bool
    damaged: int
    wrong: bool
    other_ended: float

    @property
    def lost(self) -> int:
        """Steps to be done again."""
        return self.done - self.newest


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A run from its first start to its end.

    Attributes:
      kills: in order.
      resumes: how often it was started again.
      same_state: whether its last state is bit-identical to that of the uninterrupted run.
      same_log: whether metrics.jsonl has the same lines, apart from timing.
      leftovers: temporary directories that are left in the end.
    """

    kills: tuple[Kill, ...]
    resumes: int
    same_state: bool
    same_log: bool
    leftovers: int


@dataclasses.dataclass(frozen=True)
class Program:
    """What to run.

    Attributes:
      words: command line up to the settings, without the run's directory.
      settings: of a run of `steps` steps that logs each of them.
      steps: how many it takes.
      abstract: shapes and types of a stage's states.
      processes: of one run.
      environment: variables to set.
    """

    words: Sequence[str]
    settings: Sequence[str]
    steps: int
    abstract: Callable[[Config, Stage], State]
    processes: int = 1
    environment: dict[str, str] = dataclasses.field(default_factory=dict)

    def start(self, run: Path, *more: str) -> list[subprocess.Popen[bytes]]:
        """All processes of a run, which print into files beside its directory."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        started = []
        for number in range(self.processes):
            words = [*self.words, "--run", str(run), *self.settings, *more]
            if self.processes > 1:
                words += ["--cluster.coordinator", address, "--cluster.process", str(number)]
                words += ["--cluster.processes", str(self.processes), "--cluster.timeout", "100"]
            with run.with_name(f"{run.name}.{number}.log").open("a") as log:
                environment = os.environ | self.environment
                started.append(subprocess.Popen(words, stdout=log, stderr=log, env=environment))
        return started


class Trial:
    """Killed runs of a program, against one that nothing disturbed."""

    def __init__(self, program: Program, directory: Path) -> None:
        """Makes the undisturbed run, which keeps all of its checkpoints.

        Raises:
          RuntimeError: it does not end well.
        """
        self._program, self._directory = program, directory
        directory.mkdir(parents=True)
        whole = directory / "whole"
        began = time.monotonic()
        self._finish(program.start(whole, "--schedule.keep", "1000"))
        self._seconds = time.monotonic() - began
        self._config = RunDirectory(whole).config()
        self._log = _lines(whole)
        with Checkpoints(whole / "checkpoints") as checkpoints:
            self._states = {step: self._read(checkpoints, step) for step in checkpoints.steps}

    def run(self, name: str, rng: np.random.Generator, most: int) -> Outcome:
        """A run that is killed 1 to `most` times, if it does not end before, then left to end."""
        run, kills, resumes = self._directory / name, [], 0
        for _ in range(int(rng.integers(1, most + 1))):
            processes = self._program.start(run, *_resume(run))
            resumes += bool(kills)
            kill = self._kill(processes, run, rng)
            if kill is None:
                break
            kills.append(kill)
        else:
            self._finish(self._program.start(run, *_resume(run)))
            resumes += 1
        state, _ = self._newest(run)
        outcome = Outcome(
            kills=tuple(kills),
            resumes=resumes,
            same_state=state == max(self._states.items()),
            same_log=_lines(run) == self._log,
            leftovers=len(_saves_under_way(run)),
        )
        shutil.rmtree(run)
        return outcome

    def _kill(
        self, processes: list[subprocess.Popen[bytes]], run: Path, rng: np.random.Generator
    ) -> Kill | None:
        """Kills one process at a random moment; None if they had ended before."""
        before = _saves_under_way(run)  # of the process that was killed last
        kind, come, delay = self._moment(rng, before)
        while not come(run) and processes[0].poll() is None:
            time.sleep(0.005)
        time.sleep(delay)
        number = int(rng.integers(len(processes)))
        if processes[number].poll() is not None:
            self._finish(processes)
            return None
        processes[number].kill()
        saving = bool(_saves_under_way(run) - before)
        began = time.monotonic()
        for process in processes:
            process.wait(LIMIT)
        ended = time.monotonic() - began if len(processes) > 1 else 0.0
        (newest, state), damaged = self._newest(run)
        wrong = newest > 0 and state != self._states.get(newest)
        done = max((line["step"] for line in _lines(run)), default=0)
        return Kill(kind, number, done, newest, saving, damaged, wrong, round(ended, 2))

    def _moment(
        self, rng: np.random.Generator, before: set[str]
    ) -> tuple[str, Callable[[Path], bool], float]:
        """Its kind, what to wait for, and for how many seconds after that."""
        kind = str(rng.choice(["any time", "after a step", "during a save"]))
        step, delay = int(rng.integers(1, self._program.steps)), float(rng.uniform(0, 0.2))
        if kind == "any time":
            return kind, lambda run: True, float(rng.uniform(0, self._seconds))
        if kind == "after a step":
            return kind, lambda run: _logged(run) >= step, delay
        return (
            kind,
            lambda run: _logged(run) >= step // 2 and bool(_saves_under_way(run) - before),
            delay / 4,
        )

    def _newest(self, run: Path) -> tuple[tuple[int, list[bytes]], int]:
        """Step and state of the newest whole checkpoint, (0, []) for none; how many are damaged."""
        damaged = 0
        if (run / "checkpoints").is_dir():
            with Checkpoints(run / "checkpoints") as checkpoints:
                for step in reversed(checkpoints.steps):
                    try:
                        return (step, self._read(checkpoints, step)), damaged
                    except DamagedError:
                        damaged += 1
        return (0, []), damaged

    def _read(self, checkpoints: Checkpoints, step: int) -> list[bytes]:
        """The bits of every array."""
        stage = stage_of(make_stages(self._config), step)
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        state = checkpoints.restore(step, self._program.abstract(self._config, stage), device)
        state = state.replace(key=jax.random.key_data(state.key))
        return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]

    def _finish(self, processes: list[subprocess.Popen[bytes]]) -> None:
        codes = [process.wait(LIMIT) for process in processes]
        if any(codes):
            raise RuntimeError(f"processes ended with {codes}: see the logs in {self._directory}")


def _resume(run: Path) -> list[str]:
    return ["--resume"] if (run / "config.json").exists() else []


def _logged(run: Path) -> int:
    file = run / "metrics.jsonl"
    return len(file.read_bytes().splitlines()) if file.exists() else 0


def _lines(run: Path) -> list[dict[str, Any]]:
    """What metrics.jsonl says, apart from timing and a line that was cut short."""
    file = run / "metrics.jsonl"
    text = file.read_text() if file.exists() else ""
    rows = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [{name: row[name] for name in row if name not in TIMING} for row in rows]


def _saves_under_way(run: Path) -> set[str]:
    """Orbax's temporary directories."""
    try:
        return {name for name in os.listdir(run / "checkpoints") if "tmp" in name}
    except FileNotFoundError:
        return set()
