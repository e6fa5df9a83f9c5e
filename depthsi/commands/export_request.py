"""Options of `depthsi export`. Nothing here imports anything slow, since --help loads it."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from depthsi.errors import DepthsiError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to export and how; the docstrings are the help of the command line."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A run or a weights file."""
    out: Annotated[str, tyro.conf.arg(metavar="FILE")]
    """File to write; its name ends in .stablehlo, .safetensors or .onnx."""
    format: Literal["stablehlo", "safetensors", "onnx"] | None = None
    """stablehlo: a program from images to metres for CPUs, GPUs and TPUs. safetensors: the
    parameters by name. onnx: the same program for other runtimes (needs jax2onnx). Default: the
    format given by the extension of FILE."""
    checkpoint: str = "newest"
    """Checkpoint of a run: newest, best, or a step."""
    output: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Network output to export, such as coarse. Default: the best trained one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Data type in a .safetensors file; bfloat16 halves its size."""

    def check(self) -> None:
        """Checks that the options fit together.

        Raises:
          DepthsiError: they do not.
        """
        ending = Path(self.out).suffix
        kind = self.format or ending.removeprefix(".")
        if kind not in ("stablehlo", "safetensors", "onnx"):
            raise DepthsiError(f"--out {self.out} must end in .stablehlo, .safetensors or .onnx.")
        if ending != f".{kind}":
            raise DepthsiError(f"--out {self.out} must end in .{kind} to match --format {kind}.")
        if kind != "safetensors" and self.dtype != "float32":
            raise DepthsiError(f"--dtype {self.dtype} only works with --format safetensors.")
        if kind == "safetensors" and self.output is not None:
            raise DepthsiError(
                f"--output {self.output} only works with --format stablehlo or onnx: a safetensors"
                " file has every output."
            )
