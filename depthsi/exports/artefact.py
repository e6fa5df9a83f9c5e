"""An exported network: one file with a program for every platform, and its metadata.

The file, `NAME.stablehlo`, is a zip archive of two members, both stored without compression:

  metadata.json     a JSON object, described at `describe`, with the SHA-256 of the program
  model.stablehlo   a function as `jax.export` serialises it; needs no pickle, and no package but
                    JAX: `jax.export.deserialize(bytearray(data)).call(images)`

The function takes RGB images, uint8 (b, H, W, 3) of the size the network was trained with and any
b, and returns metres, float32 (b, h, w), at the network's output cells. It includes cropping to the
network's input, normalisation, the parameters and the exponential. It runs on CPUs, GPUs (CUDA) and
TPUs.

Nothing here imports Flax or builds a network.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float32

from depthsi.compilation import jit
from depthsi.config_json import FORMAT as SETTINGS_FORMAT
from depthsi.errors import DepthsiError
from depthsi.files import PathLike, contents, decoding, write_bytes
from depthsi.geometry import Geometry
from depthsi.models.settings import ModelConfig
from depthsi.weights.network_file import network_settings

if TYPE_CHECKING:
    from jax.export import Exported
else:
    Exported = Any  # jax.export and MLIR take a while to import, and other networks need neither

SUFFIX = ".stablehlo"
FORMAT = 1  # of the file; raise it when an older reader would misread a newer file
PLATFORMS = ("cpu", "cuda", "tpu")
MAX_METADATA = 2**22  # bytes
METADATA, PROGRAM = "metadata.json", "model.stablehlo"
KNOWN_CALLS = frozenset({"shape_assertion"})  # that the batch is not empty; jax resolves it
ADVICE = "export the network again"


@dataclasses.dataclass(frozen=True)
class ExportedNetwork:
    """A network as a function, which can replace a `TrainedNetwork`.

    Attributes:
      settings: settings of the network.
      outputs: the exported output.
      step: number of training steps.
      about: further metadata, as plain values.
      metres: images, uint8 (b, H, W, 3) of `settings.sizes.image`, to metres (b, h, w).
    """

    settings: ModelConfig
    outputs: tuple[str, ...]
    step: int
    about: Mapping[str, Any]
    metres: Callable[[Any], Any]

    def window_log_depth(
        self, windows: Float32[np.ndarray, "b H W 3"]
    ) -> Float32[np.ndarray, "b h w"]:
        """Log depth of windows of the network's input size, which `depthsi.windows` cuts.

        The function crops the input size out of the middle of its images: the windows are put there
        in a frame of zeros, which it never looks at.
        """
        sizes = self.settings.sizes
        (height, width), (top, left) = sizes.input, _margins(sizes)
        framed = np.zeros((len(windows), *sizes.image, 3), np.uint8)
        framed[:, top : top + height, left : left + width] = windows
        return np.log(np.asarray(self.metres(framed)))


def describe(
    settings: ModelConfig, output: str, *, step: int, about: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata of an exported network.

    Args:
      settings: settings of the network.
      output: the output that the function returns.
      step: number of training steps.
      about: further metadata of the network, as plain values.

    Returns:
      `format` of the file; `depthsi`, the version that wrote it; `settings` of the network and
      their format; `sizes` in pixels (H, W); `input` and `outputs` of the function, with axes,
      type and unit; `step`; `about`; `licence`.
    """
    sizes = settings.sizes
    return {
        "format": FORMAT,
        "depthsi": importlib.metadata.version("depthsi"),
        "settings": {"format": SETTINGS_FORMAT, "model": dataclasses.asdict(settings)},
        "sizes": _plain_sizes(sizes),
        "input": {"axes": ["b", *sizes.image, 3], "type": "uint8", "unit": "RGB, 0..255"},
        "outputs": {output: {"axes": ["b", *sizes.output], "type": "float32", "unit": "metres"}},
        "step": step,
        "about": dict(about),
        "licence": about.get(
            "licence",
            "depthsi is under Apache-2.0; parameters may be bound by the terms of the data and of"
            " the weights that they were trained from.",
        ),
    }


def write_artefact(path: PathLike, program: bytes, metadata: Mapping[str, Any]) -> None:
    """Writes an exported network atomically.

    Args:
      path: path of the file, which should end in .stablehlo.
      program: function serialised by `jax.export`.
      metadata: result of `describe`.

    Raises:
      OSError: the file cannot be written.
    """
    text = json.dumps({**metadata, "sha256": hashlib.sha256(program).hexdigest()}, indent=2)
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_STORED) as archive:
        for name, data in ((METADATA, text.encode()), (PROGRAM, program)):
            archive.writestr(zipfile.ZipInfo(name), data)  # without the time: the same bytes again
    write_bytes(Path(path), buffer.getvalue())


