"""How many samples a training takes in the time there is."""

import time
from typing import Any

import jax

from depthsi.config import Config
from depthsi.data.pipeline import open_samples
from depthsi.errors import DepthsiError
from depthsi.training.feeds import open_feed
from depthsi.training.parallel import make_mesh, state_sharding
from depthsi.training.stages import make_stages
from depthsi.training.state import initial_state
from depthsi.training.steps import make_train_step


def images_per_second(config: Config, seconds: float = 3.0) -> float:
    """Speed of the first stage of `config`, of the calls after the one that compiles."""
    mesh, stage = make_mesh(config.schedule.batch_size, config.compute), make_stages(config)[0]

    def begin() -> Any:
        return initial_state(config, stage)

    sharding = state_sharding(jax.eval_shape(begin), mesh)
    state, step = jax.jit(begin, out_shardings=sharding)(), 0
    pairs = open_samples(
        config.data.open("train", config.model.sizes.image), config.model.sizes.image, "train"
    )
    with open_feed(config, pairs, mesh, 0) as feed:
        update = feed.update(make_train_step(config, stage), stage, sharding)
        state, step, _ = update(state, step)  # compiles
        jax.block_until_ready(state.params)
        first, start = step, time.perf_counter()
        while step < stage.end and time.perf_counter() - start < seconds:
            state, step, _ = update(state, step)
            jax.block_until_ready(state.params)
    done = (step - first) * config.schedule.batch_size
    return done / (time.perf_counter() - start) if done else float("inf")


def affordable(samples: tuple[int, int], speed: float, seconds: float) -> tuple[int, int]:
    """The samples (coarse, fine), both made fewer by one factor if they take longer than that.

    Args:
      samples: at most.
      speed: images a second.
      seconds: of training.

    Raises:
      DepthsiError: there is no time left.
    """
    if seconds <= 0:
        raise DepthsiError(
            f"No time is left for the training on pairs ({seconds:.0f} s): raise --minutes, or"
            " lower --rooms-share or --reserve."
        )
    share = min(1.0, seconds * speed / sum(samples))
    coarse, fine = (int(share * count) for count in samples)
    return max(coarse, 1), fine
