"""Checksums of states that depend only on values, not on how they are sharded over devices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

_SEED = np.uint32(0x9E3779B9)


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves by path, such as "params/coarse/conv1/kernel", in the order of `jax.tree`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): leaf for p, leaf in leaves}


def digests(tree: Any) -> dict[str, list[int]]:
    """Two 32-bit checksums of every array in `tree`, by path; waits for the devices.

    Each element, together with its position, passes through bijections of 32-bit words, and the
    results are added modulo 2^32. A change of one element is therefore always detected, and a
    change of several elements goes undetected with a probability of about 2^-64; a sum of integers
    is the same for every sharding. Every process of a run must call this.
    """
    named = named_leaves(tree)
    sums = jax.device_get(_digests(list(named.values()), _SEED))
    return {name: [int(word) for word in both] for name, both in zip(named, sums, strict=True)}


@jax.jit
def _digests(leaves: list[Array], seed: UInt32[Array, ""]) -> list[tuple[Array, Array]]:
    # The seed is an argument so that the compiler does not compute each element's place itself.
    return [_digest(leaf, seed) for leaf in leaves]


@jax.jit  # traced once for every shape and type: a state has many arrays of the same
def _digest(leaf: Array, seed: UInt32[Array, ""]) -> tuple[Array, Array]:
    words = _words(leaf)
    place = jnp.broadcast_to(seed, words.shape)  # of each element in row-major order, modulo 2^32
    for axis, size in enumerate(words.shape):
        place = place * jnp.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
    first = _mix(words ^ _mix(place))
    zeros = (np.uint32(0), np.uint32(0))
    return jax.lax.reduce(
        (first, _mix(first ^ place)),
        zeros,
        lambda a, b: (a[0] + b[0], a[1] + b[1]),
        tuple(range(words.ndim)),
    )


def _words(leaf: Array) -> UInt32[Array, "*shape"]:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(leaf)
    unsigned = jnp.dtype(f"uint{8 * leaf.dtype.itemsize}")
    return jax.lax.bitcast_convert_type(leaf, unsigned).astype(jnp.uint32)


@jax.jit
def _mix(words: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """The final bijection of MurmurHash3 (A. Appleby, in the public domain)."""
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)
