"""Saving and restoring states; the only module that uses Orbax."""

import contextlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from depthsi.config import HIGHER_IS_BETTER, Config
from depthsi.config_json import to_dict
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.files import reason_of
from depthsi.runs import check_same_settings
from depthsi.training.checkpoints.orbax_noise import keep_leftovers_quiet, keep_logs_quiet
from depthsi.training.checkpoints.record import (
    DamagedError,
    Record,
    check_same_arrays,
    check_same_digests,
    describe,
    params_of,
)
from depthsi.training.state import State

T = TypeVar("T")


class Checkpoints:
    """The checkpoints of one run, numbered by global step; a context manager.

    Saving is atomic and happens in the background: a checkpoint is complete or does not exist, and
    leaving the context waits for the last one. Restored states are verified by their checksums. In
    a run of several processes, all of them must make the same calls.
    """

    def __init__(self, directory: Path, config: Config | None = None) -> None:
        """Opens `directory`; for saving if `config`, the settings of the run, is given."""
        keep_logs_quiet()
        self._directory, self._config = directory.absolute(), config
        self._checkpointer = ocp.training.Checkpointer(
            str(self._directory),
            preservation_policy=cast(Any, self),
            cleanup_tmp_directories=config is not None,
        )
        self._scores: dict[int, float] = {}
        self._saving: Any = None
        if config is not None:
            for step in self.steps:
                with contextlib.suppress(DamagedError):
                    self._remember(step, self.record(step).val)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._finish_saving()
            self._checkpointer.close()
        except Exception as error:
            if kind is None:
                raise self._not_saved(error) from error

    @property
    def steps(self) -> list[int]:
        """Steps of the checkpoints, oldest first."""
        return [checkpoint.step for checkpoint in self._checkpointer.checkpoints]

    @property
    def latest(self) -> int | None:
        """Step of the newest checkpoint; None if there is none."""
        return max(self.steps, default=None)

    @property
    def best(self) -> int | None:
        """Step of the best checkpoint by `schedule.best`, the first of equals; None without any."""
        return min(self._scores, key=lambda step: (self._scores[step], step), default=None)

    def improves(self, val: Mapping[str, float]) -> bool:
        """Whether these numbers of an evaluation are better than those of all checkpoints."""
        return self._score(val) < min(self._scores.values(), default=math.inf)

    def save(
        self, step: int, state: State, stage: str, val: Mapping[str, float], so_far: Any = None
    ) -> None:
        """Starts saving `state`, unless it is saved; its buffers may then be donated at once.

        Args:
          step: of `state`.
          state: what to save.
          stage: name of its stage.
          val: numbers of the evaluation of this state; empty if there was none.
          so_far: numbers of the run until then, see `Record`.

        Raises:
          DepthsiError: this checkpoint or the one before it cannot be written.
        """
        assert self._config is not None, "opened for reading"
        if step in self.steps:
            return
        parts = _split(state)
        config = to_dict(self._config)
        record = Record(step, stage, config, dict(val), describe(parts), so_far or {})
        self._remember(step, val)
        try:
            self._finish_saving()
            self._saving = self._checkpointer.save_checkpointables_async(
                step, parts, force=True, custom_metadata=record.to_json()
            )
        except Exception as error:
            raise self._not_saved(error) from error

    def wait(self) -> None:
        """Waits until what was saved is on the disk; raises DepthsiError as `save` does."""
        try:
            self._finish_saving()
            self._checkpointer.wait()
        except Exception as error:
            raise self._not_saved(error) from error

    def _finish_saving(self) -> None:
        """Waits for the save in the background, which holds a thread and files until asked."""
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def record(self, step: int) -> Record:
        """What the checkpoint of `step` says about itself; raises DamagedError if it cannot."""
        try:
            values = self._checkpointer.checkpointables_metadata(step).custom_metadata
        except Exception as error:
            raise DamagedError(f"its metadata cannot be read ({reason_of(error)})") from error
        record = Record.from_json(values)
        if record.step != step:
            raise DamagedError(f"it says to be of step {record.step}")
        return record

    def restore_newest(self, abstract: Callable[[int], State], shardings: Any) -> State | None:
        """The newest state that is whole; None where nothing was saved.

        A damaged checkpoint is moved aside, to "damaged-<step>", with a warning.

        Args:
          abstract: step -> shapes and types of its state, as `jax.eval_shape` gives them.
          shardings: of the state's arrays: one for all, or a function of the abstract state that
            gives a tree of them like it.

        Raises:
          DepthsiError: layers, shapes or settings differ from those of this run, or every
            checkpoint is damaged.
        """

        def load(step: int) -> State:
            wanted = abstract(step)
            return self.restore(
                step, wanted, shardings(wanted) if callable(shardings) else shardings
            )

        return self._newest(self.steps, load, self._set_aside)

    def restore(self, step: int, abstract: State, shardings: Any) -> State:
        """The state saved at `step`, on the current devices.

        Args:
          step: one of the saved steps.
          abstract: shapes and types of its state.
          shardings: one for all arrays, or a tree like `abstract`.

        Raises:
          DamagedError: the checkpoint is damaged.
          DepthsiError: layers, shapes or settings differ from those of this run.
        """
        parts = _split(shardings) if isinstance(shardings, State) else shardings
        loaded = self._load(step, _split(abstract), parts)
        return loaded["progress"].replace(params=loaded["params"])

    def newest_params(
        self, abstract: Any = None, *, only: int | None = None
    ) -> tuple[Any, int] | None:
        """The newest undamaged parameters, on the first device, and their step; None without any.

        Damaged checkpoints cause a warning, but are not moved.

        Args:
          abstract: required shapes and types; any if None.
          only: step of the checkpoint to read; any if None.

        Raises:
          DepthsiError: layers or shapes differ, or every checkpoint is damaged.
        """
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

        def load(step: int) -> tuple[Any, int]:
            wanted = params_of(self.record(step)) if abstract is None else abstract
            return self._load(step, {"params": wanted}, device)["params"], step

        steps = [step for step in self.steps if only in (None, step)]
        return self._newest(steps, load, lambda step: self._directory / str(step))

    def _newest(
        self, steps: list[int], load: Callable[[int], T], handle: Callable[[int], Path]
    ) -> T | None:
        """Calls `load` on the newest undamaged one of `steps`; `handle` deals with damaged ones."""
        for i, step in reversed(list(enumerate(steps))):
            try:
                return load(step)
            except DamagedError as error:
                before = (
                    f"so the one of step {steps[i - 1]} is used"
                    if i
                    else "and there is no earlier one"
                )
                text = (
                    f"The checkpoint of step {step} is damaged, {before}: {error} ({handle(step)})."
                )
                warnings.warn(text, DepthsiWarning, stacklevel=2)
        if steps:
            raise DepthsiError(
                f"All checkpoints in {self._directory} are damaged: start another run."
            )
        return None

    def _load(self, step: int, abstract: dict[str, Any], shardings: Any) -> dict[str, Any]:
        where = f"The checkpoint {self._directory / str(step)}"
        record = self.record(step)
        saved = {n: array for n, array in record.arrays.items() if n.partition("/")[0] in abstract}
        check_same_arrays(saved, abstract, where)
        if self._config is not None:
            check_same_settings(record.config, self._config, where)
        if jax.process_count() > 1:
            self._check_alone(step, saved, abstract)
        loaded = self._read(step, abstract, shardings)
        check_same_digests(saved, loaded)
        return loaded

    def _read(self, step: int, abstract: dict[str, Any], shardings: Any) -> dict[str, Any]:
        if isinstance(shardings, jax.sharding.Sharding):
            shardings = jax.tree.map(lambda _: shardings, abstract)
        target = jax.tree.map(
            lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding),
            abstract,
            shardings,
        )
        try:
            return ocp.load_checkpointables(str(self._directory / str(step)), target)
        except Exception as error:  # whatever its libraries make of damaged bytes
            keep_leftovers_quiet()
            raise DamagedError(f"its arrays cannot be read ({reason_of(error)})") from error

    def _check_alone(self, step: int, saved: dict[str, Any], abstract: dict[str, Any]) -> None:
        """Raises DamagedError on all processes if any of them finds damage while reading alone.

        Reading together has barriers, at which the others would wait for the one that fails.
        """
        own, damage = jax.process_index(), ""
        alone = ocp.options.MultiprocessingOptions(
            primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"alone{own}"
        )
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        try:
            with ocp.Context(multiprocessing_options=alone):
                check_same_digests(saved, self._read(step, abstract, device))
        except DamagedError as error:
            damage = str(error)
        if np.any(multihost_utils.process_allgather(np.asarray(bool(damage)))):
            raise DamagedError(damage or "as another process has found")

    def _set_aside(self, step: int) -> Path:
        """Moves a checkpoint out of the way, so that its step can be saved again."""
        aside, number = self._directory / f"damaged-{step}", 1
        while aside.exists():
            aside, number = self._directory / f"damaged-{step}-{number + 1}", number + 1
        if jax.process_index() == 0:
            (self._directory / str(step)).rename(aside)
        multihost_utils.sync_global_devices(f"depthsi_aside_{step}")
        self._checkpointer.reload()
        self._scores.pop(step, None)
        return aside

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Tells Orbax which checkpoints to keep: the newest ones and the best one."""
        del context
        if self._config is None:
            return [True] * len(checkpoints)
        newest = sorted(each.step for each in checkpoints)[-self._config.schedule.keep :]
        return [each.step in newest or each.step == self.best for each in checkpoints]

    def _remember(self, step: int, val: Mapping[str, float]) -> None:
        if math.isfinite(score := self._score(val)):
            self._scores[step] = score

    def _score(self, val: Mapping[str, float]) -> float:
        """The metric such that smaller is better; infinite if it is missing."""
        assert self._config is not None, "opened for reading"
        name = self._config.schedule.best
        score = val.get(name, math.nan) * (-1 if name in HIGHER_IS_BETTER else 1)
        return score if math.isfinite(score) else math.inf

    def _not_saved(self, error: Exception) -> DepthsiError:
        whole = [int(path.name) for path in self._directory.iterdir() if path.name.isdigit()]
        kept = f"the one of step {max(whole)} is kept" if whole else "there is none yet"
        return DepthsiError(
            f"A checkpoint could not be written to {self._directory} ({reason_of(error)});"
            f" {kept}. Free some space or fix the problem, then continue with --resume."
        )


def _split(state: State) -> dict[str, Any]:
    """Separates the parameters from the rest, so that they can be read without the optimiser."""
    return {"params": state.params, "progress": state.replace(params={})}
