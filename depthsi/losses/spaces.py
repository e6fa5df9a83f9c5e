"""Losses of log depth computed in another space."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from depthsi.array_checks import as_where

Space = Literal["log", "linear", "disparity"]


def in_space(loss: Callable[..., Array], space: Space) -> Callable[..., Array]:
    """A loss of log metres that computes `loss` in another space.

    Args:
      loss: `f(predictions, targets, *, where, ...)`.
      space: the space that `loss` expects: "log" (log metres), "linear" (metres), or "disparity"
        (1 / metres).

    Returns:
      `f(predictions, targets, *, where=None, ...)` of log metres, with the values of `loss`; pixels
      where `where` is False are never exponentiated.

    Raises:
      ValueError: unknown space.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import berhu, in_space
      >>> metres = jnp.array([[[1.0, 2.0]]])
      >>> loss = in_space(berhu, "linear")
      >>> value = loss(jnp.log(metres + 0.5), jnp.log(metres))[0]
      >>> f"{value:.3f}"  # (0.5^2 + 0.1^2) / 0.2
      '1.300'
    """
    if space not in ("log", "linear", "disparity"):
        raise ValueError(f"`space` (={space!r}) must be 'log', 'linear' or 'disparity'")
    if space == "log":
        return loss
    sign = 1 if space == "linear" else -1

    def converted(
        predictions: ArrayLike,
        targets: ArrayLike,
        *,
        where: ArrayLike | None = None,
        **options: Array,
    ) -> Array:
        maps = [jnp.asarray(predictions), jnp.asarray(targets)]
        if where is not None:
            valid = jnp.asarray(as_where(where, maps[0].shape))
            maps = [jnp.where(valid, logs, 0) for logs in maps]
        return loss(*(jnp.exp(sign * logs) for logs in maps), where=where, **options)

    return converted
