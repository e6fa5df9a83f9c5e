"""Compares predictions with the ground truth of a split under a protocol.

Maps are compared at the resolution of the ground truth, in the part of the protocol's crop that the
predictions cover, and for true depths within the caps.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from depthsi.geometry import CELL_STRIDE, Crop, Geometry
from depthsi.metrics import DepthMetrics
from depthsi.metrics.alignment import align
from depthsi.metrics.clamping import clamped, clamped_first
from depthsi.metrics.protocols import Protocol
from depthsi.metrics.regions import evaluated_region
from depthsi.metrics.terms import ImageTerms, image_terms
from depthsi.valid import valid_depth

Batches = Iterable[tuple[np.ndarray, np.ndarray]]  # batches: uint8 (B, H, W, 3), metres (B, H, W)
Predictor = Callable[[Any], Any]  # uint8 (B, H, W, 3) -> metres (B, h, w), one per output cell
Compared = tuple[Any, Any]  # predictions and truth of the same pixels, metres (b, h, w)


def upsample_cells(cells: Num[Array, "b h w"], resize: str = "nearest") -> Num[Array, "b H W"]:
    """Output cells at the pixels they cover: as blocks, or interpolated between their centres.

    Args:
      cells: (b, h, w), one value per output cell.
      resize: "nearest" for blocks of `CELL_STRIDE` pixels, "bilinear" between centres,
        "bilinear_corners" with the centres of the corner pixels on those of the corner cells.

    Returns:
      (b, H, W), `CELL_STRIDE` times as large.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics.compare import upsample_cells
      >>> print(upsample_cells(jnp.array([[[1.0, 2.0]]]))[0, 0])
      [1. 1. 1. 1. 2. 2. 2. 2.]
    """
    if resize == "nearest":
        return jnp.repeat(jnp.repeat(cells, CELL_STRIDE, axis=1), CELL_STRIDE, axis=2)
    count, height, width = cells.shape
    shape = (count, height * CELL_STRIDE, width * CELL_STRIDE)
    if resize == "bilinear":
        return jax.image.resize(cells, shape, "bilinear")
    ends = [(n, max(m - 1, 1)) for n, m in zip(shape[1:], cells.shape[1:], strict=True)]
    scale = jnp.array([(n - 1) / last for n, last in ends])
    # this function has pixel centres at halves: both first ones at 1/2
    return jax.image.scale_and_translate(
        cells, shape, (1, 2), scale, 0.5 - scale / 2, "linear", antialias=False
    )


@functools.partial(jax.jit, static_argnames="protocol")
def comparable(
    predictions: Float[Array, "b h w"], targets: Float[Array, "b h w"], protocol: Protocol
) -> tuple[Float[Array, "b h w"], Bool[Array, "b h w"]]:
    """Aligned and clamped predictions, and the pixels that count.

    Args:
      predictions: (b, h, w) predicted depth in metres.
      targets: (b, h, w) true depth in metres; 0, negative, NaN or inf = missing.
      protocol: the protocol; its crop and resizing must already be applied.

    Returns:
      (b, h, w) metres, where NaN stays NaN unless the protocol clamps it too; and bool (b, h, w).

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics.compare import comparable
      >>> from depthsi.metrics.protocols import protocol
      >>> predictions, targets = jnp.array([[[1.0, 20.0]]]), jnp.array([[[2.0, 11.0]]])
      >>> maps, where = comparable(predictions, targets, protocol("nyu_bts"))
      >>> maps.tolist(), where.tolist()  # clamped to 10 m; true depths over 10 m do not count
      ([[[1.0, 10.0]]], [[[True, False]]])
    """
    maps, where = _aligned(predictions, targets, protocol)
    return clamped(maps, protocol, jnp), where


def _aligned(
    predictions: Float[Array, "b h w"], targets: Float[Array, "b h w"], protocol: Protocol
) -> tuple[Float[Array, "b h w"], Bool[Array, "b h w"]]:
    where = protocol.counts(targets)
    return align(predictions, targets, where, protocol.alignment), where


@functools.partial(jax.jit, static_argnames="protocol")
def compare(
    predictions: Float[Array, "b h w"], targets: Float[Array, "b h w"], protocol: Protocol
) -> ImageTerms:
    """The scores of maps of the same pixels, under all rules except crop and resizing.

    Args:
      predictions: (b, h, w) predicted depth in metres.
      targets: (b, h, w) true depth in metres; 0, negative, NaN or inf = missing.
      protocol: the protocol; its crop and resizing must already be applied.

    Returns:
      Arrays of shape (b,).

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics.compare import compare
      >>> from depthsi.metrics.protocols import protocol
      >>> predictions, targets = jnp.array([[[1.0, 20.0]]]), jnp.array([[[2.0, 11.0]]])
      >>> compare(predictions, targets, protocol("nyu_bts")).pixels.tolist()
      [1]
    """
    return compare_and_count(predictions, targets, protocol)[0]


@functools.partial(jax.jit, static_argnames="protocol")
def compare_and_count(
    predictions: Float[Array, "b h w"], targets: Float[Array, "b h w"], protocol: Protocol
) -> tuple[ImageTerms, Int[Array, " b"]]:
    """The result of `compare`, and the number of predictions that only clamping made usable.

    Args:
      predictions: (b, h, w) predicted depth in metres.
      targets: (b, h, w) true depth in metres; 0, negative, NaN or inf = missing.
      protocol: the protocol; its crop and resizing must already be applied.

    Returns:
      Arrays of shape (b,): the terms, and the number of valid pixels whose prediction, aligned,
      was not finite and positive and was clamped.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.metrics.compare import compare_and_count
      >>> from depthsi.metrics.protocols import protocol
      >>> predictions, targets = jnp.array([[[0.0, 2.0, -1.0]]]), jnp.array([[[2.0, 2.0, 0.0]]])
      >>> compare_and_count(predictions, targets, protocol("nyu_bts"))[1].tolist()
      [1]
    """
    maps, where = _aligned(predictions, targets, protocol)
    terms = image_terms(clamped(maps, protocol, jnp), targets, where=where)
    return terms, jnp.sum(where & ~valid_depth(maps), axis=(-2, -1)) - terms.unusable


def compared_cells(
    cells: Any, depth: Float[np.ndarray, "b H W"], sizes: Geometry, protocol: Protocol
) -> Compared:
    """Output cells at the pixels of the evaluated region, and the truth there.

    Args:
      cells: (b, h, w) metres, one per output cell.
      depth: (b, H, W) metres.
      sizes: geometry of the network.
      protocol: protocol whose crop, resizing and, if it comes first, clamping are applied.

    Raises:
      DepthsiError: the crop and the network have no pixel in common, or an image has another size.

    Example:
      >>> import numpy as np
      >>> from depthsi.geometry import nyu
      >>> from depthsi.metrics.compare import compared_cells
      >>> from depthsi.metrics.protocols import protocol
      >>> cells, depth = np.ones((2, 55, 74), np.float32), np.ones((2, 240, 320), np.float32)
      >>> maps, truth = compared_cells(cells, depth, nyu(), protocol("nyu_bts"))
      >>> maps.shape, truth.shape
      ((2, 208, 280), (2, 208, 280))
    """
    box = evaluated_region(protocol, sizes, (depth.shape[1], depth.shape[2]))
    maps = _cells_in(clamped_first(cells, protocol, jnp), sizes, protocol.resize, box)
    return maps, depth[:, box.top : box.bottom, box.left : box.right]


def cell_batches(
    predict: Predictor, batches: Batches, sizes: Geometry, protocol: Protocol
) -> Iterator[Compared]:
    """A network's predictions and the truth in the evaluated region of each image.

    Args:
      predict: from uint8 images (b, H, W, 3) to metres (b, h, w), one per output cell.
      batches: images and their depth, (b, H, W) metres.
      sizes: geometry of the network.
      protocol: protocol whose crop and resizing are applied.

    Yields:
      Predictions and ground truth of the same pixels, metres.

    Raises:
      DepthsiError: the crop and the network have no pixel in common, or an image has another size.

    Example:
      >>> import numpy as np
      >>> from depthsi.geometry import nyu
      >>> from depthsi.metrics.compare import cell_batches
      >>> from depthsi.metrics.protocols import protocol
      >>> batch = np.zeros((2, 240, 320, 3), np.uint8), np.ones((2, 240, 320), np.float32)
      >>> predict = lambda image: np.ones((len(image), 55, 74), np.float32)
      >>> maps, truth = next(cell_batches(predict, [batch], nyu(), protocol("nyu_bts")))
      >>> maps.shape, truth.shape
      ((2, 208, 280), (2, 208, 280))
    """
    for image, depth in batches:
        yield compared_cells(predict(image), depth, sizes, protocol)


@functools.partial(jax.jit, static_argnames=("sizes", "resize", "box"))
def _cells_in(
    cells: Float[Array, "b h w"], sizes: Geometry, resize: str, box: Crop
) -> Float[Array, "b H W"]:
    top, _, left, _ = sizes.region
    maps = upsample_cells(cells, resize)
    return maps[:, box.top - top : box.bottom - top, box.left - left : box.right - left]


def map_batches(
    depth_map: Float[np.ndarray, "H W"], batches: Batches, box: Crop
) -> Iterator[Compared]:
    """The same map predicted for every image, and the truth, in `box`.

    Args:
      depth_map: (H, W) metres.
      batches: images and their depth, (b, H, W) metres.
      box: the pixels to compare.

    Yields:
      The map and the truth of the same pixels, metres.

    Example:
      >>> import numpy as np
      >>> from depthsi.geometry import Crop
      >>> from depthsi.metrics.compare import map_batches
      >>> batch = np.zeros((2, 4, 6, 3), np.uint8), np.ones((2, 4, 6), np.float32)
      >>> maps, truth = next(map_batches(np.ones((4, 6)), [batch], Crop(1, 4, 0, 5)))
      >>> maps.shape, truth.shape
      ((2, 3, 5), (2, 3, 5))
    """
    inside = np.s_[box.top : box.bottom, box.left : box.right]
    for _, depth in batches:
        truth = depth[(slice(None), *inside)]
        yield np.broadcast_to(depth_map[inside].astype(np.float32), truth.shape), truth


def evaluate_predictor(
    predict: Predictor,
    batches: Batches,
    sizes: Geometry,
    protocol: Protocol,
    each: Callable[[ImageTerms], None] = lambda terms: None,
) -> DepthMetrics:
    """The sums of a predictor over a split, for uses that do not need the single images.

    Args:
      predict: from uint8 images (b, H, W, 3) to metres (b, h, w), one per output cell.
      batches: images and their depth, (b, H, W) metres.
      sizes: geometry of the network.
      protocol: protocol of the comparison.
      each: called with the terms of every batch, to collect further information on its images.

    Raises:
      DepthsiError: the crop and the network have no pixel in common, or an image has another size.

    Example:
      >>> import numpy as np
      >>> from depthsi.geometry import nyu
      >>> from depthsi.metrics.compare import evaluate_predictor
      >>> from depthsi.metrics.protocols import protocol
      >>> batch = np.zeros((2, 240, 320, 3), np.uint8), np.ones((2, 240, 320), np.float32)
      >>> predict = lambda image: np.full((len(image), 55, 74), 3.0, np.float32)
      >>> evaluate_predictor(predict, [batch], nyu(), protocol("nyu_bts")).compute()["rmse"]
      2.0
    """
    total = DepthMetrics.empty()
    for maps, truth in cell_batches(predict, batches, sizes, protocol):
        terms = compare(maps, truth, protocol)
        each(terms)
        total = total.merge(_totals(terms))
    return total


_totals = jax.jit(DepthMetrics.from_terms)
