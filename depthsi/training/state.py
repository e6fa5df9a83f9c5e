"""What changes in training, and how it begins."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from depthsi.config import Config
from depthsi.models import make_model
from depthsi.training.optimisers import make_optimizer
from depthsi.training.stages import Stage


class State(flax.struct.PyTreeNode):
    """All of a run that a checkpoint has to hold.

    Attributes:
      step: int32 scalar, steps done over all stages.
      params: dict of both networks' parameters.
      opt_state: of the subtree the current stage trains.
      key: typed key, the run's randomness; never changes, the step is folded into it.
    """

    step: Any
    params: Any
    opt_state: Any
    key: Any


def initial_state(config: Config, stage: Stage) -> State:
    """The state before the first step; pure, to be jitted or shape-evaluated."""
    params_key, run_key = jax.random.split(jax.random.key(config.seed))
    image = jnp.zeros((1, *config.model.sizes.input, 3))
    params = make_model(config.model).init(params_key, image)["params"]
    state = State(jnp.zeros((), jnp.int32), dict(params), (), run_key)
    return enter_stage(state, config, stage)


def abstract_state(config: Config, stage: Stage) -> State:
    """Shapes and types of the states of `stage`."""
    return jax.eval_shape(lambda: initial_state(config, stage))


def enter_stage(state: State, config: Config, stage: Stage) -> State:
    """The same state with a fresh optimiser for the parameters `stage` trains."""
    trained = {stage.name: state.params[stage.name]}
    return state.replace(opt_state=make_optimizer(config.optim, stage.steps).init(trained))
