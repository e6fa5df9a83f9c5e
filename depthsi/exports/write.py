"""Writing a network in the format that the name of its file asks for."""

import os
from pathlib import Path

from depthsi.errors import DepthsiError
from depthsi.exports.artefact import SUFFIX, ExportedNetwork
from depthsi.weights.network_file import Dtype, TrainedNetwork, write_network


def write_exported(
    path: str | os.PathLike[str],
    network: TrainedNetwork | ExportedNetwork,
    output: str,
    dtype: Dtype,
) -> None:
    """What `depthsi.export` does, of one output of a network; it says more."""
    suffix = Path(path).suffix
    if isinstance(network, ExportedNetwork):
        raise DepthsiError(
            "This network was exported already and has no parameters to write: export the run or"
            " the file of weights it was made from."
        )
    if dtype != "float32" and suffix in (SUFFIX, ".onnx"):
        raise DepthsiError(f"{path} cannot hold {dtype}: only .safetensors can.")
    if suffix == SUFFIX:
        from depthsi.exports.stablehlo import write_stablehlo

        write_stablehlo(path, network, output)
    elif suffix == ".onnx":
        from depthsi.exports.onnx import write_onnx

        write_onnx(path, network, output)
    elif suffix == ".safetensors":
        write_network(path, network, dtype)
    else:
        raise DepthsiError(f"{path} must end in .stablehlo, .safetensors or .onnx.")
