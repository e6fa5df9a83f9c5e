"""Removes the units of the layer fc6 that matter least, which makes a network's file smaller."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from depthsi.augment import centre
from depthsi.errors import DepthsiError
from depthsi.models import CoarseNet, TwoScaleConfig
from depthsi.models.layers import scaled_width
from depthsi.weights.network_file import TrainedNetwork

BATCH = 8


def narrowed(
    network: TrainedNetwork, images: UInt8[np.ndarray, "n h w 3"], fc6_units: int
) -> TrainedNetwork:
    """The network with fewer units in fc6: those that change its maps most over some images.

    A unit adds its activation times a map of its own, its row of fc7. What is removed is replaced
    by its mean, in the bias of fc7.

    Args:
      network: trained two_scale network.
      images: images of its geometry, on which activations are measured.
      fc6_units: what `fc6_units` of the settings becomes: units at width 1.

    Raises:
      DepthsiError: the network is of another kind, or does not have so many units.
    """
    settings = network.settings
    if not isinstance(settings, TwoScaleConfig):
        raise DepthsiError(f"A network of kind {settings.kind} has no layer fc6 to narrow.")
    units = scaled_width(fc6_units, settings.width)
    coarse = network.params["coarse"]
    rows = np.asarray(coarse["fc7"]["kernel"])
    if units > len(rows):
        raise DepthsiError(f"fc6 has {len(rows)} units; {units} cannot be kept.")
    found = activations(settings, coarse, images)
    change = found.std(0) * np.linalg.norm(rows, axis=1)
    order = np.argsort(-change, kind="stable")
    kept, removed = np.sort(order[:units]), order[units:]
    fc6, fc7 = coarse["fc6"], coarse["fc7"]
    params = {
        **network.params,
        "coarse": {
            **coarse,
            "fc6": {"kernel": fc6["kernel"][:, kept], "bias": fc6["bias"][kept]},
            "fc7": {
                "kernel": rows[kept],
                "bias": fc7["bias"] + found[:, removed].mean(0) @ rows[removed],
            },
        },
    }
    narrow = dataclasses.replace(settings, fc6_units=fc6_units)
    return dataclasses.replace(network, settings=narrow, params=params)


def activations(
    settings: TwoScaleConfig, coarse: Any, images: UInt8[np.ndarray, "n h w 3"]
) -> Float[np.ndarray, "n units"]:
    """What fc6 passes on to fc7 for each image, without dropout."""
    net = CoarseNet(settings)

    @jax.jit
    def of_batch(params: Any, image: Any) -> Any:
        cut = centre(image, jnp.ones(image.shape[:3]), settings.sizes).image
        _, seen = net.apply(
            {"params": params}, cut, capture_intermediates=lambda layer, _: layer.name == "fc6"
        )
        (found,) = seen["intermediates"]["fc6"]["__call__"]
        return jax.nn.relu(jnp.asarray(found))

    starts = range(0, len(images), BATCH)
    return np.concatenate([of_batch(coarse, images[i : i + BATCH]) for i in starts])
