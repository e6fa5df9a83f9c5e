"""Training pairs in device memory: placed once, read inside the compiled step.

Images are uint8 and depth is uint16, 5 bytes a pixel, divided equally among the devices. Each
depth map has its own number of counts per metre: the largest multiple of 1000 at which its farthest
depth fits, so that whole millimetres stay whole counts; beyond 65.5 m the largest power of two,
for KITTI's 1/256 m up to 255.9 m. The error of a depth is half a count at most, 0.5 mm or less up
to 65.5 m; of whole counts it is one rounding in float32.
"""

import functools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float32, Int, UInt8, UInt16
from tqdm import tqdm

from depthsi.data.pipeline import InMemory, Samples
from depthsi.data.samples import FARTHEST
from depthsi.errors import DepthsiError
from depthsi.machine import host_bytes
from depthsi.valid import valid_depth

BYTES_PER_PIXEL = 5
LARGEST_COUNT = 2**16 - 1
SHARE = 0.8  # of the free memory of an accelerator; the rest is for training


class Resident(NamedTuple):
    """Samples on the devices, in blocks along the first axis; zeros fill up the last block."""

    images: UInt8[Array, "n H W 3"]
    counts: UInt16[Array, "n H W"]  # depth times `per_metre`, 0 = missing
    per_metre: Float32[Array, " n"]


def to_counts(depth: Float32[np.ndarray, "H W"]) -> tuple[UInt16[np.ndarray, "H W"], float]:
    """A depth map (metres, any form of missing) as counts with their number per metre.

    Valid depth never becomes missing: it has one count at least.

    Raises:
      DepthsiError: a depth over 1000 m, which would make the others too coarse.
    """
    valid = valid_depth(depth)
    farthest = float(depth[valid].max(initial=0.0))
    if farthest > FARTHEST:
        raise DepthsiError(
            f"the depth {farthest:g} m is over {FARTHEST:g} m, which 16 bits cannot represent next"
            " to near depths; mark it as missing, or leave out --data.resident."
        )
    most = (LARGEST_COUNT + 0.5) / (farthest or 1.0)
    per_metre = most // 1000 * 1000 if most >= 1000 else 2.0 ** math.floor(math.log2(most))
    # float64: a product in float32 could round an integer of counts away
    counts = np.rint(np.where(valid, depth, 0).astype(np.float64) * per_metre)
    return np.where(valid, np.clip(counts, 1, LARGEST_COUNT), 0).astype(np.uint16), per_metre


def place(pairs: Samples, size: tuple[int, int], mesh: Mesh) -> Resident:
    """Reads every sample once and leaves it on the devices, with a progress bar.

    Args:
      pairs: the samples.
      size: their size, (H, W).
      mesh: the devices that divide the samples, over all its axes.

    Raises:
      DepthsiError: they do not fit, or a sample cannot be used.
    """
    check_fits(len(pairs), size, mesh)
    devices, rows = mesh.size, _rows(len(pairs), mesh)
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    blocks: list[Resident] = []
    with tqdm(total=len(pairs), desc="to the devices", unit="image", disable=None) as bar:
        for device, part in sharding.addressable_devices_indices_map((rows * devices,)).items():
            start = (part[0].start if part else None) or 0
            block = _block(pairs, start, rows, size, bar.update)
            blocks.append(jax.device_put(block, device))

    def whole(*parts: Array) -> Array:
        shape = (rows * devices, *parts[0].shape[1:])
        return jax.make_array_from_single_device_arrays(shape, sharding, list(parts))

    return jax.tree.map(whole, *blocks)


def _block(
    pairs: Samples, start: int, rows: int, size: tuple[int, int], progress: Callable[[int], object]
) -> Resident:
    """Samples start .. start + rows - 1, as far as there are so many, in host memory."""
    images = np.zeros((rows, *size, 3), np.uint8)
    counts = np.zeros((rows, *size), np.uint16)
    per_metre = np.ones(rows, np.float32)

    def fill(row: int) -> None:
        (image,), (depth,) = pairs.read(slice(start + row, start + row + 1))
        images[row] = image
        try:
            counts[row], per_metre[row] = to_counts(depth)
        except DepthsiError as error:
            raise DepthsiError(f"Training sample {start + row}: {error}") from error

    filled = max(0, min(rows, len(pairs) - start))
    with ThreadPoolExecutor(1 if isinstance(pairs, InMemory) else os.cpu_count()) as pool:
        for _ in pool.map(fill, range(filled)):
            progress(1)
    return Resident(images, counts, per_metre)  # pyright: ignore[reportArgumentType]


def _rows(samples: int, mesh: Mesh) -> int:
    return -(-samples // mesh.size)


def check_fits(samples: int, size: tuple[int, int], mesh: Mesh) -> None:
    """Raises DepthsiError, with both sizes, unless each device can take its part of the samples."""
    needed = _rows(samples, mesh) * size[0] * size[1] * BYTES_PER_PIXEL
    for device in mesh.local_devices:
        free = free_bytes(device)
        if needed > free:
            raise DepthsiError(
                f"data.resident needs {needed / 2**30:.2f} GiB on each of {mesh.size} devices, but"
                f" {device} can spare {free / 2**30:.2f} GiB: use more devices or fewer samples,"
                " or leave out --data.resident."
            )


def free_bytes(device: Any) -> int:
    """What samples may take of a device's memory; devices without their own share the host's."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(SHARE * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))
    return host_bytes() // jax.local_device_count()


def read_resident(
    data: Resident, numbers: Int[Array, " b"], mesh: Mesh
) -> tuple[UInt8[Array, "b H W 3"], Float32[Array, "b H W"]]:
    """The samples of these numbers, image and metres, divided among the devices; to be jitted.

    Every device looks up which of them it holds, and each sample travels to the device that
    trains on it: a batch does not depend on where its samples lie.
    """

    def local(data: Resident, numbers: Array) -> tuple[Array, Array]:
        rows = len(data.images)
        row = numbers - jax.lax.axis_index(mesh.axis_names) * rows
        here = (row >= 0) & (row < rows)
        row = jnp.where(here, row, 0)
        image, metres = data.images[row], data.counts[row] / data.per_metre[row][:, None, None]
        if mesh.size == 1:
            return image, metres
        send = functools.partial(jax.lax.psum_scatter, axis_name=mesh.axis_names, tiled=True)
        # one term of each sum is not zero, so the sums are exact in any type
        here = here[:, None, None]
        return send(jnp.where(here[..., None], image, 0)), send(jnp.where(here, metres, 0.0))

    axis = PartitionSpec(mesh.axis_names)
    read = jax.shard_map(
        local, mesh=mesh, in_specs=(axis, PartitionSpec()), out_specs=axis, check_vma=False
    )
    return read(data, numbers)
