"""A trained network as a self-describing safetensors file.

The arrays are the parameters, named by their path, such as "coarse/conv1/kernel". The metadata
entry "depthsi" is a JSON object with the settings of the network, its trained outputs, the step, a
checksum of the arrays, and further information.
"""

import dataclasses
import json
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from depthsi.config_json import FORMAT, config_from_dict
from depthsi.errors import DepthsiError, require_choice
from depthsi.files import PathLike, decoding
from depthsi.models.settings import ModelConfig
from depthsi.weights.arrays import read_arrays, read_metadata, write_safetensors

Dtype = Literal["float32", "bfloat16"]  # of the arrays in a file
SUFFIX = ".safetensors"
ENTRY = "depthsi"  # of the metadata
MAX_PARAMETER_BYTES = 2**31  # of one array: fc6 of the paper takes 0.2 GB
ADVICE = "it is not a network saved by depthsi"


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """A network with its parameters.

    Attributes:
      settings: settings of the network.
      params: nested dictionaries of float32 arrays.
      outputs: the trained ones of `settings.outputs`, with the best trained last.
      step: number of training steps.
      about: further metadata, as plain values: licence, recipe, metrics.
      module: the module of `settings` of the kind custom, which is not stored in files.

    Example:
      >>> import numpy as np
      >>> import depthsi
      >>> params = {"unet": {"bias": np.ones(2, np.float32)}}
      >>> network = depthsi.TrainedNetwork(depthsi.models.UNetConfig(), params, ("unet",), step=9)
      >>> network.settings.kind, network.outputs
      ('unet', ('unet',))
    """

    settings: ModelConfig
    params: Mapping[str, Any]
    outputs: tuple[str, ...]
    step: int
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    module: Any = None


def write_network(path: PathLike, network: TrainedNetwork, dtype: Dtype = "float32") -> None:
    """Writes a network to a file, atomically.

    Args:
      path: path of the file, which should end in .safetensors.
      network: network to write.
      dtype: data type in the file; bfloat16 halves its size and keeps 8 bits of precision.

    Raises:
      DepthsiError: another dtype.
      OSError: the file cannot be written.

    Example:
      >>> import os, tempfile
      >>> import numpy as np
      >>> import depthsi
      >>> params = {"unet": {"bias": np.ones(2, np.float32)}}
      >>> network = depthsi.TrainedNetwork(depthsi.models.UNetConfig(), params, ("unet",), step=9)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = os.path.join(folder, "net.safetensors")
      ...     depthsi.write_network(path, network)
      ...     again = depthsi.read_network(path)
      >>> again.params["unet"]["bias"].tolist(), again.step
      ([1.0, 1.0], 9)
    """
    from flax.traverse_util import flatten_dict

    require_choice("dtype", dtype, Dtype)
    arrays = {
        "/".join(map(str, path)): np.asarray(array).astype(dtype).astype(np.float32)
        for path, array in flatten_dict(dict(network.params)).items()
    }
    entry = {
        "format": FORMAT,
        "model": dataclasses.asdict(network.settings),
        "outputs": list(network.outputs),
        "step": network.step,
        "crc32": _checksum(arrays),
        "about": dict(network.about),
    }
    metadata = {ENTRY: json.dumps(entry)}
    write_safetensors(path, arrays, dtype=dtype, metadata=metadata)


def read_network(path: PathLike) -> TrainedNetwork:
    """Reads a network that `write_network` wrote.

    Args:
      path: path of the file.

    Raises:
      DepthsiError: the file is missing, damaged, or was not written by `write_network`.

    Example:
      >>> import os, tempfile
      >>> import numpy as np
      >>> import depthsi
      >>> params = {"unet": {"bias": np.ones(2, np.float32)}}
      >>> network = depthsi.TrainedNetwork(depthsi.models.UNetConfig(), params, ("unet",), step=9)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = os.path.join(folder, "net.safetensors")
      ...     depthsi.write_network(path, network)
      ...     again = depthsi.read_network(path)
      >>> again.settings == network.settings
      True
    """
    from flax.traverse_util import unflatten_dict

    network, checksum = _described(path)
    arrays = read_arrays(path, lambda name: True, MAX_PARAMETER_BYTES)
    if checksum != _checksum(arrays):
        raise DepthsiError(
            f"{path} is damaged: its arrays do not have the checksum saved with them."
        )
    return dataclasses.replace(network, params=unflatten_dict(arrays, sep="/"))


def read_description(path: PathLike) -> TrainedNetwork:
    """Like `read_network`, but without reading the parameters."""
    return _described(path)[0]


def network_settings(path: PathLike, stored: Mapping[str, Any]) -> ModelConfig:
    """The settings of a network from the entries "format" and "model" of a file.

    Raises:
      DepthsiError: the settings cannot be used, or have a later format; the message has the file.
    """
    try:
        return config_from_dict({name: stored.get(name) for name in ("format", "model")}).model
    except DepthsiError as error:
        raise DepthsiError(f"{path}: {error}") from error


def _described(path: PathLike) -> tuple[TrainedNetwork, int]:
    metadata = read_metadata(path)
    if ENTRY not in metadata:
        raise DepthsiError(f"{path} has arrays without the settings of a network: {ADVICE}.")
    with decoding(path):
        entry = json.loads(metadata[ENTRY])
        stored = {"format": entry["format"], "model": entry["model"]}
        outputs, step, about = tuple(entry["outputs"]), int(entry["step"]), dict(entry["about"])
        checksum = int(entry["crc32"])
    settings = network_settings(path, stored)
    if not outputs or not set(outputs) <= set(settings.outputs):
        raise DepthsiError(f"{path} has the outputs {outputs!r}: {ADVICE}.")
    return TrainedNetwork(settings, {}, outputs, step, about), checksum


def _checksum(arrays: Mapping[str, np.ndarray]) -> int:
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(arrays[name].tobytes(), zlib.crc32(name.encode(), total))
    return total
