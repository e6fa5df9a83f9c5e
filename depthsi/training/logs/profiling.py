"""Records traces of a few training steps for a profiler."""

from collections.abc import Callable
from pathlib import Path

import jax

from depthsi.training.feeds import Update
from depthsi.training.stages import Stage
from depthsi.training.state import State

WARM_UP = 3  # calls before the trace begins: the first compiles, and buffers settle


class Profile:
    """Records the first steps of a run after the warm-up with `jax.profiler`; a context manager.

    Args:
      directory: directory of the trace.
      steps: number of steps to record; a call that takes several steps is recorded as a whole.
      say: prints a sentence.
    """

    def __init__(self, directory: Path, steps: int, say: Callable[[str], None]) -> None:
        self._directory, self._steps, self._say = directory, steps, say
        self._recorded, self._recording, self._over = 0, False, False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._recording:  # interrupted
            self._stop()
        elif not self._over:
            self._say(
                f"No profile was recorded: no stage took more than {WARM_UP} calls of its step."
            )

    def wrap(self, update: Update, stage: Stage) -> Update:
        """The same update, recorded while this profile is active, within `stage`."""
        calls = 0

        def run(state: State, step: int) -> tuple[State, int, object]:
            nonlocal calls
            calls += 1
            if calls <= WARM_UP or self._over:
                return update(state, step)
            if not self._recording:
                jax.profiler.start_trace(str(self._directory))
                self._recording = True
            with jax.profiler.StepTraceAnnotation("train", step_num=step + 1):
                state, later, metrics = update(state, step)
            self._recorded += later - step
            if self._recorded >= self._steps or later == stage.end:  # the next stage compiles anew
                jax.block_until_ready(metrics)
                self._stop()
            return state, later, metrics

        return run

    def _stop(self) -> None:
        self._recording, self._over = False, True
        jax.profiler.stop_trace()
        self._say(
            f"Profile of {self._recorded} steps in {self._directory}: open the newest"
            " *.trace.json.gz below it at https://ui.perfetto.dev, or pip install xprof and run"
            f" xprof --logdir {self._directory}"
        )
