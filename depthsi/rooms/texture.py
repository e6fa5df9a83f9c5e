"""The one parametric texture of every surface, evaluated where a ray ends."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32


def hashed(x: Int[Array, "*s"], y: Int[Array, "*s"], seed: UInt32[Array, "..."]) -> Array:
    """A random number in [0, 1) for each integer cell, the same wherever it is asked for."""
    h = x.astype(jnp.uint32) * np.uint32(0x9E3779B1) + seed
    h = (h ^ (h >> 15)) * np.uint32(0x85EBCA6B) + y.astype(jnp.uint32) * np.uint32(0xC2B2AE35)
    h = (h ^ (h >> 13)) * np.uint32(0x27D4EB2F)
    return ((h ^ (h >> 16)) >> 8).astype(jnp.float32) * np.float32(2**-24)


def value_noise(u: Array, v: Array, seed: Array) -> Array:
    """Smooth noise in [-1, 1] between random values at the integer points."""
    i, j = jnp.floor(u), jnp.floor(v)
    fu, fv = (f * f * (3.0 - 2.0 * f) for f in (u - i, v - j))
    i, j = i.astype(jnp.int32), j.astype(jnp.int32)
    low = (1 - fu) * hashed(i, j, seed) + fu * hashed(i + 1, j, seed)
    high = (1 - fu) * hashed(i, j + 1, seed) + fu * hashed(i + 1, j + 1, seed)
    return 2.0 * ((1 - fv) * low + fv * high) - 1.0


def _seen(footprint: Array, frequency: Array) -> Array:
    """How much of a pattern survives in a pixel that covers `footprint` metres of it."""
    return jnp.clip(2.0 - 3.0 * footprint * frequency, 0.0, 1.0)


def texture(
    material: list[Array], u: Array, v: Array, footprint: Array, seed: Array
) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Brightness and mix of a material at (u, v) metres of its surface.

    Args:
      material: columns 6.. of `room_materials.materials`, as maps.
      u, v: position on the surface, metres.
      footprint: width of a pixel there, metres; what is finer fades out instead of aliasing.
      seed: seed of the surface's random numbers.

    Returns:
      A factor for the albedo, and the share of the second colour in it.
    """
    per_u, per_v, stagger, tone, parity, joint, joint_width, noise, noise_u, noise_v, swap = (
        material
    )
    u, v = jnp.where(swap > 0.5, v, u), jnp.where(swap > 0.5, u, v)
    row = jnp.floor(v * per_v)
    along = u * per_u + stagger * row
    column = jnp.floor(along)
    i, j = row.astype(jnp.int32), column.astype(jnp.int32)
    odd = ((i + j) & 1).astype(jnp.float32)
    seen = _seen(footprint, jnp.maximum(per_u, per_v))
    random = 0.5 + seen * (hashed(i, j, seed) - 0.5)
    mix = jnp.clip(tone * random + parity * (0.5 + seen * (odd - 0.5)), 0.0, 1.0)
    in_u, in_v = along - column, v * per_v - row
    edge = jnp.minimum(jnp.minimum(in_u, 1 - in_u) / per_u, jnp.minimum(in_v, 1 - in_v) / per_v)
    cover = jnp.clip((0.5 * joint_width - edge) / footprint + 0.5, 0.0, 1.0)
    cover = cover * jnp.minimum(joint_width / footprint, 1.0)
    clouds = value_noise(u * noise_u, v * noise_v, seed)
    clouds = clouds * _seen(footprint, 0.5 * jnp.maximum(noise_u, noise_v))
    return (1.0 - joint * cover) * (1.0 + noise * clouds), mix
