"""Objects that a program passes instead of settings: its own loss, network and optimiser."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import optax

from depthsi.config import Config, CustomConfig, CustomNetworkConfig, CustomOptimConfig
from depthsi.models.custom import CustomNet, check_network, describe_module
from depthsi.models.factory import make_model
from depthsi.training.loss import Loss, make_loss
from depthsi.training.optimisers import make_optimizer
from depthsi.training.stages import make_stages


@dataclasses.dataclass(frozen=True)
class Own:
    """Objects instead of sections of the settings; None for what the settings describe.

    Attributes:
      loss: `f(predictions, targets, *, where) -> (b,)` of log metres (b, h, w).
      network: a Linen module, see `depthsi.models.make_model`.
      optimiser: of optax; each stage begins with a fresh state of it.
    """

    loss: Loss | None = None
    network: nn.Module | None = None
    optimiser: optax.GradientTransformation | None = None

    def settings(self, config: Config) -> Config:
        """`config` with sections of the kind custom, which name what is given."""
        if self.loss is not None:
            old = config.loss
            name = getattr(self.loss, "__qualname__", type(self.loss).__name__)
            loss = CustomConfig(name=name, reduction=old.reduction, multiplier=old.multiplier)
            config = dataclasses.replace(config, loss=loss)
        if isinstance(self.network, nn.Module):
            name = describe_module(self.network)
            model = CustomNetworkConfig(geometry=config.model.geometry, name=name)
            config = dataclasses.replace(config, model=model)
        if self.optimiser is not None:
            name = getattr(self.optimiser.update, "__qualname__", "").partition(".")[0]
            config = dataclasses.replace(
                config, optim=CustomOptimConfig(name=name, average=config.optim.average)
            )
        return config

    def given(self, *names: str) -> dict[str, Any]:
        """The attributes of these names that are there, as arguments of the same names."""
        found = {name: getattr(self, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def check(self, config: Config) -> None:
        """Raises DepthsiError if something is missing or does not go with `config`.

        Args:
          config: settings of the run, see `settings`.
        """
        make_loss(config.loss, self.loss)
        make_optimizer(config.optim, make_stages(config)[0].steps, self.optimiser)
        self._model(config)

    def check_network(self, config: Config) -> None:
        """Lets your own network predict once; nothing for the others.

        Args:
          config: settings of a new run.

        Raises:
          DepthsiError: it does not do as it should.
        """
        model = self._model(config)
        if isinstance(model, CustomNet):
            check_network(model, config.seed)

    def _model(self, config: Config) -> nn.Module:
        dtype, remat = jnp.dtype(config.compute.precision), config.compute.remat
        return make_model(config.model, dtype=dtype, remat=remat, network=self.network)
