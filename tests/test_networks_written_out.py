"""Every network against its layers written out in float64 NumPy, with settings that are not usual.

Sizes, paddings and the order of the layers are put down here once more, as numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.compilation import jit
from depthsi.config import HourglassConfig, TwoScaleConfig, UNetConfig
from depthsi.models import hourglass, make_model, unet

IMAGE = np.random.default_rng(0).uniform(0, 255, (2, 228, 304, 3))
NONE, ONE, TWO = ((n, n) for n in (0, 1, 2))


def windows(x, size, stride, padding, fill=0.0):
    """(b, rows, columns, channels, size, size); padding alike on all four sides."""
    x = np.pad(x, ((0, 0), padding, padding, (0, 0)), constant_values=fill)
    seen = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return seen[:, ::stride, ::stride]


def conv(x, layer, stride=1, padding=None):
    """A convolution; without `padding` one that keeps the size."""
    kernel = layer["kernel"]
    around = (len(kernel) // 2,) * 2 if padding is None else padding
    seen = windows(x, len(kernel), stride, around)
    return np.einsum("bhwcij,ijcd->bhwd", seen, kernel, optimize=True) + layer.get("bias", 0)


def pool(x, padding=NONE):
    return windows(x, 3, 2, padding, -np.inf).max((-2, -1))


def relu(x):
    return np.maximum(x, 0)


def lrn(x):
    """Over two channels on either side."""
    squares = np.pad(x**2, ((0, 0), (0, 0), (0, 0), (2, 2)))
    total = np.lib.stride_tricks.sliding_window_view(squares, 5, axis=3).sum(-1)
    return x / (2 + 1e-4 * total) ** 0.75


def norm(x, layer):
    """8 channels of an image together."""
    groups = x.reshape(*x.shape[:3], -1, 8)
    mean = groups.mean((1, 2, 4), keepdims=True)
    spread = np.sqrt(groups.var((1, 2, 4), keepdims=True) + 1e-6)
    return ((groups - mean) / spread).reshape(x.shape) * layer["scale"] + layer["bias"]


def random_params(model, seed=0, **how):
    """Numbers that no initialiser gives: layers whose kernels or biases are zero hide others."""
    rng = np.random.default_rng(seed)
    image = jax.ShapeDtypeStruct(IMAGE.shape, jnp.float32)

    def draw(path, leaf):
        if path[-1].key == "kernel":
            return rng.normal(size=leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
        return rng.normal(size=leaf.shape) * 0.3 + (path[-1].key == "scale")

    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, **how), image)["params"]
    params = jax.tree_util.tree_map_with_path(draw, shapes)
    return jax.tree.map(lambda x: np.float64(np.float32(x)), params)


def in_float32(tree):
    return jax.tree.map(jnp.float32, tree)


def coarse_map(config, p, image):
    x = (image - config.coarse_input_mean) / config.coarse_input_std
    normalise = lrn if config.local_response_norm else lambda x: x
    x = normalise(relu(pool(conv(x, p["conv1"], 4, TWO))))
    x = normalise(relu(pool(conv(x, p["conv2"]))))
    x = relu(conv(relu(conv(x, p["conv3"])), p["conv4"]))
    x = relu(pool(conv(x, p["conv5"])))
    assert x.shape[1:3] == (6, 8)
    x = config.feature_scale * x.reshape(len(x), -1)
    x = relu(x @ p["fc6"]["kernel"] + p["fc6"]["bias"])
    if config.initialisers == "paper":
        x = x * (1 - config.dropout)
    x = x @ p["fc7"]["kernel"] + p["fc7"]["bias"]
    return config.log_std * x.reshape(-1, 55, 74)


def fine_map(config, p, image, coarse):
    x = (image - config.fine_input_mean) / config.fine_input_std
    x = relu(pool(conv(x, p["conv1"], 2, ONE)))
    x = np.concatenate([coarse[..., None] / config.log_std, x], axis=-1)
    return config.log_std * conv(relu(conv(x, p["conv2"])), p["conv3"])[..., 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [{"initialisers": "paper"}, {"initialisers": "scaled", "local_response_norm": False}]
)
def test_the_coarse_and_the_fine_network(how):
    config = TwoScaleConfig(
        width=0.03,
        dropout=0.25,
        feature_scale=0.3,
        log_std=0.4,
        coarse_input_mean=100.0,
        coarse_input_std=0.7,
        fine_input_mean=90.0,
        fine_input_std=30.0,
        **how,
    )
    model = make_model(config)
    params = random_params(model)
    outputs = ("coarse", "fine")

    @jit
    def both(params, image):
        return [model.apply({"params": params}, image, output=output) for output in outputs]

    found = both(in_float32(params), jnp.float32(IMAGE))
    coarse = coarse_map(config, params["coarse"], IMAGE)
    expected = coarse, fine_map(config, params["fine"], IMAGE, coarse)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * np.abs(other).max())


def stem(config, p, image):
    x = (image - config.input_mean) / config.input_std
    return relu(conv(relu(conv(x, p["conv1"], 2, NONE)), p["conv2"], 2, NONE))


def doubled(x, size):
    """Each axis: at even places what there is, between them its mean, the last value repeated."""
    for axis, length in zip((1, 2), size, strict=True):
        at = np.arange(length) / 2
        below, above = np.floor(at).astype(int), np.ceil(at).astype(int)
        above = np.minimum(above, x.shape[axis] - 1)
        x = (x.take(below, axis) + x.take(above, axis)) / 2
    return x


def block(x, p):
    return relu(norm(conv(relu(norm(conv(x, p["conv1"]), p["norm1"])), p["conv2"]), p["norm2"]))


@pytest.mark.slow
def test_the_unet(monkeypatch):
    """Of three levels."""
    monkeypatch.setattr(unet, "LEVELS", 3)
    config = UNetConfig(size="small", log_std=0.4, input_mean=90.0, input_std=30.0)
    model = make_model(config)
    params = random_params(model)
    p = params["unet"]
    first = block(stem(config, p, IMAGE), p["down0"])
    second = block(pool(first, ONE), p["down1"])
    third = block(pool(second, ONE), p["down2"])
    x = block(np.concatenate([second, doubled(third, (28, 37))], -1), p["up1"])
    x = block(np.concatenate([first, doubled(x, (55, 74))], -1), p["up0"])
    expected = 0.4 * conv(x, p["head"])[..., 0]
    found = jit(model.apply)({"params": in_float32(params)}, jnp.float32(IMAGE))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def residual(x, p):
    change = x
    for i in "123":
        change = conv(relu(norm(change, p["norm" + i])), p["conv" + i])
    return x + change


@pytest.mark.slow
def test_the_stacked_hourglass(monkeypatch):
    """Two stacks that halve the grid once."""
    monkeypatch.setattr(hourglass, "DEPTH", 1)
    monkeypatch.setitem(hourglass.SIZES, "small", (2, 16))
    config = HourglassConfig(
        size="small", log_mean=1.2, log_std=0.4, input_mean=90.0, input_std=30.0
    )
    model = make_model(config)
    params = random_params(model, train=True)
    p = params["hourglass"]
    x = residual(stem(config, p, IMAGE), p["first"])
    expected = []
    for i in "01":
        stack = p["stack" + i]
        down = residual(residual(pool(x, ONE), stack["down0"]), stack["bottom"])
        y = residual(x, stack["skip0"]) + doubled(residual(down, stack["up0"]), (55, 74))
        y = conv(residual(y, p["last" + i]), p["conv_out" + i])
        y = relu(norm(y, p["norm" + i]))
        raw = conv(y, p["head" + i])
        expected.append(0.4 * raw[..., 0])
        if i == "0":
            x = x + conv(y, p["conv_back0"]) + conv(raw - 1.2 / 0.4, p["map0"])

    @jit
    def maps(params, image):
        return model.apply({"params": params}, image, train=True)

    found = maps(in_float32(params), jnp.float32(IMAGE))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_the_usual_settings_are_the_authors():
    """Of their release, as far as they are not those of the paper."""
    config = TwoScaleConfig()
    assert (config.log_mean, config.log_std) == (0.82473954, 0.45723134)
    assert (config.coarse_input_mean, config.coarse_input_std) == (128.0, 1.0)
    assert (config.fine_input_mean, config.fine_input_std) == (109.31410628, 76.18328376)
    assert (config.feature_scale, config.dropout, config.width) == (0.01, 0.5, 1.0)
    assert config.local_response_norm
    for other in (UNetConfig(), HourglassConfig()):
        assert (other.input_mean, other.input_std) == (109.31410628, 76.18328376)
        assert (other.log_mean, other.log_std) == (0.82473954, 0.45723134)
