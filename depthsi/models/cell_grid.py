"""What the comparison networks share: the way from pixels to output cells, other grids, the head.

Along an axis, cell k of grid level l lies at input pixel 5 + 4 * 2^l * k. Level 0 holds the output
cells of `geometry.py`, and every level has the even cells of the one before. No image size has to
be a power of two, and nothing is resized: `to_cells` reaches level 0 by convolutions without
padding whose sizes come out exactly (228x304 -> 55x74), `halve` and `double` go from n cells to
ceil(n / 2) and back. On KITTI the whole image is seen (172x576 -> 41x142), and `log_depth` drops
the 14 rows of cells above those of the output, 27x142.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import constant
from jaxtyping import Array, Float

from depthsi.geometry import CELL_STRIDE, Window
from depthsi.models.initialisers import fan_in_normal, he_normal
from depthsi.models.layers import max_pool
from depthsi.models.settings import HourglassConfig, UNetConfig

Config = UNetConfig | HourglassConfig
HALVE = Window(3, 2, ((1, 1), (1, 1)))  # centred on the even cells


def to_cells(net: Any, image: Float[Array, "b H W 3"], channels: int) -> Float[Array, "b h w c"]:
    """Features of level 0, by layers called conv1 and conv2 of `net`.

    Conv1, 3x3/2, is centred on pixels 1 + 2i; conv2, 5x5/2, on i = 2 + 2k: on pixels 5 + 4k.

    Args:
      net: module inside its compact method, with attributes `config`, `dtype` and `remat`.
      image: RGB on the scale 0..255.
      channels: number of channels of the result.
    """
    first = nn.remat(_to_cells, static_argnums=2) if net.remat else _to_cells
    return first(net, image, channels)


def _to_cells(net: Any, image: Float[Array, "b H W 3"], channels: int) -> Float[Array, "b h w c"]:
    x = (image - net.config.input_mean) / net.config.input_std
    for name, kernel, width in (("conv1", 3, channels // 2), ("conv2", 5, channels)):
        x = convolution(width, kernel, net.dtype, stride=2, padding="VALID", bias=True, name=name)(
            x
        )
        x = nn.relu(x)
    return x


def raw_depth(config: Config, x: Float[Array, "b h w c"], name: str) -> Float[Array, "b h w 1"]:
    """Log depth in units of `log_std` for all cells of level 0, by a 1x1 convolution `name`.

    Like the paper's networks it starts near `log_mean` everywhere, and is computed in float32.
    """
    return nn.Conv(
        1,
        (1, 1),
        dtype=jnp.float32,
        kernel_init=fan_in_normal(0.1),
        bias_init=constant(config.log_mean / config.log_std),
        name=name,
    )(x)


def log_depth(config: Config, raw: Float[Array, "b h w 1"]) -> Float[Array, "b oh ow"]:
    """Natural log of metres at the geometry's output cells."""
    top = config.sizes.fine_top // CELL_STRIDE
    return config.log_std * raw[:, top:, :, 0]


def convolution(
    channels: int,
    kernel: int,
    dtype: Any,
    *,
    stride: int = 1,
    padding: Any = "SAME",
    bias: bool = False,
    name: str,
) -> nn.Conv:
    """Square convolution that keeps the variance of what a ReLU gives it."""
    return nn.Conv(
        channels,
        (kernel, kernel),
        strides=stride,
        padding=padding,
        use_bias=bias,
        dtype=dtype,
        kernel_init=he_normal(),
        name=name,
    )


def norm(dtype: Any, name: str) -> nn.GroupNorm:
    """Normalises 8 channels of one image together: images of a batch know nothing of others."""
    return nn.GroupNorm(num_groups=None, group_size=8, dtype=dtype, name=name)


def halve(x: Float[Array, "b h w c"], *, remat: bool = False) -> Float[Array, "b oh ow c"]:
    """Maximum of 3x3 cells around every second one: to the next level."""
    pool = functools.partial(max_pool, window=HALVE)  # keeps more than it gets to differentiate it
    return (jax.checkpoint(pool) if remat else pool)(x)


def double(x: Float[Array, "b h w c"], size: tuple[int, int]) -> Float[Array, "b oh ow c"]:
    """To the level before, of `size`: cells stay, between two of them comes their mean."""
    for axis in (1, 2):
        last = jax.lax.slice_in_dim(x, x.shape[axis] - 1, None, axis=axis)
        later = jnp.concatenate([jax.lax.slice_in_dim(x, 1, None, axis=axis), last], axis)
        both = jnp.stack([x, (x + later) / 2], axis + 1)
        shape = (*x.shape[:axis], -1, *x.shape[axis + 1 :])
        x = jax.lax.slice_in_dim(both.reshape(shape), 0, size[axis - 1], axis=axis)
    return x
