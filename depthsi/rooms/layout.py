"""Where the furniture stands: against the walls or free, never two pieces in one place."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from depthsi.rooms import furniture as room_furniture
from depthsi.rooms import shell as room_shell
from depthsi.rooms.furniture import BIG, LOW, SMALL

_FREE = 3  # not at a wall
_SLOTS = (
    *((room_shell.FAR, BIG), (room_shell.LEFT, BIG), (room_shell.RIGHT, BIG), (_FREE, LOW)),
    *((room_shell.FAR, BIG), (_FREE, SMALL), (_FREE, SMALL)),
)
_TRIES = 8  # proposals for each slot; the first that is not in the way is taken
_CHOICES = 8  # random numbers of a proposal
_NOWHERE = -9.0
PIECES = len(_SLOTS)
DRAWS = PIECES * _TRIES * _CHOICES


class Pieces(NamedTuple):
    """Furniture standing on the floor; a piece that found no room has empty boxes.

    Attributes:
      pose: centre x, y, and cosine and sine of the turn about the vertical axis.
      boxes: low and high corner of each box in the piece's own axes.
      roles: which of `room_furniture.ROLES` each box is made of.
      size: width, depth and height, 0 where the piece was left out.
      top: height of a free top, 0 = none.
    """

    pose: Float[Array, "pieces 4"]
    boxes: Float[Array, "pieces boxes 2 3"]
    roles: Int[Array, "pieces boxes"]
    size: Float[Array, "pieces 3"]
    top: Float[Array, " pieces"]


class _Proposal(NamedTuple):
    kind: Int[Array, ""]
    pose: Float[Array, "4"]
    size: Float[Array, "3"]
    footprint: Float[Array, "2 2"]  # low and high corner of the rectangle around it


def _propose(
    draws: Float[Array, " choices"],
    wall: Int[Array, ""],
    shares: Float[Array, " ends"],
    camera: room_shell.Camera,
    room: Float[Array, "3"],
) -> _Proposal:
    """One piece of furniture for a slot, wherever it falls."""
    which, width, depth, height, turn, off, along, aside = draws
    kind = jnp.sum(which > shares)
    low, high = jnp.asarray(room_furniture.sizes())[:, kind]
    size = low + jnp.stack([width, depth, height]) * (high - low)
    free = jnp.floor(turn * 4) * (np.pi / 2) + 0.9 * (off - 0.5)
    angle = jnp.stack([0 * free, 0 * free + np.pi / 2, 0 * free - np.pi / 2, free])[wall]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    w, d = size[0], size[1]
    half = 0.5 * jnp.stack(
        [jnp.abs(cos) * w + jnp.abs(sin) * d, jnp.abs(sin) * w + jnp.abs(cos) * d]
    )
    gap = half + 0.01 + 0.04 * off
    start = camera.eye[1] + 0.3 + half[1]  # along a side wall: in front of the camera
    x = half[0] + along * (room[0] - 2 * half[0])
    y = start + along * (room[1] - half[1] - start)
    ahead, aside = 1.2 + 2.2 * along, aside - 0.5
    sin_yaw, cos_yaw = jnp.sin(camera.yaw), jnp.cos(camera.yaw)
    free_x = camera.eye[0] + ahead * (sin_yaw + aside * cos_yaw)
    free_y = camera.eye[1] + ahead * (cos_yaw - aside * sin_yaw)
    centre = jnp.stack(
        [
            jnp.stack([x, gap[0], room[0] - gap[0], free_x])[wall],
            jnp.stack([room[1] - gap[1], y, y, free_y])[wall],
        ]
    )
    pose = jnp.concatenate([centre, jnp.stack([cos, sin])])
    return _Proposal(kind, pose, size, jnp.stack([centre - half, centre + half]))


def _clear(
    footprint: Float[Array, "tries 2 2"], taken: Float[Array, "n 2 2"], room: Float[Array, "3"]
) -> Bool[Array, " tries"]:
    """Which rectangles lie in the room and meet none that is taken."""
    low, high = footprint[:, None, 0], footprint[:, None, 1]
    meets = jnp.all((low < taken[None, :, 1]) & (taken[None, :, 0] < high), axis=-1)
    inside = jnp.all((footprint[:, 0] >= 0) & (footprint[:, 1] <= room[None, :2]), axis=-1)
    return inside & ~jnp.any(meets, axis=1)


def place(
    draws: Float[Array, " draws"],
    camera: room_shell.Camera,
    room: Float[Array, "3"],
    reserved: Float[Array, "n 2 2"],
) -> Pieces:
    """Puts furniture in a room so that nothing stands in anything else.

    Args:
      draws: uniform random numbers, `DRAWS` of them.
      camera: the camera, in front of which the free pieces stand.
      room: its size, metres.
      reserved: rectangles to keep free (around the camera, in front of doors), low and high
        corner, metres.
    """

    def fill(taken: Array, slot: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        index, wall, shares, draws = slot
        tries = jax.vmap(lambda u: _propose(u, wall, shares, camera, room))(draws)
        good = _clear(tries.footprint, taken, room)
        pick = jnp.argmax(good)
        kind, pose, size, footprint = jax.tree.map(lambda x: x[pick], tries)
        taken = taken.at[index].set(jnp.where(good[pick], footprint, _NOWHERE))
        return taken, (kind, pose, jnp.where(good[pick], size, 0.0))

    slots = (
        jnp.arange(PIECES),
        jnp.array([wall for wall, _ in _SLOTS]),
        jnp.array([room_furniture.shares(weights) for _, weights in _SLOTS]),
        draws.reshape(PIECES, _TRIES, _CHOICES),
    )
    taken = jnp.concatenate([jnp.full((PIECES, 2, 2), _NOWHERE), reserved])
    _, (kind, pose, size) = jax.lax.scan(fill, taken, slots)
    corners, roles = (jnp.asarray(table)[kind] for table in room_furniture.boxes())
    top = jnp.asarray(room_furniture.tops())[kind] * size[:, 2]
    return Pieces(pose, corners * size[:, None, None], roles, size, top)
