"""What the losses cost in time and memory, beside the same formulas written plainly.

Question:  how does each form compare with the formula as one would write it in JAX, with PyTorch
           (eager, on the CPU), and with the time it takes merely to move the bytes?
Command:   python -m experiments.benchmarks.losses   (the PyTorch rows need the extra `bench`)
           On a GPU: --frames 256
Time:      about 5 minutes on 2 busy cores.
Result:    experiments/results/benchmark_losses.md. All contestants run in turn, round after round,
           so that a machine whose speed drifts treats all alike. Ratios are of the fastest rounds,
           which other work on the machine disturbs least; the JSON has the medians too.
"""

import dataclasses
import importlib.metadata
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from depthsi import losses
from depthsi.machine import describe_machine
from experiments.script import RESULTS, command_line, run_script, write_result

HEAD = (
    "| form | library | value, ms | value and gradient, ms | over the floor | temporary, MB |",
    "| --- | --- | ---: | ---: | ---: | ---: |",
)
PAIRS = "n = 4070, all pairs"
FRAME = "n = 300 000, all pairs"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Times the losses."""

    frames: int = 8
    """Number of images of 480x640 in the large batch."""
    rounds: int = 60
    """Timed runs of each contestant."""
    seed: int = 0
    """Seed of the random images."""
    out: str = str(RESULTS / "benchmark_losses")
    """Path of the .json and .md files to write, without extension."""


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One formula in one library: `run` computes it once and waits; `temporary` is in bytes."""

    run: Callable[[], Any]
    temporary: int | None = None


# --- the formulas as one would write them; the same text serves jax.numpy and torch ---------------


def plain_closed(xp: Any, p: Any, t: Any, w: Any, lam: float = 0.5) -> Any:
    d, n = xp.where(w, p - t, 0.0), w.sum((-2, -1)).clip(1)
    return (d * d).sum((-2, -1)) / n - lam * (d.sum((-2, -1)) / n) ** 2


def plain_centred(xp: Any, p: Any, t: Any, w: Any, lam: float = 0.5) -> Any:
    d, n = xp.where(w, p - t, 0.0), w.sum((-2, -1)).clip(1)
    mean = d.sum((-2, -1)) / n
    centred = xp.where(w, d - mean[:, None, None], 0.0)
    return (centred * centred).sum((-2, -1)) / n + (1 - lam) * mean**2


def plain_pairs(xp: Any, p: Any, t: Any, w: Any, penalty: str = "square") -> Any:
    d, w = xp.where(w, p - t, 0.0).reshape(p.shape[0], -1), w.reshape(p.shape[0], -1)
    gap = d[:, :, None] - d[:, None, :]
    cost = gap * gap if penalty == "square" else abs(gap)
    both = w[:, :, None] & w[:, None, :]
    return xp.where(both, cost, 0.0).sum((-2, -1)) / (2.0 * w.sum(-1) ** 2)


FORMS: dict[str, tuple[Callable, Callable]] = {
    "Eq. 4, centred (the default)": (losses.scale_invariant_loss, plain_centred),
    "Eq. 4, closed": (partial(losses.scale_invariant_loss, form="closed"), plain_closed),
    "Eq. 1, alpha": (losses.scale_invariant_alpha, partial(plain_centred, lam=1.0)),
    "Eq. 3, closed": (losses.scale_invariant_closed, partial(plain_closed, lam=1.0)),
    "Eq. 1-3, centred": (losses.scale_invariant_centred, partial(plain_centred, lam=1.0)),
}
PAIR_FORMS: dict[str, tuple[Callable, Callable]] = {
    "Eq. 2, pairwise": (losses.scale_invariant_pairwise, plain_pairs),
    "abs, sorted": (
        partial(losses.pairwise_loss, penalty="abs"),
        partial(plain_pairs, penalty="abs"),
    ),
}


def images(arguments: Arguments, shape: tuple[int, int, int]) -> tuple[Any, Any, Any]:
    """Log depths off by a factor and noise, four fifths valid."""
    random = np.random.default_rng(arguments.seed)
    targets = random.normal(1.0, 0.5, shape).astype(np.float32)
    predictions = (targets + random.normal(0.2, 0.3, shape)).astype(np.float32)
    return predictions, targets, random.uniform(size=shape) < 0.8


