"""Decodes a whole split into two arrays, on all cores."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from depthsi.data.samples import Sample, size_text
from depthsi.errors import DepthsiError


@runtime_checkable
class _Named(Protocol):
    names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


def decode_all(
    source: _Named,
    size: tuple[int, int] | None,
    where: Callable[[int], str],
    progress: Callable[[int], object] | None,
) -> tuple[UInt8[np.ndarray, "n h w 3"], Float32[np.ndarray, "n h w"]]:
    """All images and all depth maps (metres) of `source`, in order.

    Args:
      source: source to read, from several threads.
      size: (H, W) of every sample; None if all must have the size of the first one.
      where: name of a sample in messages, by its index.
      progress: called with the number of samples finished since its last call.

    Raises:
      DepthsiError: `source` refuses a sample, or sizes differ and no `size` is given.
    """
    size = size or source[0].depth.shape
    images = np.empty((len(source), *size, 3), np.uint8)
    depths = np.empty((len(source), *size), np.float32)

    def fill(index: int) -> None:
        sample = source[index]
        if sample.depth.shape != size:
            here, there = size_text(sample.depth), size_text(depths[0])
            raise DepthsiError(
                f"{where(index)}: {sample.name} has {here} pixels, but {source.names[0]} {there};"
                " give the size to resize them to."
            )
        images[index], depths[index] = sample.image, sample.depth

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(fill, range(len(source))):
            if progress is not None:
                progress(1)
    return images, depths
