"""Where things live: a mesh over all devices, batches split over it, states on every device."""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from depthsi.errors import DepthsiError


def data_mesh(batch_size: int) -> Mesh:
    """All devices along one axis, "data".

    Raises:
      DepthsiError: the batch cannot be divided among them.
    """
    devices = np.array(jax.devices())
    if batch_size % len(devices):
        raise DepthsiError(
            f"schedule.batch_size is {batch_size}, which {len(devices)} devices cannot share"
            f" equally: use a multiple of {len(devices)}."
        )
    return Mesh(devices, ("data",))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis divided among the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))
