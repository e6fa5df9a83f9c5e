"""Exact ray casting against boxes, spheres and cylinders: the first surface of each camera ray.

Rays are eye + t d where the component of d along the optical axis is 1, so that t itself is the
depth. All maps are (H, W); a vector is a tuple of three maps, which keeps every operation
elementwise and lets the compiler fuse the whole search.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from depthsi.rooms import scene as room_scene
from depthsi.rooms.scene import Scene

CURVED = 3  # faces: perpendicular to the own x, y or z axis (0, 1, 2), or curved
_FACES = 4
_TINY = 1e-7
_RIM, _BAR, _SKIRTING = 0.07, 0.04, 0.08  # trim around holes, window frame, along the floor; metres

Vector = tuple[Array, Array, Array]
Near = tuple[Array, Array]  # depth so far, and surface * _FACES + face


class Hits(NamedTuple):
    """The surface that each pixel sees.

    Attributes:
      depth: camera z, metres.
      surface: row of `Scene.surface`.
      face: 0, 1, 2 or CURVED, in the own axes of the surface.
    """

    depth: Float[Array, "h w"]
    surface: Int[Array, "h w"]
    face: Int[Array, "h w"]


def rays(scene: Scene, size: tuple[int, int]) -> Vector:
    """Direction of the ray through each pixel's centre: world axes, camera z component 1."""
    height, width = size
    step = 2 * scene.half_width / width
    across = ((jnp.arange(width) + 0.5 - width / 2) * step)[None, :]
    along = ((jnp.arange(height) + 0.5 - height / 2) * step)[:, None]
    right, down, forward = scene.axes
    x, y, z = (forward[k] + across * right[k] + along * down[k] for k in range(3))
    return x, y, z


def dot(a: Vector, b: Vector) -> Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _inverse(direction: Vector) -> Vector:
    """1 / d, finite also where a ray runs along a wall."""
    x, y, z = (1.0 / jnp.where(jnp.abs(d) < _TINY, _TINY, d) for d in direction)
    return x, y, z


def turned(pose: Array, v: Vector) -> Vector:
    """A direction in the own axes of a group."""
    cos, sin = pose[2], pose[3]
    return cos * v[0] + sin * v[1], cos * v[1] - sin * v[0], v[2]


def local(pose: Array, p: Vector) -> Vector:
    """A point in the own axes of a group."""
    return turned(pose, (p[0] - pose[0], p[1] - pose[1], p[2]))


def _slabs(origin: Vector, inv: Vector, box: Array) -> tuple[Vector, Vector]:
    """Where rays enter and leave the three slabs of a box (low, high corner)."""
    pairs = [((box[0, k] - origin[k]) * inv[k], (box[1, k] - origin[k]) * inv[k]) for k in range(3)]
    (a, b), (c, d), (e, f) = pairs
    enter = jnp.minimum(a, b), jnp.minimum(c, d), jnp.minimum(e, f)
    return enter, (jnp.maximum(a, b), jnp.maximum(c, d), jnp.maximum(e, f))


def _first(t: Vector) -> Array:
    return jnp.minimum(jnp.minimum(t[0], t[1]), t[2])


def _last(t: Vector) -> Array:
    return jnp.maximum(jnp.maximum(t[0], t[1]), t[2])


def _axis(t: Vector, chosen: Array) -> Array:
    """Which of the three the chosen one is."""
    return jnp.where(t[0] == chosen, 0, jnp.where(t[1] == chosen, 1, 2))


def _code(surface: int | Array, face: int | Array) -> Array:
    return jnp.asarray(surface * _FACES + face, jnp.int32)


