"""Runs the command line and prints, as its last line, how many seconds went into which part.

Importing is what the outermost import statements take, wherever they stand; tracing, lowering and
compiling (or reading the cache) are told by JAX. Where one part happens inside another, as tracing
inside tracing, it counts once. Used by start_up.py.
"""

import builtins
import json
import sys
import time
from typing import Any

Interval = tuple[float, float]
EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}


class Watch:
    """Intervals of every part, on one clock."""

    def __init__(self) -> None:
        self.intervals: dict[str, list[Interval]] = {
            name: [] for name in ("import", *EVENTS.values())
        }
        self._plain_import = builtins.__import__
        self._depth = 0
        self._listening = False

    def imported(self, name: str, *others: Any, **named: Any) -> Any:
        """Stands for `__import__`."""
        if self._depth or name in sys.modules:
            return self._plain_import(name, *others, **named)
        self._depth += 1
        began = time.perf_counter()
        try:
            return self._plain_import(name, *others, **named)
        finally:
            self._depth -= 1
            self.intervals["import"].append((began, time.perf_counter()))
            if "jax.monitoring" in sys.modules and not self._listening:
                self._listening = True
                listen = sys.modules["jax.monitoring"].register_event_duration_secs_listener
                listen(self.heard)

    def heard(self, event: str, seconds: float, **_: Any) -> None:
        """Notes what JAX tells at the end of an event."""
        if part := EVENTS.get(event):
            now = time.perf_counter()
            self.intervals[part].append((now - seconds, now))


def covered(intervals: list[Interval]) -> float:
    """Length of the union of intervals."""
    total, end = 0.0, float("-inf")
    for first, last in sorted(intervals):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total


def parts(intervals: dict[str, list[Interval]], seconds: float) -> dict[str, float]:
    """Part -> seconds, and the rest of all `seconds`; where two overlap, the later one counts."""
    found, taken = {}, list[Interval]()
    for part in reversed(intervals):  # compile, lower, trace, import
        before = covered(taken)
        taken += intervals[part]
        found[part] = covered(taken) - before
    return found | {"rest": seconds - covered(taken)}


if __name__ == "__main__":
    began = time.perf_counter()
    watch = Watch()
    builtins.__import__ = watch.imported
    code = 0
    try:
        from depthsi.cli import main

        main(sys.argv[1:])
    except SystemExit as ended:
        code = int(ended.code or 0)
    print(json.dumps(parts(watch.intervals, time.perf_counter() - began)))
    raise SystemExit(code)
