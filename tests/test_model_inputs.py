"""Networks say what they want instead of speaking of the shapes of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.errors import DepthsiError
from depthsi.models import make_model
from depthsi.models.settings import HourglassConfig, UNetConfig

NETWORKS = {
    "two_scale": make_model(width=0.01),
    "unet": make_model("unet", size="small"),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.ones((228, 304, 3), np.float32), r"add a batch axis, image\[None\]"),
        (np.ones((1, 3, 228, 304), np.float32), "channels last"),
        (np.ones((1, 228, 304, 1), np.float32), "grey image"),
        (np.ones((1, 228, 304, 4), np.float32), "RGB images"),
        (np.ones((1, 240, 320, 3), np.float32), "240x320 pixels, not 228x304"),
        (np.ones((1, 228, 304, 3), np.uint8), "is uint8"),
        (np.full((1, 228, 304, 3), 0.5, np.float32), "spans 0 to 0.5, not the scale 0..255"),
        (np.full((1, 228, 304, 3), -3, np.float32), "spans -3 to 0"),
    ],
)
def test_a_wrong_image_is_refused_with_a_remedy(network, image, words):
    """Before a parameter is looked at: there are none here."""
    with pytest.raises(ValueError, match=words):
        NETWORKS[network].apply({"params": {}}, image)
    if "spans" not in words:  # under jit, values are not known
        with pytest.raises(ValueError, match=words):
            jax.eval_shape(lambda image: NETWORKS[network].apply({"params": {}}, image), image)


def test_settings_are_given_by_name():
    assert make_model("unet", size="small").config == UNetConfig(size="small")
    assert make_model("hourglass", geometry="kitti").config == HourglassConfig(geometry="kitti")
    assert make_model(UNetConfig()).config == UNetConfig()
    image = NETWORKS["unet"].example_image(2)
    assert image.shape == (2, 228, 304, 3)
    assert not jnp.any(image)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: make_model("resnet"), "no network 'resnet': choose one of two_scale, unet, hour"),
        (lambda: make_model("unet", width=0.5), "unet has no setting 'width': it has geometry"),
        (lambda: make_model(UNetConfig(), size="small"), "as an object or by their names"),
        (lambda: make_model(width=-1.0), "model.width is -1.0"),
    ],
)
def test_settings_that_are_not_there_are_refused(make, words):
    with pytest.raises(DepthsiError, match=words):
        make()
