"""The state of a training, and its initialisation."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from depthsi.compilation import quick_jit, remembered
from depthsi.config import Config
from depthsi.models.factory import make_model
from depthsi.models.initialisers import initial_params
from depthsi.training.optimisers import Averaged, make_optimizer
from depthsi.training.stages import Stage, step_settings


class State(flax.struct.PyTreeNode):
    """The complete state of a training, as stored in a checkpoint.

    Attributes:
      step: int32 scalar, number of steps taken over all stages.
      params: dict of the networks' parameters, as they are evaluated.
      opt_state: optimiser state of the current stage; `Averaged` with `optim.average`.
      key: typed random key of the run; it never changes, the step is folded into it.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> from depthsi.config import Config, TwoScaleConfig
      >>> from depthsi.training import initial_state, make_stages
      >>> config = Config(model=TwoScaleConfig(width=0.02))
      >>> coarse, fine = make_stages(config)
      >>> state = initial_state(config, coarse)
      >>> int(state.step), sorted(state.params)
      (0, ['coarse', 'fine'])
    """

    step: Any
    params: Any
    opt_state: Any
    key: Any


def initial_state(
    config: Config,
    stage: Stage,
    shardings: Any = None,
    *,
    network: nn.Module | None = None,
    optimiser: optax.GradientTransformation | None = None,
) -> State:
    """The state before the first step; this function must not be jitted.

    Args:
      config: settings of the run; its seed determines all random numbers.
      stage: the first stage.
      shardings: sharding of each array, as a State. Default: the default device.
      network: the module of settings of the kind custom.
      optimiser: your own, instead of `config.optim`.

    Raises:
      DepthsiError: settings of the kind custom without the object they need.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> from depthsi.config import Config, TwoScaleConfig
      >>> from depthsi.training import initial_state, make_stages
      >>> config = Config(model=TwoScaleConfig(width=0.02))
      >>> coarse, fine = make_stages(config)
      >>> initial_state(config, coarse).params["coarse"]["conv1"]["kernel"].shape
      (11, 11, 3, 2)
    """
    params_key, run_key = jax.random.split(jax.random.key(config.seed))
    params = initial_params(make_model(config.model, network=network), params_key, _example(config))
    state = State(np.zeros((), np.int32), params, (), run_key)

    def begin(state: State) -> State:
        return enter_stage(state, config, stage, optimiser)

    return quick_jit(begin, out_shardings=shardings)(state)


def abstract_state(
    config: Config,
    stage: Stage,
    *,
    network: nn.Module | None = None,
    optimiser: optax.GradientTransformation | None = None,
) -> State:
    """Shapes and types of the states of `stage`.

    Args:
      config: settings of the run.
      stage: one of its stages.
      network: the module of settings of the kind custom.
      optimiser: your own, instead of `config.optim`.

    Raises:
      DepthsiError: settings of the kind custom without the object they need.
    """
    own = {"network": network, "optimiser": optimiser}
    return _abstract_state(step_settings(config), stage, **own)


@remembered
def _abstract_state(
    config: Config,
    stage: Stage,
    *,
    network: nn.Module | None = None,
    optimiser: optax.GradientTransformation | None = None,
) -> State:
    model = make_model(config.model, network=network)

    def begin() -> State:
        params = nn.meta.unbox(model.init(jax.random.key(0), _example(config))["params"])
        state = State(jnp.zeros((), jnp.int32), dict(params), (), jax.random.key(0))
        return enter_stage(state, config, stage, optimiser)

    return jax.eval_shape(begin)


def enter_stage(
    state: State,
    config: Config,
    stage: Stage,
    optimiser: optax.GradientTransformation | None = None,
) -> State:
    """The same state with a fresh optimiser for the parameters that `stage` trains.

    Args:
      state: state at the end of the previous stage.
      config: settings of the run.
      stage: the stage that starts.
      optimiser: your own, instead of `config.optim`.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> from depthsi.config import Config, TwoScaleConfig
      >>> from depthsi.training import enter_stage, initial_state, make_stages
      >>> config = Config(model=TwoScaleConfig(width=0.02))
      >>> coarse, fine = make_stages(config)
      >>> state = enter_stage(initial_state(config, coarse), config, fine)
      >>> int(state.step)  # the step is kept
      0
    """
    trained = {stage.name: state.params[stage.name]}
    opt_state = make_optimizer(config.optim, stage.steps, optimiser).init(trained)
    if config.optim.average:  # a copy, because the buffers of a state are given to the next step
        opt_state = Averaged(jax.tree.map(jnp.copy, trained), opt_state)
    return state.replace(opt_state=opt_state)


def with_params(state: State, params: Any) -> State:
    """The state before the first step with other parameters, from which training starts."""
    old = state.opt_state
    if isinstance(old, Averaged):
        trained = {name: jax.tree.map(jnp.copy, params[name]) for name in old.trained}
        state = state.replace(opt_state=old._replace(trained=trained))
    return state.replace(params=params)


def _example(config: Config) -> Any:
    return jnp.zeros((1, *config.model.sizes.input, 3))
