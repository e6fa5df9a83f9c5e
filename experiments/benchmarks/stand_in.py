"""`depthsi` with networks of a few numbers, which starts in seconds: to be killed many times.

Everything but the networks and the step is the real thing; SECONDS_PER_STEP in the environment
slows it down.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from depthsi.cli import main
from depthsi.config import Config
from depthsi.training import loop
from depthsi.training import run as run_module
from depthsi.training.stages import Stage
from depthsi.training.state import State


def initial_state(config: Config, stage: Stage, shardings: Any = None) -> State:
    """Parameters of the names the stages train, with momentum for those of `stage`."""
    key = jax.random.key(config.seed)
    noise = jax.random.normal(key, (2, 4096))
    params = {"coarse": {"layer": noise[0]}, "fine": {"layer": noise[1]}}
    state = enter_stage(State(jnp.int32(0), params, (), key), config, stage)
    # not device_put, which reaches the devices of this process only
    return jax.jit(lambda state: state, out_shardings=shardings)(state)


def abstract_state(config: Config, stage: Stage) -> State:
    """Shapes and types of the states of `stage`."""
    return jax.eval_shape(lambda: initial_state(config, stage))


def enter_stage(state: State, config: Config, stage: Stage) -> State:
    """The same state with fresh momentum for what `stage` trains."""
    return state.replace(opt_state=jnp.zeros_like(state.params[stage.name]["layer"]))


def make_train_step(config: Config, stage: Stage, loss: Any = None) -> Callable[..., Any]:
    """A walk that depends on everything a step may depend on: state, randomness and images."""

    def step(state: State, image: Any, depth: Any) -> tuple[State, dict[str, Any]]:
        noise = jax.random.normal(jax.random.fold_in(state.key, state.step), (4096,))
        momentum = 0.9 * state.opt_state + noise * jnp.mean(image / 255)
        layer = state.params[stage.name]["layer"] * 0.99 + momentum
        size = jnp.linalg.norm(layer)
        metrics = {
            "loss": size,
            "gradient_norm": size,
            "update_norm": size,
            "valid_share": jnp.float32(1),
            "learning_rate": jnp.float32(1),
        }
        params = state.params | {stage.name: {"layer": layer}}
        return state.replace(step=state.step + 1, params=params, opt_state=momentum), metrics

    return step


def install(before_step_is_seen: Callable[[int], object]) -> None:
    """Puts these networks in the place of the real ones in this process.

    Args:
      before_step_is_seen: called with each step before the loop looks at it.
    """
    after = loop.MetricsLog.after

    def wait(watch: Any, step: int, *rest: Any) -> None:
        before_step_is_seen(step)
        after(watch, step, *rest)

    replaced: Any = loop
    replaced.initial_state, replaced.enter_stage = initial_state, enter_stage
    replaced.abstract_state = abstract_state
    replaced.make_train_step = make_train_step
    replaced.MetricsLog.after = wait
    run_module.abstract_state = abstract_state  # pyright: ignore[reportAttributeAccessIssue]


if __name__ == "__main__":
    install(lambda step: time.sleep(float(os.environ.get("SECONDS_PER_STEP", 0))))
    main()
