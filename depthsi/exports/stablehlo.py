"""A trained network as StableHLO, in the format described in `depthsi.exports.artefact`."""

import dataclasses

import jax
from jax import export
from jax.extend.mlir import ir, passmanager
from jax.extend.mlir.dialects import stablehlo

from depthsi.exports.artefact import PLATFORMS, describe, write_artefact
from depthsi.exports.function import image_function
from depthsi.files import PathLike
from depthsi.weights.network_file import TrainedNetwork


def write_stablehlo(path: PathLike, network: TrainedNetwork, output: str) -> None:
    """Writes a network as one program for every platform, atomically.

    Args:
      path: path of the file, which should end in .stablehlo.
      network: network to write.
      output: network output to export.

    Raises:
      OSError: the file cannot be written.
    """
    metadata = describe(network.settings, output, step=network.step, about=network.about)
    write_artefact(path, _program(network, output), metadata)


def _program(network: TrainedNetwork, output: str) -> bytes:
    metres, images = image_function(network, output)
    exported = export.export(jax.jit(metres), platforms=PLATFORMS)(images)
    module = _without_places(exported.mlir_module_serialized)
    return bytes(dataclasses.replace(exported, mlir_module_serialized=module).serialize())


def _without_places(module: bytes) -> bytes:
    """The same program without the lines of source it stems from, with paths of this machine.

    It uses operations that StableHLO had 12 weeks before this version, so that others read it.
    """
    oldest = stablehlo.StablehloCompatibilityRequirement.WEEK_12
    with ir.Context() as context:
        stablehlo.register_dialect(context)
        parsed = stablehlo.deserialize_portable_artifact(context, module)
        strip = passmanager.PassManager.parse("builtin.module(strip-debuginfo)")
        strip.run(parsed.operation)
        version = stablehlo.get_version_from_compatibility_requirement(oldest)
        return stablehlo.serialize_portable_artifact(parsed, version)
