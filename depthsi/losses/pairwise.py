"""Losses over pairs of pixels: all ordered pairs without an n x n buffer, or a random sample.

(1/(2 n^2)) sum_ij penalty(d_i - d_j) over the valid pixels of each image, d = predictions -
targets. With the square it is Eq. 2 of the paper, the variance of d.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int, PRNGKeyArray

from depthsi.array_checks import Axis
from depthsi.losses._masking import Residual, magnitude, masked_residual

Penalty = Callable[[Array], Array]

_PARTNERS = 8  # pixels that meet all the others in one step: enough work to hide the loop


def scale_invariant_pairwise(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> Float[Array, "*batch"]:
    """Eq. 2 as written, (1/(2 n^2)) sum_ij (d_i - d_j)^2, literally over all ordered pairs.

    n^2 work, but memory O(n), in the gradient too. The factor 1/2 is what makes it equal Eq. 1
    and Eq. 3; arXiv v1 prints it without. Source: Eigen et al. 2014, Eq. 2
    (https://arxiv.org/abs/1406.2283).

    Args:
      predictions: [..., h, w] in log metres.
      targets: same shape, log metres.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.

    Returns:
      [...] in (log metres)^2, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import scale_invariant_pairwise
      >>> d = jnp.array([[[0.0, 1.0, 3.0]]])  # differences 1, 2, 3, each with both signs
      >>> f"{scale_invariant_pairwise(d, jnp.zeros_like(d))[0]:.4f}"  # 28/18
      '1.5556'
    """
    return pairwise_loss(predictions, targets, where=where, axis=axis)


def pairwise_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
    penalty: str | Penalty = "square",
    delta: float = 1.0,
    pairs: str | int = "all",
    key: PRNGKeyArray | None = None,
) -> Float[Array, "*batch"]:
    """(1/(2 n^2)) sum_ij penalty(d_i - d_j) over the pairs of valid pixels of each image.

    Source: with the square, Eigen et al. 2014, Eq. 2 (https://arxiv.org/abs/1406.2283); the penalty
    of Huber 1964, https://doi.org/10.1214/aoms/1177703732.

    Args:
      predictions: [..., h, w], usually log metres.
      targets: same shape and space.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image.
      penalty: "square" x^2; "abs" |x|, over all pairs by sorting in n log n; "huber" x^2/2 up to
        `delta` and delta (|x| - delta/2) beyond; or a function of the differences, elementwise
        and of nothing else that is traced.
      delta: where the Huber penalty turns linear, in the unit of the inputs.
      pairs: "all" n^2 ordered pairs, or a number of pairs drawn uniformly with replacement from
        them per image: an unbiased estimate, in value and gradient.
      key: random key, needed for (and only for) a number of pairs.

    Returns:
      [...] in the unit of the penalty, 0 for an image without a valid pixel.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit, unknown `penalty`, `pairs` neither
        "all" nor a positive number, `key` missing.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import pairwise_loss
      >>> d = jnp.array([[[0.0, 1.0, 3.0]]])
      >>> f"{pairwise_loss(d, jnp.zeros_like(d), penalty='abs')[0]:.4f}"  # 12/18
      '0.6667'
      >>> drawn = pairwise_loss(d, jnp.zeros_like(d), pairs=10_000, key=jax.random.key(0))
      >>> f"{drawn[0]:.1f}"  # near 28/18
      '1.6'
    """
    function = _penalty(penalty, delta)
    residual = masked_residual(predictions, targets, where, axis)
    values, valid = flatten_pixels(residual)
    if pairs == "all":
        per_image = (
            _sorted_abs(values, valid) if penalty == "abs" else _all_pairs(values, valid, function)
        )
    else:
        left, right = sample_pairs(*check_pairs(pairs, key), valid)
        drawn = function(take_pixels(values, left) - take_pixels(values, right))
        per_image = jnp.where(jnp.any(valid, axis=-1), jnp.mean(drawn, axis=-1) / 2, 0)
    return per_image.reshape(residual.pixels().shape)


def flatten_pixels(residual: Residual) -> tuple[Float[Array, "b n"], Bool[Array, "b n"]]:
    """Values and validity with one row per image."""
    valid = jnp.ones(residual.values.shape, bool) if residual.valid is None else residual.valid
    last = tuple(range(-len(residual.axes), 0))
    pixels = math.prod(valid.shape[a] for a in residual.axes)
    images = residual.pixels().size

    def flatten(x: Array) -> Array:
        return jnp.moveaxis(x, residual.axes, last).reshape(images, pixels)

    return flatten(residual.values), flatten(valid)


def check_pairs(pairs: str | int, key: PRNGKeyArray | None) -> tuple[int, PRNGKeyArray]:
    """The number of pairs to draw and the key to draw them with.

    Raises:
      ValueError: not a positive number, or no key.
    """
    if not isinstance(pairs, int) or pairs < 1:
        raise ValueError(f"`pairs` must be a positive number or 'all', got {pairs!r}.")
    if key is None:
        raise ValueError(f"`pairs`={pairs} draws at random and needs `key`, a jax.random.key.")
    return pairs, key


def sample_pairs(
    pairs: int, key: PRNGKeyArray, valid: Bool[Array, "b n"]
) -> tuple[Int[Array, "b k"], Int[Array, "b k"]]:
    """Two independent uniform draws of `pairs` valid pixels per image, with replacement."""
    ranks = jnp.cumsum(valid, axis=-1)
    count = jnp.maximum(ranks[None, :, -1:], 1)
    drawn = jax.random.randint(key, (2, valid.shape[0], pairs), 0, count)
    # the r-th valid pixel (from 0) is the first whose rank exceeds r
    find = jax.vmap(functools.partial(jnp.searchsorted, side="right"))
    left, right = (jnp.minimum(find(ranks, d), valid.shape[-1] - 1) for d in drawn)
    return left, right


def take_pixels(values: Float[Array, "b n"], index: Int[Array, "b k"]) -> Float[Array, "b k"]:
    """values[b, index[b, k]]."""
    return jnp.take_along_axis(values, index, axis=-1)


def _penalty(penalty: str | Penalty, delta: float) -> Penalty:
    if callable(penalty):
        return penalty
    named = {
        "square": jnp.square,
        "abs": magnitude,
        "huber": functools.partial(_huber, delta=delta),
    }
    if penalty not in named:
        raise ValueError(
            f"`penalty` must be one of {', '.join(named)} or a function, got {penalty!r}."
        )
    return named[penalty]


def _huber(difference: Array, *, delta: float) -> Array:
    size = jnp.abs(difference)
    return jnp.where(size <= delta, difference**2 / 2, delta * (size - delta / 2))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _all_pairs(
    values: Float[Array, "b n"], valid: Bool[Array, "b n"], penalty: Penalty
) -> Float[Array, " b"]:
    rows = _sum_over_partners(values, valid, penalty)
    return _mean_over_pairs(rows, valid)


@_all_pairs.defjvp
def _all_pairs_jvp(penalty, primals, tangents):  # type: ignore[no-untyped-def]
    # Each difference occurs with both signs, so the gradient of pixel i is the sum over its
    # partners j of the slope at d_i - d_j, once as i and once as j. Autodiff of the loop would
    # keep every difference.
    values, valid = primals

    def both(difference: Array) -> tuple[Array, Array]:
        ones = jnp.ones_like(difference)
        value, slope = jax.jvp(penalty, (difference,), (ones,))
        _, back = jax.jvp(penalty, (-difference,), (ones,))
        return value, slope - back

    rows, slopes = _sum_over_partners(values, valid, both)
    change = jnp.where(valid, slopes * tangents[0], 0)
    return _mean_over_pairs(rows, valid), _mean_over_pairs(change, valid)


def _mean_over_pairs(rows: Float[Array, "b n"], valid: Bool[Array, "b n"]) -> Float[Array, " b"]:
    count = jnp.maximum(jnp.sum(valid, axis=-1, dtype=rows.dtype), 1)
    return jnp.sum(jnp.where(valid, rows, 0), axis=-1) / count / (2 * count)


def _sum_over_partners(values, valid, function):  # type: ignore[no-untyped-def]
    """sum_j function(d_i - d_j) over valid j, for every i; for each array `function` returns.

    Some pixels j at a time meet all pixels i in one elementwise step, whose result has the size
    of the image: nothing of size n x n, or even n x block, ever exists.
    """
    images, pixels = values.shape
    steps = -(-pixels // _PARTNERS)
    padding = ((0, 0), (0, steps * _PARTNERS - pixels))

    def in_steps(x: Array) -> Array:
        return jnp.pad(x, padding).reshape(images, steps, _PARTNERS).transpose(1, 2, 0)

    def meet(total, partners):  # type: ignore[no-untyped-def]
        step = [
            jax.tree.map(
                lambda term, counts=counts: jnp.where(counts[:, None], term, 0),
                function(values - partner[:, None]),
            )
            for partner, counts in zip(*partners, strict=True)
        ]
        return jax.tree.map(lambda old, *terms: old + sum(terms), total, *step), None

    start = jax.tree.map(jnp.zeros_like, jax.eval_shape(function, values))
    return jax.lax.scan(meet, start, (in_steps(values), in_steps(valid)))[0]


def _sorted_abs(values: Float[Array, "b n"], valid: Bool[Array, "b n"]) -> Float[Array, " b"]:
    """(1/(2 n^2)) sum_ij |d_i - d_j| = (1/n^2) sum_i s_i d_i, s_i = pixels below - pixels above.

    The s_i are constants almost everywhere, so autodiff gives the exact gradient s_i / n^2, with
    tied pixels at the slope 0 of |0|.
    """
    count = jnp.sum(valid, axis=-1, keepdims=True)
    scale = jnp.maximum(count, 1).astype(values.dtype)
    # sum_i s_i = 0: any constant may be taken off first, and the mean keeps the digits
    centre = jax.lax.stop_gradient(jnp.sum(values, axis=-1, keepdims=True) / scale)
    ordered = jnp.sort(jnp.where(valid, values - centre, jnp.inf), axis=-1)
    place = jnp.arange(ordered.shape[-1])[None, :]
    kept = place < count
    balance = jax.lax.stop_gradient(_below_minus_above(ordered, place, count))
    terms = jnp.where(kept, ordered, 0) * balance.astype(values.dtype) / scale / scale
    return jnp.sum(jnp.where(kept, terms, 0), axis=-1)


def _below_minus_above(
    ordered: Float[Array, "b n"], place: Int[Array, "1 n"], count: Int[Array, "b 1"]
) -> Int[Array, "b n"]:
    """Number of strictly smaller minus strictly greater values, for each of sorted values."""
    differs = ordered[:, 1:] != ordered[:, :-1]
    edge = jnp.ones_like(differs, shape=(ordered.shape[0], 1))
    starts = jnp.where(jnp.concatenate([edge, differs], axis=-1), place, 0)
    ends = jnp.where(jnp.concatenate([differs, edge], axis=-1), place + 1, ordered.shape[-1])
    below = jax.lax.cummax(starts, axis=1)
    up_to = jax.lax.cummin(ends, axis=1, reverse=True)
    return below - (count - up_to)
