"""Training steps and predictions beside the same ones in PyTorch, on this machine's CPU.

Question:  how long do a step and a prediction take, as a multiple of what PyTorch takes for the
           same network, loss, augmentation, optimiser and batch, eagerly and compiled? Which share
           of the machine's measured matrix peak and copy bandwidth is that?
Command:   python -m experiments.benchmarks.peers
           in an environment with PyTorch (extra `bench`)
Hardware:  CPU cores.
Time:      about 20 minutes on 2 cores.
Result:    experiments/results/benchmark_peers.md. Weights are copied across, and the losses have to
           agree to 1e-4 before anything is timed. The contestants of a task take turns, so that a
           machine whose speed drifts treats all alike: quote the ratios.
"""

import dataclasses
import importlib.metadata
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from depthsi import compilation
from depthsi.augment import centre
from depthsi.config import Config, ScheduleConfig, TwoScaleConfig, UNetConfig
from depthsi.errors import DepthsiError
from depthsi.losses import scale_invariant_loss
from depthsi.machine import describe_machine
from depthsi.models import make_model
from depthsi.training.stages import make_stages
from depthsi.training.state import initial_state
from depthsi.training.steps import make_train_step
from experiments.script import RESULTS, command_line, made_by, run_script, write_result

LAM = 0.5
CLOSE = 1e-4  # relative difference of the losses
Contestants = dict[str, Callable[[], Any]]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Times depthsi and PyTorch in turn."""

    width: float = 1.0
    """Width of the two-scale network."""
    batch: int = 32
    """Images in a step."""
    rounds: int = 9
    """Timed turns of each contestant."""
    tasks: tuple[str, ...] = ("coarse", "fine", "unet", "predict", "predict one")
    """What to time."""
    compiled: bool = True
    """Whether to time torch.compile as well."""
    out: str = str(RESULTS / "benchmark_peers")
    """Result files, without the .json and .md."""


class Pair:
    """One network in both libraries, with the same weights, and a batch."""

    def __init__(self, arguments: Arguments, task: str) -> None:
        from experiments.benchmarks import peers_torch as peers

        batch = 1 if task == "predict one" else arguments.batch
        schedule = ScheduleConfig(
            batch_size=batch, coarse_samples=100 * batch, fine_samples=100 * batch
        )
        model = (
            UNetConfig(size="small") if task == "unet" else TwoScaleConfig(width=arguments.width)
        )
        config = Config(schedule=schedule, model=model)
        self.config, self.task = config, task
        stages = {stage.name: stage for stage in make_stages(config)}
        self.stage = stages[task if task in stages else "coarse"]
        self.state = initial_state(config, self.stage)
        params = self.state.params
        if isinstance(model, UNetConfig):
            self.networks: dict[str, Any] = {"unet": peers.UNet(model, params["unet"])}
        else:
            self.networks = {
                "coarse": peers.Coarse(model, params["coarse"]),
                "fine": peers.Fine(model, params["fine"]),
            }
        rng = np.random.default_rng(0)
        size = (batch, *config.model.sizes.image)
        self.image = rng.integers(0, 256, (*size, 3), np.uint8)
        self.depth = rng.uniform(1, 5, size).astype(np.float32)
        self.depth[rng.random(size) < 0.2] = 0.0

    def evaluation_losses(self) -> tuple[float, float]:
        """The loss of the centre crops, without dropout, of depthsi and of PyTorch."""
        import torch

        from experiments.benchmarks import peers_torch as peers

        batch = jax.tree.map(
            np.asarray, centre(jnp.asarray(self.image), jnp.asarray(self.depth), self.sizes)
        )
        output = self.config.model.outputs[-1]
        maps: Any = make_model(self.config.model).apply(
            {"params": self.state.params}, jnp.asarray(batch.image), output=output
        )
        ours = scale_invariant_loss(maps, batch.log_depth, where=batch.valid, lam=LAM).mean()
        with torch.inference_mode():
            for network in self.networks.values():
                network.eval()
            theirs = peers.loss(
                self.predict(torch.tensor(batch.image.transpose(0, 3, 1, 2))),
                torch.tensor(batch.log_depth),
                torch.tensor(batch.valid),
                LAM,
            )
        return float(ours), float(theirs)

    @property
    def sizes(self) -> Any:
        """Of input and output."""
        return self.config.model.sizes

    def predict(self, image: Any) -> Any:
        """The last map that PyTorch's networks make of (B, 3, H, W)."""
        if "unet" in self.networks:
            return self.networks["unet"](image)
        return self.networks["fine"](image, self.networks["coarse"](image))

    def ours(self) -> Any:
        """The compiled function of depthsi, for its task, and what it is called with."""
        if self.task.startswith("predict"):
            network = make_model(self.config.model)
            image = centre(jnp.asarray(self.image), jnp.asarray(self.depth), self.sizes).image
            function = partial(network.apply, output="fine")
            arguments = ({"params": self.state.params}, image)
            return compilation.jit(function).lower(*arguments).compile(), arguments
        step = make_train_step(self.config, self.stage)
        arguments = (self.state, jnp.asarray(self.image), jnp.asarray(self.depth))
        return compilation.jit(step, donate_argnums=0).lower(*arguments).compile(), arguments

    def theirs(self, *, compiled: bool) -> Callable[[], Any]:
        """The same in PyTorch, ready to be called."""
        import torch

        from experiments.benchmarks import peers_torch as peers

        change = torch.compile if compiled else lambda function: function
        for network in self.networks.values():
            network.to(memory_format=torch.channels_last)
        image = torch.tensor(self.image).permute(0, 3, 1, 2)
        depth = torch.tensor(self.depth)
        if self.task.startswith("predict"):
            for network in self.networks.values():
                network.eval()
            rows, cols = self.sizes.input
            top, left = (image.shape[2] - rows) // 2, (image.shape[3] - cols) // 2
            seen = image[:, :, top : top + rows, left : left + cols].float()
            seen = seen.contiguous(memory_format=torch.channels_last)
            predict = change(self.predict)

            def forward() -> Any:
                with torch.inference_mode():
                    return predict(seen)

            return forward
        trained = self.networks[self.stage.name].train()
        optimizer = peers.make_optimizer(self.config, self.stage.name, trained)
        if self.task == "fine":
            coarse = self.networks["coarse"].eval()

            def refine(image: Any) -> Any:
                with torch.no_grad():
                    below = coarse(image)
                return trained(image, below)

            step = peers.train_step(self.config, "fine", change(refine), optimizer, LAM)
        else:
            step = peers.train_step(self.config, self.stage.name, change(trained), optimizer, LAM)
        return partial(step, image, depth)


