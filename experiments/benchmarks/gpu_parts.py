"""What `gpu.py` measures, each a function without arguments that returns plain values."""

import collections
import contextlib
import dataclasses
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from depthsi.config import ComputeConfig, Config, Rooms, ScheduleConfig, TwoScaleConfig, UNetConfig
from depthsi.data.given import given_source
from depthsi.data.pipeline import open_samples
from depthsi.data.samples import Sample
from depthsi.errors import DepthsiError
from depthsi.losses import scale_invariant_loss
from depthsi.training.feeds import Update, open_feed
from depthsi.training.parallel import make_mesh, state_sharding
from depthsi.training.stages import make_stages
from depthsi.training.state import State, initial_state
from depthsi.training.steps import make_train_step

PAIRS = 256  # different ones in device memory
SECONDS = 2.0  # of timed calls, at least three of them
LEADING = 15  # operations of a profile


def timed(run: Callable[[], Any], seconds: float = SECONDS) -> float:
    """Median seconds of a call, after two that are not counted."""
    times: list[float] = []
    for call in range(-2, 1000):
        began = time.perf_counter()
        jax.block_until_ready(run())
        if call >= 0:
            times.append(time.perf_counter() - began)
        if len(times) >= 3 and sum(times) > seconds:
            break
    return statistics.median(times)


@contextlib.contextmanager
def training(
    network: str, width: float, batch: int, precision: str, per_call: int
) -> Iterator[tuple[Update, State]]:
    """The update of a network as `depthsi train --data.resident` compiles it, and its state."""
    config = Config(
        data=Rooms(resident=True),
        model=UNetConfig(size="small") if network == "unet" else TwoScaleConfig(width=width),
        schedule=ScheduleConfig(
            batch_size=batch,
            coarse_samples=10**6 * batch,
            fine_samples=10**6 * batch,
            log_every=per_call,
            eval_every=0,
            save_every=per_call,
        ),
        compute=ComputeConfig(precision="bfloat16" if precision == "bfloat16" else "float32"),
    )
    stage = next(stage for stage in make_stages(config) if stage.name == network)
    stage = dataclasses.replace(stage, start=0)
    size, mesh = config.model.sizes.image, make_mesh(batch, config.compute)
    pairs = open_samples(given_source(random_pairs(size), "train"), size, "pairs")
    arithmetic = {"float32": "highest", "tf32": "tensorfloat32"}.get(precision)
    with open_feed(config, pairs, mesh, 0) as feed, jax.default_matmul_precision(arithmetic):
        state = initial_state(config, stage)
        sharding = state_sharding(state, mesh)
        update = feed.update(make_train_step(config, stage), stage, sharding)
        yield update, jax.device_put(state, sharding)


def random_pairs(size: tuple[int, int]) -> list[Sample]:
    """Noise: how long a step takes does not depend on what its images show."""
    rng = np.random.default_rng(0)
    return [
        Sample(
            rng.integers(0, 256, (*size, 3), np.uint8),
            rng.uniform(1, 5, size).astype(np.float32),
            str(i),
        )
        for i in range(PAIRS)
    ]


@dataclasses.dataclass(frozen=True)
class Steps:
    """Images a second in training."""

    network: str
    width: float
    batch: int
    precision: str
    per_call: int

    def __call__(self) -> dict[str, Any]:
        network = self.network, self.width, self.batch
        with training(*network, self.precision, self.per_call) as (update, state):
            step = steps = 0

            def run() -> Any:
                nonlocal state, step, steps
                before = step
                state, step, metrics = update(state, step)
                steps = step - before
                return metrics

            seconds = timed(run) / steps
        return {"seconds_per_step": seconds, "images_per_second": self.batch / seconds}


@dataclasses.dataclass(frozen=True)
class TorchSteps:
    """The same step with torch.compile in bfloat16, its batch in device memory."""

    network: str
    width: float
    batch: int

    def __call__(self) -> dict[str, Any]:
        if importlib.util.find_spec("torch") is None:
            raise DepthsiError("PyTorch is missing: pip install 'depthsi[bench]'.")
        from experiments.benchmarks import peers_pair

        device = "cuda" if peers_pair.torch.cuda.is_available() else "cpu"
        step = peers_pair.Pair(self.network, self.width, self.batch).theirs(
            compiled=True, device=device, bfloat16=True
        )
        seconds = timed(step)
        return {
            "seconds_per_step": seconds,
            "images_per_second": self.batch / seconds,
            "device": device,
        }


