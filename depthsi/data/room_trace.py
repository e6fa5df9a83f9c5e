"""Which surface each camera ray meets first: exact ray casting against boxes, spheres, cylinders.

Rays are x = eye + t d with d's component along the optical axis equal to 1, so that t itself is the
depth. All maps are (H, W); vectors are tuples of three maps, which keeps every operation
elementwise and lets the compiler fuse the whole search.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from depthsi.data import room_scene
from depthsi.data.room_scene import Scene

FACES = 4  # perpendicular to the own x, y or z axis, or curved
CURVED = 3
_TINY = 1e-7

Vector = tuple[Array, Array, Array]


class Hits(NamedTuple):
    """Attributes: depth, metres of camera z; row of `Scene.surface`; face, see FACES."""

    depth: Float[Array, "h w"]
    surface: Int[Array, "h w"]
    face: Int[Array, "h w"]


def rays(scene: Scene, size: tuple[int, int]) -> Vector:
    """Direction of the ray through each pixel's centre, world axes, camera z component 1."""
    height, width = size
    step = 2 * scene.half_width / width
    across = ((jnp.arange(width) + 0.5 - width / 2) * step)[None, :]
    along = ((jnp.arange(height) + 0.5 - height / 2) * step)[:, None]
    right, down, forward = scene.axes
    x, y, z = (forward[k] + across * right[k] + along * down[k] for k in range(3))
    return x, y, z


def inverse(direction: Vector) -> Vector:
    """1 / d, finite also where a ray runs along a wall."""
    x, y, z = (1.0 / jnp.where(jnp.abs(d) < _TINY, _TINY, d) for d in direction)
    return x, y, z


def slabs(origin: Vector, inv: Vector, box: Array) -> tuple[Vector, Vector]:
    """Where rays enter and leave the three slabs of a box (low, high corner)."""
    pairs = [((box[0, k] - origin[k]) * inv[k], (box[1, k] - origin[k]) * inv[k]) for k in range(3)]
    enter = [jnp.minimum(a, b) for a, b in pairs]
    leave = [jnp.maximum(a, b) for a, b in pairs]
    return (enter[0], enter[1], enter[2]), (leave[0], leave[1], leave[2])


def first(t: Vector) -> Array:
    return jnp.minimum(jnp.minimum(t[0], t[1]), t[2])


def last(t: Vector) -> Array:
    return jnp.maximum(jnp.maximum(t[0], t[1]), t[2])


def _axis(t: Vector, chosen: Array) -> Array:
    """Which of the three made the extreme value."""
    return jnp.where(t[0] == chosen, 0, jnp.where(t[1] == chosen, 1, 2))


def turned(pose: Array, v: Vector) -> Vector:
    """A direction in the own axes of a group."""
    cos, sin = pose[2], pose[3]
    return cos * v[0] + sin * v[1], cos * v[1] - sin * v[0], v[2]


def local(pose: Array, p: Vector) -> Vector:
    """A point in the own axes of a group."""
    return turned(pose, (p[0] - pose[0], p[1] - pose[1], p[2]))


def _code(surface: int | Array, face: int | Array) -> Array:
    return jnp.asarray(surface * FACES + face, jnp.int32)


def _shell(scene: Scene, eye: Vector, ray: Vector) -> tuple[Array, Array]:
    """Depth and code of the walls and of what is seen through the holes."""
    inv = inverse(ray)
    zero = jnp.zeros(3)
    _, leave = slabs(eye, inv, jnp.stack([zero, scene.room]))
    t = first(leave)
    axis = _axis(leave, t)
    x, y, z = (eye[k] + t * ray[k] for k in range(3))
    flat = jnp.where(ray[2] > 0, room_scene.CEILING, room_scene.FLOOR)
    wall = jnp.where(axis == 0, room_scene.WALL_X, room_scene.WALL_Y)
    surface = jnp.where(axis == 2, flat, jnp.where(z < 0.08, room_scene.TRIM, wall))
    code = _code(surface, axis)
    for k in range(room_scene.HOLES):
        box, across = scene.passage[k], scene.hole_axis[k]
        u = jnp.where(across == 0, y, x)
        low, high = (jnp.where(across == 0, c[1], c[0]) for c in box)
        out = jnp.where(across == 0, x, y)
        edge = jnp.where(across == 0, box[0, 0], box[0, 1])
        edge_high = jnp.where(across == 0, box[1, 0], box[1, 1])
        rim = 0.07
        near = (u > low - rim) & (u < high + rim) & (z > box[0, 2] - rim) & (z < box[1, 2] + rim)
        near &= (out > edge - 1e-3) & (out < edge_high + 1e-3) & (axis < 2) & (edge_high > edge)
        code = jnp.where(near, _code(room_scene.TRIM, axis), code)
    for k in range(room_scene.HOLES):
        t, code = _hole(scene, k, eye, ray, inv, t, code)
    return t, code


