"""A random room, complete: shell, furniture, things, materials and lights, as plain arrays."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from depthsi.data import room_furniture, room_materials, room_shell
from depthsi.data.room_shell import between

# Rows of `Scene.surface`: the shell, three for what lies behind each hole (floor, wall, ceiling),
# then every box of every group, the spheres and the cylinders.
FLOOR, CEILING, WALL_X, WALL_Y, TRIM, BEYOND = 0, 1, 2, 3, 4, 5
HOLES = 2
BOX = BEYOND + 3 * HOLES


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
      lamp: position of the point light.
      lamp_colour, window_colour, ambient: strengths of the lights, RGB.
      exposure: what the mean of the square root of the light is brought to.
      balance: white balance, RGB.
      vignette, noise: darkening of the corners; sensor noise, grey levels.
      seed: of textures and noise.
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
    exposure: Float[Array, ""]
    balance: Float[Array, "3"]
    vignette: Float[Array, ""]
    noise: Float[Array, ""]
    seed: UInt32[Array, ""]


class _Panel(NamedTuple):
    """A box fixed to a wall: sizes and height above the floor as (low, high), metres."""

    wall: int
    use: str
    chance: float
    width: tuple[float, float]
    height: tuple[float, float]
    depth: tuple[float, float]
    above: tuple[float, float]


_PANELS = (
    _Panel(room_shell.FAR, "picture", 0.8, (0.3, 1.0), (0.3, 0.8), (0.02, 0.04), (1.2, 1.5)),
    _Panel(room_shell.FAR, "picture", 0.6, (0.25, 0.7), (0.3, 0.6), (0.02, 0.04), (1.2, 1.6)),
    _Panel(room_shell.LEFT, "body", 0.6, (0.5, 1.3), (0.03, 0.05), (0.18, 0.3), (1.2, 1.7)),
    _Panel(room_shell.RIGHT, "picture", 0.8, (0.3, 1.0), (0.3, 0.8), (0.02, 0.04), (1.2, 1.5)),
    _Panel(room_shell.FAR, "wall", 0.25, (0.25, 0.6), (3.0, 3.0), (0.2, 0.5), (0.0, 0.0)),
)
_SPHERES = ("lamp", "plant", "thing")
_CYLINDERS = ("thing", "thing", "accent", "lamp")


def _decor(draws: Float[Array, " n"], room: Array, passage: Array) -> Float[Array, "boxes 2 3"]:
    """Panels on the walls clear of the holes, and a rug."""
    ranges = np.array([panel[3:] for panel in _PANELS], np.float32)
    draw = draws[5:].reshape(len(_PANELS), 6)
    size = ranges[..., 0] + draw[:, :4] * (ranges[..., 1] - ranges[..., 0])

    def panel(wall, size, where):
        length = jnp.where(wall == room_shell.FAR, room[0], room[1])
        begin = where * (length - size[0])
        zero = jnp.zeros(())
        low = jnp.stack([begin, -size[2], size[3]])
        return room_shell.from_wall(
            wall, jnp.stack([low, jnp.stack([begin + size[0], zero, size[3] + size[1]])]), room
        )

    walls = np.array([panel.wall for panel in _PANELS])
    boxes = jax.vmap(panel)(walls, size, draw[:, 4])
    grown = boxes + np.array([[-0.1] * 3, [0.1] * 3], np.float32)[None]
    meets = (grown[:, None, 0] < passage[None, :, 1]) & (passage[None, :, 0] < grown[:, None, 1])
    chance = np.array([panel.chance for panel in _PANELS], np.float32)
    keep = (draw[:, 5] < chance) & ~jnp.any(jnp.all(meets, axis=-1), axis=1)
    x, y, width, depth, there = between(draws[:5], (0, 1), (0.2, 1), (1.2, 2.4), (1.0, 1.8), (0, 1))
    width, depth = jnp.minimum(width, 0.8 * room[0]), jnp.minimum(depth, 0.5 * room[1])
    low = jnp.stack([x * (room[0] - width), y * (room[1] - depth), jnp.zeros(())])
    rug = jnp.stack([low, low + jnp.stack([width, depth, jnp.full((), 0.012)])])
    keep = jnp.concatenate([keep, (there < 0.6)[None]])
    return jnp.where(keep[:, None, None], jnp.concatenate([boxes, rug[None]]), 0.0)


class _Stands(NamedTuple):
    """A plant in a pot and a standing lamp in the far corners; radius 0 = not there."""

    plant: Array  # x, y
    lamp: Array
    has_plant: Array
    has_lamp: Array


def _stands(draws: Float[Array, "7"], room: Array) -> _Stands:
    side, a, b, c, d, has_plant, has_lamp = between(
        draws, (0, 1), (0.3, 0.5), (0.3, 0.5), (0.3, 0.5), (0.3, 1.2), (0, 1), (0, 1)
    )
    left = jnp.stack([a, room[1] - b])
    right = jnp.stack([room[0] - c, room[1] - d])
    swap = side < 0.5
    return _Stands(
        jnp.where(swap, right, left), jnp.where(swap, left, right), has_plant < 0.45, has_lamp < 0.35
    )


def _round_things(draws: Float[Array, "15"], room: Array, stands: _Stands, pieces: room_furniture.Pieces):
    """Spheres (hanging lamp, plant, ball) and cylinders (pot, vase, pole, shade)."""
    lamp_x, lamp_y, hang, bulb, crown, pot, pot_h, vase, vase_h, ball, pole_h = between(
        draws[:11], (0.25, 0.75), (0.35, 0.75), (0.25, 0.5), (0.08, 0.18), (0.2, 0.38), (0.1, 0.18),
        (0.2, 0.45), (0.035, 0.09), (0.12, 0.35), (0.05, 0.11), (1.3, 1.6),
    )
    at = 0.7 * draws[11:].reshape(2, 2) - 0.35
    stand = jnp.argmax(pieces.top)  # the highest free top
    top = pieces.top[stand]
    x, y, cos, sin = pieces.pose[stand]
    own = at * pieces.size[stand, :2][None]
    spot = jnp.stack([x + cos * own[:, 0] - sin * own[:, 1], y + sin * own[:, 0] + cos * own[:, 1]])
    on_top = top > 0.0
    plant, pole = stands.has_plant, stands.has_lamp
    zero = jnp.zeros(())
    spheres = [
        [lamp_x * room[0], lamp_y * room[1], room[2] - hang, bulb],
        [*stands.plant, pot_h + 0.8 * crown, plant * crown],
        [spot[0, 0], spot[1, 0], top + ball, on_top * ball],
    ]
    cylinders = [
        [*stands.plant, zero, pot_h, plant * pot],
        [spot[0, 1], spot[1, 1], top, top + vase_h, on_top * vase],
        [*stands.lamp, zero, pole_h, pole * 0.02],
        [*stands.lamp, pole_h - 0.02, pole_h + 0.22, pole * 0.17],
    ]
    return jnp.stack([jnp.stack(s) for s in spheres]), jnp.stack([jnp.stack(c) for c in cylinders])


def _surfaces(draws: Float[Array, " n"], roles: Array, window: Array) -> Float[Array, "surfaces features"]:
    """A material for every surface."""
    groups = roles.shape[0]
    inside, outside = ("floor", "wall", "ceiling"), ("ground", "view", "sky")
    shell = ("floor", "ceiling", "wall", "wall", "trim")
    decor = (*(panel.use for panel in _PANELS), "rug")
    uses = (*shell, *(inside + outside) * HOLES, *("body", "accent", "soft") * groups)
    uses += (*decor, *_SPHERES, *_CYLINDERS)
    level = draws[: 3 + HOLES]
    rows = room_materials.materials(draws[3 + HOLES :].reshape(len(uses), -1), uses)
    walls = rows[jnp.where(level[0] < 0.75, np.array([2, 2]), np.array([2, 3]))]
    first = len(shell)
    behind = rows[first : first + 6 * HOLES].reshape(HOLES, 2, 3, -1)
    behind = jnp.where(window[:, None, None], behind[:, 1], behind[:, 0])
    glow = jnp.where(window, 1.5 + 3.0 * level[3:], 0.2 + 0.8 * level[3:])
    glow = jnp.broadcast_to(glow[:, None], (HOLES, 3)).reshape(-1)
    first += 6 * HOLES
    own = first + room_furniture.ROLES * jnp.arange(groups)[:, None] + roles
    rest = rows[first + room_furniture.ROLES * groups :]
    table = jnp.concatenate(
        [rows[:2], walls, rows[4:5], behind.reshape(3 * HOLES, -1), rows[own.reshape(-1)], rest]
    )
    light = jnp.zeros(table.shape[0]).at[BEYOND : BEYOND + 3 * HOLES].set(glow)
    lamps = len(_SPHERES) + len(_CYLINDERS)
    light = light.at[-lamps].set(6.0).at[-1].set(2.0 + level[1])
    return jnp.concatenate([table, light[:, None]], axis=1)


def scene(key: PRNGKeyArray) -> Scene:
    """Draws a room of real size."""
    counts = dict(room=3, camera=9, sides=2, hole0=13, hole1=13, stands=7, round=15)
    counts |= dict(decor=5 + 6 * len(_PANELS), light=11, pieces=room_furniture.DRAWS)
    counts |= dict(surfaces=3 + HOLES + 51 * room_materials.DRAWS)
    # All random numbers at once: each call of the generator costs compile time.
    draws = jax.random.uniform(key, (sum(counts.values()),))
    ends = np.cumsum(list(counts.values()))
    part = dict(zip(counts, jnp.split(draws, ends[:-1]), strict=True))
    room = room_shell.room_size(part["room"])
    cam = room_shell.camera(part["camera"], room)
    side, coin = part["sides"]
    sides = jnp.where(side < 0.5, np.array([1, 2]), np.array([2, 1]))
    walls = jnp.stack([jnp.where(coin < 0.75, 0, sides[1]), sides[0]])
    shares = jnp.array([[0.3, 0.2, 0.35, 0.15], [0.3, 0.15, 0.4, 0.15]])
    start = cam.eye[1] + 0.6
    both = jnp.stack([part["hole0"], part["hole1"]])
    hole = jax.vmap(lambda d, w, s: room_shell.hole(d, w, room, start, s))(both, walls, shares)
    stands = _stands(part["stands"], room)
    square = np.array([[-1.0, -1.0], [1.0, 1.0]], np.float32)
    near = cam.eye[None, :2] + 0.65 * square
    plant = jnp.where(stands.has_plant, stands.plant[None] + 0.25 * square, -99.0)
    pole = jnp.where(stands.has_lamp, stands.lamp[None] + 0.2 * square, -99.0)
    reserved = jnp.concatenate([jnp.stack([near, plant, pole]), hole.clear])
    pieces = room_furniture.place(part["pieces"], cam.eye[:2], cam.yaw, room[:2], reserved)
    spheres, cylinders = _round_things(part["round"], room, stands, pieces)
    decor = _decor(part["decor"], room, hole.passage)
    power, warm, window, fill, cast, exposure, vignette, noise = between(
        part["light"][:8], (1.5, 6), (0, 1), (0, 8), (0.12, 0.5), (0, 1), (0.38, 0.55), (0, 0.3), (0, 3)
    )
    tint = jnp.array([1.0, 1.0, 1.0]) + jnp.array([0.1, 0.0, -0.3]) * warm
    balance = 0.92 + 0.16 * part["light"][8:]
    return Scene(
        *(cam.eye, cam.axes, cam.half_width, room),
        *(hole.passage, hole.beyond, hole.axis, hole.window),
        pose=jnp.concatenate([pieces.pose, jnp.array([[0.0, 0.0, 1.0, 0.0]])]),
        boxes=jnp.concatenate([pieces.boxes, decor[None]]),
        sphere=spheres,
        cylinder=cylinders,
        surface=_surfaces(part["surfaces"], pieces.roles, hole.window),
        lamp=spheres[0, :3],
        lamp_colour=power * tint,
        window_colour=window * jnp.array([0.9, 0.97, 1.05]),
        ambient=fill * (1.0 + 0.1 * (cast - 0.5) * jnp.array([1.0, 0.0, -1.0])),
        exposure=exposure,
        balance=balance,
        vignette=vignette,
        noise=noise,
        seed=(draws[0] * 2.0**24).astype(jnp.uint32) * np.uint32(0x9E3779B1),
    )
