"""Pieces of furniture, each made of at most six boxes, and where they stand in a room.

A piece is described in fractions of its width x depth x height; its local +y points at its back,
which is the side it turns to a wall. All lengths are metres.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

BOXES = 6
ROLES = 3  # body, accent, dark or soft part: each piece has one material for each


class Kind(NamedTuple):
    """Sizes in metres as (low, high); boxes as (x0, x1, y0, y1, z0, z1, role) in fractions.

    `top` is the height, in fractions, of a free top on which a vase can stand; 0 = none.
    """

    width: tuple[float, float]
    depth: tuple[float, float]
    height: tuple[float, float]
    boxes: tuple[tuple[float, ...], ...]
    top: float = 0.0


_TABLE = (
    (0.0, 1.0, 0.0, 1.0, 0.94, 1.0, 0),
    (0.02, 0.07, 0.03, 0.11, 0.0, 0.94, 1),
    (0.93, 0.98, 0.03, 0.11, 0.0, 0.94, 1),
    (0.02, 0.07, 0.89, 0.97, 0.0, 0.94, 1),
    (0.93, 0.98, 0.89, 0.97, 0.0, 0.94, 1),
)
_SOFA = (
    (0.0, 1.0, 0.0, 1.0, 0.1, 0.48, 0),
    (0.0, 1.0, 0.72, 1.0, 0.1, 1.0, 0),
    (0.0, 0.11, 0.0, 1.0, 0.0, 0.72, 0),
    (0.89, 1.0, 0.0, 1.0, 0.0, 0.72, 0),
    (0.13, 0.49, 0.02, 0.74, 0.48, 0.6, 2),
    (0.51, 0.87, 0.02, 0.74, 0.48, 0.6, 2),
)

KINDS = {
    "wardrobe": Kind(
        (0.8, 1.8),
        (0.5, 0.65),
        (1.7, 2.2),
        (
            (0.0, 1.0, 0.04, 1.0, 0.0, 1.0, 0),
            (0.02, 0.49, 0.0, 0.05, 0.05, 0.97, 1),
            (0.51, 0.98, 0.0, 0.05, 0.05, 0.97, 1),
        ),
    ),
    "dresser": Kind(
        (0.7, 1.6),
        (0.38, 0.55),
        (0.7, 1.1),
        (
            (0.0, 1.0, 0.04, 1.0, 0.0, 1.0, 0),
            (0.03, 0.97, 0.0, 0.05, 0.06, 0.33, 1),
            (0.03, 0.97, 0.0, 0.05, 0.36, 0.63, 1),
            (0.03, 0.97, 0.0, 0.05, 0.66, 0.93, 1),
            (0.08, 0.45, 0.2, 0.75, 1.0, 1.35, 2),
        ),
    ),
    "bookcase": Kind(
        (0.6, 1.4),
        (0.26, 0.4),
        (1.1, 2.1),
        (
            (0.0, 0.04, 0.0, 1.0, 0.0, 1.0, 0),
            (0.96, 1.0, 0.0, 1.0, 0.0, 1.0, 0),
            (0.04, 0.96, 0.55, 1.0, 0.0, 1.0, 2),
            (0.04, 0.96, 0.0, 0.55, 0.97, 1.0, 0),
            (0.04, 0.96, 0.0, 0.55, 0.63, 0.66, 0),
            (0.04, 0.96, 0.0, 0.55, 0.0, 0.33, 1),
        ),
    ),
    "counter": Kind(
        (1.2, 2.4),
        (0.58, 0.68),
        (2.1, 2.3),
        (
            (0.0, 1.0, 0.06, 1.0, 0.04, 0.4, 0),
            (0.0, 1.0, 0.0, 1.0, 0.4, 0.42, 1),
            (0.0, 1.0, 0.45, 1.0, 0.65, 1.0, 0),
            (0.12, 0.38, 0.03, 0.08, 0.07, 0.36, 2),
            (0.62, 0.82, 0.4, 0.85, 0.42, 0.54, 2),
        ),
    ),
    "screen": Kind(
        (1.0, 1.8),
        (0.35, 0.5),
        (1.0, 1.3),
        (
            (0.0, 1.0, 0.0, 1.0, 0.0, 0.4, 0),
            (0.08, 0.92, 0.55, 0.65, 0.46, 1.0, 2),
            (0.4, 0.6, 0.4, 0.8, 0.4, 0.47, 2),
        ),
    ),
    "desk": Kind(
        (1.0, 1.6), (0.55, 0.75), (0.7, 0.76), (*_TABLE, (0.3, 0.6, 0.55, 0.65, 1.05, 1.6, 2))
    ),
    "sofa": Kind((1.4, 2.2), (0.75, 0.95), (0.7, 0.9), _SOFA),
    "bed": Kind(
        (0.9, 1.7),
        (1.9, 2.1),
        (0.85, 1.1),
        (
            (0.0, 1.0, 0.0, 1.0, 0.05, 0.28, 0),
            (0.02, 0.98, 0.02, 0.97, 0.28, 0.52, 1),
            (0.0, 1.0, 0.95, 1.0, 0.0, 1.0, 0),
            (0.08, 0.47, 0.74, 0.93, 0.52, 0.64, 1),
            (0.53, 0.92, 0.74, 0.93, 0.52, 0.64, 1),
            (0.0, 1.0, 0.01, 0.62, 0.26, 0.55, 2),
        ),
    ),
    "table": Kind(
        (0.9, 1.8), (0.7, 1.0), (0.7, 0.78), (*_TABLE, (0.55, 0.75, 0.3, 0.6, 1.0, 1.12, 2)), 1.0
    ),
    "coffee": Kind(
        (0.7, 1.2), (0.5, 0.7), (0.38, 0.5), (*_TABLE, (0.05, 0.95, 0.1, 0.9, 0.3, 0.36, 2)), 1.0
    ),
    "chair": Kind(
        (0.4, 0.5),
        (0.4, 0.5),
        (0.8, 1.0),
        (
            (0.0, 1.0, 0.0, 1.0, 0.46, 0.52, 2),
            (0.0, 1.0, 0.92, 1.0, 0.52, 1.0, 0),
            (0.0, 0.09, 0.0, 0.09, 0.0, 0.46, 1),
            (0.91, 1.0, 0.0, 0.09, 0.0, 0.46, 1),
            (0.0, 0.09, 0.91, 1.0, 0.0, 0.52, 1),
            (0.91, 1.0, 0.91, 1.0, 0.0, 0.52, 1),
        ),
    ),
    "armchair": Kind((0.75, 0.95), (0.75, 0.9), (0.75, 0.95), _SOFA),
    "crate": Kind(
        (0.35, 0.7),
        (0.3, 0.6),
        (0.3, 0.6),
        ((0.03, 0.97, 0.03, 0.97, 0.0, 0.85, 0), (0.0, 1.0, 0.0, 1.0, 0.85, 1.0, 1)),
        1.0,
    ),
}

_BIG = {"wardrobe": 2, "dresser": 3, "bookcase": 3, "counter": 2, "screen": 1, "desk": 2}
_BIG |= {"sofa": 2, "bed": 2}
_LOW = {"table": 3, "coffee": 3, "sofa": 1, "armchair": 1, "bed": 1, "desk": 0.5}
_SMALL = {"chair": 4, "armchair": 1, "crate": 1.5}

# (wall, weights of the kinds); walls: 0 far, 1 left, 2 right, 3 free on the floor.
SLOTS = ((0, _BIG), (1, _BIG), (2, _BIG), (3, _LOW), (0, _BIG), (3, _SMALL), (3, _SMALL))
TRIES = 8
DRAWS = len(SLOTS) * TRIES * 8

_LOW_SIZE, _HIGH_SIZE = (
    np.array([[k.width[i], k.depth[i], k.height[i]] for k in KINDS.values()], np.float32)
    for i in (0, 1)
)
_TOP = np.array([kind.top for kind in KINDS.values()], np.float32)
_WALLS = np.array([wall for wall, _ in SLOTS], np.int32)
_SHARES = np.array([[w.get(name, 0.0) for name in KINDS] for _, w in SLOTS], np.float32)
_SHARES = np.cumsum(_SHARES / _SHARES.sum(1, keepdims=True), axis=1)[:, :-1]


def _template() -> tuple[np.ndarray, np.ndarray]:
    """Returns box corners (kinds, BOXES, 2, 3) in fractions and roles (kinds, BOXES)."""
    corners = np.zeros((len(KINDS), BOXES, 2, 3), np.float32)  # empty boxes are never hit
    roles = np.zeros((len(KINDS), BOXES), np.int32)
    for i, kind in enumerate(KINDS.values()):
        for j, (x0, x1, y0, y1, z0, z1, role) in enumerate(kind.boxes):
            corners[i, j] = (x0 - 0.5, y0 - 0.5, z0), (x1 - 0.5, y1 - 0.5, z1)
            roles[i, j] = role
    return corners, roles


_CORNERS, _BOX_ROLES = _template()


class Pieces(NamedTuple):
    """Furniture standing on the floor; a piece that found no room has empty boxes.

    Attributes:
      pose: centre x, y and the cosine and sine of the turn about the vertical axis.
      boxes: low and high corner of each box in the piece's own frame.
      roles: which of the piece's materials each box wears.
      size: width, depth and height (0 where the piece was left out).
      top: height of a free top, 0 = none.
    """

    pose: Float[Array, "n 4"]
    boxes: Float[Array, "n b 2 3"]
    roles: Array
    size: Float[Array, "n 3"]
    top: Float[Array, " n"]


def _overlap(a: Float[Array, "2 2"], b: Float[Array, "2 2"]) -> Bool[Array, ""]:
    """Whether two rectangles, low and high corner each, share more than a border."""
    return jnp.all((a[0] < b[1]) & (b[0] < a[1]))


def _candidate(wall, shares, eye, heading, extent, noise):
    """One proposal for a slot: kind, pose, size and bounding rectangle on the floor."""
    kind = jnp.sum(noise[0] > shares)
    low, high = jnp.asarray(_LOW_SIZE)[kind], jnp.asarray(_HIGH_SIZE)[kind]
    size = low + noise[1:4] * (high - low)
    free = jnp.floor(noise[4] * 4) * (np.pi / 2) + (noise[5] - 0.5) * 0.9
    angle = jnp.stack([jnp.zeros(()), jnp.full((), np.pi / 2), jnp.full((), -np.pi / 2), free])
    angle = angle[wall]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    half = 0.5 * jnp.stack(
        [abs(cos) * size[0] + abs(sin) * size[1], abs(sin) * size[0] + abs(cos) * size[1]]
    )
    gap = 0.01 + 0.04 * noise[5]
    along_x = half[0] + noise[6] * (extent[0] - 2 * half[0])
    along_y = eye[1] + 0.3 + half[1] + noise[6] * (extent[1] - eye[1] - 0.3 - 2 * half[1])
    ahead, aside = 1.2 + 2.2 * noise[6], (noise[7] - 0.5) * 1.0
    sin_h, cos_h = jnp.sin(heading), jnp.cos(heading)
    centre = jnp.stack(
        [
            jnp.stack([along_x, extent[1] - half[1] - gap]),
            jnp.stack([half[0] + gap, along_y]),
            jnp.stack([extent[0] - half[0] - gap, along_y]),
            eye + ahead * jnp.stack([sin_h + aside * cos_h, cos_h - aside * sin_h]),
        ]
    )[wall]
    pose = jnp.concatenate([centre, jnp.stack([cos, sin])])
    return kind, pose, size, jnp.stack([centre - half, centre + half])


def place(
    draws: Float[Array, " draws"],
    eye: Float[Array, "2"],
    heading: Float[Array, ""],
    extent: Float[Array, "2"],
    reserved: Float[Array, "r 2 2"],
) -> Pieces:
    """Puts furniture in a room so that nothing stands in anything else.

    Args:
      draws: uniform random numbers, `DRAWS` of them.
      eye: where the camera stands, metres.
      heading: its yaw from +y towards +x, radians.
      extent: room size along x and y, metres; the floor is [0, x] x [0, y].
      reserved: rectangles to keep free (around the camera, in front of doors), metres.
    """

    def put(taken, slot):
        wall, shares, index, noise = slot
        kind, pose, size, rect = jax.vmap(
            lambda u: _candidate(wall, shares, eye, heading, extent, u)
        )(noise)
        clash = jax.vmap(lambda r: jnp.any(jax.vmap(lambda t: _overlap(r, t))(taken)))(rect)
        inside = jnp.all((rect[:, 0] >= 0.0) & (rect[:, 1] <= extent[None]), axis=-1)
        good = inside & ~clash
        pick = jnp.argmax(good)
        taken = taken.at[index].set(jnp.where(good[pick], rect[pick], -9.0))
        return taken, (kind[pick], pose[pick], jnp.where(good[pick], size[pick], 0.0))

    slots = len(SLOTS)
    taken = jnp.concatenate([jnp.full((slots, 2, 2), -9.0), reserved])
    rows = (jnp.asarray(_WALLS), jnp.asarray(_SHARES), jnp.arange(slots), draws.reshape(slots, TRIES, 8))
    _, (kind, pose, size) = jax.lax.scan(put, taken, rows)
    boxes = jnp.asarray(_CORNERS)[kind] * size[:, None, None, :]
    top = jnp.asarray(_TOP)[kind] * size[:, 2]
    return Pieces(pose, boxes, jnp.asarray(_BOX_ROLES)[kind], size, top)