def _hole(scene, k, eye, ray, inv, t, code):
    """Lets the rays that meet a passage go through it.

    A passage lies outside the convex room and touches it only at its wall, so a ray from inside
    the room meets it exactly when it leaves the room through the hole.
    """
    box, across = scene.passage[k], scene.hole_axis[k]
    enter, leave = slabs(eye, inv, box)
    out = first(leave)
    inside = last(enter) < out
    end = jnp.where(across == 0, leave[0], leave[1])
    through = end <= out
    u = jnp.where(across == 0, eye[1] + out * ray[1], eye[0] + out * ray[0])
    z = eye[2] + out * ray[2]
    low, high = (jnp.where(across == 0, c[1], c[0]) for c in box)
    bar = jnp.minimum(u - low, high - u) < 0.04
    bar |= jnp.minimum(z - box[0, 2], box[1, 2] - z) < 0.04
    bar |= jnp.minimum(jnp.abs(u - 0.5 * (low + high)), jnp.abs(z - 0.5 * (box[0, 2] + box[1, 2]))) < 0.018
    solid = ~through | (bar & scene.window[k])
    _, far = slabs(eye, inv, scene.beyond[k])
    t_far = first(far)
    axis = _axis(far, t_far)
    part = jnp.where(axis == 2, jnp.where(ray[2] > 0, 2, 0), 1)
    behind = _code(room_scene.BEYOND + 3 * k + part, axis)
    edge = _code(room_scene.TRIM, _axis(leave, out))
    t = jnp.where(inside, jnp.where(solid, out, t_far), t)
    return t, jnp.where(inside, jnp.where(solid, edge, behind), code)


def _boxes(scene: Scene, eye: Vector, ray: Vector, t: Array, code: Array) -> tuple[Array, Array]:
    """The nearest of all boxes, group by group: a group shares one turned ray."""
    groups, count = scene.boxes.shape[:2]

    def step(carry, group):
        t, code = carry
        pose, boxes, start = group
        o, inv = local(pose, eye), inverse(turned(pose, ray))
        for b in range(count):
            enter, leave = slabs(o, inv, boxes[b])
            near = last(enter)
            hit = (near < first(leave)) & (near > 0.0) & (near < t)
            code = jnp.where(hit, _code(start + b, _axis(enter, near)), code)
            t = jnp.where(hit, near, t)
        return (t, code), None

    starts = room_scene.BOX + count * jnp.arange(groups)
    (t, code), _ = jax.lax.scan(step, (t, code), (scene.pose, scene.boxes, starts))
    return t, code


def _dot(a: Vector, b: Vector) -> Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def sphere_depth(sphere: Array, origin: Vector, ray: Vector) -> Array:
    """Distance along the ray, in lengths of d, to a sphere (x, y, z, radius); inf = missed.

    Uses the point of the ray nearest to the centre: no cancellation for far, small spheres.
    """
    to = (sphere[0] - origin[0], sphere[1] - origin[1], sphere[2] - origin[2])
    square = _dot(ray, ray)
    middle = _dot(to, ray) / square
    gap = tuple(middle * ray[k] - to[k] for k in range(3))
    slack = sphere[3] ** 2 - _dot((gap[0], gap[1], gap[2]), (gap[0], gap[1], gap[2]))
    t = middle - jnp.sqrt(jnp.maximum(slack, 0.0) / square)
    return jnp.where((slack > 0) & (t > 0), t, jnp.inf)


def cylinder_depth(cylinder: Array, origin: Vector, ray: Vector) -> tuple[Array, Array]:
    """As `sphere_depth` for an upright cylinder with lids, and whether the side is met."""
    to = (cylinder[0] - origin[0], cylinder[1] - origin[1])
    square = jnp.maximum(ray[0] ** 2 + ray[1] ** 2, _TINY)
    middle = (to[0] * ray[0] + to[1] * ray[1]) / square
    gap = (middle * ray[0] - to[0]) ** 2 + (middle * ray[1] - to[1]) ** 2
    slack = cylinder[4] ** 2 - gap
    half = jnp.sqrt(jnp.maximum(slack, 0.0) / square)
    inv = 1.0 / jnp.where(jnp.abs(ray[2]) < _TINY, _TINY, ray[2])
    a, b = (cylinder[2] - origin[2]) * inv, (cylinder[3] - origin[2]) * inv
    lid = jnp.minimum(a, b)
    near = jnp.maximum(middle - half, lid)
    hit = (slack > 0) & (near < jnp.minimum(middle + half, jnp.maximum(a, b))) & (near > 0)
    return jnp.where(hit, near, jnp.inf), near > lid


def trace(scene: Scene, size: tuple[int, int]) -> Hits:
    """Casts one ray through the centre of every pixel of an image of size (H, W)."""
    eye, ray = tuple(scene.eye), rays(scene, size)
    t, code = _shell(scene, eye, ray)
    index = room_scene.BOX + scene.boxes.shape[0] * scene.boxes.shape[1]
    for sphere in scene.sphere:
        near = sphere_depth(sphere, eye, ray)
        code = jnp.where(near < t, _code(index, CURVED), code)
        t, index = jnp.minimum(t, near), index + 1
    for cylinder in scene.cylinder:
        near, side = cylinder_depth(cylinder, eye, ray)
        code = jnp.where(near < t, _code(index, jnp.where(side, CURVED, 2)), code)
        t, index = jnp.minimum(t, near), index + 1
    t, code = _boxes(scene, eye, ray, t, code)
    return Hits(t, code // FACES, code % FACES)
