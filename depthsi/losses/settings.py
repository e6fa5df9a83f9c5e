"""Settings of the losses that a run can be trained with, one class per loss.

The docstrings below the fields are the help of the command line. Nothing here imports an array
library.
"""

import dataclasses
import math
from typing import Literal

from depthsi.errors import DepthsiError, require_at_least

Space = Literal["log", "linear", "disparity"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Loss:
    """Settings that all losses share."""

    reduction: Literal["image", "pixel", "authors"] = "image"
    """Weights of the images in a batch. image: all equal; pixel: the number of valid pixels n;
    authors: n^2, as in the authors' code."""
    multiplier: float = 1.0
    """Constant factor; 1 / log_std^2 gives the units that the authors' learning rates assume."""

    def __post_init__(self) -> None:
        if not self.multiplier > 0:
            raise DepthsiError(f"loss.multiplier is {self.multiplier}; it must be positive.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleInvariantConfig(_Loss):
    """The scale-invariant error, Eq. 4 of the paper."""

    kind: Literal["scale_invariant"] = "scale_invariant"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""
    lam: float = 0.5
    """lambda: 0 is the plain squared error of log depth, 1 ignores the scale entirely."""
    space: Literal["log", "linear"] = "log"
    """log: the error of log depth, as in the paper. linear: the error of metres; with lam 1, it is
    the reconstruction loss of Domain Separation Networks, which ignores an added constant."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.lam <= 1:
            raise DepthsiError(f"loss.lam is {self.lam}; lambda must be in [0, 1].")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SilogConfig(_Loss):
    """The scaled square root of the scale-invariant error, used by many later networks."""

    kind: Literal["silog"] = "silog"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""
    variant: Literal["bts", "adabins", "depth_anything"] = "bts"
    """Formula: bts (factor 10, lambda 0.85), adabins (the same with the unbiased variance) or
    depth_anything (Depth Anything V2: no factor, lambda 0.5)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BerhuConfig(_Loss):
    """Reverse Huber error (Laina et al. 2016)."""

    kind: Literal["berhu"] = "berhu"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""
    space: Space = "linear"
    """Space of the error: metres (linear) as published, log metres, or disparity (1 / metres)."""
    threshold: float = 0.0
    """Error above which the loss is quadratic, in the unit of the space; 0 takes a fifth of each
    image's largest error."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("loss", self, threshold=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SiMseConfig(_Loss):
    """Variance of the error, which ignores an added constant (Domain Separation Networks)."""

    kind: Literal["si_mse"] = "si_mse"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""
    space: Space = "linear"
    """Space of the error: metres (linear) as published, log metres, or disparity (1 / metres)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SsiConfig(_Loss):
    """Error after the best scale and shift, with gradient matching (MiDaS, Ranftl et al. 2022).

    It ignores scale and shift, so networks trained with it do not predict metres.
    """

    kind: Literal["ssi"] = "ssi"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""
    space: Space = "disparity"
    """Space of the error: disparity (1 / metres) as published, log metres, or metres (linear)."""
    trimmed: bool = False
    """Align by median and mean absolute deviation and average the absolute errors without the
    largest fifth, instead of aligning by least squares and averaging squared errors."""
    gradient_weight: float = 0.5
    """Weight of the gradient matching term, at four scales; 0 omits it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("loss", self, gradient_weight=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EigenFergus2015Config(_Loss):
    """Eq. 4 plus first differences of the error (Eigen & Fergus 2015)."""

    kind: Literal["eigen_fergus_2015"] = "eigen_fergus_2015"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairwiseConfig(_Loss):
    """Mean penalty on the difference of two log errors, over random pairs of pixels."""

    kind: Literal["pairwise"] = "pairwise"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""
    penalty: Literal["abs", "huber"] = "abs"
    """abs: absolute differences; huber: squares up to delta and absolute values beyond. (Squares
    give Eq. 2, which --loss.kind scale_invariant --loss.lam 1 computes over all pairs.)"""
    delta: float = 0.1
    """Difference at which the Huber penalty becomes linear, in log metres."""
    pairs: int = 4096
    """Random pairs per image; 0 uses all pairs, by sorting, which only works with penalty abs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("loss", self, pairs=0)
        if self.pairs == 0 and self.penalty != "abs":
            raise DepthsiError(
                "loss.pairs is 0 (all pairs), which only works with loss.penalty abs."
            )
        if not self.delta > 0:
            raise DepthsiError(f"loss.delta is {self.delta}; it must be positive.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankingConfig(_Loss):
    """Which of two points is nearer, over random pairs of pixels (Chen et al. 2016).

    It only uses the order, so networks trained with it do not predict metres.
    """

    kind: Literal["ranking"] = "ranking"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""
    pairs: int = 800
    """Random pairs per image."""
    tolerance: float = 0.02
    """Relative difference in depth below which two points count as equally far."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("loss", self, pairs=1, tolerance=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SumConfig(_Loss):
    """A weighted sum of other losses, each with its default settings; a weight of 0 omits one."""

    kind: Literal["sum"] = "sum"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""
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
            raise DepthsiError("All weights of --loss.kind sum are 0: set at least one of them.")

    def weights(self) -> dict[str, float]:
        """The weight of each term by its name."""
        common = ("kind", "reduction", "multiplier")
        names = (field.name for field in dataclasses.fields(self) if field.name not in common)
        return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CustomConfig(_Loss):
    """Your own function, passed to `depthsi.train` as `loss`."""

    kind: Literal["custom"] = "custom"
    """Loss: scale_invariant, silog, berhu, si_mse, ssi, eigen_fergus_2015, pairwise, ranking, sum
    or custom; each kind has its own settings."""
    name: str = ""
    """Name of the function; only recorded."""


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
