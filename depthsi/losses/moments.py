"""Count, mean and centred sum of squares of the log residual, which scale-invariant losses need.

They merge exactly (Chan, Golub and LeVeque, https://doi.org/10.1007/978-3-642-51461-6_3), so that
tiles of an image, a stream of them, or rows spread over devices give the loss and the gradient of
the whole image.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from depthsi.array_checks import Axis
from depthsi.losses._masking import Residual, masked_residual
from depthsi.losses._sums import sum_squares


class ResidualMoments(NamedTuple):
    """Moments of d = predictions - targets over the valid pixels, one value per image.

    Attributes:
      count: [...] number of valid pixels n.
      mean: [...] mean(d), 0 without a valid pixel; in log metres when both inputs are.
      m2: [...] sum((d - mean)^2), in (log metres)^2.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import residual_moments
      >>> d = jnp.array([[[1.0, 2.0, 6.0]]])
      >>> top, bottom = (residual_moments(x, jnp.zeros_like(x)) for x in (d, d + 3))
      >>> whole = top.merge(bottom)
      >>> print(whole.count, whole.mean, whole.m2)
      [6.] [4.5] [41.5]
    """

    count: Float[Array, "*batch"]  # pyright: ignore[reportIncompatibleMethodOverride]
    mean: Float[Array, "*batch"]
    m2: Float[Array, "*batch"]

    def merge(self, other: "ResidualMoments") -> "ResidualMoments":
        """Moments of the union of two disjoint sets of pixels of the same images.

        Source: Chan, Golub and LeVeque (https://doi.org/10.1007/978-3-642-51461-6_3).

        Args:
          other: moments of other pixels of the same images, each of the shape of this one's.
        """
        count = self.count + other.count
        share = other.count / jnp.maximum(count, 1)
        step = other.mean - self.mean
        return ResidualMoments(
            count, self.mean + step * share, self.m2 + other.m2 + step**2 * self.count * share
        )

    def psum(self, axis_name: str | tuple[str, ...]) -> "ResidualMoments":
        """Moments of whole images whose pixels are spread over several devices.

        Args:
          axis_name: the mesh axis, or axes, they are spread over, inside `jax.shard_map`,
            `jax.pmap` or a `jax.vmap` with that name.

        Example:
          >>> import jax
          >>> import jax.numpy as jnp
          >>> from depthsi.losses import residual_moments
          >>> def moments(rows):
          ...     return residual_moments(rows, jnp.zeros_like(rows)).psum("rows")
          >>> halves = jnp.array([[[1.0, 2.0]], [[6.0, 3.0]]])  # two parts of one row each
          >>> print(jax.vmap(moments, axis_name="rows")(halves).mean)
          [3. 3.]
        """
        count = jax.lax.psum(self.count, axis_name)
        mean = jax.lax.psum(self.count * self.mean, axis_name) / jnp.maximum(count, 1)
        m2 = jax.lax.psum(self.m2 + self.count * (self.mean - mean) ** 2, axis_name)
        return ResidualMoments(count, mean, m2)

    def variance(self) -> Float[Array, "*batch"]:
        """V = mean(d^2) - mean(d)^2 (Eq. 1-3); its root is the metric "RMSE log, scale inv.".

        Returns:
          [...] in (log metres)^2, 0 without a valid pixel.
        """
        return self.m2 / jnp.maximum(self.count, 1)

    def mean_square(self) -> Float[Array, "*batch"]:
        """mean(d^2); its root is the metric "RMSE log".

        Returns:
          [...] in (log metres)^2, 0 without a valid pixel.
        """
        return self.variance() + self.mean**2

    def loss(self, lam: ArrayLike = 0.5) -> Float[Array, "*batch"]:
        """Eq. 4, mean(d^2) - lam mean(d)^2, as V + (1 - lam) mean(d)^2.

        Args:
          lam: in [0, 1]; a number or one per image [...].

        Returns:
          [...] in (log metres)^2, 0 without a valid pixel.
        """
        return self.variance() + (1 - jnp.asarray(lam, self.mean.dtype)) * self.mean**2


def residual_moments(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
    axis: Axis = (-2, -1),
) -> ResidualMoments:
    """Moments of predictions - targets over the pixels `axis` of each image.

    Source: Eigen et al. 2014, Eq. 3 (https://arxiv.org/abs/1406.2283), summed in the two passes of
    Chan, Golub and LeVeque (https://doi.org/10.1080/00031305.1983.10483115).

    Args:
      predictions: [..., h, w] in log metres (any space in which a difference means something).
      targets: same shape and space.
      where: boolean, broadcasts to `predictions`; pixels where it is False may hold any value.
      axis: the axes of one image; None takes all, one set of moments for the whole batch.

    Returns:
      Count, mean and m2, each [...], float32 (float64 for float64 inputs).

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, `where` or `axis` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from depthsi.losses import residual_moments
      >>> d = jnp.array([[[1.0, 2.0, 6.0, jnp.nan]]])
      >>> moments = residual_moments(d, jnp.zeros_like(d), where=jnp.isfinite(d))
      >>> print(moments.count, moments.mean, moments.m2)
      [3.] [3.] [14.]
    """
    return moments_of(masked_residual(predictions, targets, where, axis))


def moments_of(residual: Residual) -> ResidualMoments:
    """Moments of a residual that is already masked."""
    count = residual.pixels()
    return ResidualMoments(
        count, *_mean_and_m2(residual.values, residual.valid, count, residual.axes)
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _mean_and_m2(
    values: Array, valid: Array | None, count: Array, axes: tuple[int, ...]
) -> tuple[Array, Array]:
    mean = jnp.sum(values, axis=axes) / jnp.maximum(count, 1)
    return mean, sum_squares(values, mean, valid, axes)


@_mean_and_m2.defjvp
def _mean_and_m2_jvp(axes, primals, tangents):  # type: ignore[no-untyped-def]
    # d m2 = 2 sum((d - mean) dd): the mean's own variation cancels. Autodiff would not know, and
    # pay for it with one more pass over the pixels.
    values, valid, count = primals
    residual = Residual(values, valid, axes)
    mean, m2 = _mean_and_m2(values, valid, count, axes)
    centred = residual.keep(values - residual.spread(mean))
    change = residual.keep(tangents[0])
    mean_change = residual.total(change) / jnp.maximum(count, 1)
    return (mean, m2), (mean_change, 2 * residual.total(centred * change))
