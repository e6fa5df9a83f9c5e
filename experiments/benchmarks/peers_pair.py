"""The contestants of `peers.py`: one network in depthsi and in PyTorch, and the machine's peaks."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from depthsi import compilation
from depthsi.augment import centre
from depthsi.config import Config, ScheduleConfig, TwoScaleConfig, UNetConfig
from depthsi.errors import DepthsiError
from depthsi.losses import scale_invariant_loss
from depthsi.models import make_model
from depthsi.training.stages import make_stages
from depthsi.training.state import initial_state
from depthsi.training.steps import make_train_step
from experiments.benchmarks import peers_torch

LAM = 0.5
CLOSE = 1e-4  # relative difference of the losses
Contestants = dict[str, Callable[[], Any]]


class Pair:
    """One network in both libraries, with the same weights, and a batch."""

    def __init__(self, task: str, width: float, batch: int) -> None:
        schedule = ScheduleConfig(
            batch_size=batch, coarse_samples=100 * batch, fine_samples=100 * batch
        )
        model = UNetConfig(size="small") if task == "unet" else TwoScaleConfig(width=width)
        config = Config(schedule=schedule, model=model)
        self.config, self.task = config, task
        stages = {stage.name: stage for stage in make_stages(config)}
        self.stage = stages[task if task in stages else "coarse"]
        self.state = initial_state(config, self.stage)
        params = self.state.params
        if isinstance(model, UNetConfig):
            self.networks: dict[str, Any] = {"unet": peers_torch.UNet(model, params["unet"])}
        else:
            self.networks = {
                "coarse": peers_torch.Coarse(model, params["coarse"]),
                "fine": peers_torch.Fine(model, params["fine"]),
            }
        rng = np.random.default_rng(0)
        size = (batch, *config.model.sizes.image)
        self.image = rng.integers(0, 256, (*size, 3), np.uint8)
        self.depth = rng.uniform(1, 5, size).astype(np.float32)
        self.depth[rng.random(size) < 0.2] = 0.0

    def evaluation_losses(self) -> tuple[float, float]:
        """The loss of the centre crops, without dropout, of depthsi and of PyTorch."""
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
            theirs = peers_torch.loss(
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

    def theirs(
        self, *, compiled: bool, device: str = "cpu", bfloat16: bool = False
    ) -> Callable[[], Any]:
        """The same in PyTorch, ready to be called.

        Args:
          compiled: whether by torch.compile.
          device: where networks and batch lie.
          bfloat16: whether a training step computes the network in bfloat16.
        """
        change = torch.compile if compiled else lambda function: function
        for network in self.networks.values():
            network.to(device, memory_format=torch.channels_last)
        image = torch.tensor(self.image, device=device).permute(0, 3, 1, 2)
        depth = torch.tensor(self.depth, device=device)
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
        optimizer = peers_torch.make_optimizer(self.config, self.stage.name, trained)
        predict = trained
        if self.task == "fine":
            coarse = self.networks["coarse"].eval()

            def predict(image: Any) -> Any:
                with torch.no_grad():
                    below = coarse(image)
                return trained(image, below)

        predict = change(predict)

        def in_precision(image: Any) -> Any:
            with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                return predict(image).float()

        step = peers_torch.train_step(self.config, in_precision, optimizer, LAM)
        return partial(step, image, depth)


def contestants(
    task: str, width: float, batch: int, *, compiled: bool
) -> tuple[Contestants, dict[str, float]]:
    """What takes turns at a task, and what depthsi's program computes and moves.

    Args:
      task: to be timed: coarse, fine, unet, predict or "predict one".
      width: of the two-scale network.
      batch: images, of which "predict one" takes one.
      compiled: whether torch.compile takes part.

    Raises:
      DepthsiError: the two do not compute the same.
    """
    pair = Pair(task, width, 1 if task == "predict one" else batch)
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
    if compiled:
        found["torch.compile"] = pair.theirs(compiled=True)
    cost = function.cost_analysis() or {}
    work = {"flops": cost.get("flops", 0.0), "bytes": cost.get("bytes accessed", 0.0)}
    return found, {"loss, depthsi": ours, "loss, torch": theirs} | work


def peaks() -> dict[str, float]:
    """Operations a second of the best of 7 products of matrices, and bytes a second of copies."""
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
