"""What the tests of both comparison networks need: parameters and one compiled function."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from depthsi.compilation import jit


def random_params(model, size, seed=0):
    """Kernels of the variance a ReLU asks for, heads near log_mean, much as the initialisers do.

    Those themselves take long to compile.
    """
    image, key = jnp.zeros((1, *size, 3)), jax.random.key(0)
    init = functools.partial(model.init, train=True)
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        head = "head" in path[-2].key
        if path[-1].key == "kernel":
            variance = 0.1 if head else 2.0
            scale = np.sqrt(variance / np.prod(leaf.shape[:-1]))
            values = rng.normal(scale=scale, size=leaf.shape)
        else:
            values = np.full(leaf.shape, 1.0 if path[-1].key == "scale" else 1.8 * head)
        return jnp.asarray(values, jnp.float32)

    shapes = jax.eval_shape(init, {"params": key, "dropout": key}, image)["params"]
    return jax.tree_util.tree_map_with_path(draw, shapes)


def like_a_blur(params):
    """The same network with equal positive kernels: a spot becomes a symmetric blot."""

    def even(path, leaf):
        if path[-1].key == "kernel":
            return jnp.full_like(leaf, 1 / np.prod(leaf.shape[:-1]))
        return jnp.full_like(leaf, float(path[-1].key == "scale"))

    return jax.tree_util.tree_map_with_path(even, params)


def wide_awake(params):
    """The same network with offsets that keep every ReLU from being zero everywhere."""

    def raise_offset(path, leaf):
        offset = path[-1].key == "bias" and "norm" in path[-2].key
        return leaf + 3.0 if offset else leaf

    return jax.tree_util.tree_map_with_path(raise_offset, params)


def with_gradients(model):
    """(params, image, weights) -> the maps in training, the gradient of sum(weights * maps)."""

    @jit
    def function(params, image, weights):
        maps, back = jax.vjp(lambda p: model.apply({"params": p}, image, train=True), params)
        return maps, back(weights)[0]

    return function


def dead_channels(gradients):
    """Names of arrays with a channel, in or out, that no gradient reaches."""
    dead = []
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        used = np.asarray(gradient) != 0
        last = range(max(used.ndim - 2, 0), used.ndim)
        others = [tuple(a for a in range(used.ndim) if a != axis) for axis in last]
        if not all(np.all(np.any(used, axis=axes)) for axes in others):
            dead.append(jax.tree_util.keystr(path, simple=True, separator="/"))
    return dead


def spot(sizes, row, col):
    """Two black images, the first with a white spot of 5x5 pixels."""
    image = np.zeros((2, *sizes.input, 3), np.float32)
    image[0, row - 2 : row + 3, col - 2 : col + 3] = 255
    return jnp.asarray(image)


def centre_of_response(maps):
    """Centre of mass of what the spot changes, as far as it is over half of the most."""
    response = np.abs(np.float64(maps[0]) - np.float64(maps[1]))
    weight = np.maximum(response - response.max() / 2, 0)
    rows, cols = np.indices(weight.shape)
    return np.sum(rows * weight) / weight.sum(), np.sum(cols * weight) / weight.sum()


def scene():
    """Two images whose colours tell the log depth, which goes up and down, and that depth."""
    rows, cols = np.linspace(0, 3, 228)[:, None], np.linspace(0, 4, 304)
    depth = np.stack([np.sin(2 * rows) + np.cos(2 * cols), np.sin(rows * cols) * 2]) / 4
    colours = np.stack([depth, -depth, depth**2], axis=-1) * 120 + 128
    return jnp.asarray(colours, jnp.float32), jnp.asarray(depth[:, 5::4, 5::4][:, :55, :74] + 0.8)


def learn_by_heart(function, params, shape, rate, steps=25):
    """Mean square errors of maps, all of `shape`, for `scene()` after descent with momentum."""
    image, targets = scene()
    speed, shapes = jax.tree.map(jnp.zeros_like, params), jnp.zeros(shape)
    residual = jnp.full(shape, jnp.nan)  # no step, no error
    for _ in range(steps):
        maps, _ = function(params, image, shapes)  # for the residual, whose gradient comes next
        residual = maps - targets.reshape(*(1,) * (maps.ndim - 3), *targets.shape)
        _, gradient = function(params, image, residual / targets.size)
        speed = jax.tree.map(lambda v, g: 0.9 * v + g, speed, gradient)
        params = jax.tree.map(lambda p, v: p - rate * v, params, speed)
    return np.mean(np.square(residual), axis=(-3, -2, -1)), np.var(targets)
