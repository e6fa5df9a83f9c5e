"""What a type checker knows of the public names: `assert_type` is checked by pyright, in CI."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import assert_type

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

import depthsi
from depthsi.evaluation.report import Evaluation
from depthsi.exports.artefact import ExportedNetwork
from depthsi.geometry import Geometry
from depthsi.training.steps import TrainStep


def never_called(image: np.ndarray) -> None:
    """Only read by the type checker."""
    predictor = depthsi.load("runs/rooms", checkpoint="best")
    assert_type(predictor, depthsi.Predictor)
    assert_type(predictor.network, depthsi.TrainedNetwork | ExportedNetwork)
    assert_type(predictor.sizes, Geometry)
    assert_type(depthsi.presets.tiny(), depthsi.Config)
    training = depthsi.train(depthsi.presets.tiny(), run=Path("run"), train=[(image, image)])
    assert_type(training, depthsi.Training)
    assert_type(training.predictor(), depthsi.Predictor)
    assert_type(depthsi.evaluate(predictor, [(image, image)]), Evaluation)
    depthsi.train(
        depthsi.presets.tiny(),
        run="run",
        train=[(image, image)],
        network=nn.Dense(1),
        optimiser=optax.adam(1e-3),
    )
    assert_type(depthsi.load("runs/own", network=nn.Dense(1)), depthsi.Predictor)
    assert_type(depthsi.data.given_source([(image, image)], "train")[0], depthsi.data.Sample)
    assert_type(depthsi.viz.depth_limits(image), tuple[float, float])
    (stage,) = depthsi.training.make_stages(depthsi.Config())
    assert_type(stage, depthsi.training.Stage)
    step: TrainStep = depthsi.training.make_train_step(depthsi.Config(), stage)
    del step
    evaluation: depthsi.evaluation.Evaluation = depthsi.evaluate("runs/rooms")
    assert_type(depthsi.evaluation.terminal(evaluation), str)
    assert_type(depthsi.metrics.protocol("nyu_bts"), depthsi.metrics.Protocol)
    model: nn.Module = depthsi.models.make_model("unet", size="small")
    del model
    loss: jax.Array = depthsi.scale_invariant_loss(image, image, where=image > 0)
    del loss


PACKAGES = ("data", "evaluation", "losses", "metrics", "models", "training", "viz")


@pytest.mark.parametrize("name", ["depthsi", *(f"depthsi.{each}" for each in PACKAGES)])
def test_every_listed_name_is_there(name):
    module = importlib.import_module(name)
    assert set(module.__all__) <= set(dir(module))
    for each in module.__all__:
        assert getattr(module, each) is not None
    with pytest.raises(AttributeError, match="no attribute 'corse'"):
        _ = module.corse


@pytest.mark.parametrize("name", PACKAGES)
def test_no_public_name_is_that_of_a_module(name):
    """Which of the two it is would depend on what was imported before."""
    module = importlib.import_module(f"depthsi.{name}")
    modules = {each.name for each in pkgutil.iter_modules(module.__path__)}
    assert not modules & set(module.__all__)


CODE = """
import sys
import depthsi.{name} as module
assert "jax" not in sys.modules and "numpy" not in sys.modules, "importing is not instant"
"""


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_loads_its_names_when_they_are_used(name):
    done = subprocess.run([sys.executable, "-c", CODE.format(name=name)], check=False)
    assert done.returncode == 0


def test_the_package_says_that_it_is_typed():
    assert (Path(depthsi.__file__).parent / "py.typed").exists()
