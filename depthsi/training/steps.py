"""The pure training step: no devices, no files, no loops over steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, Num, Shaped

from depthsi.augment import Batch, Raw, augment
from depthsi.compilation import loops_on_device, remembered
from depthsi.config import Config, CustomOptimConfig
from depthsi.losses import valid_count, weigh_images
from depthsi.models import make_model
from depthsi.training.loss import ImageLosses, Loss, make_loss
from depthsi.training.norms import norm_metrics
from depthsi.training.optimisers import (
    Averaged,
    average_weight,
    make_optimizer,
    rate_schedule,
)
from depthsi.training.parallel import DATA
from depthsi.training.stages import Stage, step_settings
from depthsi.training.state import State

Metrics = dict[str, Shaped[Array, ""]]
TrainStep = Callable[
    [State, Num[Raw, "b H W 3"], Float[Raw, "b H W"]],
    tuple[State, Metrics],
]


class _Sums(NamedTuple):
    """Sums that are added over the parts of a batch."""

    gradients: Any  # of `loss`
    loss: Array  # of the images, each times its weight
    weight: Array  # of the images
    valid: Array  # pixels with known depth
    pixels: Array


def make_train_step(
    config: Config,
    stage: Stage,
    loss: Loss | None = None,
    *,
    network: nn.Module | None = None,
    optimiser: optax.GradientTransformation | None = None,
) -> TrainStep:
    """The step of `stage`: (state, uint8 images, depth in metres) -> (state, metrics).

    The images are raw samples: augmentation is part of the step. Its randomness depends only on the
    run's key, the step and the example's position in the global batch.

    A batch may be divided among devices, or into the `compute.accumulate` parts that are computed
    one after the other. In either case, weighted sums over images are added and divided once by the
    total weight, so the result is that of the undivided batch even if the parts have different
    numbers of valid pixels. With the binding pmap, the step runs on one device's part and must be
    mapped over the axis "data"; with jit, it sees the whole batch.

    Args:
      config: settings of the run.
      stage: one of `make_stages(config)`.
      loss: your own loss, instead of that of `config.loss`, whose reduction and multiplier still
        apply: `f(predictions, targets, *, where) -> (b,)` of log metres (b, h, w).
      network: the module of settings of the kind custom, see
        `depthsi.models.make_model`.
      optimiser: your own, instead of `config.optim`; the state must be created with it, too.

    Returns:
      A pure function, to be jitted. Its metrics are scalars: loss, valid_share (share of valid
      pixels), norms of the gradient, the update and the parameters and, unless you pass your own
      optimiser, learning_rate.

    Raises:
      DepthsiError: settings of the kind custom without the object they need.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> from depthsi.config import Config, TwoScaleConfig
      >>> from depthsi.training import initial_state, make_stages, make_train_step
      >>> config = Config(model=TwoScaleConfig(width=0.02))
      >>> coarse, fine = make_stages(config)
      >>> step, state = jax.jit(make_train_step(config, coarse)), initial_state(config, coarse)
      >>> image, depth = np.zeros((2, 240, 320, 3), np.uint8), np.ones((2, 240, 320), np.float32)
      >>> later, metrics = jax.eval_shape(step, state, image, depth)  # or step(...) to compute it
      >>> sorted(metrics)[:3]
      ['gradient_norm', 'gradient_norm/coarse/conv1', 'gradient_norm/coarse/conv2']
    """
    own = {"loss": loss, "network": network, "optimiser": optimiser}
    return _train_step(step_settings(config), stage, **own)


@remembered
def _train_step(
    config: Config,
    stage: Stage,
    *,
    loss: Loss | None = None,
    network: nn.Module | None = None,
    optimiser: optax.GradientTransformation | None = None,
) -> TrainStep:
    sums_of = _make_sums(config, stage, make_loss(config.loss, loss), network)
    optimizer = make_optimizer(config.optim, stage.steps, optimiser)
    rate = _rate(config, stage, optimiser)
    mapped = config.compute.binding == "pmap"

    def train_step(
        state: State, image: Num[Raw, "b H W 3"], depth: Float[Raw, "b H W"]
    ) -> tuple[State, Metrics]:
        first = jax.lax.axis_index(DATA) * len(image) if mapped else 0
        examples = first + jnp.arange(len(image))
        parts, opt_state, decay = config.compute.accumulate, state.opt_state, config.optim.average
        trained = {stage.name: state.params[stage.name]}
        if decay:
            trained, opt_state = opt_state
        at = state.replace(params=state.params | trained)
        sums = _accumulate(lambda *part: sums_of(at, *part), (image, depth, examples), parts)
        if mapped:
            sums = jax.lax.psum(sums, DATA)

        factor = config.loss.multiplier / jnp.maximum(sums.weight, 1)
        gradients = jax.tree.map(lambda gradient: factor * gradient, sums.gradients)
        updates, opt_state = optimizer.update(gradients, opt_state, trained)
        metrics = {
            "loss": factor * sums.loss,
            **rate(state.step - stage.start),
            "valid_share": sums.valid / sums.pixels,
            **norm_metrics(gradients, updates, trained),
        }
        updated = optax.apply_updates(trained, updates)
        if decay:
            weight = average_weight(decay, state.step - stage.start)
            opt_state = Averaged(updated, opt_state)
            updated = optax.incremental_update(
                updated, {stage.name: state.params[stage.name]}, weight
            )
        params = state.params | updated
        return state.replace(step=state.step + 1, params=params, opt_state=opt_state), metrics

    return train_step


def _rate(
    config: Config, stage: Stage, optimiser: optax.GradientTransformation | None
) -> Callable[[Any], Metrics]:
    """Maps the step of the stage to the learning rate, if it is known."""
    if optimiser is not None or isinstance(config.optim, CustomOptimConfig):
        return lambda step: {}
    schedule = rate_schedule(config.optim, stage.steps)
    return lambda step: {"learning_rate": jnp.asarray(schedule(step))}


def _make_sums(
    config: Config, stage: Stage, image_losses: ImageLosses, network: nn.Module | None
) -> Callable[..., _Sums]:
    """(state, image, depth, numbers of the examples in the global batch) -> sums over them."""
    dtype, remat = jnp.dtype(config.compute.precision), config.compute.remat
    model = make_model(config.model, dtype=dtype, remat=remat, network=network)
    sizes = config.model.sizes

    def sums_of(
        state: State,
        image: Num[Raw, "b H W 3"],
        depth: Float[Raw, "b H W"],
        examples: Int[Array, " b"],
    ) -> _Sums:
        step_key = jax.random.fold_in(state.key, state.step)
        view_key, dropout_key = jax.random.split(step_key)
        if network is not None:  # it does not draw for each example: parts must not draw the same
            dropout_key = jax.random.fold_in(dropout_key, examples[0])
        keys, loss_keys = (
            jax.vmap(jax.random.fold_in, (None, 0))(key, examples)
            for key in (view_key, jax.random.fold_in(step_key, 2))
        )
        batch = augment(keys, image, depth, config.augment, sizes)
        counts = valid_count(batch.log_depth, where=batch.valid)

        def loss_of(trained: dict[str, Any]) -> tuple[Array, Array]:
            predictions = model.apply(
                {"params": state.params | trained},
                batch.image,
                train=True,
                output=stage.output,
                examples=examples,
                rngs={"dropout": dropout_key},
            )
            maps = jnp.asarray(predictions, jnp.float32)
            values = _image_losses(maps, batch, image_losses, loss_keys)
            return weigh_images(values, counts, config.loss.reduction)

        trained = {stage.name: state.params[stage.name]}
        (loss, weight), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained)
        pixels = jnp.float32(batch.valid.size)
        return _Sums(gradients, loss, weight, jnp.sum(counts), pixels)

    return sums_of


def _image_losses(
    predictions: Float[Array, "*maps b h w"],
    batch: Batch,
    loss: ImageLosses,
    keys: Key[Array, " b"],
) -> Float[Array, " b"]:
    """The loss of each image; for networks with several supervised maps, the mean over them."""
    maps = jnp.reshape(predictions, (-1, *batch.log_depth.shape))
    values = [loss(one, batch.log_depth, batch.valid, keys) for one in maps]
    return sum(values[1:], values[0]) / len(values)


def _accumulate(function: Callable[..., _Sums], batch: tuple[Any, ...], parts: int) -> _Sums:
    """Sum of `function` over `parts` equal parts of the batch, one after the other.

    Part k has the examples k, k + parts, ..., so that a batch divided among devices in contiguous
    pieces has an equal share of every part on each device, and no data has to move.
    """
    if parts == 1:
        return function(*batch)
    split = [jnp.reshape(x, (-1, parts, *x.shape[1:])) for x in batch]

    def part(k: Any) -> _Sums:
        return function(*(jax.lax.dynamic_index_in_dim(x, k, 1, keepdims=False) for x in split))

    def add(k: Any, total: _Sums) -> _Sums:
        return jax.tree.map(jnp.add, total, part(k))

    if loops_on_device():
        empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(part, 0))
        return jax.lax.fori_loop(0, parts, add, empty)
    total = part(0)
    for k in range(1, parts):
        total = add(k, total)
    return total
