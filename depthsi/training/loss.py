"""The loss of a training step: per-image values of log depth, by its settings."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from depthsi import losses
from depthsi.errors import DepthsiError
from depthsi.losses.settings import (
    BerhuConfig,
    CustomConfig,
    EigenFergus2015Config,
    LossConfig,
    PairwiseConfig,
    RankingConfig,
    ScaleInvariantConfig,
    SilogConfig,
    SiMseConfig,
    SsiConfig,
    SumConfig,
)

# (predictions, targets in log metres, where, a key for each image) -> one value per image
ImageLosses = Callable[
    [
        Float[Array, "b h w"],
        Float[Array, "b h w"],
        Bool[Array, "b h w"],
        Key[Array, " b"],
    ],
    Float[Array, " b"],
]
Loss = Callable[..., Any]  # f(predictions, targets, *, where) -> (b,), in log metres

_SILOG = {
    "bts": losses.silog_bts,
    "adabins": losses.silog_adabins,
    "depth_anything": losses.silog_depth_anything,
}
_TERMS: dict[str, LossConfig] = {  # of a sum
    "scale_invariant": ScaleInvariantConfig(),
    "silog": SilogConfig(),
    "berhu": BerhuConfig(),
    "si_mse": SiMseConfig(),
    "ssi": SsiConfig(),
    "eigen_fergus_2015": EigenFergus2015Config(),
    "pairwise": PairwiseConfig(),
    "ranking": RankingConfig(),
}


def make_loss(settings: LossConfig, custom: Loss | None = None) -> ImageLosses:
    """The loss that `settings` describe, without reduction and multiplier.

    Args:
      settings: settings of the run.
      custom: a function to use instead of the one that they describe; required for settings of the
        kind custom.

    Returns:
      (predictions, targets, where, a key for each image) -> (b,), of log metres (b, h, w).

    Raises:
      DepthsiError: the kind is custom and no function was passed.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import ScaleInvariantConfig
      >>> from depthsi.training import make_loss
      >>> loss = make_loss(ScaleInvariantConfig(lam=1.0))
      >>> logs, keys = jnp.zeros((2, 3, 4)), jax.random.split(jax.random.key(0), 2)
      >>> loss(logs + 0.5, logs, jnp.ones(logs.shape, bool), keys).tolist()  # ignores a factor
      [0.0, 0.0]
    """
    if custom is not None:
        return _without_keys(custom)
    if isinstance(settings, CustomConfig):
        raise DepthsiError(
            "This run has a loss of its own"
            f"{f', {settings.name}' if settings.name else ''}: train it from Python, with"
            " depthsi.train(config, run=..., loss=FUNCTION)."
        )
    if isinstance(settings, PairwiseConfig | RankingConfig):
        return _random(settings)
    if isinstance(settings, SumConfig):
        return _sum(settings)
    return _without_keys(_plain(settings))


def _plain(settings: LossConfig) -> Loss:
    match settings:
        case ScaleInvariantConfig():
            loss = functools.partial(losses.scale_invariant_loss, lam=settings.lam)
            return losses.in_space(loss, settings.space)
        case SilogConfig():
            return _SILOG[settings.variant]
        case BerhuConfig():
            threshold = settings.threshold or None
            return losses.in_space(
                functools.partial(losses.berhu, threshold=threshold), settings.space
            )
        case SiMseConfig():
            return losses.in_space(losses.si_mse, settings.space)
        case SsiConfig():
            return losses.in_space(functools.partial(_ssi, settings), settings.space)
        case EigenFergus2015Config():
            return losses.eigen_fergus_2015
    raise AssertionError(settings)


def _ssi(settings: SsiConfig, predictions: Array, targets: Array, *, where: Array) -> Array:
    value = losses.ssi_trimmed if settings.trimmed else losses.ssi_loss
    total = value(predictions, targets, where=where)
    if settings.gradient_weight:
        scale, shift = losses.align_scale_shift(predictions, targets, where=where)
        aligned = scale[:, None, None] * predictions + shift[:, None, None]
        steps = losses.gradient_matching(aligned, targets, where=where)
        total = total + settings.gradient_weight * steps
    return total


def _random(settings: PairwiseConfig | RankingConfig) -> ImageLosses:
    if isinstance(settings, RankingConfig):
        loss = functools.partial(
            losses.ranking_loss, pairs=settings.pairs, tolerance=settings.tolerance
        )
    else:
        loss = functools.partial(
            losses.pairwise_loss,
            penalty=settings.penalty,
            delta=settings.delta,
            pairs=settings.pairs or "all",
        )

    def of_one(predictions: Array, targets: Array, where: Array, key: Array) -> Array:
        drawn: dict[str, Any] = {} if settings.pairs == 0 else {"key": key}
        return loss(predictions, targets, where=where, **drawn)

    return jax.vmap(of_one)  # each image by its own key: whatever else is in its batch


def _sum(settings: SumConfig) -> ImageLosses:
    weights = {name: weight for name, weight in settings.weights().items() if weight}
    terms = {
        name: _without_keys(losses.gradient_matching)
        if name == "gradient_matching"
        else make_loss(_TERMS[name])
        for name in weights
    }

    def total(predictions: Array, targets: Array, where: Array, keys: Array) -> Array:
        values = [
            weight * terms[name](predictions, targets, where, keys)
            for name, weight in weights.items()
        ]
        return sum(values[1:], values[0])

    return total


def _without_keys(loss: Loss) -> ImageLosses:
    def of_images(predictions: Array, targets: Array, where: Array, keys: Array) -> Array:
        del keys
        values = jnp.asarray(loss(predictions, targets, where=where))
        if values.shape != predictions.shape[:1]:
            raise DepthsiError(
                f"The loss must return one value per image, {predictions.shape[:1]}, but returned"
                f" {values.shape}."
            )
        return values

    return of_images
