"""A trained network as ONNX, for other runtimes: https://onnx.ai.

The function is that of `depthsi.exports.artefact`: images called `images`, metres called by the
name of the network's output. The property `depthsi` of the model is its metadata as JSON.
"""

import json
import logging
from pathlib import Path

from depthsi.errors import DepthsiError
from depthsi.exports.artefact import describe
from depthsi.exports.function import image_function
from depthsi.files import PathLike, write_bytes
from depthsi.weights.network_file import TrainedNetwork


def write_onnx(path: PathLike, network: TrainedNetwork, output: str) -> None:
    """Writes a network as an ONNX model, atomically.

    Args:
      path: path of the file, which should end in .onnx.
      network: network to write.
      output: network output to export.

    Raises:
      DepthsiError: jax2onnx is not installed.
      OSError: the file cannot be written.
    """
    try:
        import jax2onnx
    except ImportError as error:
        raise DepthsiError(
            "ONNX needs jax2onnx, which requires an older Orbax than training does: in an"
            " separate environment run pip install jax2onnx jaxtyping pillow safetensors scipy"
            " tyro, then pip install --no-deps depthsi, and export a weights file there."
        ) from error
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # of constants without a type, by hundreds
    metres, images = image_function(network, output)
    model = jax2onnx.to_onnx(
        metres, [images], model_name="depthsi", input_names=["images"], output_names=[output]
    )
    metadata = describe(network.settings, output, step=network.step, about=network.about)
    entry = model.metadata_props.add()
    entry.key, entry.value = "depthsi", json.dumps(metadata)
    write_bytes(Path(path), model.SerializeToString())
