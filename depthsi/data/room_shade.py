"""From what the rays meet to an 8-bit picture: texture, light, shadow, exposure."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8, UInt32

from depthsi.data import room_materials, room_scene, room_trace
from depthsi.data.room_scene import Scene
from depthsi.data.room_trace import Hits, Vector


def _hash(x: Array, y: Array, seed: Array) -> Float[Array, "..."]:
    """A random number in [0, 1) for each integer cell."""
    h = x.astype(jnp.uint32) * np.uint32(0x9E3779B1) + seed
    h = (h ^ (h >> 15)) * np.uint32(0x85EBCA6B) + y.astype(jnp.uint32) * np.uint32(0xC2B2AE35)
    h = (h ^ (h >> 13)) * np.uint32(0x27D4EB2F)
    return ((h ^ (h >> 16)) >> 8).astype(jnp.float32) * np.float32(2**-24)


def _value_noise(u: Array, v: Array, seed: Array) -> Array:
    """Smooth noise in [-1, 1] with one random value per unit cell corner."""
    iu, iv = jnp.floor(u), jnp.floor(v)
    fu, fv = u - iu, v - iv
    a, b = iu.astype(jnp.int32), iv.astype(jnp.int32)
    fu, fv = (f * f * (3.0 - 2.0 * f) for f in (fu, fv))
    low = (1 - fu) * _hash(a, b, seed) + fu * _hash(a + 1, b, seed)
    high = (1 - fu) * _hash(a, b + 1, seed) + fu * _hash(a + 1, b + 1, seed)
    return 2.0 * ((1 - fv) * low + fv * high) - 1.0


def _fade(footprint: Array, frequency: Array) -> Array:
    """How much of a pattern survives in a pixel that covers `footprint` metres of it."""
    return jnp.clip(2.0 - 3.0 * footprint * frequency, 0.0, 1.0)


def albedo(material, u: Array, v: Array, footprint: Array, seed: Array) -> Vector:
    """The texture at (u, v) metres; `material` is the columns of `room_materials`."""
    per_u, per_v, stagger, tone, parity, joint, joint_width = material[:7]
    noise, noise_u, noise_v, swap = material[7:]
    u, v = jnp.where(swap > 0.5, v, u), jnp.where(swap > 0.5, u, v)
    row = jnp.floor(v * per_v)
    along = u * per_u + stagger * row
    column = jnp.floor(along)
    i, j = row.astype(jnp.int32), column.astype(jnp.int32)
    odd = ((i + j) & 1).astype(jnp.float32)
    seen = _fade(footprint, jnp.maximum(per_u, per_v))
    mix = 0.5 + seen * (_hash(i, j, seed) - 0.5)
    mix = jnp.clip(tone * mix + parity * (0.5 + seen * (odd - 0.5)), 0.0, 1.0)
    in_u, in_v = along - column, v * per_v - row
    edge = jnp.minimum(jnp.minimum(in_u, 1 - in_u) / per_u, jnp.minimum(in_v, 1 - in_v) / per_v)
    cover = jnp.clip((0.5 * joint_width - edge) / footprint + 0.5, 0.0, 1.0)
    cover = cover * jnp.clip(joint_width / footprint, 0.0, 1.0)
    grain = _value_noise(u * noise_u, v * noise_v, seed)
    grain = grain * _fade(footprint, 0.5 * jnp.maximum(noise_u, noise_v))
    shade = (1.0 - joint * cover) * (1.0 + noise * grain)
    return shade, mix


def _frames(scene: Scene) -> Float[Array, "surfaces 6"]:
    """Per surface: origin, cosine, sine, and whether curvature includes z (a sphere)."""
    groups, count = scene.boxes.shape[:2]
    shell = jnp.zeros((room_scene.BOX, 6)).at[:, 3].set(1.0)
    zeros = jnp.zeros((groups, 1))
    boxes = jnp.concatenate([scene.pose[:, :2], zeros, scene.pose[:, 2:], zeros], axis=1)
    boxes = jnp.repeat(boxes, count, axis=0, total_repeat_length=groups * count)
    n = scene.sphere.shape[0]
    tail = jnp.broadcast_to(jnp.array([1.0, 0.0, 1.0]), (n, 3))
    spheres = jnp.concatenate([scene.sphere[:, :3], tail], axis=1)
    n = scene.cylinder.shape[0]
    tail = jnp.broadcast_to(jnp.array([0.0, 1.0, 0.0, 0.0]), (n, 4))
    cylinders = jnp.concatenate([scene.cylinder[:, :2], tail], axis=1)
    return jnp.concatenate([shell, boxes, spheres, cylinders])


def shade(scene: Scene, hits: Hits) -> UInt8[Array, "h w 3"]:
    size = hits.depth.shape
    ray = room_trace.rays(scene, size)
    t = hits.depth
    p = tuple(scene.eye[k] + t * ray[k] for k in range(3))
    table = jnp.concatenate([scene.surface, _frames(scene)], axis=1)
    cols = [table[:, c][hits.surface] for c in range(table.shape[1])]
    material, emit, (cx, cy, cz, cos, sin, is_ball) = cols[6:17], cols[17], cols[18:]
    # own axes
    dx, dy, dz = p[0] - cx, p[1] - cy, p[2] - cz
    q = (cos * dx + sin * dy, cos * dy - sin * dx, dz)
    d = (cos * ray[0] + sin * ray[1], cos * ray[1] - sin * ray[0], ray[2])
    face = hits.face
    curved = face == room_trace.CURVED
    inv = jax.lax.rsqrt(jnp.maximum(q[0] ** 2 + q[1] ** 2 + is_ball * q[2] ** 2, 1e-9))
    flat = [jnp.where(face == k, -jnp.sign(d[k]), 0.0) for k in range(3)]
    n = [
        jnp.where(curved, q[0] * inv, flat[0]),
        jnp.where(curved, q[1] * inv, flat[1]),
        jnp.where(curved, is_ball * q[2] * inv, flat[2]),
    ]
    n = (cos * n[0] - sin * n[1], sin * n[0] + cos * n[1], n[2])
    u = jnp.where(face == 0, q[1], jnp.where(curved, q[0] + q[1], q[0]))
    v = jnp.where(face == 2, q[1], q[2])
    length = jnp.sqrt(ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2)
    cosine = jnp.abs(n[0] * ray[0] + n[1] * ray[1] + n[2] * ray[2]) / length
    footprint = t * (2 * scene.half_width / size[1]) / jnp.maximum(cosine, 0.1)
    seed = hits.surface.astype(jnp.uint32) * np.uint32(0x9E3779B9) + scene.seed
    shade, mix = albedo(material, u, v, footprint, seed)
    lamp, sun, fill = _light(scene, hits, p, n)
    shade = shade * jnp.where(hits.surface < room_scene.BOX, 1.0 - 0.15 * jnp.abs(n[0]), 1.0)

    def channel(row):
        first, second, a, b, c = row
        colour = shade * (first[hits.surface] * (1.0 - mix) + second[hits.surface] * mix)
        return colour * jnp.where(emit > 0, emit, a * lamp + b * sun + c * fill)

    # One colour at a time: a loop keeps what the three share from being computed three times.
    rows = (table[:, :3].T, table[:, 3:6].T, scene.lamp_colour, scene.window_colour, scene.ambient)
    return _develop(scene, jax.lax.map(channel, rows))


def _visible(scene: Scene, p: Vector) -> Array:
    """Whether the lamp is seen from p: one ray against all boxes and the opaque round things."""
    to = tuple(scene.lamp[k] - p[k] for k in range(3))

    def step(open_, group):
        pose, boxes = group
        o, inv = room_trace.local(pose, p), room_trace.inverse(room_trace.turned(pose, to))
        for b in range(boxes.shape[0]):
            enter, leave = room_trace.slabs(o, inv, boxes[b])
            near, far = room_trace.last(enter), room_trace.first(leave)
            open_ &= ~((near < far) & (far > 0) & (near < 0.98))
        return open_, None

    start = jnp.ones(p[0].shape, bool)
    open_, _ = jax.lax.scan(step, start, (scene.pose, scene.boxes))
    for sphere in scene.sphere[1:]:
        open_ &= room_trace.sphere_depth(sphere, p, to) > 1.0
    for cylinder in scene.cylinder[:3]:
        open_ &= room_trace.cylinder_depth(cylinder, p, to)[0] > 1.0
    return open_


def _contact(scene: Scene, hits: Hits, p: Vector, n: Vector) -> Array:
    """Darkening near walls, floor and furniture, 1 = open."""
    out = 1.0
    for k in range(3):
        gap = jnp.minimum(p[k], scene.room[k] - p[k])
        gap = jnp.abs(gap)
        out = out * (1.0 - 0.35 * (1 - jnp.abs(n[k])) / (1.0 + (gap / 0.2) ** 2))
    groups, count = scene.boxes.shape[:2]
    for g in range(groups - 1):
        q = room_trace.local(scene.pose[g], p)
        low, high = jnp.min(scene.boxes[g, :, 0], axis=0), jnp.max(scene.boxes[g, :, 1], axis=0)
        d = [jnp.maximum(jnp.maximum(low[k] - q[k], q[k] - high[k]), 0.0) for k in range(3)]
        square = d[0] ** 2 + d[1] ** 2 + d[2] ** 2
        there = jnp.where(high[2] > 0, 0.4, 0.0)
        own = (hits.surface - room_scene.BOX) // count == g
        out = out * jnp.where(own, 1.0, 1.0 - there / (1.0 + square / 0.15**2))
    return out


def _light(scene: Scene, hits: Hits, p: Vector, n: Vector) -> list[Array]:
    lift = tuple(p[k] + 4e-3 * n[k] for k in range(3))
    to = tuple(scene.lamp[k] - p[k] for k in range(3))
    square = to[0] ** 2 + to[1] ** 2 + to[2] ** 2
    facing = jnp.maximum(to[0] * n[0] + to[1] * n[1] + to[2] * n[2], 0.0) * jax.lax.rsqrt(square)
    lamp = facing / (0.7 + square) * _visible(scene, lift)
    sun = 0.0
    for k in range(room_scene.HOLES):
        box, axis = scene.passage[k], scene.hole_axis[k]
        mid = 0.5 * (box[0] + box[1])
        w = tuple(mid[c] - p[c] for c in range(3))
        sq = w[0] ** 2 + w[1] ** 2 + w[2] ** 2
        away = jnp.abs(jnp.where(axis == 0, w[0], w[1]))
        face = jnp.maximum(w[0] * n[0] + w[1] * n[1] + w[2] * n[2], 0.0)
        area = (box[1, 2] - box[0, 2]) * jnp.where(axis == 0, box[1, 1] - box[0, 1], box[1, 0] - box[0, 0])
        sun = sun + scene.window[k] * area * face * away / ((0.3 + sq) * (0.3 + sq))
    contact = _contact(scene, hits, p, n)
    fill = contact * (0.8 + 0.2 * n[2])
    sun = sun * (0.4 + 0.6 * contact)
    return lamp, sun, fill


def _develop(scene: Scene, light: list[Array]) -> UInt8[Array, "h w 3"]:
    """Camera: automatic exposure, soft highlights, gamma 2, vignette, sensor noise, 8 bits."""
    _, height, width = light.shape
    mean = jnp.mean(jnp.sqrt(light))
    gain = 1.2 * (scene.exposure / mean) ** 2 * scene.balance
    y = ((jnp.arange(height) + 0.5) / height - 0.5)[None, :, None]
    x = ((jnp.arange(width) + 0.5) / width - 0.5)[None, None, :]
    corner = 1.0 - scene.vignette * 2 * (x * x + y * y)
    grey = 255.0 * jnp.sqrt(1.0 - jnp.exp(-gain[:, None, None] * corner * light))
    channel, row, column = (jax.lax.broadcasted_iota(jnp.int32, light.shape, k) for k in range(3))
    column = column + 8 * width * channel
    noise = _hash(row, column, scene.seed) + _hash(row + height, column, scene.seed) - 1.0
    grey = grey + scene.noise * 2.45 * noise
    return jnp.moveaxis(jnp.clip(jnp.round(grey), 0.0, 255.0).astype(jnp.uint8), 0, -1)
