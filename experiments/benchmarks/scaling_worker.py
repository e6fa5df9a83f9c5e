"""A training on a batch that stays on the devices, and the processes of `scaling.py` that run it.

python scaling_worker.py start SETTINGS    one step, saying how far it is
python scaling_worker.py serve SETTINGS    steps on request, with one of several bindings
"""

import dataclasses
import json
import sys
import time
from typing import Any

import jax
import numpy as np

from depthsi import compilation
from depthsi.config import AdamWConfig, ComputeConfig, Config, ScheduleConfig
from depthsi.presets import from_scratch
from depthsi.training import loop  # noqa: F401 (for a start with all that a training imports)
from depthsi.training.parallel import bind, compile_step, make_mesh, split, state_sharding
from depthsi.training.stages import Stage, make_stages
from depthsi.training.state import State, abstract_state, initial_state
from depthsi.training.steps import make_train_step


def settings(width: float, batch: int, **compute: Any) -> Config:
    """Of a run with these networks and this batch over all devices."""
    return Config(
        model=from_scratch(width=width),
        optim=AdamWConfig(learning_rate=1e-4, weight_decay=0.01),
        schedule=ScheduleConfig(
            batch_size=batch, coarse_samples=100 * batch, fine_samples=100 * batch
        ),
        compute=ComputeConfig(**compute),
    )


class Training:
    """A compiled step with its state; without a mesh, plain `jax.jit` on one device.

    Attributes:
      state: after the steps so far.
    """

    def __init__(self, config: Config, stage: str = "coarse", *, plain: bool = False) -> None:
        here = next(each for each in make_stages(config) if each.name == stage)
        size, shape = config.schedule.batch_size, config.model.sizes.image
        rng = np.random.default_rng(0)
        batch = (
            rng.integers(0, 256, (size, *shape, 3), np.uint8),
            rng.uniform(1, 5, (size, *shape)).astype(np.float32),
        )
        step = make_train_step(config, here)
        if plain:
            self.state = _first(config, here)
            self._batch = jax.device_put(batch)
            self._step = compilation.jit(step, donate_argnums=0)
        else:
            mesh = make_mesh(size, config.compute)
            sharding = state_sharding(abstract_state(config, here), mesh)
            self.state = jax.device_put(_first(config, here), sharding)
            self._batch = jax.device_put(batch, split(mesh))
            self._step = compile_step(bind(step, mesh, config.compute), mesh, sharding)

    def run(self, steps: int) -> None:
        """Takes some steps and waits for them."""
        for _ in range(steps):
            self.state, _ = self._step(self.state, *self._batch)
        jax.block_until_ready(self.state)


def _first(config: Config, stage: Stage) -> State:
    """The first state, the same for all trainings that differ in `config.compute` alone."""
    return initial_state(dataclasses.replace(config, compute=ComputeConfig()), stage)


PLAIN, SPLIT = "plain jit", "jit, split in 2"


def bindings(width: float, batch: int) -> dict[str, Training]:
    """Every way to bind the step to the devices of this process."""
    found = {
        "jit": Training(settings(width, batch)),
        "pmap": Training(settings(width, batch, binding="pmap")),
    }
    if jax.device_count() == 1:
        found[PLAIN] = Training(settings(width, batch), plain=True)
    else:
        found[SPLIT] = Training(settings(width, batch, model_devices=2))
    return found


def serve(width: float, batch: int) -> None:
    """Answers each line, the name of a binding, with the seconds that a step of it took."""
    ways = bindings(width, batch)
    for training in ways.values():
        training.run(2)
    print(json.dumps(list(ways)), flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        ways[line.strip()].run(1)
        print(time.perf_counter() - begin, flush=True)


def start(width: float, batch: int) -> None:
    """Says when the modules are there, the first state, and the second one."""
    print("imported", flush=True)
    training = Training(settings(width, batch))
    print("initialised", flush=True)
    training.run(1)
    print("stepped", flush=True)


if __name__ == "__main__":
    {"serve": serve, "start": start}[sys.argv[1]](**json.loads(sys.argv[2]))
