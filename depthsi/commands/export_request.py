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
    """stablehlo: a program of images to metres for CPUs, GPUs and TPUs. safetensors: the parameters
    by name. onnx: the program for other runtimes, needs jax2onnx. Default: what FILE ends in."""
    checkpoint: str = "newest"
    """Which checkpoint of a run: newest, best, or a step."""
    output: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Which map a program is to give, such as coarse. Default: the best trained one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the numbers in safetensors; bfloat16 halves the file."""

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
