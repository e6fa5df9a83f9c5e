"""Learning rates and weight decays of the layers, and the layers that a stage trains."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from depthsi.config import AdamWConfig, CustomOptimConfig, MuonConfig, OptimConfig, SgdConfig
from depthsi.errors import DepthsiError

Params = Mapping[str, Any]


class Rate(NamedTuple):
    """Learning rate and weight decay of a layer's kernel; biases do not decay."""

    learning_rate: float
    weight_decay: float


# Learning rates: paper, section 3.3. Weight decays: the authors' release.
PAPER_RATES = {
    "coarse/conv": Rate(0.001, 5e-4),
    "coarse/fc": Rate(0.1, 1e-4),
    "fine/conv1": Rate(0.001, 1e-4),
    "fine/conv2": Rate(0.01, 1e-4),
    "fine/conv3": Rate(0.001, 1e-4),
}
# All other networks have one rate for all their layers.
RATES = PAPER_RATES | {
    "unet/": Rate(0.01, 1e-4),
    "hourglass/": Rate(0.01, 1e-4),
    "custom/": Rate(0.01, 1e-4),
}


def layer_group(path: str) -> str:
    """The row of `RATES` for a parameter path such as "coarse/conv1/kernel".

    Raises:
      KeyError: the table does not have the layer, whose rate would be undefined.
    """
    for group in RATES:
        if path.startswith(group):
            return group
    raise KeyError(f"no learning rate is known for the parameter {path}: add it to RATES")


def rate_schedule(config: SgdConfig | AdamWConfig | MuonConfig, steps: int) -> optax.Schedule:
    """Factor on every layer's rate over a stage of `steps` steps, times `learning_rate`."""
    warmup = min(config.warmup, steps - 1)
    rest = (
        optax.cosine_decay_schedule(config.learning_rate, steps - warmup)
        if config.rate_schedule == "cosine"
        else optax.constant_schedule(config.learning_rate)
    )
    if not warmup:
        return rest
    rise = optax.linear_schedule(0.0, config.learning_rate, warmup)
    return optax.join_schedules([rise, rest], [warmup])


class Averaged(NamedTuple):
    """The optimiser state of a stage whose parameters are averaged over its steps.

    The average itself is stored as the parameters in the state of the run.

    Attributes:
      trained: the parameters at which gradients are computed.
      inner: the state of the actual optimiser.
    """

    trained: Any
    inner: Any


def average_weight(decay: float, step: Any) -> Any:
    """Weight of the parameters after the first `step` + 1 steps in their moving average.

    It approaches 1 - `decay`. Early on it is 9 / (10 + step), so that the average quickly forgets
    the initial parameters.
    """
    return jnp.maximum(1 - decay, 9 / (10 + step))


def make_optimizer(
    config: OptimConfig, steps: int, custom: optax.GradientTransformation | None = None
) -> optax.GradientTransformation:
    """The optimiser of one stage, for the parameters that the stage trains.

    Args:
      config: settings of the run.
      steps: number of steps of the stage.
      custom: an optimiser to use instead of the one that `config` describes; required for settings
        of the kind custom.

    Raises:
      DepthsiError: the kind is custom and no optimiser was passed.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.config import AdamWConfig
      >>> from depthsi.training import make_optimizer
      >>> params = {"coarse": {"fc7": {"kernel": jnp.ones((2, 2))}}}
      >>> optimiser = make_optimizer(AdamWConfig(learning_rate=0.1, weight_decay=0.0), steps=10)
      >>> updates, _ = optimiser.update(params, optimiser.init(params), params)
      >>> round(float(updates["coarse"]["fc7"]["kernel"][0, 0]), 3)
      -0.1
    """
    if custom is not None:
        return custom
    if isinstance(config, CustomOptimConfig):
        raise DepthsiError(
            f"This run has an optimiser of its own{f', {config.name}' if config.name else ''}:"
            " train it from Python, with depthsi.train(config, run=..., optimiser=OPTIMISER)."
        )
    schedule = rate_schedule(config, steps)
    match config:
        case SgdConfig():
            update = optax.partition(
                {group: _sgd(config, schedule, rate) for group, rate in RATES.items()},
                lambda params: _label(params, lambda path, _: layer_group(path)),
            )
        case AdamWConfig():
            update = _adamw(config, schedule)
        case MuonConfig():
            factor = config.adamw_rate_factor
            update = optax.partition(
                {
                    "convolution": _muon(config, schedule),
                    "rest": _adamw(config, lambda count: factor * schedule(count)),
                },
                lambda params: _label(params, partial(_muon_group, config.fully_connected)),
            )
    return optax.chain(optax.clip_by_global_norm(config.clip), update) if config.clip else update


def _sgd(config: SgdConfig, schedule: optax.Schedule, rate: Rate) -> optax.GradientTransformation:
    return optax.chain(
        optax.add_decayed_weights(rate.weight_decay * config.weight_decay, mask=_is_kernel),
        optax.sgd(lambda count: rate.learning_rate * schedule(count), config.momentum),
    )


def _adamw(
    config: AdamWConfig | MuonConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
    return optax.adamw(schedule, weight_decay=config.weight_decay, mask=_is_kernel)


def _muon(config: MuonConfig, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Momentum whose matrix (inputs of a unit x units) is orthogonalised before each update.

    K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    """

    def matrix(kernel: Any) -> optax.contrib.MuonDimensionNumbers:
        *inputs, outputs = range(jnp.ndim(kernel))
        return optax.contrib.MuonDimensionNumbers(tuple(inputs), outputs)

    return optax.contrib.muon(
        schedule,
        weight_decay=config.weight_decay,
        muon_weight_dimension_numbers=lambda params: jax.tree.map(matrix, params),
    )


def _muon_group(fully_connected: bool, path: str, leaf: Any) -> str:
    group = layer_group(path)  # refuses what nobody thought of
    # the layers of your own network may have any names
    convolution = jnp.ndim(leaf) == 4 if group == "custom/" else "/conv" in path
    muon = convolution or (fully_connected and jnp.ndim(leaf) == 2)
    return "convolution" if muon and path.endswith("kernel") else "rest"


def _is_kernel(params: Params) -> Any:
    return _label(params, lambda path, _: path.endswith("kernel"))


def _label(params: Params, label: Callable[[str, Any], Any]) -> Any:
    def of(path: tuple[Any, ...], leaf: Any) -> Any:
        return label("/".join(str(part.key) for part in path), leaf)

    return jax.tree_util.tree_map_with_path(of, params)
