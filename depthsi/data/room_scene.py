"""A random room: where the walls, holes, furniture, lamps and camera are.

World axes: x to the right along the far wall, y from the camera towards it, z up; metres. The room
is [0, W] x [0, L] x [0, H]; the camera stands near y = 0 and looks into the room.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from depthsi.data import room_furniture, room_materials

# Rows of the table of surfaces: the shell, then per hole what lies beyond, then the primitives.
FLOOR, CEILING, WALL_X, WALL_Y, TRIM, BEYOND = 0, 1, 2, 3, 4, 5
HOLES = 2
PIECE = BEYOND + 3 * HOLES
DECOR = ("rug", "picture", "picture", "wood shelf", "picture", "wall")
SPHERES = ("lamp", "plant", "thing")
CYLINDERS = ("thing", "thing", "accent", "thing")
DOOR, OPENING, WINDOW, ABSENT = 0, 1, 2, 3


class Scene(NamedTuple):
    """Everything the renderer needs; lengths in metres.

    Attributes:
      eye: camera position.
      axes: rows are the camera's right, down and forward directions (orthonormal).
      half_width: tangent of half the horizontal field of view.
      room: size along x, y and z.
      hole: low and high corner of the passages through walls, each a box outside the room that
        touches its wall; an absent hole has no volume.
      hole_axis: the axis its wall is perpendicular to, 0 or 1.
      window: whether the passage has a window frame at its outer end.
      beyond: low and high corner of the closed space behind each hole.
      pose, boxes: groups of boxes turned about the vertical: x, y, cos, sin and low, high corner.
      sphere: centre and radius.
      cylinder: x, y, low z, high z, radius of upright cylinders.
      surface: one row per surface: `room_materials.materials`, then emitted light.
      lamp: position of the point light.
      lamp_colour, window_colour, ambient: strength of the lights, RGB.
      look: exposure, vignette, noise (grey levels), white balance R, G, B.
      seed: of the textures and the noise.
    """

    eye: Float[Array, "3"]
    axes: Float[Array, "3 3"]
    half_width: Float[Array, ""]
    room: Float[Array, "3"]
    hole: Float[Array, "holes 2 3"]
    hole_axis: Int[Array, " holes"]
    window: Bool[Array, " holes"]
    beyond: Float[Array, "holes 2 3"]
    pose: Float[Array, "groups 4"]
    boxes: Float[Array, "groups boxes 2 3"]
    sphere: Float[Array, "spheres 4"]
    cylinder: Float[Array, "cylinders 5"]
    surface: Float[Array, "surfaces features"]
    lamp: Float[Array, "3"]
    lamp_colour: Float[Array, "3"]
    window_colour: Float[Array, "3"]
    ambient: Float[Array, "3"]
    look: Float[Array, "6"]
    seed: UInt32[Array, ""]


def _uniform(key: PRNGKeyArray, *ranges: tuple[float, float]) -> tuple[Array, ...]:
    """Independent uniform numbers, one per (low, high)."""
    low, high = np.array(ranges, np.float32).T
    return tuple(low + jax.random.uniform(key, (len(ranges),)) * (high - low))


def _log_uniform(key: PRNGKeyArray, *ranges: tuple[float, float]) -> tuple[Array, ...]:
    return tuple(jnp.exp(x) for x in _uniform(key, *(tuple(np.log(r)) for r in ranges)))


def _camera(key: PRNGKeyArray, room: Array) -> tuple[Array, Array, Array, Array]:
    """Eye, axes, yaw and half width of a camera that looks into the room."""
    keys = jax.random.split(key)
    side, back, height, aim, reach = _uniform(
        keys[0], (0.2, 0.8), (0.06, 0.22), (1.0, 1.75), (0.1, 0.9), (0.6, 1.0)
    )
    pitch, roll, width, jitter = _uniform(
        keys[1], (-0.4, 0.04), (-0.05, 0.05), (0.48, 0.64), (-0.12, 0.12)
    )
    eye = jnp.stack([side * room[0], back * room[1], height])
    yaw = jnp.arctan2(aim * room[0] - eye[0], reach * room[1] - eye[1]) + jitter
    zero = jnp.zeros(())
    forward = jnp.stack(
        [jnp.sin(yaw) * jnp.cos(pitch), jnp.cos(yaw) * jnp.cos(pitch), jnp.sin(pitch)]
    )
    level = jnp.stack([jnp.cos(yaw), -jnp.sin(yaw), zero])
    up = jnp.cross(level, forward)
    right = jnp.cos(roll) * level + jnp.sin(roll) * up
    down = jnp.sin(roll) * level - jnp.cos(roll) * up
    return eye, jnp.stack([right, down, forward]), yaw, width


def _hole(key: PRNGKeyArray, wall: Array, room: Array, start: Array, shares: tuple[float, ...]):
    """One passage through a wall (0 far, 1 left, 2 right) and the space behind it.

    Side walls are pierced at y >= start, where the camera can see them. Returns the passage and the
    space beyond as corners (2, 3), the axis, the kind and the floor to keep clear (2, 2).
    """
    keys = jax.random.split(key, 3)
    kind = jnp.sum(jax.random.uniform(keys[0]) > np.cumsum(shares)[:-1].astype(np.float32))
    narrow, wide, glass, sill, lintel, where, thick = _uniform(
        keys[1], (0.8, 1.0), (1.2, 2.2), (0.7, 2.0), (0.6, 1.1), (0.75, 0.95), (0, 1), (0.1, 0.3)
    )
    far, left, right, deep, low, high = _uniform(
        keys[2], (0.8, 3.5), (0.3, 2.5), (0.3, 2.5), (0, 1), (-3.0, -0.3), (5.0, 9.0)
    )
    is_window = kind == WINDOW
    first = jnp.where(wall == 0, 0.15, start)
    last = jnp.where(wall == 0, room[0], room[1]) - 0.15
    width = jnp.minimum(jnp.stack([narrow, wide, glass, glass])[kind], last - first)
    begin = first + where * (last - first - width)
    bottom = jnp.where(is_window, sill, 0.0)
    top = jnp.where(is_window, lintel * room[2], jnp.minimum(1.9 + 0.2 * deep, 0.95 * room[2]))
    size = jnp.where(kind == ABSENT, 0.0, 1.0)
    # In the wall's own frame: along the wall, outwards, up.
    own = jnp.stack(
        [
            jnp.stack([begin, jnp.zeros(()), bottom]),
            jnp.stack([begin + size * width, size * thick, top]),
        ]
    )
    side = jnp.where(is_window, 3.0 + 3 * deep, 0.0)
    reach = jnp.where(is_window, 4.0 + 9 * deep, 0.5 + far)
    behind = jnp.stack(
        [
            jnp.stack([begin - left - side, thick, jnp.where(is_window, low, 0.0)]),
            jnp.stack(
                [
                    begin + width + right + side,
                    thick + reach,
                    jnp.where(is_window, high, room[2]),
                ]
            ),
        ]
    )
    clear = jnp.stack([own[0, :2] - jnp.array([0.0, 0.6]), own[1, :2]])
    clear = jnp.where((kind == DOOR) | (kind == OPENING), clear, -99.0)
    turn = lambda corners: _from_wall(wall, corners, room)  # noqa: E731
    return turn(own), turn(behind), jnp.where(wall == 0, 1, 0), kind, turn(clear)


def _from_wall(wall: Array, corners: Array, room: Array) -> Array:
    """Corners (2, 2 or 3) from (along, outwards, up) of a wall to world axes, sorted again."""
    along, out, rest = corners[:, 0], corners[:, 1], corners[:, 2:]
    x = jnp.stack([along, -out[::-1], room[0] + out])[wall]
    y = jnp.stack([room[1] + out, along, along])[wall]
    return jnp.concatenate([x[:, None], y[:, None], rest], axis=1)


def _decor(key: PRNGKeyArray, room: Array, holes: Array) -> Float[Array, "6 2 3"]:
    """A rug, pictures and a shelf on the walls, a pillar: boxes in world axes."""
    place, size = jax.random.uniform(key, (2, 6, 3))
    width = jnp.array([1.2, 0.3, 0.25, 0.5, 0.3, 0.25]) + size[:, 0] * jnp.array(
        [1.2, 0.7, 0.5, 0.8, 0.7, 0.3]
    )
    height = jnp.array([0.01, 0.3, 0.3, 0.03, 0.3, 3.0]) + size[:, 1] * jnp.array(
        [0.01, 0.5, 0.4, 0.02, 0.5, 0.0]
    )
    depth = jnp.array([1.0, 0.02, 0.02, 0.18, 0.02, 0.2]) + size[:, 2] * jnp.array(
        [0.8, 0.02, 0.02, 0.12, 0.02, 0.3]
    )
    depth = depth.at[0].min(0.4 * room[1])
    width = width.at[0].min(0.7 * room[0])
    wall = np.array([0, 0, 0, 1, 2, 0])
    length = jnp.where(wall == 0, room[0], room[1])
    begin = place[:, 0] * (length - width)
    begin = begin.at[5].set(jnp.where(place[5, 0] < 0.5, 0.0, room[0] - width[5]))
    low = jnp.array([0.0, 1.25, 1.3, 1.3, 1.25, 0.0]) + place[:, 1] * jnp.array(
        [0.0, 0.4, 0.4, 0.4, 0.4, 0.0]
    )
    out = jnp.zeros(6).at[0].set(0.1 * room[1] + 0.3 * place[0, 2] * room[1])
    own = jnp.stack(
        [
            jnp.stack([begin, -out - depth, low], axis=1),
            jnp.stack([begin + width, -out, low + height], axis=1),
        ],
        axis=1,
    )
    boxes = jnp.stack([_from_wall(wall[i], own[i], room) for i in range(6)])
    room_for_it = place[:, 2] < np.array([0.6, 0.8, 0.6, 0.6, 0.8, 0.3])
    grown = boxes + np.array([[-0.1] * 3, [0.1] * 3], np.float32)[None]
    clash = jnp.all((grown[:, None, 0] < holes[None, :, 1]) & (holes[None, :, 0] < grown[:, None, 1]), axis=-1)
    keep = room_for_it & ~jnp.any(clash, axis=1)
    return jnp.where(keep[:, None, None], boxes, 0.0)


def _round_things(key, room, pieces):
    """Lamp, plant and things on a table: spheres (3, 4), cylinders (4, 5), floor they take."""
    keys = jax.random.split(key, 3)
    lamp_x, lamp_y, hang, radius, corner, offset = _uniform(
        keys[0], (0.25, 0.75), (0.35, 0.75), (0.25, 0.55), (0.08, 0.2), (0, 1), (0.28, 0.4)
    )
    raise NotImplementedError
