"""The losses a run can be trained with: one class of settings for each.

The comments below the fields are the help of the command line. Nothing here imports an array
library.
"""

import dataclasses
import math
from typing import Literal

from depthsi.errors import DepthsiError, require_at_least

Space = Literal["log", "linear", "disparity"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Loss:
    """What the settings of every loss have in common."""

    reduction: Literal["image", "pixel", "authors"] = "image"
    """Images weigh the same, by their valid pixels n, or by n^2 as in the authors' code."""
    multiplier: float = 1.0
    """Constant factor; 1 / log_std^2 gives the units the authors' learning rates are meant for."""

    def __post_init__(self) -> None:
        if not self.multiplier > 0:
            raise DepthsiError(f"loss.multiplier is {self.multiplier}; it must be positive.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleInvariantConfig(_Loss):
    """Eq. 4 of the paper."""

    kind: Literal["scale_invariant"] = "scale_invariant"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""
    lam: float = 0.5
    """lambda: 0 is plain L2 in log space, 1 does not see the scale at all."""
    space: Literal["log", "linear"] = "log"
    """log: of log depth, as in the paper; linear: of metres, with lam 1 the reconstruction loss of
    Domain Separation Networks, which does not see an added constant."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.lam <= 1:
            raise DepthsiError(f"loss.lam is {self.lam}; lambda must be in [0, 1].")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SilogConfig(_Loss):
    """The scaled root of the scale-invariant error that later networks are trained with."""

    kind: Literal["silog"] = "silog"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""
    variant: Literal["bts", "adabins", "depth_anything"] = "bts"
    """Whose formula: BTS (factor 10, lambda 0.85), AdaBins (the same with the unbiased variance) or
    Depth Anything V2 (no factor, lambda 0.5)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BerhuConfig(_Loss):
    """Reverse Huber error (Laina et al. 2016)."""

    kind: Literal["berhu"] = "berhu"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""
    space: Space = "linear"
    """Space of the error: metres (linear) as published, log metres, or disparity (1 / metres)."""
    threshold: float = 0.0
    """Where the square begins, in the unit of the space; 0: a fifth of each image's greatest
    error."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("loss", self, threshold=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SiMseConfig(_Loss):
    """Variance of the error: blind to an added constant (Domain Separation Networks)."""

    kind: Literal["si_mse"] = "si_mse"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""
    space: Space = "linear"
    """Space of the error: metres (linear) as published, log metres, or disparity (1 / metres)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SsiConfig(_Loss):
    """Error after the best scale and shift, with gradient matching (MiDaS, Ranftl et al. 2022).

    It sees neither scale nor shift: what it trains predicts no metres.
    """

    kind: Literal["ssi"] = "ssi"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""
    space: Space = "disparity"
    """Space of the error: disparity (1 / metres) as published, log metres, or metres (linear)."""
    trimmed: bool = False
    """Absolute errors without the greatest fifth, after median and mean absolute deviation are
    taken off, in place of squared errors after least squares."""
    gradient_weight: float = 0.5
    """Weight of the gradient matching term, at four scales; 0 leaves it out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("loss", self, gradient_weight=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EigenFergus2015Config(_Loss):
    """Eq. 4 with first differences of the error added (Eigen & Fergus 2015)."""

    kind: Literal["eigen_fergus_2015"] = "eigen_fergus_2015"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairwiseConfig(_Loss):
    """Mean penalty of the difference of two errors, over random pairs of pixels, in log space."""

    kind: Literal["pairwise"] = "pairwise"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""
    penalty: Literal["abs", "huber"] = "abs"
    """Absolute differences, or Huber's: squares up to delta, absolute beyond. (Squares are Eq. 2,
    which --loss.kind scale_invariant --loss.lam 1 computes over all pairs.)"""
    delta: float = 0.1
    """Where Huber's penalty becomes linear, in log metres."""
    pairs: int = 4096
    """Random pairs of each image; 0: all pairs, with the penalty abs only, by sorting."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("loss", self, pairs=0)
        if self.pairs == 0 and self.penalty != "abs":
            raise DepthsiError("loss.pairs is 0, all pairs, which only loss.penalty abs can do.")
        if not self.delta > 0:
            raise DepthsiError(f"loss.delta is {self.delta}; it must be positive.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankingConfig(_Loss):
    """Which of two points is nearer, over random pairs of pixels (Chen et al. 2016).

    It sees nothing but the order: what it trains predicts no metres.
    """

    kind: Literal["ranking"] = "ranking"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""
    pairs: int = 800
    """Random pairs of each image."""
    tolerance: float = 0.02
    """Two points are equally far if their depths differ by less than this share."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("loss", self, pairs=1, tolerance=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SumConfig(_Loss):
    """A weighted sum of other losses, each with its defaults; a weight of 0 leaves one out."""

    kind: Literal["sum"] = "sum"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""
    scale_invariant: float = 1.0
    """Weight of Eq. 4, with lambda 0.5."""
    gradient_matching: float = 0.5
    """Weight of gradient matching of log depth, at four scales."""
    silog: float = 0.0
    """Weight of silog (BTS)."""
    berhu: float = 0.0
    """Weight of the reverse Huber error in metres."""
    si_mse: float = 0.0
    """Weight of the variance of the error in metres."""
    ssi: float = 0.0
    """Weight of ssi with its own gradient matching, in disparity."""
    eigen_fergus_2015: float = 0.0
    """Weight of Eq. 4 with first differences."""
    pairwise: float = 0.0
    """Weight of absolute differences of pairs."""
    ranking: float = 0.0
    """Weight of the ranking loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = self.weights()
        for name, weight in weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise DepthsiError(f"loss.{name} is {weight}; a weight must be at least 0.")
        if not any(weights.values()):
            raise DepthsiError("All weights of --loss.kind sum are 0: give one of them.")

    def weights(self) -> dict[str, float]:
        """The weight of each term by its name."""
        common = ("kind", "reduction", "multiplier")
        names = (field.name for field in dataclasses.fields(self) if field.name not in common)
        return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CustomConfig(_Loss):
    """A function of one's own, given to `depthsi.train` as `loss`."""

    kind: Literal["custom"] = "custom"
    """scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum or
    custom; each kind has settings of its own."""
    name: str = ""
    """Name of the function, for the record."""


LossConfig = (
    ScaleInvariantConfig
    | SilogConfig
    | BerhuConfig
    | SiMseConfig
    | SsiConfig
    | EigenFergus2015Config
    | PairwiseConfig
    | RankingConfig
    | SumConfig
    | CustomConfig
)