def read_artefact(path: PathLike) -> ExportedNetwork:
    """The network that `write_artefact` wrote.

    The program is checked before it runs: it must match its checksum, take and return arrays of the
    shapes in its settings, and call nothing outside itself. A forged file can pass these checks
    and still contain a program that never terminates or that crashes the compiler, so only load
    files from people you trust.

    Raises:
      DepthsiError: the file is missing, damaged, of a later version, or contradicts its metadata.
    """
    with decoding(path):
        text, program = _members(path)
        metadata = json.loads(text)
        if not isinstance(metadata, dict):
            raise ValueError(f"{METADATA} is not an object")
        _check_format(path, metadata.get("format"))
        stored = dict(metadata["settings"])
        outputs, step = tuple(metadata["outputs"]), int(metadata["step"])
        about = dict(metadata["about"])
    settings = network_settings(path, stored)
    if len(outputs) != 1 or outputs[0] not in settings.outputs:
        raise DepthsiError(f"{path} has the outputs {list(outputs)!r:.200}: {ADVICE}.")
    if metadata.get("sizes") != _plain_sizes(settings.sizes):
        raise DepthsiError(f"{path} has sizes that differ from its settings: {ADVICE}.")
    if metadata.get("sha256") != hashlib.sha256(program).hexdigest():
        raise DepthsiError(
            f"{path} is damaged: its program does not have the checksum saved with it."
        )
    from jax import export

    with decoding(path):
        exported = export.deserialize(bytearray(program))
    _check_signature(path, exported, settings.sizes)
    with decoding(path):
        foreign = _calls(exported.mlir_module_serialized) - KNOWN_CALLS
    if foreign:
        raise DepthsiError(
            f"{path} calls {min(foreign)!r:.100} outside itself, which exported networks never do:"
            f" {ADVICE}."
        )
    return ExportedNetwork(settings, outputs, step, about, _function(path, exported))


def _members(path: PathLike) -> tuple[bytes, bytes]:
    """The metadata and the program; they are not compressed and so no larger than the file."""
    with zipfile.ZipFile(io.BytesIO(contents(path))) as archive:
        names = archive.namelist()
        if sorted(names) != sorted((METADATA, PROGRAM)):
            raise ValueError(f"it must contain {METADATA} and {PROGRAM} only")
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("its members must be stored without compression")
        if (size := archive.getinfo(METADATA).file_size) > MAX_METADATA:
            raise ValueError(f"{METADATA} has {size} bytes")
        return archive.read(METADATA), archive.read(PROGRAM)


def _check_format(path: PathLike, found: Any) -> None:
    if type(found) is not int or found < 1:
        raise DepthsiError(f"{path} has the format {found!r:.100}, not an integer from 1.")
    if found > FORMAT:
        raise DepthsiError(
            f"{path} has the format {found}, but this version of depthsi reads {FORMAT} at most:"
            " install a later version."
        )


def _check_signature(path: PathLike, exported: Exported, sizes: Geometry) -> None:
    """Whether the function is one of images of any number to maps of the geometry."""
    described = [
        (aval.dtype.name, aval.shape[0], *aval.shape[1:])
        for aval in (*exported.in_avals, *exported.out_avals)
        if aval.shape
    ]
    batch = described[0][1] if described else 1
    wanted = [("uint8", batch, *sizes.image, 3), ("float32", batch, *sizes.output)]
    effects = (*exported.ordered_effects, *exported.unordered_effects)
    if described != wanted or isinstance(batch, int) or effects or exported.nr_devices != 1:
        raise DepthsiError(
            f"{path} has a function that differs from its metadata; it must take uint8"
            f" (b, {sizes.image[0]}, {sizes.image[1]}, 3) and return float32"
            f" (b, {sizes.output[0]}, {sizes.output[1]}): {ADVICE}."
        )


def _calls(module: bytes) -> frozenset[str]:
    """What a module of StableHLO calls that is not part of it, such as functions of the host."""
    from jax.extend.mlir import ir
    from jax.extend.mlir.dialects import stablehlo

    found: set[str] = set()

    def visit(operation: Any) -> Any:
        if operation.name == "stablehlo.custom_call":
            found.add(ir.StringAttr(operation.attributes["call_target_name"]).value)
        return ir.WalkResult.ADVANCE

    with ir.Context() as context:
        stablehlo.register_dialect(context)
        parsed = stablehlo.deserialize_portable_artifact(context, module)
        parsed.operation.walk(visit)
    return frozenset(found)


def _function(path: PathLike, exported: Exported) -> Callable[[Any], Any]:
    compiled = functools.cache(lambda: jit(exported.call))  # not before a device is needed

    def metres(images: Any) -> Any:
        if (platform := _platform()) not in exported.platforms:
            raise DepthsiError(
                f"{path} was exported for {', '.join(exported.platforms)}, not for {platform}."
            )
        try:
            return jax.block_until_ready(compiled()(images))
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise DepthsiError(f"{path} cannot be run here ({reason}): {ADVICE}.") from error

    return metres


def _platform() -> str:
    """The current one, by the name that `jax.export` has for it."""
    backend = jax.default_backend()
    return "cuda" if backend == "gpu" else backend


def _margins(sizes: Geometry) -> tuple[int, int]:
    """Rows and columns of an image before those that `depthsi.augment.centre` crops."""
    top, left = ((n - m) // 2 for n, m in zip(sizes.image, sizes.input, strict=True))
    return top, left


def _plain_sizes(sizes: Geometry) -> dict[str, Any]:
    """The geometry as it looks after a way through JSON."""
    return json.loads(json.dumps(dataclasses.asdict(sizes)))
