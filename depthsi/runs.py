"""The directory of a run: config.json, metrics.jsonl, checkpoints/ and what evaluation adds."""

import dataclasses
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from depthsi.config import Config
from depthsi.config_json import config_from_dict, to_dict
from depthsi.errors import DepthsiError
from depthsi.files import append_text, check_no_links_outside, write_bytes, write_text

LOCK_FILE = ".lock"  # held by a training, see depthsi.training.processes.run_lock


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is the directory of a run."""
    return (Path(path) / "config.json").exists()


class RunDirectory:
    """The directory of a run: the paths inside it, and its small files."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoints, written by Orbax."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """File with one JSON object per line, in the order of steps."""
        return self.path / "metrics.jsonl"

    @property
    def mean_depth_file(self) -> Path:
        """File with the prediction of the training split's mean predictor."""
        return self.path / "mean_depth.npy"

    @property
    def weights(self) -> Path:
        """The trained network alone, as `depthsi.load` reads it; written when a training ends."""
        return self.path / "weights.safetensors"

    def check_own(self) -> None:
        """Raises DepthsiError if a part of the run is a link out of it."""
        check_no_links_outside(self.path)

    def check_new(self) -> None:
        """Raises DepthsiError if the directory has anything that a new run would overwrite."""
        if self.path.exists() and not self.path.is_dir():
            raise DepthsiError(f"{self.path} is a file: choose a directory for the run.")
        harmless = (LOCK_FILE, ".config.json.tmp")  # of a run killed as it began
        if self.path.is_dir() and any(file.name not in harmless for file in self.path.iterdir()):
            raise DepthsiError(
                f"{self.path} already has another run or other files: continue it with --resume"
                " or choose another --run."
            )

    def check_same(self, config: Config) -> None:
        """Raises DepthsiError unless the run here was started with `config`, on any devices."""
        check_same_settings(to_dict(self.config()), config, str(self.path))

    def create(self, config: Config) -> None:
        """Creates the directory and writes config.json atomically."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.path / "config.json", json.dumps(to_dict(config), indent=2) + "\n")
        except OSError as error:
            raise DepthsiError(f"{self.path} cannot be written ({error.strerror}).") from error

    def config(self) -> Config:
        """The settings that the run was started with.

        Raises:
          DepthsiError: there is no run, or its config.json cannot be used.
        """
        file = self.path / "config.json"
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DepthsiError(f"{self.path} is not a run: there is no {file}.") from None
        except (OSError, ValueError, RecursionError) as error:
            raise DepthsiError(f"{file} cannot be read ({error}).") from error
        try:
            return config_from_dict(values)
        except DepthsiError as error:
            raise DepthsiError(f"{file}: {error}") from error

    def save_mean_depth(self, mean: np.ndarray) -> None:
        """Stores the prediction of the training split's mean predictor: metres, (H, W)."""
        buffer = io.BytesIO()
        np.save(buffer, mean.astype(np.float32))
        write_bytes(self.mean_depth_file, buffer.getvalue())

    def mean_depth(self) -> np.ndarray:
        """The map stored by `save_mean_depth`.

        Raises:
          DepthsiError: it is missing or damaged.
        """
        file = self.mean_depth_file
        try:
            return np.load(file, allow_pickle=False)
        except Exception as error:  # NumPy raises almost any, even TokenError, of damaged bytes
            raise DepthsiError(
                f"{file}, the mean of the training depths, cannot be read ({error}): train again."
            ) from error

    def record_left_out(self, left_out: Mapping[str, Mapping[str, str]]) -> None:
        """Records in bad_samples.json which samples were left out; they must stay the same.

        Args:
          left_out: for each split whose bad samples are skipped, messages by name of the sample.

        Raises:
          DepthsiError: the file exists and lists other samples, so the run would see its data in
            another order than before.
        """
        file = self.path / "bad_samples.json"
        if not left_out:
            return
        if not file.exists():
            write_text(file, json.dumps(left_out, indent=2, ensure_ascii=False) + "\n")
            return
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
            same = all(set(before[split]) == set(names) for split, names in left_out.items())
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DepthsiError(f"{file} cannot be read ({error}): start another run.") from error
        if not same:
            raise DepthsiError(
                f"{file} lists other bad samples than there are now: restore the data of the start"
                " of the run, or start another run."
            )

    def append(self, **values: Any) -> None:
        """Appends a line to metrics.jsonl; raises DepthsiError if that fails."""
        try:
            append_text(self.metrics, json.dumps(values) + "\n")
        except OSError as error:
            raise DepthsiError(
                f"{self.metrics} cannot be written ({error.strerror}): free some space or fix the"
                " problem, then continue with --resume."
            ) from error

    def rows(self) -> list[dict[str, Any]]:
        """The readable lines of metrics.jsonl; none if the file does not exist."""
        return self.rows_and_lost()[0]

    def rows_and_lost(self) -> tuple[list[dict[str, Any]], int]:
        """The result of `rows`, and the number of other lines that are not blank."""
        lines = [line for line in self._lines() if line.strip()]
        rows = [row for row in map(_row, lines) if row is not None]
        return rows, len(lines) - len(rows)

    def forget_after(self, step: int) -> None:
        """Drops lines of metrics.jsonl that a run resumed at `step` will write again.

        Lines that a run did not write, left by a crash or edited by hand, are dropped as well.
        """
        if self.metrics.exists():
            rows = ((line, _row(line)) for line in self._lines())
            kept = [line for line, row in rows if row is not None and row["step"] <= step]
            write_text(self.metrics, "".join(f"{line}\n" for line in kept))

    def _lines(self) -> list[str]:
        if not self.metrics.exists():
            return []
        text = self.metrics.read_text(encoding="utf-8", errors="replace")
        return text.splitlines()


def check_same_settings(saved: dict[str, Any], config: Config, where: str) -> None:
    """Raises DepthsiError unless `saved` are the settings `config`, apart from the devices.

    Args:
      saved: settings of a run as plain values.
      config: those asked for.
      where: name of what was saved with them, for the message.
    """
    try:
        ours = config_from_dict(saved)
    except DepthsiError as error:
        raise DepthsiError(f"{where}: {error}") from error
    asked_for = dataclasses.replace(config, compute=ours.compute)
    if difference := _first_difference(to_dict(ours), to_dict(asked_for)):
        name, here, asked = difference
        raise DepthsiError(
            f"{where} was started with {name} = {here!r}, not {asked!r}: resume it with its own"
            " settings or start another --run."
        )


def _row(line: str) -> dict[str, Any] | None:
    """What `append` wrote; None for anything else, such as a line cut short by a crash."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and type(row.get("step")) is int else None


def _first_difference(
    here: dict[str, Any], asked: dict[str, Any], prefix: str = ""
) -> tuple[str, Any, Any] | None:
    for name in here | asked:
        ours, theirs = here.get(name), asked.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            if inner := _first_difference(ours, theirs, f"{prefix}{name}."):
                return inner
        elif ours != theirs:
            return prefix + name, ours, theirs
    return None