def in_jax(function: Callable, arrays: tuple[Any, ...], *, gradient: bool) -> Contestant:
    def total(p: Any, t: Any, w: Any) -> Any:
        values = function(p, t, w)
        return jnp.mean(values), values

    timed = jax.value_and_grad(total, has_aux=True) if gradient else function
    on_device = [jax.device_put(x) for x in arrays]
    compiled = jax.jit(timed).lower(*on_device).compile()
    memory = compiled.memory_analysis()
    return Contestant(
        lambda: jax.block_until_ready(compiled(*on_device)),
        None if memory is None else memory.temp_size_in_bytes,
    )


def in_torch(function: Callable, arrays: tuple[Any, ...], *, gradient: bool) -> Contestant:
    # waiting threads that spin slow the next contestant and, on a busy machine, torch itself most
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    p, t, w = (torch.from_numpy(np.array(x)) for x in arrays)

    def value() -> None:
        with torch.no_grad():
            function(torch, p, t, w).mean()

    def value_and_gradient() -> None:
        leaf = p.detach().requires_grad_()
        function(torch, leaf, t, w).mean().backward()

    return Contestant(value_and_gradient if gradient else value)


def ours(function: Callable) -> Callable:
    return lambda p, t, w: function(p, t, where=w)


def contestants(
    forms: dict[str, tuple[Callable, Callable]], arrays: tuple[Any, ...], *, gradient: bool
) -> dict[str, Contestant]:
    """Every form three times: depthsi, plain JAX and, where it is installed, PyTorch."""
    found = {}
    with_torch = importlib.util.find_spec("torch") and jax.default_backend() == "cpu"
    for name, (function, plain) in forms.items():
        found[f"{name} | depthsi"] = in_jax(ours(function), arrays, gradient=gradient)
        jax_plain = partial(plain, jnp)
        found[f"{name} | plain jax"] = in_jax(jax_plain, arrays, gradient=gradient)
        if with_torch:
            found[f"{name} | torch"] = in_torch(plain, arrays, gradient=gradient)
    return found


def copies(arrays: tuple[Any, ...]) -> dict[str, Contestant]:
    """Ways to move a float32 image batch once: read it, write another; the fastest counts."""
    source = np.array(arrays[0])
    target = np.empty_like(source)
    on_device = jax.device_put(source)
    flip = jax.jit(jnp.negative).lower(on_device).compile()
    found = {"copy | jax": Contestant(lambda: jax.block_until_ready(flip(on_device)))}
    if jax.default_backend() == "cpu":
        found["copy | numpy"] = Contestant(lambda: np.copyto(target, source))
    return found


