"""Settings of the optimisers, one class for each kind; a part of `depthsi.config`."""

import dataclasses
from typing import ClassVar, Literal

from depthsi.errors import DepthsiError, require_at_least


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Averaging:
    """Settings that all optimisers share, including your own."""

    average: float = 0.0
    """Decay of a moving average of the parameters, such as 0.999, which is then what is evaluated
    and saved; 0 for the parameters themselves."""

    def __post_init__(self) -> None:
        if not 0 <= self.average < 1:
            raise DepthsiError(f"optim.average is {self.average}; it must be in [0, 1).")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Optimiser(_Averaging):
    """Settings that the built-in optimisers share."""

    rate_schedule: Literal["constant", "cosine"] = "constant"
    """constant: as in the paper. cosine: the rate falls to 0 over each stage."""
    warmup: int = 0
    """Steps over which the rate rises from 0 at the start of each stage; fewer than it has."""
    clip: float = 0.0
    """Global norm to which gradients are clipped; 0 disables clipping."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("optim", self, learning_rate=0, weight_decay=0, clip=0, warmup=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SgdConfig(_Optimiser):
    """SGD with momentum and a learning rate for each layer, as in the paper."""

    kind: Literal["sgd"] = "sgd"
    """Optimiser: sgd, adamw, muon or custom; each kind has its own settings."""
    learning_rate: float = 1.0
    """Factor on the paper's table of learning rates."""
    momentum: float = 0.9
    """Momentum (sgd only): share of the previous update that is added to the next."""
    weight_decay: float = 1.0
    """Factor on the authors' table of weight decays."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise DepthsiError(f"optim.momentum is {self.momentum}; it must be in [0, 1).")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamWConfig(_Optimiser):
    """AdamW, with one learning rate for all layers."""

    kind: Literal["adamw"] = "adamw"
    """Optimiser: sgd, adamw, muon or custom; each kind has its own settings."""
    learning_rate: float = 1e-3
    """Learning rate of all layers."""
    weight_decay: float = 1e-2
    """Decoupled weight decay of kernels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MuonConfig(_Optimiser):
    """Muon (orthogonalised momentum) for convolution kernels, AdamW for other parameters."""

    kind: Literal["muon"] = "muon"
    """Optimiser: sgd, adamw, muon or custom; each kind has its own settings."""
    learning_rate: float = 1e-2
    """Learning rate of the kernels that muon updates."""
    fully_connected: bool = False
    """Use muon for the kernels of fully connected layers as well. The cost of a step then grows
    with their size times their smaller dimension."""
    adamw_rate_factor: float = 0.01
    """Factor on the learning rate for the parameters that AdamW updates."""
    weight_decay: float = 1e-2
    """Decoupled weight decay of kernels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("optim", self, adamw_rate_factor=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CustomOptimConfig(_Averaging):
    """Your own optimiser, passed to `depthsi.train` as `optimiser`."""

    kind: Literal["custom"] = "custom"
    """Optimiser: sgd, adamw, muon or custom; each kind has its own settings."""
    name: str = ""
    """Name of the optimiser; only recorded."""

    warmup: ClassVar[int] = 0


OptimConfig = SgdConfig | AdamWConfig | MuonConfig | CustomOptimConfig
