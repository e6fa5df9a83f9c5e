"""What `depthsi export` is asked to do; imports nothing slow, since the command line shows it."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from depthsi.errors import DepthsiError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """Write a network as one file; the comments are the help of the command line."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A run or a file of weights."""
    out: Annotated[str, tyro.conf.arg(metavar="FILE")]
    """The file to write, which ends in .stablehlo, .safetensors or .onnx."""
    format: Literal["stablehlo", "safetensors", "onnx"] | None = None
    """stablehlo: a program from images to metres for CPUs, GPUs and TPUs. safetensors: the
    parameters by name. onnx: the same program for other runtimes (needs jax2onnx). Default: the
    format that the ending of FILE names."""
    checkpoint: str = "newest"
    """Which checkpoint of a run: newest, best, or a step."""
    output: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Map that the program gives, such as coarse. Default: the best trained one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number type in a .safetensors file; bfloat16 halves its size."""

    def check(self) -> None:
        """Whether the options go together.

        Raises:
          DepthsiError: they do not.
        """
        ending = Path(self.out).suffix
        kind = self.format or ending.removeprefix(".")
        if kind not in ("stablehlo", "safetensors", "onnx"):
            raise DepthsiError(f"--out {self.out} must end in .stablehlo, .safetensors or .onnx.")
        if ending != f".{kind}":
            raise DepthsiError(f"--out {self.out} must end in .{kind}, as --format {kind} says.")
        if kind != "safetensors" and self.dtype != "float32":
            raise DepthsiError(f"--dtype {self.dtype} is for --format safetensors only.")
        if kind == "safetensors" and self.output is not None:
            raise DepthsiError(
                f"--output {self.output} is for --format stablehlo or onnx: safetensors has every"
                " output."
            )
