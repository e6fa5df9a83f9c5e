"""What changes in training, and how it begins."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from depthsi.compilation import quick_jit
from depthsi.config import Config
from depthsi.models.factory import make_model
from depthsi.models.initialisers import initial_params
from depthsi.training.optimisers import Averaged, make_optimizer
from depthsi.training.stages import Stage


class State(flax.struct.PyTreeNode):
    """All of a run that a checkpoint has to hold.

    Attributes:
      step: int32 scalar, steps done over all stages.
      params: dict of both networks' parameters, as they are evaluated.
      opt_state: of the subtree the current stage trains; `Averaged` with `optim.average`.
      key: typed key, the run's randomness; never changes, the step is folded into it.

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
    """The state before the first step; not to be jitted.

    Args:
      config: of the run; its seed decides all random numbers.
      stage: the first one.
      shardings: of each array, as a State; on the default device if not given.
      network: the module that settings of the kind custom stand for.
      optimiser: one's own, in place of `config.optim`.

    Raises:
      DepthsiError: settings of the kind custom, without what they stand for.

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
      config: of the run.
      stage: one of its stages.
      network: the module that settings of the kind custom stand for.
      optimiser: one's own, in place of `config.optim`.

    Raises:
      DepthsiError: settings of the kind custom, without what they stand for.
    """
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
    """The same state with a fresh optimiser for the parameters `stage` trains.

    Args:
      state: at the end of the stage before.
      config: of the run.
      stage: that begins.
      optimiser: one's own, in place of `config.optim`.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> from depthsi.config import Config, TwoScaleConfig
      >>> from depthsi.training import enter_stage, initial_state, make_stages
      >>> config = Config(model=TwoScaleConfig(width=0.02))
      >>> coarse, fine = make_stages(config)
      >>> state = enter_stage(initial_state(config, coarse), config, fine)
      >>> int(state.step)  # the steps done stay
      0
    """
    trained = {stage.name: state.params[stage.name]}
    opt_state = make_optimizer(config.optim, stage.steps, optimiser).init(trained)
    if config.optim.average:  # a copy, because the buffers of a state are given to the next step
        opt_state = Averaged(jax.tree.map(jnp.copy, trained), opt_state)
    return state.replace(opt_state=opt_state)


def with_params(state: State, params: Any) -> State:
    """The state before the first step with other parameters, which are also those trained on."""
    old = state.opt_state
    if isinstance(old, Averaged):
        trained = {name: jax.tree.map(jnp.copy, params[name]) for name in old.trained}
        state = state.replace(opt_state=old._replace(trained=trained))
    return state.replace(params=params)


def _example(config: Config) -> Any:
    return jnp.zeros((1, *config.model.sizes.input, 3))
