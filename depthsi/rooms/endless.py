"""Rooms rendered inside the compiled step: every sample of a training run is another scene."""

import jax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float32, Int, UInt8

from depthsi.rooms.source import room, room_key

GROUP = 32  # scenes an accelerator renders side by side; a CPU keeps one in its cache


def render_rooms(
    numbers: Int[Array, " b"], seed: int, scale_range: tuple[float, float], mesh: Mesh
) -> tuple[UInt8[Array, "b 240 320 3"], Float32[Array, "b 240 320"]]:
    """Scenes of the training split by number, image and metres, divided among the devices.

    These are the scenes of `RoomsSource("train", ..., seed)`, whose numbers go on up to 2^31. To be
    jitted; another compiled program may round some pixels another way.
    """
    group = 1 if jax.default_backend() == "cpu" else GROUP

    def one(number: Array) -> tuple[Array, Array]:
        return room(room_key(seed, "train", number), scale_range=scale_range)

    def local(numbers: Array) -> tuple[Array, Array]:
        if group == 1:
            return jax.lax.map(one, numbers)
        return jax.lax.map(one, numbers, batch_size=group)

    axis = PartitionSpec(mesh.axis_names)
    return jax.shard_map(local, mesh=mesh, in_specs=axis, out_specs=axis)(numbers)
