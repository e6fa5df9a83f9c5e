"""What a type checker knows of the public names: `assert_type` is checked by pyright, in CI."""

from pathlib import Path
from typing import assert_type

import flax.linen as nn
import jax
import numpy as np
import pytest

import depthsi
from depthsi.evaluation.report import Evaluation
from depthsi.exports.artefact import ExportedNetwork
from depthsi.geometry import Geometry


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
    model: nn.Module = depthsi.models.make_model("unet", size="small")
    del model
    loss: jax.Array = depthsi.scale_invariant_loss(image, image, where=image > 0)
    del loss


@pytest.mark.parametrize("name", ["depthsi", "depthsi.losses", "depthsi.metrics", "depthsi.models"])
def test_every_listed_name_is_there(name):
    module = __import__(name, fromlist=["__all__"])
    assert set(module.__all__) <= set(dir(module))
    for each in module.__all__:
        assert getattr(module, each) is not None
    with pytest.raises(AttributeError, match="no attribute 'corse'"):
        _ = module.corse


def test_the_package_says_that_it_is_typed():
    assert (Path(depthsi.__file__).parent / "py.typed").exists()
