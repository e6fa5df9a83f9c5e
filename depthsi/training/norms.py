"""Norms of gradients, updates and parameters, in total and per layer."""

from collections import defaultdict
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def norm_metrics(gradients: Any, updates: Any, params: Any) -> dict[str, Float[Array, ""]]:
    """Euclidean norms, accumulated in float32: of everything, and of each group of layers.

    A group is a network's outermost layer with its kernel and bias. The norms are a few reductions
    of arrays that a step has anyway, without waiting or copies.

    Args:
      gradients: pytree of the trained parameters' gradients, with paths such as
        "coarse/conv1/kernel".
      updates: like `gradients`; the values added to the parameters.
      params: like `gradients`; the parameters before the update.

    Returns:
      "gradient_norm", "update_norm" and "parameter_norm", then each of them followed by
      "/network/layer", such as "gradient_norm/coarse/conv1".
    """
    metrics: dict[str, Array] = {}
    for name, tree in (("gradient", gradients), ("update", updates), ("parameter", params)):
        squares = _squares(tree)
        metrics[f"{name}_norm"] = jnp.sqrt(jnp.sum(jnp.stack(list(squares.values()))))
        for group, square in squares.items():
            metrics[f"{name}_norm/{group}"] = jnp.sqrt(square)
    return metrics


def layer_name(path: tuple[Any, ...]) -> str:
    """ "coarse/conv1" for the path of "coarse/conv1/kernel" or of anything deeper in that layer."""
    return "/".join(str(part.key) for part in path[:-1][:2])


def _squares(tree: Any) -> dict[str, Array]:
    """Sum of squares of each group."""
    parts: dict[str, list[Array]] = defaultdict(list)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        parts[layer_name(path)].append(jnp.sum(jnp.square(leaf.astype(jnp.float32))))
    return {group: jnp.sum(jnp.stack(values)) for group, values in parts.items()}
