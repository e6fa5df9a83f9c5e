"""Windows over images of any size, against networks whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.compilation import jit
from depthsi.geometry import kitti, nyu
from depthsi.inference import make_window_network
from depthsi.models import TwoScaleNet
from depthsi.models.initialisers import initial_params
from depthsi.presets import from_scratch
from depthsi.windows import _offsets, predict_depth


def brightness(sizes):
    """Stands for a perfect network: log depth is the red channel at the cell's own pixel / 100."""
    rows = [sizes.cell_to_pixel(i, 0)[0] for i in range(sizes.output[0])]
    cols = [sizes.cell_to_pixel(0, j)[1] for j in range(sizes.output[1])]
    return lambda image: image[:, np.array(rows)[:, None], np.array(cols), 0] / 100


def ramp(height, width):
    """Red grows along both axes by the same total, whatever the size."""
    rows, cols = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    red = (60 + 80 * rows + 60 * cols).round().astype(np.uint8)
    return np.stack([red, red, red], axis=-1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [(240, 320), (480, 640), (1080, 1920), (641, 479), (60, 80), (300, 1500), (241, 321)]
)
def test_every_pixel_gets_the_depth_of_its_place(size):
    image = ramp(*size)
    depth = predict_depth(brightness(nyu()), image, nyu())
    assert depth.shape == size
    assert depth.dtype == np.float32
    inner = np.s_[size[0] // 24 : -size[0] // 24, size[1] // 24 : -size[1] // 24]
    # a grey level is 0.01; resampling and rounding move the ramp by a little more
    np.testing.assert_allclose(np.log(depth)[inner], image[inner][..., 0] / 100, atol=0.035)
    assert np.all(np.isfinite(depth))


@pytest.mark.parametrize("size", [(184, 612), (370, 1224), (1000, 3000)])
def test_kitti_predicts_only_below_the_first_row_the_fine_network_sees(size):
    """Window rows 56.. of 172, the first window at row 0 of 184; nothing above mixes in."""

    def constant(image):
        return jnp.full((len(image), 27, 142), np.log(20.0))

    depth = predict_depth(constant, ramp(*size), kitti())
    scale = min(size[0] / 184, size[1] / 612)
    first, pixel = round(56 * scale), round(scale)
    assert np.all(np.isnan(depth[: first - pixel]))
    assert np.all(np.isfinite(depth[first + pixel :]))
    np.testing.assert_allclose(depth[np.isfinite(depth)], 20, rtol=1e-5)


def test_windows_cover_and_overlap():
    for total in (228, 229, 300, 341, 342, 343, 2000):
        offsets = _offsets(total, 228)
        assert offsets[0] == 0
        assert offsets[-1] == total - 228
        steps = np.diff(offsets)
        assert np.all(steps <= 115)
        assert np.all(steps > 0)
    assert _offsets(228, 228) == [0]


@pytest.mark.slow
def test_the_network_of_the_windows_is_the_model():
    config = from_scratch(width=0.03)
    model = TwoScaleNet(config)
    image = jnp.ones((1, 228, 304, 3)) * 90
    params = initial_params(model, jax.random.key(0), image)
    ours = make_window_network(config, params)(image)
    np.testing.assert_allclose(ours, jit(model.apply)({"params": params}, image), atol=1e-5)
