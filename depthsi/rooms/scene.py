"""A complete random room: shell, furniture, things, materials and lights, as plain arrays."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from depthsi.rooms import furniture as room_furniture
from depthsi.rooms import layout as room_layout
from depthsi.rooms import materials as room_materials
from depthsi.rooms import shell as room_shell
from depthsi.rooms import things as room_things
from depthsi.rooms.shell import between

# Rows of `Scene.surface`: the shell, three for what lies behind each hole (floor, wall, ceiling),
# then every box of every group, the spheres and the cylinders.
FLOOR, CEILING, WALL_X, WALL_Y, TRIM, BEYOND = 0, 1, 2, 3, 4, 5
HOLES = 2
BOX = BEYOND + 3 * HOLES

_SHELL = ("floor", "ceiling", "wall", "wall", "trim")
_BEHIND = ("floor", "wall", "ceiling", "ground", "view", "sky")  # of a door, of a window
_REST = (*room_things.DECOR, *room_things.SPHERES, *room_things.CYLINDERS)
_USES = (*_SHELL, *_BEHIND * HOLES, *room_furniture.ROLES * room_layout.PIECES, *_REST)
_HOLE_SHARES = ((0.3, 0.2, 0.35, 0.15), (0.25, 0.15, 0.45, 0.15))  # door, opening, window, none

# How many random numbers each part takes.
_DRAWS = {
    "size": room_shell.SIZE_DRAWS,
    "camera": room_shell.CAMERA_DRAWS,
    "walls": HOLES,
    "holes": HOLES * room_shell.HOLE_DRAWS,
    "stands": room_things.STANDS_DRAWS,
    "pieces": room_layout.DRAWS,
    "round": room_things.ROUND_DRAWS,
    "panels": room_things.PANEL_DRAWS,
    "rug": room_things.RUG_DRAWS,
    "materials": len(_USES) * room_materials.DRAWS,
    "glow": HOLES + 2,
    "light": 5,
    "response": 8,
}


class Scene(NamedTuple):
    """Everything the renderer needs; world axes of `room_shell`, lengths in metres.

    Attributes:
      eye: camera position.
      axes: rows are the camera's right, down and forward directions (orthonormal).
      half_width: tangent of half the horizontal field of view.
      room: size along x, y and z.
      passage, beyond, hole_axis, window: the holes, see `room_shell.Hole`.
      pose: of groups of boxes that turn together about the vertical: x, y, cosine, sine.
      boxes: low and high corner of each box in its group's own axes; empty = not there.
      sphere: centre and radius.
      cylinder: x, y, low z, high z and radius of upright cylinders.
      surface: per surface a row of `room_materials.materials`, then the light it emits.
      lamp: position of the point light, the centre of the first sphere.
      lamp_colour, window_colour, ambient: strengths of the lights, RGB.
      response: response of the camera.
    """

    eye: Float[Array, "3"]
    axes: Float[Array, "3 3"]
    half_width: Float[Array, ""]
    room: Float[Array, "3"]
    passage: Float[Array, "holes 2 3"]
    beyond: Float[Array, "holes 2 3"]
    hole_axis: Int[Array, " holes"]
    window: Bool[Array, " holes"]
    pose: Float[Array, "groups 4"]
    boxes: Float[Array, "groups boxes 2 3"]
    sphere: Float[Array, "spheres 4"]
    cylinder: Float[Array, "cylinders 5"]
    surface: Float[Array, "surfaces features"]
    lamp: Float[Array, "3"]
    lamp_colour: Float[Array, "3"]
    window_colour: Float[Array, "3"]
    ambient: Float[Array, "3"]
    response: "CameraResponse"


class CameraResponse(NamedTuple):
    """The response of the camera to light.

    Attributes:
      exposure: target of the mean of the square root of the light.
      contrast: strength of the S-shaped tone curve, 0..1.
      balance: white balance, RGB.
      vignette: darkening of the corners, a share.
      noise: standard deviation of the sensor noise, grey levels.
      seed: of textures and noise.
    """

    exposure: Float[Array, ""]
    contrast: Float[Array, ""]
    balance: Float[Array, "3"]
    vignette: Float[Array, ""]
    noise: Float[Array, ""]
    seed: UInt32[Array, ""]


def _holes(draws: Array, coins: Array, room: Array, eye: Array) -> room_shell.Hole:
    """Two holes (stacked) in two different walls, the first most often in the far one."""
    sides = jnp.where(
        coins[0] < 0.5,
        jnp.array([room_shell.LEFT, room_shell.RIGHT]),
        jnp.array([room_shell.RIGHT, room_shell.LEFT]),
    )
    walls = jnp.stack([jnp.where(coins[1] < 0.75, room_shell.FAR, sides[1]), sides[0]])
    start = eye[1] + 0.6
    return jax.vmap(lambda u, wall, shares: room_shell.hole(u, wall, room, start, shares))(
        draws.reshape(HOLES, -1), walls, jnp.array(_HOLE_SHARES)
    )


def _surfaces(
    draws: Array, glow: Array, roles: Array, window: Array
) -> Float[Array, "surfaces features"]:
    """A material and its own light for every surface."""
    rows = room_materials.materials(draws.reshape(len(_USES), -1), _USES)
    counts = (len(_SHELL), len(_BEHIND) * HOLES, len(room_furniture.ROLES) * room_layout.PIECES)
    shell, behind, pieces, rest = jnp.split(rows, np.cumsum(counts))
    shell = shell.at[WALL_Y].set(jnp.where(glow[-1] < 0.75, shell[WALL_X], shell[WALL_Y]))
    behind = behind.reshape(HOLES, 2, 3, -1)
    behind = jnp.where(window[:, None, None], behind[:, 1], behind[:, 0]).reshape(3 * HOLES, -1)
    own = len(room_furniture.ROLES) * jnp.arange(room_layout.PIECES)[:, None] + roles
    table = jnp.concatenate([shell, behind, pieces[own.reshape(-1)], rest])
    outside = jnp.where(window, 4.0 + 6.0 * glow[:HOLES], 0.2 + 0.8 * glow[:HOLES])
    outside = jnp.broadcast_to(outside[:, None], (HOLES, 3)).reshape(-1)
    first_lamp = -len(room_things.SPHERES) - len(room_things.CYLINDERS)
    light = jnp.zeros(table.shape[0]).at[BEYOND:BOX].set(outside)
    light = light.at[first_lamp].set(8.0).at[-1].set(2.0 + 2.0 * glow[-2])
    return jnp.concatenate([table, light[:, None]], axis=1)


def _lights(draws: Array) -> tuple[Array, Array, Array]:
    """Colours of the lamp, the daylight and the ambient light."""
    lamp, warm, day, ambient, cast = between(
        draws, (1.5, 6.0), (0.0, 1.0), (0.0, 8.0), (0.1, 0.4), (-1.0, 1.0)
    )
    return (
        lamp * (1.0 + warm * jnp.array([0.1, 0.0, -0.3])),
        day * jnp.array([0.9, 0.97, 1.05]),
        ambient * (1.0 + cast * jnp.array([0.06, 0.0, -0.06])),
    )


def _response(draws: Array) -> CameraResponse:
    exposure, contrast, vignette, noise = between(
        draws[:4], (0.35, 0.62), (0.2, 0.9), (0.0, 0.3), (0.0, 3.0)
    )
    seed = (draws[4] * 2.0**24).astype(jnp.uint32) * np.uint32(0x9E3779B1)
    return CameraResponse(exposure, contrast, 0.92 + 0.16 * draws[5:], vignette, noise, seed)


def scene(key: PRNGKeyArray) -> Scene:
    """Draws a room of real size."""
    # All random numbers at once: every call of the generator costs compile time.
    draws = jax.random.uniform(key, (sum(_DRAWS.values()),))
    parts = jnp.split(draws, np.cumsum(list(_DRAWS.values()))[:-1])
    part = dict(zip(_DRAWS, parts, strict=True))
    room = room_shell.room_size(part["size"])
    camera = room_shell.camera(part["camera"], room)
    hole = _holes(part["holes"], part["walls"], room, camera.eye)
    stands = room_things.stands(part["stands"], room)
    near = camera.eye[None, :2] + np.array([[-0.65, -0.65], [0.65, 0.65]], np.float32)
    reserved = jnp.concatenate([near[None], stands.rectangles(), hole.clear])
    pieces = room_layout.place(part["pieces"], camera, room, reserved)
    spheres, cylinders = room_things.round_things(part["round"], room, stands, pieces)
    panels = room_things.panels(part["panels"], room, hole.passage)
    decor = jnp.concatenate([panels, room_things.rug(part["rug"], room)[None]])
    return Scene(
        *(camera.eye, camera.axes, camera.half_width, room),
        *(hole.passage, hole.beyond, hole.axis, hole.window),
        jnp.concatenate([pieces.pose, jnp.array([[0.0, 0.0, 1.0, 0.0]])]),
        jnp.concatenate([pieces.boxes, decor[None]]),
        *(spheres, cylinders),
        _surfaces(part["materials"], part["glow"], pieces.roles, hole.window),
        *(spheres[0, :3], *_lights(part["light"]), _response(part["response"])),
    )