def contestants(arguments: Arguments, task: str) -> tuple[Contestants, dict[str, float]]:
    """What takes turns at a task, and the work of depthsi's program: floating-point operations.

    Raises:
      DepthsiError: the two do not compute the same.
    """
    pair = Pair(arguments, task)
    ours, theirs = pair.evaluation_losses()
    if abs(ours - theirs) > CLOSE * abs(ours):
        raise DepthsiError(f"{task}: the loss is {ours} here and {theirs} in PyTorch.")
    function, inputs = pair.ours()
    held = list(inputs)

    def step() -> None:  # the state is donated, hence taken back
        result = jax.block_until_ready(function(*held))
        if not task.startswith("predict"):
            held[0] = result[0]

    found: Contestants = {"depthsi": step, "torch, eager": pair.theirs(compiled=False)}
    if arguments.compiled:
        found["torch.compile"] = pair.theirs(compiled=True)
    cost = function.cost_analysis() or {}
    work = {"flops": cost.get("flops", 0.0), "bytes": cost.get("bytes accessed", 0.0)}
    return found, {"loss, depthsi": ours, "loss, torch": theirs} | work


def race(runners: Contestants, rounds: int) -> dict[str, list[float]]:
    """Seconds of each, all taking turns, after two turns that do not count."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(-2, rounds):
        for name, run in runners.items():
            began = time.perf_counter()
            run()
            if turn >= 0:
                times[name].append(time.perf_counter() - began)
    return times


def peaks() -> dict[str, float]:
    """Operations a second of the best of 7 products of matrices, and bytes a second of copies."""
    import torch

    size, best = 2048, 0.0
    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    products = {
        "jax": jax.jit(jnp.matmul).lower(a, a).compile(),
        "torch": partial(torch.matmul),
    }
    inputs = {"jax": jnp.asarray(a), "torch": torch.tensor(a)}
    for _ in range(7):
        for name, product in products.items():
            began = time.perf_counter()
            jax.block_until_ready(product(inputs[name], inputs[name]))
            best = max(best, 2 * size**3 / (time.perf_counter() - began))
    large, copied = np.ones(2**26, np.float32), 0.0
    target = np.empty_like(large)
    for _ in range(7):
        began = time.perf_counter()
        np.copyto(target, large)
        copied = max(copied, 2 * large.nbytes / (time.perf_counter() - began))
    return {"flops": best, "bytes": copied}


def table(result: dict[str, Any]) -> str:
    """The page about `result`."""
    peak = result["peaks"]
    lines = [
        "# Beside PyTorch",
        "",
        f"{made_by(result)} PyTorch {result['torch']}, {result['threads']} threads; load average"
        f" {result['load']:.1f} before. Two-scale of width {result['width']:g}, steps of"
        f" {result['batch']} images with the paper's augmentation, loss and SGD, float32."
        f" {result['rounds']} rounds; a ratio under 1 means that depthsi is faster. In brackets the"
        " ratio of the medians; the other is that of the fastest rounds.",
        "",
        f"Measured peaks: {peak['flops'] / 1e9:.0f} GFLOP/s in products of 2048x2048 matrices,"
        f" {peak['bytes'] / 1e9:.1f} GB/s read and written in copies by one thread.",
        "",
        "| task | depthsi, ms | depthsi / eager | depthsi / compiled | share of the matrix peak |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for task, found in result["tasks"].items():
        times = found["seconds"]
        ours = times["depthsi"]
        cells = []
        for name in ("torch, eager", "torch.compile"):
            if name not in times:
                cells.append("-")
                continue
            least = min(ours) / min(times[name])
            middle = statistics.median(ours) / statistics.median(times[name])
            cells.append(f"{least:.2f} ({middle:.2f})")
        share = found["flops"] / min(ours) / peak["flops"]
        lines.append(f"| {task} | {min(ours) * 1e3:.0f} | {' | '.join(cells)} | {share:.0%} |")
    return "\n".join(lines) + "\n"


def main(arguments: Arguments) -> None:
    """Measures, and writes the result and its page."""
    try:
        import torch
    except ImportError as error:
        raise DepthsiError("PyTorch is missing: pip install 'depthsi[bench]'.") from error
    if jax.default_backend() != "cpu":
        raise DepthsiError("This benchmark is about CPUs: set JAX_PLATFORMS=cpu.")
    result: dict[str, Any] = {
        "command": command_line("benchmarks.peers", arguments),
        "machine": describe_machine(),
        "torch": importlib.metadata.version("torch"),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        **{name: getattr(arguments, name) for name in ("width", "batch", "rounds")},
        "peaks": peaks(),
        "tasks": {},
    }
    for task in arguments.tasks:
        runners, found = contestants(arguments, task)
        result["tasks"][task] = found | {"seconds": race(runners, arguments.rounds)}
        write_result(arguments.out, result, table(result))
        print(task, "done", flush=True)
    print(table(result))


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