@dataclasses.dataclass(frozen=True)
class LossBandwidth:
    """Bytes a second of the loss with its gradient, and of a copy of one of its inputs."""

    frames: int

    def __call__(self) -> dict[str, Any]:
        keys = jax.random.split(jax.random.key(0), 3)
        shape = (self.frames, 480, 640)
        predictions, targets = (jax.random.normal(key, shape) for key in keys[:2])
        valid = jax.random.uniform(keys[2], shape) < 0.8

        def total(predictions: Any, targets: Any, valid: Any) -> Any:
            return scale_invariant_loss(predictions, targets, where=valid).mean()

        images = predictions, targets, valid
        loss = jax.jit(jax.value_and_grad(total)).lower(*images).compile()
        copy = jax.jit(jnp.negative).lower(predictions).compile()
        seconds, once = timed(lambda: loss(*images)), timed(lambda: copy(predictions))
        moved = (loss.cost_analysis() or {}).get("bytes accessed", 0.0)
        copied = 2 * predictions.nbytes / once
        return {
            "seconds": seconds,
            "bytes": moved,
            "copy": copied,
            "share": moved / seconds / copied,
        }


@dataclasses.dataclass(frozen=True)
class PaperStage:
    """A stage of the paper's schedule: some of its samples trained on, all of them calculated."""

    stage: str
    width: float
    batch: int
    samples: int
    whole: int

    def __call__(self) -> dict[str, Any]:
        steps = -(-self.samples // self.batch)
        with training(self.stage, self.width, self.batch, "bfloat16", 50) as (update, state):
            state, step, metrics = update(state, 0)  # compiles
            jax.block_until_ready(metrics)
            first, began = step, time.perf_counter()
            while step - first < steps:
                state, step, metrics = update(state, step)
            jax.block_until_ready(state)
            seconds = time.perf_counter() - began
        samples = self.batch * (step - first)
        speed = samples / seconds
        loss = float(np.asarray(metrics["loss"]).reshape(-1)[0])
        return {
            "samples": samples,
            "seconds": seconds,
            "images_per_second": speed,
            "whole_seconds": self.whole / speed,
            "loss": loss,
        }


@dataclasses.dataclass(frozen=True)
class StepProfile:
    """Share of the device time of the operations that take most of it, by name without number."""

    stage: str
    width: float
    batch: int

    def __call__(self) -> dict[str, Any]:
        with (
            tempfile.TemporaryDirectory() as directory,
            training(self.stage, self.width, self.batch, "bfloat16", 10) as (update, state),
        ):
            state, step, metrics = update(state, 0)
            jax.block_until_ready(metrics)
            with jax.profiler.trace(directory):
                state, step, metrics = update(state, step)
                jax.block_until_ready((state, metrics))
            times = operations(Path(directory))
        total = sum(times.values())
        leading = sorted(times, key=lambda name: -times[name])[:LEADING]
        return {"shares": {name: times[name] / total for name in leading}}


def operations(directory: Path) -> dict[str, float]:
    """Nanoseconds by operation in the newest trace below `directory`.

    Raises:
      DepthsiError: there is no trace, or it names no operation.
    """
    traces = sorted(directory.rglob("*.xplane.pb"))
    if not traces:
        raise DepthsiError(f"there is no trace below {directory}.")
    times: collections.defaultdict[str, float] = collections.defaultdict(float)
    for plane in jax.profiler.ProfileData.from_file(str(traces[-1])).planes:
        device = plane.name.startswith("/device:")
        for line in plane.lines:
            if device and line.name != "XLA Ops":
                continue
            for event in line.events:
                if device or any(name == "hlo_op" for name, _ in event.stats):
                    times[event.name.rstrip("0123456789.")] += event.duration_ns
    if not times:
        raise DepthsiError("the trace names no operation.")
    return dict(times)
