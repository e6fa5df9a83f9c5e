"""Procedural indoor scenes: images with exact depth, unlimited in number, nothing to download.

A scene is drawn from a random key (`room_scene`), found by casting one ray per pixel
(`room_trace`) and shaded (`room_shade`); all of it is pure, and jit and vmap apply.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float32, Int, PRNGKeyArray, UInt8

from depthsi.compilation import quick_jit, thorough_jit
from depthsi.data.samples import Sample
from depthsi.errors import DepthsiError
from depthsi.rooms import scene as room_scene
from depthsi.rooms import shade as room_shade
from depthsi.rooms import trace as room_trace

SIZE = (240, 320)  # (H, W), pixels
SPLITS = ("train", "val", "test")
BATCH = 8  # scenes rendered by one call of `RoomsSource`


def room_key(seed: int, split: str, index: int | Int[Array, ""]) -> PRNGKeyArray:
    """The key of one scene; the split is folded in, so that no two splits share a scene.

    Raises:
      DepthsiError: unknown split, or a seed outside 0 .. 2^32 - 1.
    """
    return jax.random.fold_in(_stream(seed, split), index)


def _stream(seed: int, split: str) -> PRNGKeyArray:
    _check_stream(seed, split)
    return jax.random.fold_in(jax.random.key(seed), SPLITS.index(split))


def _check_stream(seed: int, split: str) -> None:
    if split not in SPLITS:
        raise DepthsiError(f"rooms have no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if not 0 <= seed < 2**32:  # jax keeps 32 bits: larger ones would repeat other streams
        raise DepthsiError(f"the seed of the rooms is {seed}; give one from 0 to {2**32 - 1}.")


def _check_scale_range(scale_range: tuple[float, float]) -> None:
    if not (len(scale_range) == 2 and 0 < scale_range[0] <= scale_range[1] < math.inf):
        raise DepthsiError(
            f"scale_range is {scale_range}; give (low, high) with 0 < low <= high, finite."
        )


def room(
    key: PRNGKeyArray,
    *,
    scale_range: tuple[float, float] = (1.0, 1.0),
    size: tuple[int, int] = SIZE,
) -> tuple[UInt8[Array, "h w 3"], Float32[Array, "h w"]]:
    """Renders one scene.

    Args:
      key: random key, for instance of `room_key`.
      scale_range: range of a log-uniform factor by which the whole scene (geometry, camera,
        texture, light) is enlarged. This multiplies the depth without changing the image, so the
        absolute scale cannot be read from the image.
      size: (H, W) in pixels; the horizontal field of view does not depend on it.

    Returns:
      The image, RGB, and the depth: camera z in metres, valid and exact at every pixel's centre.

    Raises:
      DepthsiError: a scale range that is not 0 < low <= high.
    """
    _check_scale_range(scale_range)
    return _picture(*_scaled_scene(key, *scale_range), size)


def _scaled_scene(
    key: PRNGKeyArray, low: ArrayLike, high: ArrayLike
) -> tuple[room_scene.Scene, Float32[Array, ""]]:
    """A scene and the factor of its depth."""
    share = jax.random.uniform(jax.random.fold_in(key, 1))
    return room_scene.scene(key), jnp.asarray(low * jnp.power(high / low, share))


def _picture(
    scene: room_scene.Scene, factor: Float32[Array, ""], size: tuple[int, int]
) -> tuple[UInt8[Array, "h w 3"], Float32[Array, "h w"]]:
    hits = room_trace.trace(scene, size)
    return room_shade.shade(scene, hits), hits.depth * factor


def _scenes(
    stream: PRNGKeyArray, first: Int[Array, ""], low: Array, high: Array
) -> tuple[room_scene.Scene, Float32[Array, " n"]]:
    """Scenes first .. first + BATCH - 1 of a stream."""
    keys = jax.vmap(lambda i: jax.random.fold_in(stream, i))(first + jnp.arange(BATCH))
    return jax.vmap(lambda key: _scaled_scene(key, low, high))(keys)


def _render(
    scenes: room_scene.Scene, factors: Float32[Array, " n"], count: Int[Array, ""]
) -> tuple[UInt8[Array, "n h w 3"], Float32[Array, "n h w"]]:
    """The first `count` of BATCH scenes, and no matter what of the others."""
    one = functools.partial(_picture, size=SIZE)
    if jax.default_backend() != "cpu":
        return jax.vmap(one)(scenes, factors)

    # on a CPU one scene at a time stays in the cache
    def add(i: Array, done: tuple[Array, Array]) -> tuple[Array, Array]:
        image, depth = one(*jax.tree.map(lambda leaf: leaf[i], (scenes, factors)))
        return done[0].at[i].set(image), done[1].at[i].set(depth)

    empty = jnp.zeros((BATCH, *SIZE, 3), jnp.uint8), jnp.zeros((BATCH, *SIZE), jnp.float32)
    return jax.lax.fori_loop(0, count, add, empty)


@functools.cache
def _renderer() -> Callable[..., tuple[Array, Array]]:
    """Scenes first .. first + count - 1 of a stream, in two programs.

    Drawing random numbers takes long to compile and hardly any time to run; unoptimised rendering
    would take four times as long.
    """
    draw, render = quick_jit(_scenes), thorough_jit(_render)

    def rooms(stream: Any, first: Any, count: Any, low: Any, high: Any) -> tuple[Array, Array]:
        return render(*draw(stream, first, low, high), count)

    return rooms


class RoomsSource:
    """A fixed number of rooms of one split; every scene only depends on (seed, split, index)."""

    def __init__(
        self,
        split: str,
        count: int,
        seed: int = 0,
        scale_range: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        """Describes the rooms; they are rendered when asked for.

        Args:
          split: "train", "val" or "test".
          count: number of scenes.
          seed: seed of the scenes.
          scale_range: see `room`.

        Raises:
          DepthsiError: unknown split, a seed outside 0 .. 2^32 - 1, negative count, or a scale
            range that is not 0 < low <= high.
        """
        _check_stream(seed, split)
        _check_scale_range(scale_range)
        if count < 0:
            raise DepthsiError(f"the number of rooms is {count}; give 0 or more.")
        self.split, self.count, self.seed, self.scale_range = split, count, seed, scale_range
        self._last: tuple[int, np.ndarray, np.ndarray] | None = None

    @property
    def scenes(self) -> tuple[str, ...]:
        """The scene of each sample: every room is its own."""
        return tuple(str(index) for index in range(self.count))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Scene `index`; whoever reads in order has the next ones rendered along with it."""
        if not 0 <= index < self.count:
            raise IndexError(f"room {index} of {self.count}")
        last = self._last  # another thread may replace it at any time
        if last is None or not 0 <= index - last[0] < len(last[1]):
            in_order = index == 0 if last is None else index == last[0] + len(last[1])
            last = self._last = (index, *self._render(index, BATCH if in_order else 1))
        first, images, depths = last
        place = index - first
        name = f"rooms/{self.split}/{index:06d}"
        return Sample(images[place].copy(), depths[place].copy(), name)

    def arrays(
        self, progress: Callable[[int], object] | None = None
    ) -> tuple[UInt8[np.ndarray, "n h w 3"], Float32[np.ndarray, "n h w"]]:
        """All images and all depth maps (metres), in order; bit-identical to the samples.

        Args:
          progress: called with the number of scenes finished since its last call.
        """
        images = np.empty((self.count, *SIZE, 3), np.uint8)
        depths = np.empty((self.count, *SIZE), np.float32)
        for first in range(0, self.count, BATCH):
            image, depth = self._render(first, BATCH)
            n = len(image)
            images[first : first + n], depths[first : first + n] = image, depth
            if progress is not None:
                progress(n)
        return images, depths

    def _render(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """At most `count` scenes: one compiled program for all of them, hence the same bits."""
        count = min(count, self.count - first)
        stream = _stream(self.seed, self.split)
        low, high = (jnp.float32(x) for x in self.scale_range)
        image, depth = _renderer()(stream, jnp.int32(first), jnp.int32(count), low, high)
        return np.asarray(image)[:count], np.asarray(depth)[:count]