def _shell(scene: Scene, eye: Vector, ray: Vector) -> Near:
    """Walls, floor and ceiling from inside, with the trim along the floor and around the holes."""
    inv = _inverse(ray)
    _, leave = _slabs(eye, inv, jnp.stack([jnp.zeros(3), scene.room]))
    t = _first(leave)
    axis = _axis(leave, t)
    point = [eye[k] + t * ray[k] for k in range(3)]
    flat = jnp.where(ray[2] > 0, room_scene.CEILING, room_scene.FLOOR)
    wall = jnp.where(axis == 0, room_scene.WALL_X, room_scene.WALL_Y)
    trim = point[2] < _SKIRTING
    for box, across in zip(scene.passage, scene.hole_axis, strict=True):
        margin = jnp.where(jnp.arange(3) == across, 1e-3, _RIM)
        framed = jnp.all(box[1] > box[0])
        for k in range(3):
            framed &= (point[k] > box[0, k] - margin[k]) & (point[k] < box[1, k] + margin[k])
        trim |= framed
    surface = jnp.where(axis == 2, flat, jnp.where(trim, room_scene.TRIM, wall))
    near = t, _code(surface, axis)
    for k in range(room_scene.HOLES):
        near = _through(scene, k, eye, ray, inv, near)
    return near


def _through(scene: Scene, k: int, eye: Vector, ray: Vector, inv: Vector, near: Near) -> Near:
    """Lets the rays that leave the room through a hole go on, to its sides or out of it.

    They are those that enter the passage, a box behind the wall, by the wall's plane; rays that
    leave the room beside the hole could only enter it by a side, within the wall.
    """
    box, across = scene.passage[k], scene.hole_axis[k]
    enter, leave = _slabs(eye, inv, box)
    end = _first(leave)
    u = jnp.where(across == 0, eye[1] + end * ray[1], eye[0] + end * ray[0])
    z = eye[2] + end * ray[2]
    low, high = (jnp.where(across == 0, corner[1], corner[0]) for corner in box)
    middle_u, middle_z = 0.5 * (low + high), 0.5 * (box[0, 2] + box[1, 2])
    outer = jnp.minimum(jnp.minimum(u - low, high - u), jnp.minimum(z - box[0, 2], box[1, 2] - z))
    inner = jnp.minimum(jnp.abs(u - middle_u), jnp.abs(z - middle_z))
    bar = scene.window[k] & ((outer < _BAR) | (inner < 0.5 * _BAR))
    mouth, out = (jnp.where(across == 0, t[0], t[1]) for t in (enter, leave))
    stopped = bar | (out > end)
    _, far = _slabs(eye, inv, scene.beyond[k])
    t = _first(far)
    axis = _axis(far, t)
    part = jnp.where(axis == 2, jnp.where(ray[2] > 0, 2, 0), 1)
    t = jnp.where(stopped, end, t)
    code = jnp.where(
        stopped,
        _code(room_scene.TRIM, _axis(leave, end)),
        _code(room_scene.BEYOND + 3 * k + part, axis),
    )
    meets = (_last(enter) == mouth) & (mouth < end)
    return jnp.where(meets, t, near[0]), jnp.where(meets, code, near[1])


def _sphere(sphere: Array, origin: Vector, ray: Vector) -> Array:
    """Where rays meet a sphere (x, y, z, radius), in lengths of d; inf = missed.

    Measured from the point of the ray nearest to the centre, so that nothing cancels.
    """
    to = (sphere[0] - origin[0], sphere[1] - origin[1], sphere[2] - origin[2])
    square = dot(ray, ray)
    middle = dot(to, ray) / square
    gap = (middle * ray[0] - to[0], middle * ray[1] - to[1], middle * ray[2] - to[2])
    slack = sphere[3] ** 2 - dot(gap, gap)
    t = middle - jnp.sqrt(jnp.maximum(slack, 0.0) / square)
    return jnp.where((slack > 0) & (t > 0), t, jnp.inf)


