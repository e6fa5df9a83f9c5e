"""Shading: from the surfaces that rays meet to an 8-bit image, with light, shadow and exposure."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from depthsi.rooms import materials as room_materials
from depthsi.rooms import scene as room_scene
from depthsi.rooms import trace as room_trace
from depthsi.rooms.scene import Scene
from depthsi.rooms.texture import hashed, texture
from depthsi.rooms.trace import Hits, Vector

_OFF = 4e-3  # how far off its surface a shadow ray starts, metres


def _frames(scene: Scene) -> Float[Array, "surfaces 6"]:
    """Per surface: origin, cosine and sine of its own axes, and 1 for a sphere."""
    groups, count = scene.boxes.shape[:2]
    shell = jnp.tile(jnp.array([[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]]), (room_scene.BOX, 1))
    zeros = jnp.zeros((groups, 1))
    boxes = jnp.concatenate([scene.pose[:, :2], zeros, scene.pose[:, 2:], zeros], axis=1)
    boxes = jnp.broadcast_to(boxes[:, None], (groups, count, 6)).reshape(-1, 6)
    tail = jnp.tile(jnp.array([[1.0, 0.0, 1.0]]), (len(scene.sphere), 1))
    spheres = jnp.concatenate([scene.sphere[:, :3], tail], axis=1)
    tail = jnp.tile(jnp.array([[0.0, 1.0, 0.0, 0.0]]), (len(scene.cylinder), 1))
    cylinders = jnp.concatenate([scene.cylinder[:, :2], tail], axis=1)
    return jnp.concatenate([shell, boxes, spheres, cylinders])


def _own_axes(scene: Scene, hits: Hits, point: Vector, ray: Vector) -> tuple[Vector, Array, Array]:
    """Normal towards the camera (world axes), and the position (u, v) on the surface, metres."""
    x, y, z, cos, sin, ball = (column[hits.surface] for column in _frames(scene).T)
    pose = jnp.stack([x, y, cos, sin])
    q = room_trace.local(pose, (point[0], point[1], point[2] - z))
    d = room_trace.turned(pose, ray)
    curved = hits.face == room_trace.CURVED
    inv = jax.lax.rsqrt(jnp.maximum(q[0] ** 2 + q[1] ** 2 + ball * q[2] ** 2, 1e-9))
    bent = q[0] * inv, q[1] * inv, ball * q[2] * inv
    flat = [jnp.where(hits.face == k, -jnp.sign(d[k]), 0.0) for k in range(3)]
    n = [jnp.where(curved, bent[k], flat[k]) for k in range(3)]
    normal = cos * n[0] - sin * n[1], sin * n[0] + cos * n[1], n[2]
    u = jnp.where(hits.face == 0, q[1], jnp.where(curved, q[0] + q[1], q[0]))
    return normal, u, jnp.where(hits.face == 2, q[1], q[2])


def _contact(scene: Scene, hits: Hits, point: Vector, normal: Vector) -> Float[Array, "h w"]:
    """The soft darkening near walls, floor and furniture; 1 = open."""
    light = jnp.ones_like(point[0])
    for k in range(3):
        gap = jnp.minimum(point[k], scene.room[k] - point[k])
        light *= 1.0 - 0.35 * (1 - jnp.abs(normal[k])) / (1.0 + (gap / 0.2) ** 2)
    groups, count = scene.boxes.shape[:2]
    for g in range(groups - 1):  # the last group is spread over the whole room
        q = room_trace.local(scene.pose[g], point)
        low, high = jnp.min(scene.boxes[g, :, 0], axis=0), jnp.max(scene.boxes[g, :, 1], axis=0)
        d = [jnp.maximum(jnp.maximum(low[k] - q[k], q[k] - high[k]), 0.0) for k in range(3)]
        depth = jnp.where(high[2] > 0, 0.4, 0.0)
        shade = 1.0 - depth / (1.0 + (d[0] ** 2 + d[1] ** 2 + d[2] ** 2) / 0.15**2)
        light *= jnp.where((hits.surface - room_scene.BOX) // count == g, 1.0, shade)
    return light


def _daylight(scene: Scene, point: Vector, normal: Vector) -> Float[Array, "h w"]:
    """Light from the windows, each taken as a small plane in its wall."""
    light = jnp.zeros_like(point[0])
    for k in range(room_scene.HOLES):
        box, across = scene.passage[k], scene.hole_axis[k]
        middle, size = 0.5 * (box[0] + box[1]), box[1] - box[0]
        to = (middle[0] - point[0], middle[1] - point[1], middle[2] - point[2])
        square = 0.3 + room_trace.dot(to, to)
        out = jnp.abs(jnp.where(across == 0, to[0], to[1]))
        area = scene.window[k] * size[2] * jnp.where(across == 0, size[1], size[0])
        light += area * jnp.maximum(room_trace.dot(to, normal), 0.0) * out / (square * square)
    return light


def _lamp(scene: Scene, point: Vector, normal: Vector) -> Float[Array, "h w"]:
    """Light from the hanging lamp, with shadows; lamps themselves cast none."""
    to = (scene.lamp[0] - point[0], scene.lamp[1] - point[1], scene.lamp[2] - point[2])
    square = room_trace.dot(to, to)
    facing = jnp.maximum(room_trace.dot(to, normal), 0.0) * jax.lax.rsqrt(square)
    x, y, z = (point[k] + _OFF * normal[k] for k in range(3))
    clear = room_trace.visible(scene, (x, y, z), scene.lamp, spheres=1, cylinders=3)
    return facing * clear / (0.7 + square)


def _develop(scene: Scene, light: Float[Array, "3 h w"]) -> UInt8[Array, "h w 3"]:
    """Automatic exposure, vignette, soft highlights, gamma 2, tone curve, sensor noise, 8 bits."""
    response, (_, height, width) = scene.response, light.shape
    gain = (response.exposure / jnp.mean(jnp.sqrt(light))) ** 2 * response.balance
    channel, row, column = (jax.lax.broadcasted_iota(jnp.int32, light.shape, k) for k in range(3))
    y, x = (row + 0.5) / height - 0.5, (column + 0.5) / width - 0.5
    corner = 1.0 - response.vignette * 2 * (x * x + y * y)
    grey = jnp.sqrt(1.0 - jnp.exp(-1.2 * gain[:, None, None] * corner * light))
    grey += response.contrast * grey * (1.0 - grey) * (2.0 * grey - 1.0)
    cell = column + width * channel
    pair = hashed(row, cell, response.seed) + hashed(row + height, cell, response.seed)
    grey = 255.0 * grey + response.noise * np.float32(6**0.5) * (pair - 1.0)
    return jnp.moveaxis(jnp.clip(jnp.round(grey), 0.0, 255.0).astype(jnp.uint8), 0, -1)


def shade(scene: Scene, hits: Hits) -> UInt8[Array, "h w 3"]:
    """The image of the result of `room_trace.trace`."""
    height, width = hits.depth.shape
    ray = room_trace.rays(scene, (height, width))
    point = tuple(scene.eye[k] + hits.depth * ray[k] for k in range(3))
    point = point[0], point[1], point[2]
    normal, u, v = _own_axes(scene, hits, point, ray)
    columns = scene.surface.T
    material = [c[hits.surface] for c in columns[6 : room_materials.FEATURES]]
    glow = columns[-1][hits.surface]
    slant = jnp.abs(room_trace.dot(normal, ray)) * jax.lax.rsqrt(room_trace.dot(ray, ray))
    footprint = hits.depth * (2 * scene.half_width / width) / jnp.maximum(slant, 0.1)
    seed = hits.surface.astype(jnp.uint32) * np.uint32(0x9E3779B9) + scene.response.seed
    shadeless, mix = texture(material, u, v, footprint, seed)
    contact = _contact(scene, hits, point, normal)
    lamp, day = _lamp(scene, point, normal), _daylight(scene, point, normal)
    day, ambient = day * (0.4 + 0.6 * contact), contact * (0.8 + 0.2 * normal[2])
    glow *= 1.0 - 0.15 * jnp.abs(normal[0])

    def channel(row: tuple[Array, ...]) -> Array:
        first, second, of_lamp, of_day, of_ambient = row
        colour = first[hits.surface] * (1.0 - mix) + second[hits.surface] * mix
        light = of_lamp * lamp + of_day * day + of_ambient * ambient
        return shadeless * colour * jnp.where(glow > 0, glow, light)

    # One colour at a time: a loop keeps what the three share from being computed three times.
    lights = scene.lamp_colour, scene.window_colour, scene.ambient
    return _develop(scene, jax.lax.map(channel, (columns[:3], columns[3:6], *lights)))
