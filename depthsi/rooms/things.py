"""Smaller things: what hangs on the walls, a rug, lamps, a plant, a vase and a ball on a table."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from depthsi.rooms import shell as room_shell
from depthsi.rooms.layout import Pieces
from depthsi.rooms.shell import between


class _Panel(NamedTuple):
    """A box fixed to a wall: sizes and height above the floor as (low, high), metres."""

    wall: int
    use: str
    chance: float
    width: tuple[float, float]
    height: tuple[float, float]
    depth: tuple[float, float]
    above: tuple[float, float]


_PICTURE = ((0.3, 1.0), (0.3, 0.8), (0.02, 0.04), (1.2, 1.5))
_PANELS = (
    _Panel(room_shell.FAR, "picture", 0.8, *_PICTURE),
    _Panel(room_shell.FAR, "picture", 0.6, *_PICTURE),
    _Panel(room_shell.LEFT, "body", 0.6, (0.5, 1.3), (0.03, 0.05), (0.18, 0.3), (1.2, 1.7)),
    _Panel(room_shell.RIGHT, "picture", 0.8, *_PICTURE),
    _Panel(room_shell.FAR, "wall", 0.25, (0.25, 0.6), (3.0, 3.0), (0.2, 0.5), (0.0, 0.0)),  # pillar
)
# What each thing is made of, a key of `room_materials.WEIGHTS`.
DECOR = (*(panel.use for panel in _PANELS), "rug")
SPHERES = ("lamp", "plant", "thing")
CYLINDERS = ("thing", "thing", "accent", "lamp")
PANEL_DRAWS, RUG_DRAWS, STANDS_DRAWS, ROUND_DRAWS = 6 * len(_PANELS), 5, 7, 15


def panels(
    draws: Float[Array, " n"], room: Float[Array, "3"], passages: Float[Array, "holes 2 3"]
) -> Float[Array, "panels 2 3"]:
    """Pictures, a shelf and a pillar, as boxes; empty where one would cover a hole."""
    u = draws.reshape(len(_PANELS), 6)
    ranges = np.array([panel[3:] for panel in _PANELS], np.float32)
    size = jnp.asarray(ranges[..., 0]) + u[:, :4] * (ranges[..., 1] - ranges[..., 0])

    def on_wall(wall: Array, size: Array, where: Array) -> Array:
        width, height, depth, above = size
        length = jnp.where(wall == room_shell.FAR, room[0], room[1])
        begin = where * (length - width)
        corners = room_shell.box((begin, -depth, above), (begin + width, 0, above + height))
        return room_shell.from_wall(wall, corners, room)

    walls = jnp.array([panel.wall for panel in _PANELS])
    boxes = jax.vmap(on_wall)(walls, size, u[:, 4])
    grown = boxes + np.array([[-0.1] * 3, [0.1] * 3], np.float32)[None]
    meets = (grown[:, None, 0] < passages[None, :, 1]) & (passages[None, :, 0] < grown[:, None, 1])
    chance = np.array([panel.chance for panel in _PANELS], np.float32)
    keep = (u[:, 5] < chance) & ~jnp.any(jnp.all(meets, axis=-1), axis=1)
    return jnp.where(keep[:, None, None], boxes, 0.0)


def rug(draws: Float[Array, "5"], room: Float[Array, "3"]) -> Float[Array, "2 3"]:
    """A rug as a very flat box; empty in some rooms."""
    x, y, width, depth, there = between(
        draws, (0.0, 1.0), (0.2, 1.0), (1.2, 2.4), (1.0, 1.8), (0.0, 1.0)
    )
    width, depth = jnp.minimum(width, 0.8 * room[0]), jnp.minimum(depth, 0.5 * room[1])
    x, y = x * (room[0] - width), y * (room[1] - depth)
    return jnp.where(there < 0.6, room_shell.box((x, y, 0), (x + width, y + depth, 0.012)), 0.0)


class Stands(NamedTuple):
    """A potted plant and a standing lamp in the two far corners: x, y, and whether it is there."""

    plant: Float[Array, "2"]
    lamp: Float[Array, "2"]
    has_plant: Bool[Array, ""]
    has_lamp: Bool[Array, ""]

    def rectangles(self) -> Float[Array, "2 2 2"]:
        """The floor they take, low and high corner."""
        square = np.array([[-1.0, -1.0], [1.0, 1.0]], np.float32)
        plant = jnp.where(self.has_plant, self.plant[None] + 0.25 * square, -99.0)
        lamp = jnp.where(self.has_lamp, self.lamp[None] + 0.2 * square, -99.0)
        return jnp.stack([plant, lamp])


def stands(draws: Float[Array, "7"], room: Float[Array, "3"]) -> Stands:
    """Places plant and lamp."""
    side, plant, lamp, *off = between(draws, *((0.0, 1.0),) * 3, *((0.3, 0.5),) * 4)
    left = jnp.stack([off[0], room[1] - off[1]])
    right = jnp.stack([room[0] - off[2], room[1] - off[3]])
    swap = side < 0.5
    return Stands(
        jnp.where(swap, right, left), jnp.where(swap, left, right), plant < 0.45, lamp < 0.35
    )


def _on_top(pieces: Pieces, where: Float[Array, "2 2"]) -> tuple[Array, Array]:
    """Two points (rows x, y) on the highest free top, and its height (0 = there is none)."""
    stand: Int[Array, ""] = jnp.argmax(pieces.top)
    x, y, cos, sin = pieces.pose[stand]
    own = 0.7 * (where - 0.5) * pieces.size[stand, :2][None]
    points = [x + cos * own[:, 0] - sin * own[:, 1], y + sin * own[:, 0] + cos * own[:, 1]]
    return jnp.stack(points, axis=1), pieces.top[stand]


def round_things(
    draws: Float[Array, "15"], room: Float[Array, "3"], stands: Stands, pieces: Pieces
) -> tuple[Float[Array, "spheres 4"], Float[Array, "cylinders 5"]]:
    """Hanging lamp, plant, ball; and pot, vase, pole and shade of the standing lamp.

    Returns:
      Spheres as centre and radius; upright cylinders as x, y, low z, high z, radius. Radius 0 =
      not there.
    """
    lamp_x, lamp_y, hang, bulb, crown, pot, pot_top, vase, vase_height, ball, pole = between(
        draws[:11],
        *((0.25, 0.75), (0.35, 0.75), (0.25, 0.5), (0.08, 0.18)),
        *((0.2, 0.38), (0.1, 0.18), (0.2, 0.45)),
        *((0.035, 0.09), (0.12, 0.35), (0.05, 0.11), (1.3, 1.6)),
    )
    (ball_at, vase_at), top = _on_top(pieces, draws[11:].reshape(2, 2))
    table, plant, lamp = top > 0.0, stands.has_plant, stands.has_lamp
    spheres = [
        [lamp_x * room[0], lamp_y * room[1], room[2] - hang, bulb],
        [*stands.plant, pot_top + 0.8 * crown, plant * crown],
        [*ball_at, top + ball, table * ball],
    ]
    cylinders = [
        [*stands.plant, jnp.zeros(()), pot_top, plant * pot],
        [*vase_at, top, top + vase_height, table * vase],
        [*stands.lamp, jnp.zeros(()), pole, lamp * 0.02],
        [*stands.lamp, pole - 0.02, pole + 0.22, lamp * 0.17],
    ]
    return jnp.stack([jnp.stack(s) for s in spheres]), jnp.stack([jnp.stack(c) for c in cylinders])