def _cylinder(cylinder: Array, origin: Vector, ray: Vector) -> tuple[Array, Array]:
    """As `_sphere` for an upright cylinder with lids, and the face that is met."""
    to = (cylinder[0] - origin[0], cylinder[1] - origin[1])
    square = jnp.maximum(ray[0] ** 2 + ray[1] ** 2, _TINY)
    middle = (to[0] * ray[0] + to[1] * ray[1]) / square
    gap = (middle * ray[0] - to[0]) ** 2 + (middle * ray[1] - to[1]) ** 2
    slack = cylinder[4] ** 2 - gap
    half = jnp.sqrt(jnp.maximum(slack, 0.0) / square)
    inv = 1.0 / jnp.where(jnp.abs(ray[2]) < _TINY, _TINY, ray[2])
    a, b = (cylinder[2] - origin[2]) * inv, (cylinder[3] - origin[2]) * inv
    lid = jnp.minimum(a, b)
    t = jnp.maximum(middle - half, lid)
    hit = (slack > 0) & (t < jnp.minimum(middle + half, jnp.maximum(a, b))) & (t > 0)
    return jnp.where(hit, t, jnp.inf), jnp.where(t > lid, CURVED, 2)


def _boxes(scene: Scene, eye: Vector, ray: Vector, near: Near) -> Near:
    """The nearest of all boxes, group by group: a group shares one turned ray."""
    groups, count = scene.boxes.shape[:2]

    def step(near: Near, group: tuple[Array, Array, Array]) -> tuple[Near, None]:
        pose, boxes, start = group
        t, code = near
        origin, inv = local(pose, eye), _inverse(turned(pose, ray))
        for b in range(count):
            enter, leave = _slabs(origin, inv, boxes[b])
            last = _last(enter)
            hit = (last < _first(leave)) & (last > 0.0) & (last < t)
            code = jnp.where(hit, _code(start + b, _axis(enter, last)), code)
            t = jnp.where(hit, last, t)
        return (t, code), None

    starts = room_scene.BOX + count * jnp.arange(groups)
    return jax.lax.scan(step, near, (scene.pose, scene.boxes, starts))[0]


def trace(scene: Scene, size: tuple[int, int]) -> Hits:
    """Casts one ray through the centre of every pixel of an image of size (H, W)."""
    eye, ray = (scene.eye[0], scene.eye[1], scene.eye[2]), rays(scene, size)
    t, code = _shell(scene, eye, ray)
    index = room_scene.BOX + scene.boxes.shape[0] * scene.boxes.shape[1]
    for sphere in scene.sphere:
        near = _sphere(sphere, eye, ray)
        code = jnp.where(near < t, _code(index, CURVED), code)
        t, index = jnp.minimum(t, near), index + 1
    for cylinder in scene.cylinder:
        near, face = _cylinder(cylinder, eye, ray)
        code = jnp.where(near < t, _code(index, face), code)
        t, index = jnp.minimum(t, near), index + 1
    # The loop over boxes comes last: its results are stored once, where the compiler would
    # otherwise repeat the search in every later use.
    t, code = _boxes(scene, eye, ray, (t, code))
    return Hits(t, code // _FACES, code % _FACES)


def visible(scene: Scene, point: Vector, target: Array, spheres: int, cylinders: int) -> Array:
    """Whether `target` is seen from each point: nothing but the walls may stand between them.

    Args:
      scene: the room.
      point: maps of positions, a little off their own surface.
      target: position (3,).
      spheres: the first sphere that casts a shadow.
      cylinders: how many cylinders cast one.
    """
    to = (target[0] - point[0], target[1] - point[1], target[2] - point[2])
    clear = jnp.ones(point[0].shape, bool)
    for sphere in scene.sphere[spheres:]:
        clear &= _sphere(sphere, point, to) > 1.0
    for cylinder in scene.cylinder[:cylinders]:
        clear &= _cylinder(cylinder, point, to)[0] > 1.0

    def step(clear: Array, group: tuple[Array, Array]) -> tuple[Array, None]:
        pose, boxes = group
        origin, inv = local(pose, point), _inverse(turned(pose, to))
        for box in boxes:
            enter, leave = _slabs(origin, inv, box)
            start, end = _last(enter), _first(leave)
            clear &= ~((start < end) & (end > 0.0) & (start < 1.0))
        return clear, None

    return jax.lax.scan(step, clear, (scene.pose, scene.boxes))[0]
