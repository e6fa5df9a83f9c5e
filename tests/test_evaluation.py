"""What is compared with what: the region, upsampling, caps, and the mean predictor."""

from pathlib import Path

import numpy as np
import pytest

from depthsi.data.folder import FolderSource
from depthsi.data.pipeline import InMemory, ordered_batches
from depthsi.errors import DepthsiError
from depthsi.evaluation import (
    Protocol,
    evaluate_mean_predictor,
    evaluate_predictor,
    evaluated_region,
    mean_depth,
)
from depthsi.geometry import kitti, nyu

NYU = Path(__file__).parents[2] / "shared" / "data" / "nyu_labelled"
EIGEN = Protocol("eigen2014_nyu")


def depths(count=5, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.5, 9.0, (count, 240, 320)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = 0
    return values


def in_batches(values, size=2):
    images = np.zeros((*values.shape, 3), np.uint8)
    return ordered_batches(InMemory(images, values), size)


def numbers(prediction, target):
    """Three of the eight numbers of one image, pooled over the given pixels."""
    prediction, target = prediction.astype(np.float64), target.astype(np.float64)
    d = np.log(prediction / target)
    return {"abs_rel": np.mean(np.abs(prediction / target - 1)), "rmse_log": np.sqrt(np.mean(d**2)),
            "rmse_log_si": np.std(d)}  # fmt: skip


def test_cells_stand_for_four_by_four_pixels_of_the_region():
    truth, cells = depths(), np.random.default_rng(1).uniform(1, 5, (5, 55, 74)).astype(np.float32)
    shown = iter(range(0, 5, 2))

    def predict(image):
        start = next(shown)
        return cells[start : start + len(image)]

    total = evaluate_predictor(predict, in_batches(truth), nyu(), EIGEN)
    assert (total.images, total.pixels) == (5, np.sum(truth[:, 10:230, 12:308] > 0))
    rows = []
    for prediction, target in zip(cells, truth, strict=True):
        box = target[10:230, 12:308]
        upsampled = prediction[np.arange(220)[:, None] // 4, np.arange(296) // 4]
        rows.append(numbers(upsampled[box > 0], box[box > 0]))
    for name in rows[0]:
        expected = np.mean([row[name] for row in rows])
        np.testing.assert_allclose(total.compute("image")[name], expected, rtol=1e-5)


def test_a_prediction_at_the_cells_own_pixels_is_found_perfect():
    """A depth that is constant over each cell's block, read where `centre` reads targets."""
    blocks = np.random.default_rng(0).uniform(1, 5, (2, 55, 74)).astype(np.float32)
    truth = np.ones((2, 240, 320), np.float32)
    truth[:, 10:230, 12:308] = blocks.repeat(4, 1).repeat(4, 2)
    rows, cols = 6 + 5 + 4 * np.arange(55), 8 + 5 + 4 * np.arange(74)
    cells = truth[:, rows[:, None], cols]
    np.testing.assert_array_equal(cells, blocks)
    total = evaluate_predictor(lambda image: cells, in_batches(truth), nyu(), EIGEN)
    assert total.compute("pixel")["rmse"] == 0
    assert total.compute("pixel")["d1"] == 1


def test_crops_are_cut_to_what_the_network_covers():
    size = (240, 320)
    assert tuple(evaluated_region(EIGEN, nyu(), size)) == (10, 230, 12, 308)
    assert tuple(evaluated_region(Protocol("nyu_toolbox"), nyu(), size)) == (22, 230, 20, 300)
    assert tuple(evaluated_region(Protocol("none"), kitti(), (184, 612))) == (66, 174, 22, 590)
    with pytest.raises(DepthsiError, match=r"needs pictures of \(240, 320\), not \(480, 640\)"):
        evaluated_region(EIGEN, nyu(), (480, 640))
    with pytest.raises(DepthsiError, match="leave no depth"):
        Protocol("none", 10.0, 1.0)


def test_depths_beyond_the_caps_do_not_count():
    truth = depths()
    total = evaluate_predictor(
        lambda image: np.ones((len(image), 55, 74), np.float32),
        in_batches(truth), nyu(), Protocol("none", 1.0, 4.0),
    )  # fmt: skip
    box = truth[:, 10:230, 12:308]
    assert total.pixels == np.sum((box > 1) & (box < 4))


def test_mean_predictor_written_out():
    train, test = depths(6, seed=2), depths(3, seed=3)
    train[:, 50, 60] = 0  # never seen: no prediction there
    mean = mean_depth(in_batches(train))
    np.testing.assert_allclose(mean[50, 60], np.exp(np.log(train[train > 0]).mean()), rtol=1e-5)
    total = evaluate_mean_predictor(mean, in_batches(test), nyu(), EIGEN)
    logs = np.where(train > 0, np.log(np.where(train > 0, train, 1).astype(np.float64)), np.nan)
    logs[:, np.all(train <= 0, axis=0)] = np.nanmean(logs)
    expected = np.exp(np.nanmean(logs, axis=0))[10:230, 12:308]
    rows = []
    for target in test[:, 10:230, 12:308]:
        known = target > 0
        rows.append(numbers(expected[known], target[known]))
    for name in rows[0]:
        average = np.mean([row[name] for row in rows])
        np.testing.assert_allclose(total.compute("image")[name], average, rtol=1e-5)


@pytest.mark.skipif(not NYU.is_dir(), reason="the labelled NYU folder is not beside the project")
def test_the_mean_predictor_on_nyu_is_in_the_band_of_table_1():
    """All 795 training and 654 test images give d1 0.425-0.428, abs rel 0.36-0.40, RMSE 1.21-1.24,
    RMSE log 0.41-0.43, SI 0.305-0.308 pooled over pixels, whatever the crop; the folder holds 719
    and 492 of them, hence a wider band."""
    train, test = (FolderSource(NYU, split, size=(240, 320)) for split in ("train", "test"))
    mean = mean_depth(ordered_batches(InMemory(*train.arrays()), 64))
    batches = ordered_batches(InMemory(*test.arrays()), 64)
    ours = evaluate_mean_predictor(mean, batches, nyu(), EIGEN).compute("pixel")
    for name, low, high in (
        ("d1", 0.41, 0.44), ("abs_rel", 0.34, 0.42), ("rmse", 1.15, 1.28),
        ("rmse_log", 0.39, 0.44), ("rmse_log_si", 0.295, 0.315),
    ):  # fmt: skip
        assert low < ours[name] < high, (name, ours[name])


def test_descriptions_name_crop_and_caps():
    assert EIGEN.describe(nyu()) == (
        "crop eigen2014_nyu where the network predicts (rows 10..230, columns 12..308 of 240x320),"
        " no depth caps"
    )
    described = Protocol("garg", 1e-3, 80.0).describe(kitti())
    assert described.startswith("crop garg where")
    assert "rows 75..174, columns 22..590 of 184x612" in described
    assert "true depth in (0.001, 80) m" in described
