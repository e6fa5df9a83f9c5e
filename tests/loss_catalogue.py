"""Every loss as one value per image, with the oracle and the properties that hold for it."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np
import oracles

from depthsi import losses


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss `(predictions, targets, *, where)` and what is true of it.

    Attributes:
      loss: the function, its options bound.
      oracle: the same for one image, in float64; `random` for losses that draw at random.
      order_free: pixels may change places.
      zero_when_perfect: predictions equal to targets cost nothing.
      rests_when_perfect: and have no gradient, however the compiler rounds.
      offset_digits: relative tolerance when the predictions are off by 50.
    """

    loss: Callable
    oracle: Callable
    order_free: bool = True
    zero_when_perfect: bool = True
    rests_when_perfect: bool = True
    offset_digits: float = 1e-4


def random(*image):
    """No oracle: the value depends on the pairs that were drawn."""
    raise AssertionError("a random loss has no oracle")


def _silog(factor, lam, unbiased=False):
    return functools.partial(oracles.silog, factor=factor, lam=lam, unbiased=unbiased)


def _pairs(penalty):
    return functools.partial(oracles.pairs, penalty=penalty)


CASES = {
    "alpha": Case(losses.scale_invariant_alpha, oracles.variance),
    "pairwise": Case(losses.scale_invariant_pairwise, oracles.variance),
    "closed": Case(losses.scale_invariant_closed, oracles.variance, offset_digits=np.inf),
    "centred": Case(losses.scale_invariant_centred, oracles.variance),
    "loss": Case(losses.scale_invariant_loss, functools.partial(oracles.equation_4, lam=0.5)),
    "optimal_log_scale": Case(
        losses.optimal_log_scale, oracles.log_scale, rests_when_perfect=False
    ),
    "abs": Case(functools.partial(losses.pairwise_loss, penalty="abs"), _pairs(abs)),
    "huber": Case(
        functools.partial(losses.pairwise_loss, penalty="huber", delta=0.2),
        _pairs(oracles.huber(0.2)),
    ),
    "sampled": Case(
        functools.partial(losses.pairwise_loss, pairs=40, key=jax.random.key(0)), random, False
    ),
    "si_mse": Case(losses.si_mse, oracles.variance),
    "silog_bts": Case(losses.silog_bts, _silog(10, 0.85)),
    "silog_adabins": Case(losses.silog_adabins, _silog(10, 0.85, True)),
    "silog_depth_anything": Case(losses.silog_depth_anything, _silog(1, 0.5)),
    "silog_kitti": Case(losses.silog_kitti, _silog(100, 1)),
    "ssi_loss": Case(losses.ssi_loss, oracles.ssi),
    # an ulp between the two normalised maps is a slope of |x|
    "ssi_trimmed": Case(losses.ssi_trimmed, oracles.ssi_trimmed, rests_when_perfect=False),
    "gradient_matching": Case(losses.gradient_matching, oracles.gradient_matching, False),
    "eigen_fergus_2015": Case(losses.eigen_fergus_2015, oracles.eigen_fergus_2015, False),
    "berhu": Case(
        functools.partial(losses.berhu, threshold=0.3),
        functools.partial(oracles.berhu, threshold=0.3),
    ),
    "berhu_own_threshold": Case(losses.berhu, oracles.berhu),
    "ranking_loss": Case(
        functools.partial(losses.ranking_loss, pairs=40, key=jax.random.key(1)),
        random,
        order_free=False,
        zero_when_perfect=False,
    ),
}
