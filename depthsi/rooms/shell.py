"""The empty room: its size, the camera in it, and doors and windows in its walls.

World axes: x to the right along the far wall, y from the camera towards it, z up; metres. The room
is [0, W] x [0, L] x [0, H]; the camera stands near y = 0 and looks into the room.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

FAR, LEFT, RIGHT = 0, 1, 2  # the walls a camera can see
DOOR, OPENING, WINDOW, ABSENT = 0, 1, 2, 3
SIZE_DRAWS, CAMERA_DRAWS, HOLE_DRAWS = 3, 9, 13


class Camera(NamedTuple):
    """The camera in the room.

    Attributes:
      eye: position, metres.
      axes: rows are its right, down and forward directions (orthonormal).
      yaw: from +y towards +x, radians.
      half_width: tangent of half the horizontal field of view.
    """

    eye: Float[Array, "3"]
    axes: Float[Array, "3 3"]
    yaw: Float[Array, ""]
    half_width: Float[Array, ""]


class Hole(NamedTuple):
    """A passage through a wall and what lies behind it; boxes are low and high corner, metres.

    Attributes:
      passage: a box as thick as the wall, outside the room, touching it; empty = no hole.
      beyond: the closed space behind: the next room, or the view from the window.
      axis: the axis the wall is perpendicular to, 0 or 1.
      window: whether it is a window: framed, and open air behind.
      clear: the floor to keep free inside the room.
    """

    passage: Float[Array, "2 3"]
    beyond: Float[Array, "2 3"]
    axis: Int[Array, ""]
    window: Bool[Array, ""]
    clear: Float[Array, "2 2"]


def between(draws: Float[Array, " n"], *ranges: tuple[float, float]) -> tuple[Array, ...]:
    """Uniform numbers scaled from [0, 1) to each (low, high)."""
    low, high = np.array(ranges, np.float32).T
    return tuple(low + draws * (high - low))


def box(low: tuple, high: tuple) -> Float[Array, "2 d"]:
    """Corners of a box from numbers and arrays mixed."""
    return jnp.stack([jnp.stack([jnp.asarray(x, jnp.float32) for x in c]) for c in (low, high)])


def from_wall(wall: Array, corners: Float[Array, "2 d"], room: Float[Array, "3"]) -> Array:
    """Corners of a box from a wall's own axes (along, outwards, and up if d = 3) to the world's."""
    along, out = corners[:, 0], corners[:, 1]
    x = jnp.stack([along, -out[::-1], room[0] + out])[wall]
    y = jnp.stack([room[1] + out, along, along])[wall]
    return jnp.concatenate([x[:, None], y[:, None], corners[:, 2:]], axis=1)


def room_size(draws: Float[Array, "3"]) -> Float[Array, "3"]:
    """Width, length and height in metres: the sizes of real rooms, small ones more often."""
    logs = ((np.log(2.4), np.log(5.5)), (np.log(3.0), np.log(7.0)))
    width, length, height = between(draws, *logs, (2.3, 2.9))
    return jnp.stack([jnp.exp(width), jnp.exp(length), height])


def camera(draws: Float[Array, "9"], room: Float[Array, "3"]) -> Camera:
    """A camera held at 1 to 1.75 m near the wall y = 0 and aimed at the far half of the room."""
    side, back, height, aim, reach, jitter, pitch, roll, half_width = between(
        draws,
        *((0.2, 0.8), (0.05, 0.2), (1.0, 1.75)),
        *((0.05, 0.95), (0.6, 1.0), (-0.12, 0.12)),
        *((-0.45, 0.02), (-0.05, 0.05), (0.48, 0.64)),
    )
    eye = jnp.stack([side * room[0], back * room[1], height])
    yaw = jnp.arctan2(aim * room[0] - eye[0], reach * room[1] - eye[1]) + jitter
    cos, sin = jnp.cos(pitch), jnp.sin(pitch)
    forward = jnp.stack([jnp.sin(yaw) * cos, jnp.cos(yaw) * cos, sin])
    level = jnp.stack([jnp.cos(yaw), -jnp.sin(yaw), jnp.zeros(())])
    up = jnp.cross(level, forward)
    right = jnp.cos(roll) * level + jnp.sin(roll) * up
    down = jnp.sin(roll) * level - jnp.cos(roll) * up
    return Camera(eye, jnp.stack([right, down, forward]), yaw, half_width)


def hole(
    draws: Float[Array, "13"],
    wall: Int[Array, ""],
    room: Float[Array, "3"],
    start: Float[Array, ""],
    shares: Float[Array, "4"],
) -> Hole:
    """A door, a wide opening, a window or nothing in one wall.

    Args:
      draws: uniform random numbers.
      wall: FAR, LEFT or RIGHT.
      room: its size, metres.
      start: smallest y of a hole in a side wall, metres: what the camera can see.
      shares: probabilities of DOOR, OPENING, WINDOW, ABSENT.
    """
    kind = jnp.sum(draws[12] > jnp.cumsum(shares)[:-1])
    window, absent = kind == WINDOW, kind == ABSENT
    door, opening, pane, sill, lintel, where, thick, left, right, deep, ground, sky = between(
        draws[:12],
        *((0.8, 1.0), (1.2, 2.2), (0.7, 2.0), (0.6, 1.1), (0.75, 0.95), (0.0, 1.0), (0.1, 0.3)),
        *((0.3, 2.5), (0.3, 2.5), (0.0, 1.0), (-3.0, -0.3), (5.0, 8.0)),
    )
    first = jnp.where(wall == FAR, 0.15, start)
    last = jnp.where(wall == FAR, room[0], room[1]) - 0.15
    width = jnp.minimum(jnp.stack([door, opening, pane, 0.0 * door])[kind], last - first)
    begin = first + where * (last - first - width)
    bottom = jnp.where(window, sill, 0.0)
    top = jnp.where(window, lintel, jnp.minimum(0.9, 2.1 / room[2])) * room[2]
    passage = box((begin, 0, bottom), (begin + width, jnp.where(absent, 0.0, thick), top))
    spread = jnp.where(window, 3.0 + 3.0 * deep, 0.0)
    reach = thick + jnp.where(window, 4.0 + 5.0 * deep, 0.8 + 3.0 * deep)
    beyond = box(
        (begin - left - spread, thick, jnp.where(window, ground, 0.0)),
        (begin + width + right + spread, reach, jnp.where(window, sky, room[2])),
    )
    clear = jnp.where(window | absent, -99.0, box((begin, -0.6), (begin + width, 0.0)))
    return Hole(
        from_wall(wall, passage, room),
        from_wall(wall, beyond, room),
        jnp.where(wall == FAR, 1, 0),
        window,
        from_wall(wall, clear, room),
    )
