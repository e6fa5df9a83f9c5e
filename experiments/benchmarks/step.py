"""How long a training step and a prediction take, with and without what makes them fast on a CPU.

Question:  what do the compiler options of `depthsi.compilation` and the pooling of
           `depthsi.models.layers` gain over plain `jax.jit` and `flax.linen.max_pool`, and what
           does each program take to compile?
Command:   python -m experiments.benchmarks.step
Time:      about 10 minutes on 2 cores.
Result:    experiments/results/benchmark_step.md; the variants are timed in turn, so that a
           machine whose speed drifts treats all alike. Quote the ratios; absolute times are of
           the machine named in the file.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Collection
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from depthsi import compilation
from depthsi.config import AdamWConfig, Config, ScheduleConfig, UNetConfig
from depthsi.geometry import Window
from depthsi.machine import describe_machine
from depthsi.models.factory import make_model
from depthsi.presets import from_scratch
from depthsi.training.stages import make_stages
from depthsi.training.state import initial_state
from depthsi.training.steps import make_train_step
from experiments.script import RESULTS, command_line, run_script, write_result


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Times the steps."""

    width: float = 0.5
    """Width of the two-scale network."""
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


def compiled(
    task: str, arguments: Arguments, *, options: Collection[str], slices: bool
) -> tuple[Callable[[], Any], float]:
    """A function that runs `task` once and waits for it, and the CPU-seconds of compiling it."""
    small = task.startswith("unet")
    settings = UNetConfig(size="small") if small else from_scratch(width=arguments.width)
    config = Config(
        model=settings,
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
    known = compilation.compiler_options() or {}
    chosen = {name: value for name, value in known.items() if name in options}
    pool = (
        []
        if slices
        else [mock.patch(f"depthsi.models.{m}.max_pool", library_pool) for m in POOLING]
    )
    compilation.forget()  # or the step would be the one of the variant before
    for patch in pool:
        patch.start()
    try:
        if task.startswith("forward"):
            model = make_model(settings)
            state: Any = initial_state(config, stages["coarse"])
            pictures = image[: int(task.split()[-1]), :228, :304].astype(jnp.float32)
            forward, seconds = compile_timed(
                lambda p, x: model.apply({"params": p}, x), (state.params, pictures), chosen
            )
            return lambda: jax.block_until_ready(forward(state.params, pictures)), seconds
        stage = stages[task.split()[0]]
        state = initial_state(config, stage)
        inputs = (state, image, depth)
        step, seconds = compile_timed(make_train_step(config, stage), inputs, chosen, donate=0)
    finally:
        for patch in pool:
            patch.stop()

    def run() -> None:
        nonlocal state
        state, _ = step(state, image, depth)
        jax.block_until_ready(state)

    return run, seconds


def compile_timed(
    function: Callable[..., Any],
    inputs: tuple[Any, ...],
    options: dict[str, Any],
    donate: int | tuple[int, ...] = (),
) -> tuple[jax.stages.Compiled, float]:
    """The compiled function, and how many CPU-seconds compiling took."""
    jitted = jax.jit(function, donate_argnums=donate, compiler_options=options)
    lowered, start = jitted.lower(*inputs), time.process_time()
    return lowered.compile(), time.process_time() - start


POOLING = ("coarse", "fine", "cell_grid")  # modules of depthsi.models
CONVOLUTIONS = ("xla_cpu_experimental_ynn_fusion_type",)
ALL = (*CONVOLUTIONS, "xla_cpu_use_fusion_emitters", "xla_backend_optimization_level")
VARIANTS: dict[str, dict[str, Any]] = {
    "plain jax": {"options": (), "slices": False},
    "strided-slice pool": {"options": (), "slices": True},
    "and option for convolutions": {"options": CONVOLUTIONS, "slices": True},
    "and for loops (depthsi)": {"options": ALL, "slices": True},
}


def main(arguments: Arguments) -> None:
    many = f"forward of {arguments.batch}"
    tasks = ["coarse step", "fine step", "unet step", "forward of 1", many]
    seconds: dict[str, dict[str, float]] = {}
    compiling: dict[str, dict[str, float]] = {}
    for task in tasks:
        made = {name: compiled(task, arguments, **how) for name, how in VARIANTS.items()}
        runs = {name: run for name, (run, _) in made.items()}
        compiling[task] = {name: taken for name, (_, taken) in made.items()}
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
        "cpu_seconds_of_compiling": compiling,
    }
    write_result(arguments.out, setting, table(setting))


def table(setting: dict[str, Any]) -> str:
    """Times relative to plain jax, which stands in milliseconds."""
    lines = [
        f"`{setting['command']}`, {setting['machine']['processor']}, "
        f"jax {setting['machine']['jax']}.",
        "Medians; the last columns are shares of the first (smaller is faster). In brackets:"
        " CPU-seconds of compiling.",
        "",
        f"| task | {' | '.join(['plain jax, ms', *list(VARIANTS)[1:]])} |",
        "| --- |" + " ---: |" * len(VARIANTS),
    ]
    for task, times in setting["median_seconds"].items():
        plain, compiling = times["plain jax"], setting["cpu_seconds_of_compiling"][task]
        shares = [f"{taken / plain:.2f}" for taken in list(times.values())[1:]]
        cells = zip([f"{plain * 1e3:.0f}", *shares], compiling.values(), strict=True)
        lines.append(f"| {task} | {' | '.join(f'{cell} ({cpu:.1f})' for cell, cpu in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
