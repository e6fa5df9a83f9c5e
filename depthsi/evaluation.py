"""A model over a split: the paper's eight numbers, and those of the mean predictor beside them.

Predictions are compared with the true depth at the resolution of the samples: every output cell
stands for the pixels it covers (nearest-neighbour upsampling, as in the paper), in the part of the
named crop that the network's output covers, on true depths within the caps.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from depthsi.augment import centre
from depthsi.compilation import jit
from depthsi.config import ModelConfig
from depthsi.data.samples import valid_depth
from depthsi.errors import DepthsiError
from depthsi.geometry import CELL_STRIDE, Crop, Geometry, Size, crop
from depthsi.metrics import DepthMetrics
from depthsi.models import make_model
from depthsi.models.two_scale import Output

Pairs = Iterable[tuple[np.ndarray, np.ndarray]]  # batches: uint8 (B, H, W, 3), metres (B, H, W)
Predictor = Callable[[Any], Any]  # uint8 (B, H, W, 3) -> metres (B, h, w), one per output cell


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is compared: a named crop, and the true depths (metres) that count."""

    crop: str
    min_depth: float = 0.0
    max_depth: float = float("inf")

    def __post_init__(self) -> None:
        if not 0 <= self.min_depth < self.max_depth:
            raise DepthsiError(
                f"The depth caps {self.min_depth} and {self.max_depth} m leave no depth between"
                " them: give the smaller one first."
            )

    def describe(self, sizes: Geometry) -> str:
        """One line for tables: what is compared in pictures of the geometry's image size."""
        capped = self.min_depth > 0 or self.max_depth < float("inf")
        caps = f"true depth in ({self.min_depth:g}, {self.max_depth:g}) m"
        box = evaluated_region(self, sizes, sizes.image)
        return (
            f"crop {self.crop} where the network predicts (rows {box.top}..{box.bottom}, columns"
            f" {box.left}..{box.right} of {sizes.image[0]}x{sizes.image[1]}),"
            f" {caps if capped else 'no depth caps'}"
        )


DEFAULT_PROTOCOLS = {
    "nyu": Protocol("eigen2014_nyu"),
    "kitti": Protocol("none", 1e-3, 80.0),
}


def evaluated_region(protocol: Protocol, sizes: Geometry, size: Size) -> Crop:
    """The pixels compared in pictures of `size`: the crop, as far as the output covers it.

    Raises:
      DepthsiError: nothing is left, or the pictures are not of the geometry's image size.
    """
    if size != sizes.image:
        raise DepthsiError(
            f"The evaluation of {sizes.name} needs pictures of {sizes.image}, not {size}."
        )
    wanted, covered = crop(protocol.crop, size), sizes.region
    box = Crop(
        max(wanted.top, covered.top),
        min(wanted.bottom, covered.bottom),
        max(wanted.left, covered.left),
        min(wanted.right, covered.right),
    )
    if box.top >= box.bottom or box.left >= box.right:
        raise DepthsiError(f"The crop {protocol.crop!r} lies outside what the network covers.")
    return box


def upsample_cells(cells: Num[Array, "b h w"]) -> Num[Array, "b H W"]:
    """Every output cell as the block of pixels it covers."""
    return jnp.repeat(jnp.repeat(cells, CELL_STRIDE, axis=1), CELL_STRIDE, axis=2)


def make_predictor(config: ModelConfig, output: Output) -> Callable[[Any, Any], Any]:
    """The network, compiled: (params, raw pictures) -> metres at its output cells."""
    model = make_model(config)

    def predict(params: Any, image: jax.Array) -> jax.Array:
        batch = centre(image, jnp.ones(image.shape[:3]), config.sizes)
        return jnp.exp(jnp.asarray(model.apply({"params": params}, batch.image, output=output)))

    return jit(predict)


def evaluate_predictor(
    predict: Predictor, batches: Pairs, sizes: Geometry, protocol: Protocol
) -> DepthMetrics:
    """The sums of a predictor over a split."""
    total = DepthMetrics.empty()
    for image, depth in batches:
        total = total.merge(_score_cells(predict(image), depth, sizes, protocol))
    return total


def mean_depth(batches: Pairs) -> Float[np.ndarray, "H W"]:
    """exp of the mean log depth at each pixel over a (training) set, metres.

    A pixel where no picture has depth gets the mean over all pixels.
    """
    total = count = np.zeros(())
    for _, depth in batches:
        valid = valid_depth(depth)
        logs = np.log(np.where(valid, depth, 1.0).astype(np.float64))
        total, count = total + logs.sum(axis=0), count + valid.sum(axis=0)
    overall = total.sum() / count.sum()
    return np.exp(np.where(count > 0, total / np.maximum(count, 1), overall))


def evaluate_mean_predictor(
    mean: Float[np.ndarray, "H W"], batches: Pairs, sizes: Geometry, protocol: Protocol
) -> DepthMetrics:
    """The sums of predicting `mean` for every picture."""
    top, bottom, left, right = sizes.region
    prediction = jnp.asarray(mean[None, top:bottom, left:right], jnp.float32)
    total = DepthMetrics.empty()
    for _, depth in batches:
        total = total.merge(_score(prediction, depth, sizes, protocol))
    return total


@functools.partial(jax.jit, static_argnames=("sizes", "protocol"))
def _score_cells(
    cells: Float[Array, "b h w"], depth: Float[Array, "b H W"], sizes: Geometry, protocol: Protocol
) -> DepthMetrics:
    return _score(upsample_cells(cells), depth, sizes, protocol)


@functools.partial(jax.jit, static_argnames=("sizes", "protocol"))
def _score(
    predictions: Float[Array, "#b h w"],
    depth: Float[Array, "b H W"],
    sizes: Geometry,
    protocol: Protocol,
) -> DepthMetrics:
    """Compares predictions for the pixels of the region with the pictures' depth, in metres."""
    box = evaluated_region(protocol, sizes, (depth.shape[1], depth.shape[2]))
    depth = depth[:, box.top : box.bottom, box.left : box.right]
    top, _, left, _ = sizes.region
    predictions = predictions[
        :, box.top - top : box.bottom - top, box.left - left : box.right - left
    ]
    where = (depth > protocol.min_depth) & (depth < protocol.max_depth)
    return DepthMetrics.from_batch(jnp.broadcast_to(predictions, depth.shape), depth, where=where)
