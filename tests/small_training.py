"""`depthsi` with networks of a few numbers, which starts fast: for tests that kill it.

Everything but the networks and the step is the real thing. SECONDS_PER_STEP in the environment
slows it down; STUCK_AT names a step that never ends, FULL_AT one from which on the disk takes no
files of 8 kB; BEAT is the time between two signs of life of each of several processes.
"""

import os
import resource
import time

import jax
import jax.numpy as jnp

from depthsi.cli import main
from depthsi.commands import train as command
from depthsi.training import lifelines, loop
from depthsi.training.state import State


def initial_state(config, stage):
    """Parameters of the names the stages train, with momentum for those of `stage`."""
    key = jax.random.key(config.seed)
    noise = jax.random.normal(key, (2, 4096))
    params = {"coarse": {"layer": noise[0]}, "fine": {"layer": noise[1]}}
    return enter_stage(State(jnp.int32(0), params, (), key), config, stage)


def enter_stage(state, config, stage):
    return state.replace(opt_state=jnp.zeros_like(state.params[stage.name]["layer"]))


def make_train_step(config, stage):
    """A walk that depends on everything a step may depend on: state, randomness and pictures."""

    def step(state, image, depth):
        noise = jax.random.normal(jax.random.fold_in(state.key, state.step), (4096,))
        momentum = 0.9 * state.opt_state + noise * jnp.mean(image / 255)
        layer = state.params[stage.name]["layer"] * 0.99 + momentum
        size = jnp.linalg.norm(layer)
        metrics = {
            "loss": size, "gradient_norm": size, "update_norm": size,
            "valid_share": jnp.float32(1), "learning_rate": jnp.float32(1),
        }  # fmt: skip
        params = state.params | {stage.name: {"layer": layer}}
        return state.replace(step=state.step + 1, params=params, opt_state=momentum), metrics

    return step


def slowly(after):
    """The loop's look at a step, later than it could be."""

    def wait(watch, step, *rest):
        if step == int(os.environ.get("STUCK_AT", -1)):
            time.sleep(1000)
        if step == int(os.environ.get("FULL_AT", -1)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**13, 2**13))
        time.sleep(float(os.environ.get("SECONDS_PER_STEP", 0)))
        after(watch, step, *rest)

    return wait


if __name__ == "__main__":
    loop.initial_state, loop.enter_stage = initial_state, enter_stage
    loop.abstract_state = lambda *of: jax.eval_shape(lambda: initial_state(*of))
    command.abstract_state = loop.abstract_state
    loop.make_train_step = make_train_step
    loop.Watch.after = slowly(loop.Watch.after)
    lifelines.BEAT = float(os.environ.get("BEAT", lifelines.BEAT))
    main()
