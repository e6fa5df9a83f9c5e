"""The paper's error in its three equal forms (Eq. 1-3) and the training loss (Eq. 4)."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from depthsi.losses._masking import Axis, concrete, masked_residual
from depthsi.losses.moments import moments_of
from depthsi.losses.pairwise import scale_invariant_pairwise


def optimal_log_scale(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """alpha = mean(targets - predictions): exp(alpha) is the best single scale of the depths."""
    return -moments_of(masked_residual(predictions, targets, where, axis)).mean


def scale_invariant_alpha(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """Eq. 1: (1/n) sum (d + alpha)^2."""
    residual = masked_residual(predictions, targets, where, axis)
    count = jnp.maximum(residual.count(), 1)
    alpha = -residual.total(residual.values) / count
    return residual.total(residual.keep(residual.values + residual.spread(alpha)) ** 2) / count


def scale_invariant_closed(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """Eq. 3: mean(d^2) - mean(d)^2."""
    return _closed(predictions, targets, where, axis, 1.0)


def scale_invariant_centred(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """Eq. 1-3 as the centred variance."""
    return moments_of(masked_residual(predictions, targets, where, axis)).variance()


def scale_invariant_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
    lam: float | Array = 0.5,
    form: str = "centred",
) -> Float[Array, "*batch"]:
    """Eq. 4: mean(d^2) - lam mean(d)^2."""
    if form == "centred":
        return moments_of(masked_residual(predictions, targets, where, axis)).loss(lam)
    if form == "closed":
        return _closed(predictions, targets, where, axis, lam)
    invariant = {"alpha": scale_invariant_alpha, "pairwise": scale_invariant_pairwise}[form]
    plain = _closed(predictions, targets, where, axis, 0.0)
    return (1 - lam) * plain + lam * invariant(predictions, targets, where=where, axis=axis)


def _closed(predictions, targets, where, axis, lam):  # type: ignore[no-untyped-def]
    residual = masked_residual(predictions, targets, where, axis)
    count = jnp.maximum(residual.count(), 1)
    mean = residual.total(residual.values) / count
    return residual.total(residual.values**2) / count - lam * mean**2