def race(runners: dict[str, Contestant], rounds: int) -> dict[str, dict[str, Any]]:
    """Fastest and median seconds of each, all taking turns."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            runner.run()  # untimed: the one before has left its own data in the caches
            start = time.perf_counter()
            runner.run()
            times[name].append(time.perf_counter() - start)
    return {
        name: {
            "fastest": min(values),
            "median": statistics.median(values),
            "temporary_bytes": runners[name].temporary,
        }
        for name, values in times.items()
    }


def measure(arguments: Arguments) -> dict[str, Any]:
    """Results by shape: {"value": {...}, "value and gradient": {...}}, floors included."""
    results: dict[str, Any] = {}
    for shape in ((32, 55, 74), (arguments.frames, 480, 640)):
        arrays = images(arguments, shape)
        result: dict[str, Any] = {}
        for kind, gradient, moved in (("value", False, 9), ("value and gradient", True, 13)):
            runners = contestants(FORMS, arrays, gradient=gradient) | copies(arrays)
            result[kind] = race(runners, arguments.rounds)
            copy = min(v["fastest"] for k, v in result[kind].items() if k.startswith("copy"))
            # a pixel: two float32 and a boolean in, for the gradient one float32 out; a copy
            # moves 8 bytes a pixel
            result[kind]["floor"] = {"fastest": copy * moved / 8}
        results["x".join(map(str, shape))] = result
        print(shape, "done", flush=True)
    pairs, frame = images(arguments, (1, 55, 74)), images(arguments, (1, 500, 600))
    fewer = max(arguments.rounds // 4, 3)
    results[PAIRS] = {
        kind: race(contestants(PAIR_FORMS, pairs, gradient=gradient), fewer)
        for kind, gradient in (("value", False), ("value and gradient", True))
    }
    alone = {
        f"{name} | depthsi": in_jax(ours(form), frame, gradient=True)
        for name, (form, _) in PAIR_FORMS.items()
    }
    results[FRAME] = {"value and gradient": race(alone, 3)}
    return results


def goals(results: dict[str, Any], arguments: Arguments) -> list[tuple[str, float, float]]:
    """(what, measured, limit) of each goal that this machine can judge."""
    large = results[f"{arguments.frames}x480x640"]["value and gradient"]
    pairs, frame = (results[k]["value and gradient"] for k in (PAIRS, FRAME))
    mine = large["Eq. 4, centred (the default) | depthsi"]["fastest"]
    plain = min(v["fastest"] for k, v in large.items() if "Eq. 4" in k and "plain jax" in k)
    closed = large["Eq. 4, closed | depthsi"]["fastest"]
    square, literal = (pairs[f"Eq. 2, pairwise | {who}"] for who in ("depthsi", "plain jax"))
    memory = square["temporary_bytes"] / literal["temporary_bytes"]
    seconds = frame["abs, sorted | depthsi"]["fastest"]
    found = [
        ("480x640, time over the best plain JAX", mine / plain, 1.0),
        ("480x640, time over the floor", mine / large["floor"]["fastest"], 2.5),
        ("480x640, centred over closed", mine / closed, 1.1),
        ("4070 pairs, time over materialised", square["fastest"] / literal["fastest"], 1.0),
        ("4070 pairs, memory over materialised", memory, 0.03),
        ("300 000 pixels, abs over all pairs, seconds", seconds, 1.0),
    ]
    torch = [v["fastest"] for k, v in large.items() if "Eq. 4" in k and k.endswith("torch")]
    if torch:
        found.insert(1, ("480x640, time over the best PyTorch eager", mine / min(torch), 0.2))
    return found


def table(setting: dict[str, Any]) -> str:
    """The goals, then milliseconds, multiples of the floor and temporary megabytes."""
    machine = setting["machine"]
    lines = [
        f"`{setting['command']}`, {machine['processor']}, {machine['devices']}, "
        f"jax {machine['jax']}, torch {setting['torch']}; load average {setting['load'][0]:.1f}"
        f" before and {setting['load'][1]:.1f} after.",
        f"Fastest of {setting['rounds']} interleaved rounds; the gradient is that of the"
        " predictions; 80 % of the pixels are valid.",
        "",
        "| goal | measured | limit | met |",
        "| --- | ---: | ---: | --- |",
    ]
    for what, value, limit in setting["goals"]:
        lines.append(f"| {what} | {value:.3g} | {limit:g} | {'yes' if value <= limit else 'no'} |")
    for shape, kinds in setting["results"].items():
        lines += ["", f"## {shape}", "", *HEAD]
        floor = kinds["value and gradient"].get("floor", {}).get("fastest")
        for name, result in kinds["value and gradient"].items():
            value = kinds.get("value", {}).get(name)
            cells = [
                *(name.split(" | ") if " | " in name else (name, "")),
                f"{value['fastest'] * 1e3:.3g}" if value else "",
                f"{result['fastest'] * 1e3:.3g}",
                f"{result['fastest'] / floor:.2f}" if floor else "",
                f"{result['temporary_bytes'] / 1e6:.2f}" if result.get("temporary_bytes") else "",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Arguments) -> None:
    before = os.getloadavg()[0]
    results = measure(arguments)
    version = importlib.metadata.version("torch") if importlib.util.find_spec("torch") else "none"
    setting = {
        "command": command_line("benchmarks.losses", arguments),
        "machine": describe_machine(),
        "torch": version,
        "load": [before, os.getloadavg()[0]],
        "rounds": arguments.rounds,
        "goals": goals(results, arguments),
        "results": results,
    }
    write_result(arguments.out, setting, table(setting))
    print(table(setting))


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
