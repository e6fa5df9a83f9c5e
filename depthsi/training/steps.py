"""The pure training and evaluation steps: no devices, no files, no loops."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Num, Shaped

from depthsi.augment import Raw, augment
from depthsi.config import Config
from depthsi.losses import reduce_images, scale_invariant_loss, valid_count
from depthsi.models import make_model
from depthsi.training.optim import make_optimizer, rate_schedule
from depthsi.training.stages import Stage
from depthsi.training.state import State

Metrics = dict[str, Shaped[Array, ""]]
TrainStep = Callable[
    [State, Num[Raw, "b H W 3"], Float[Raw, "b H W"]],
    tuple[State, Metrics],
]


def make_train_step(config: Config, stage: Stage) -> TrainStep:
    """The step of `stage`: (state, uint8 images, depth in metres) -> (state, metrics).

    The pictures are raw samples: augmentation is part of the step. Everything random in it
    depends on the run's key, the step and the example's place in the batch alone.
    """
    model, sizes = make_model(config.model), config.model.sizes
    optimizer = make_optimizer(config.optim, stage.steps)
    schedule = rate_schedule(config.optim, stage.steps)

    def train_step(
        state: State, image: Num[Raw, "b H W 3"], depth: Float[Raw, "b H W"]
    ) -> tuple[State, Metrics]:
        view_key, dropout_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        keys = jax.random.split(view_key, len(image))
        batch = augment(keys, image, depth, config.augment, sizes)

        def loss_of(trained: dict) -> jax.Array:
            predictions = model.apply(
                {"params": state.params | trained},
                batch.image,
                train=True,
                output=stage.output,
                rngs={"dropout": dropout_key},
            )
            predictions = jnp.asarray(predictions)
            values = scale_invariant_loss(
                predictions, batch.log_depth, where=batch.valid, lam=config.loss.lam
            )
            counts = valid_count(predictions, where=batch.valid)
            return config.loss.multiplier * reduce_images(
                values, counts, reduction=config.loss.reduction
            )

        trained = {stage.name: state.params[stage.name]}
        loss, gradients = jax.value_and_grad(loss_of)(trained)
        updates, opt_state = optimizer.update(gradients, state.opt_state, trained)
        metrics = {
            "loss": loss,
            "learning_rate": jnp.asarray(schedule(state.step - stage.start)),
            "gradient_norm": optax.tree.norm(gradients),
            "update_norm": optax.tree.norm(updates),
            "valid_share": jnp.mean(batch.valid, dtype=jnp.float32),
        }
        params = state.params | optax.apply_updates(trained, updates)
        return state.replace(step=state.step + 1, params=params, opt_state=opt_state), metrics

    return train_step
