"""How large gradients, updates and parameters are, for each group of layers."""

from collections import defaultdict
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def norm_metrics(gradients: Any, updates: Any, params: Any) -> dict[str, Float[Array, ""]]:
    """Euclidean norms, summed up in float32: one of everything, and one of each group of layers.

    A group is a network's outermost layer, kernel and bias together. A few reductions of what a
    step has at hand: they wait for nothing and keep no copies.

    Args:
      gradients: pytree of the parameters that are trained, its leaves' paths such as
        "coarse/conv1/kernel".
      updates: like `gradients`; what is added to the parameters.
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
