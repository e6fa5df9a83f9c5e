"""Training in stages: pure steps, the optimiser, checkpoints, and the loop on the host.

`depthsi.train` does all of this; the names below are for writing your own training loop. They are
loaded on first use.
"""

from typing import TYPE_CHECKING

from depthsi.lazy_names import lazy_names

if TYPE_CHECKING:
    from depthsi.training.logs.callbacks import Callbacks
    from depthsi.training.loss import make_loss
    from depthsi.training.optimisers import make_optimizer
    from depthsi.training.stages import Stage, make_stages
    from depthsi.training.state import State, enter_stage, initial_state
    from depthsi.training.steps import make_train_step

_MODULES = {
    "Callbacks": "logs.callbacks",
    "Stage": "stages",
    "State": "state",
    "enter_stage": "state",
    "initial_state": "state",
    "make_loss": "loss",
    "make_optimizer": "optimisers",
    "make_stages": "stages",
    "make_train_step": "steps",
}
__all__ = [
    "Callbacks",
    "Stage",
    "State",
    "enter_stage",
    "initial_state",
    "make_loss",
    "make_optimizer",
    "make_stages",
    "make_train_step",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES, __all__)
