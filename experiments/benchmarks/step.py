"""How long a training step and a prediction take, with and without what makes them fast on a CPU.

Question:  what do the compiler option of `depthsi.compilation` and the pooling of
           `depthsi.models.layers` gain over plain `jax.jit` and `flax.linen.max_pool`?
Command:   python -m experiments.benchmarks.step --width 0.5 --batch 16
Time:      about 5 minutes on 2 cores.
Result:    experiments/results/benchmark_step.md; the variants are timed in turn, so that a
           machine whose speed drifts treats all alike. Quote the ratios; absolute times are of
           the machine named in the file.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from depthsi import compilation
from depthsi.config import AdamWConfig, Config, ScheduleConfig
from depthsi.geometry import Window
from depthsi.machine import describe_machine
from depthsi.models import TwoScaleNet
from depthsi.presets import from_scratch
from depthsi.training.stages import make_stages
from depthsi.training.state import initial_state
from depthsi.training.steps import make_train_step
from experiments.script import RESULTS, command_line, run_script, write_result


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Times the steps."""

    width: float = 0.5
    """Width of the networks."""
    batch: int = 16
    """Images per step."""
    rounds: int = 7
    """Timed runs of each variant."""
    out: str = str(RESULTS / "benchmark_step")
    """Path of the .json and .md files to write, without extension."""


def library_pool(x: jax.Array, window: Window) -> jax.Array:
    """What `depthsi.models.layers.max_pool` replaces."""
    return nn.max_pool(
        x,
        window_shape=(window.kernel, window.kernel),
        strides=(window.stride, window.stride),
        padding=window.padding,  # pyright: ignore[reportArgumentType]
    )


def compiled(task: str, arguments: Arguments, *, option: bool, slices: bool) -> Callable[[], Any]:
    """A function that runs `task` once and waits for it."""
    config = Config(
        model=from_scratch(width=arguments.width),
        optim=AdamWConfig(learning_rate=1e-4, weight_decay=0.01),
        schedule=ScheduleConfig(
            batch_size=arguments.batch,
            coarse_samples=100 * arguments.batch,
            fine_samples=100 * arguments.batch,
        ),
    )
    stages = {stage.name: stage for stage in make_stages(config)}
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.integers(0, 256, (arguments.batch, 240, 320, 3), np.uint8))
    depth = jnp.asarray(rng.uniform(1, 5, (arguments.batch, 240, 320)), jnp.float32)
    options = compilation.compiler_options() if option else None
    pool = (
        []
        if slices
        else [mock.patch(f"depthsi.models.{m}.max_pool", library_pool) for m in ("coarse", "fine")]
    )
    for patch in pool:
        patch.start()
    try:
        if task.startswith("forward"):
            model = TwoScaleNet(from_scratch(width=arguments.width))
            state: Any = initial_state(config, stages["coarse"])
            pictures = image[: int(task.split()[-1]), :228, :304].astype(jnp.float32)
            forward = (
                jax.jit(lambda p, x: model.apply({"params": p}, x), compiler_options=options)
                .lower(state.params, pictures)
                .compile()
            )
            return lambda: jax.block_until_ready(forward(state.params, pictures))
        stage = stages[task.split()[0]]
        state = initial_state(config, stage)
        step = (
            jax.jit(make_train_step(config, stage), donate_argnums=0, compiler_options=options)
            .lower(state, image, depth)
            .compile()
        )
    finally:
        for patch in pool:
            patch.stop()

    def run() -> None:
        nonlocal state
        state, _ = step(state, image, depth)
        jax.block_until_ready(state)

    return run


VARIANTS = {
    "plain jax": {"option": False, "slices": False},
    "compiler option": {"option": True, "slices": False},
    "strided-slice pool": {"option": False, "slices": True},
    "both (depthsi)": {"option": True, "slices": True},
}


def main(arguments: Arguments) -> None:
    tasks = ["coarse step", "fine step", "forward of 1", f"forward of {arguments.batch}"]
    seconds: dict[str, dict[str, float]] = {}
    for task in tasks:
        runs = {name: compiled(task, arguments, **how) for name, how in VARIANTS.items()}
        for run in runs.values():
            run()
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(arguments.rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
        seconds[task] = {name: statistics.median(values) for name, values in times.items()}
        print(task, {name: f"{value * 1e3:.1f} ms" for name, value in seconds[task].items()})

    setting = {
        "command": command_line("benchmarks.step", arguments),
        "machine": describe_machine(),
        "median_seconds": seconds,
    }
    write_result(arguments.out, setting, table(setting))


def table(setting: dict[str, Any]) -> str:
    """Times relative to plain jax, which stands in milliseconds."""
    lines = [
        f"`{setting['command']}`, {setting['machine']['processor']}, "
        f"jax {setting['machine']['jax']}.",
        "Medians; the last columns are shares of the first (smaller is faster).",
        "",
        f"| task | {' | '.join(['plain jax, ms', *list(VARIANTS)[1:]])} |",
        "| --- |" + " ---: |" * len(VARIANTS),
    ]
    for task, times in setting["median_seconds"].items():
        plain = times["plain jax"]
        shares = [f"{times[name] / plain:.2f}" for name in list(VARIANTS)[1:]]
        lines.append(f"| {task} | {plain * 1e3:.0f} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
