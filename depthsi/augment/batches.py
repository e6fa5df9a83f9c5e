"""Batches of the network's input and targets out of raw samples, for training and for tests."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Num

from depthsi.augment.appearance import vary_appearance
from depthsi.augment.regions import vary_regions
from depthsi.augment.views import (
    Batch,
    Raw,
    apply_view,
    draw_view,
    log_and_valid,
    output_cells,
)
from depthsi.config import AugmentConfig
from depthsi.geometry import Geometry
from depthsi.valid import valid_depth

APPEARANCE, REGIONS = 6, 7  # folded into a sample's key; the view takes those before


def augment(
    keys: Key[Array, " b"],
    image: Num[Raw, "b H W 3"],
    depth: Float[Raw, "b H W"],
    config: AugmentConfig,
    sizes: Geometry,
) -> Batch:
    """A training batch in which every sample has its own random view.

    Args:
      keys: one random key per sample, which determines its augmentation.
      image: RGB on the scale 0..255.
      depth: metres; 0, negative, NaN and inf mean missing.
      config: the augmentations and their ranges.
      sizes: geometry with the sizes of input and output.

    Returns:
      Images of the size `sizes.input`, targets of the size `sizes.output`.
    """

    def one(key: jax.Array, picture: jax.Array, metres: jax.Array) -> Batch:
        if config.mask_extremes:
            metres = mask_extremes(metres)
        view = draw_view(key, config, (metres.shape[0], metres.shape[1]), sizes)
        batch = apply_view(view, picture, metres, sizes)
        image = vary_appearance(jax.random.fold_in(key, APPEARANCE), batch.image, config)
        batch = batch._replace(image=image)
        return batch._replace(
            image=vary_regions(jax.random.fold_in(key, REGIONS), batch, config, sizes)
        )

    return jax.vmap(one)(keys, jnp.asarray(image), jnp.asarray(depth))


def centre(image: Num[Raw, "b H W 3"], depth: Float[Raw, "b H W"], sizes: Geometry) -> Batch:
    """A test batch: the centre crop, with the targets at its output cells."""
    (height, width), picture = sizes.input, image.shape[1:3]
    top, left = (picture[0] - height) // 2, (picture[1] - width) // 2
    pixels = jnp.asarray(image[:, top : top + height, left : left + width], jnp.float32)
    rows, cols = (jnp.asarray(axis, jnp.int32) for axis in output_cells(sizes))
    metres = jnp.asarray(depth)[:, (top + rows)[:, None], (left + cols)[None, :]]
    return Batch(pixels, *log_and_valid(metres))


def mask_extremes(depth: Float[Array, "H W"]) -> Float[Array, "H W"]:
    """Marks as missing every pixel at the least or greatest depth of its image (section 4.1).

    These are where a depth camera saturates: windows, open doors, mirrors.
    """
    valid = valid_depth(depth)
    least = jnp.min(jnp.where(valid, depth, jnp.inf))
    greatest = jnp.max(jnp.where(valid, depth, -jnp.inf))
    return jnp.where(valid & (depth > least) & (depth < greatest), depth, 0.0)
