"""Starting a run from the weights of another run, of a file, or of a pretrained network."""

from pathlib import Path
from typing import Any

import jax

from depthsi.config import Config, InitConfig
from depthsi.errors import DepthsiError
from depthsi.training.checkpoints.digests import named_leaves
from depthsi.training.checkpoints.start_from_caffe import read_coarse_convs
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.weights.network_file import SUFFIX, read_description, read_network
from depthsi.weights.shipped import named_file, shipped_names

Weights = dict[str, Any]  # arrays by path, such as "coarse/conv1/kernel"


def warm_start(params: Any, init: InitConfig) -> tuple[Any, str]:
    """Replaces `params` of a new run by the weights that `init` names.

    Args:
      params: initial parameters, on the run's devices.
      init: names the weights.

    Returns:
      The parameters, on the same devices, and a sentence that says what was and was not loaded;
      empty if `init` names no weights.

    Raises:
      DepthsiError: the weights cannot be read, or match no layer.
    """
    if not init.weights:
        return params, ""
    weights, step = read_weights(init.weights)
    return take_weights(params, weights, f"{init.weights}, step {step}")


def take_coarse_convs(params: Any, config: Config) -> tuple[Any, str]:
    """Replaces the coarse network's convolutions in `params` by those of `init.coarse_convs`.

    Args:
      params: initial parameters, on the run's devices.
      config: settings of the run.

    Returns:
      The parameters, on the same devices, and a sentence about them; empty if no file is given.

    Raises:
      DepthsiError: the file cannot be used, or does not suit this network.
    """
    file = config.init.coarse_convs
    if not file:
        return params, ""
    return take_weights(params, read_coarse_convs(file, config.model), file)


def check_coarse_convs(config: Config) -> None:
    """Raises the errors of `take_coarse_convs` before anything is written; reads the file."""
    if config.init.coarse_convs:
        read_coarse_convs(config.init.coarse_convs, config.model)


def check_init(init: InitConfig) -> None:
    """Raises DepthsiError if the weights that `init` names do not exist; reads no arrays."""
    if not init.weights:
        return
    if (file := _weights_file(init.weights)) is None:
        _find(init.weights)
    else:
        read_description(file)


def read_weights(path: str) -> tuple[Weights, int]:
    """The parameters of a trained network, by path of the array, and their step.

    Args:
      path: directory of a run, for the newest whole checkpoint, or of one of its checkpoints; a
        weights file (.safetensors), or the name of a network that comes with the package.

    Raises:
      DepthsiError: the path does not exist or cannot be used.
    """
    if (file := _weights_file(path)) is not None:
        network = read_network(file)
        return named_leaves(network.params), network.step
    directory, step = _find(path)
    with Checkpoints(directory) as checkpoints:
        newest = checkpoints.newest_params(only=step)
    if newest is None:
        raise DepthsiError(f"init.weights is {path}, which has no checkpoint yet.")
    return named_leaves(newest[0]), newest[1]


def take_weights(params: Any, weights: Weights, source: str) -> tuple[Any, str]:
    """Replaces `params` by the arrays of `weights` wherever name and shape are the same.

    Args:
      params: initial parameters, on the run's devices.
      weights: the arrays to use.
      source: name of their source in messages.

    Returns:
      The parameters, on the same devices, and a sentence about them.

    Raises:
      DepthsiError: no array has the same name and shape.
    """
    own = named_leaves(params)
    shapes = {name: leaf.shape for name, leaf in own.items()}
    there = {name: array.shape for name, array in weights.items()}
    taken = [name for name in own if there.get(name) == shapes[name]]
    if not taken:
        raise DepthsiError(
            f"{source}, shares no layer of the same name and shape with this run's networks: check"
            " init.weights and the model settings."
        )
    parts = {
        "taken": taken,
        "not there": [name for name in own if name not in there],
        "of another shape": [
            f"{name} ({_size(there[name])} there, {_size(shapes[name])} here)"
            for name in own
            if name in there and name not in taken
        ],
    }
    report = "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)
    leaves = [
        jax.device_put(weights[name].astype(leaf.dtype), leaf.sharding) if name in taken else leaf
        for name, leaf in own.items()
    ]
    params = jax.tree.unflatten(jax.tree.structure(params), leaves)
    return params, f"Weights from {source}: {report}."


def _weights_file(path: str) -> Path | None:
    file = named_file(path)
    return file if file.suffix == SUFFIX else None


def _find(path: str) -> tuple[Path, int | None]:
    """The directory of checkpoints, and the step if one is given."""
    given = Path(path)
    if given.parent.name == "checkpoints" and given.name.isdigit() and given.is_dir():
        return given.parent, int(given.name)
    if not (given / "checkpoints").is_dir():
        raise DepthsiError(
            f"init.weights is {path}, which is neither a run nor a checkpoint (there is no"
            f" {given / 'checkpoints'}), nor a weights file (.safetensors), nor one of"
            f" {', '.join(shipped_names())}."
        )
    return given / "checkpoints", None


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
