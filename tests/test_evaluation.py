"""What is compared with what: the region, upsampling, caps, alignment, and the mean predictor."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.config import UNetConfig
from depthsi.data.folder.source import FolderSource
from depthsi.data.pipeline import InMemory, ordered_batches
from depthsi.errors import DepthsiError
from depthsi.geometry import CROPS, Crop, kitti, nyu
from depthsi.inference import FLIPS, depths_function, make_predictor
from depthsi.metrics import METRICS
from depthsi.metrics.alignment import align
from depthsi.metrics.baselines import constant_depth, mean_depth
from depthsi.metrics.compare import (
    cell_batches,
    compare,
    evaluate_predictor,
    map_batches,
    upsample_cells,
)
from depthsi.metrics.protocols import PROTOCOLS, Protocol
from depthsi.metrics.regions import cropped_region, describe, evaluated_region
from depthsi.metrics.scorer import score
from depthsi.models import make_model

NYU = Path(__file__).parents[2] / "shared" / "data" / "nyu_labelled"
EIGEN = PROTOCOLS["eigen2014_nyu"]
PLAIN = Protocol("plain", "nyu", "none")


def depths(count=5, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.5, 9.0, (count, 240, 320)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = 0
    return values


def in_batches(values, size=2):
    images = np.zeros((*values.shape, 3), np.uint8)
    return ordered_batches(InMemory(images, values), size)


def mean_scores(mean, values, protocol=EIGEN):
    box = evaluated_region(protocol, nyu(), (240, 320))
    return score(map_batches(mean, in_batches(values, 64), box), protocol)


def numbers(prediction, target):
    """Three of the numbers of one image, pooled over the given pixels."""
    prediction, target = prediction.astype(np.float64), target.astype(np.float64)
    d = np.log(prediction / target)
    return {
        "abs_rel": np.mean(np.abs(prediction / target - 1)),
        "rmse_log": np.sqrt(np.mean(d**2)),
        "rmse_log_si": np.std(d),
    }


@pytest.mark.slow
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


@pytest.mark.slow
def test_totals_and_scores_of_images_agree():
    truth = depths()
    cells = np.random.default_rng(1).uniform(1, 5, (2, 55, 74)).astype(np.float32)
    for name in ("eigen2014_nyu", "nyu_bts"):
        protocol = PROTOCOLS[name]

        def predict(image):
            return cells[: len(image)]

        total = evaluate_predictor(predict, in_batches(truth), nyu(), protocol)
        scores = score(cell_batches(predict, in_batches(truth), nyu(), protocol), protocol)
        assert (len(scores), scores.pixels.sum()) == (5, total.pixels)
        for how in ("image", "pixel"):
            expected = total.compute(how)
            for metric, value in scores.compute(how).items():
                np.testing.assert_allclose(value, expected[metric], rtol=1e-6, err_msg=metric)


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


@pytest.mark.slow
def test_a_mirrored_picture_has_the_mirrored_map_when_both_are_seen():
    """A theorem about the mean over a group; the mean is of logarithms."""
    config = UNetConfig(size="small")
    images = np.random.default_rng(0).integers(0, 256, (2, 240, 320, 3), np.uint8)
    params = jax.jit(make_model(config).init)(jax.random.key(0), jnp.zeros((1, 228, 304, 3)))
    params = params["params"]
    predict = jax.jit(depths_function(config, ("unet",), mirrored=True))
    seen, turned = predict(params, images), predict(params, images[:, :, ::-1])
    found, mirrored = seen[FLIPS], turned[FLIPS]
    np.testing.assert_allclose(mirrored[:, :, ::-1], found, rtol=1e-5)
    ways = seen["unet"], turned["unet"][:, :, ::-1]
    alone = make_predictor(config, "unet")(params, images)
    np.testing.assert_allclose(ways[0], alone, rtol=1e-5)
    np.testing.assert_allclose(found, np.sqrt(ways[0] * ways[1]), rtol=1e-5)
    assert np.abs(ways[0] - ways[1]).max() > 1e-3


def test_bilinear_cells_lie_between_their_centres():
    cells = jnp.array([[[1.0, 2.0]]])
    # Centres of the cells at pixels 1.5 and 5.5; beyond them the value stays.
    expected = [1, 1, 1.125, 1.375, 1.625, 1.875, 2, 2]
    rows = np.asarray(upsample_cells(cells, "bilinear"))
    assert rows.shape == (1, 4, 8)
    np.testing.assert_allclose(rows[0], np.tile(np.array([[1, *expected[1:]]]), (4, 1)), rtol=1e-6)
    assert np.asarray(upsample_cells(cells))[0, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_crops_are_cut_to_what_the_network_covers():
    size = (240, 320)
    crop = {name: dataclasses.replace(PLAIN, crop=name) for name in ("nyu_toolbox", "kb", "garg")}
    assert tuple(evaluated_region(EIGEN, nyu(), size)) == (10, 230, 12, 308)
    assert tuple(evaluated_region(crop["nyu_toolbox"], nyu(), size)) == (22, 230, 20, 300)
    assert tuple(cropped_region(crop["nyu_toolbox"], size)) == (22, 235, 20, 300)
    assert tuple(evaluated_region(PLAIN, kitti(), (184, 612))) == (66, 174, 22, 590)
    with pytest.raises(DepthsiError, match=r"needs images of \(240, 320\), not \(480, 640\)"):
        evaluated_region(EIGEN, nyu(), (480, 640))
    with pytest.raises(DepthsiError, match=r"'kb' takes 352x1216 .* 184x612"):
        evaluated_region(crop["kb"], kitti(), (184, 612))
    with pytest.raises(DepthsiError, match=r"'garg' takes rows 0\.\.0 .* images of 1x9 do not"):
        cropped_region(crop["garg"], (1, 9))


def test_the_map_of_the_baselines_stands_beside_the_same_pixels_of_the_truth():
    depth, rng = np.arange(24.0).reshape(4, 6), np.random.default_rng(0)
    truth = rng.uniform(1, 2, (2, 4, 6)).astype(np.float32)
    batch = np.zeros((2, 4, 6, 3), np.uint8), truth
    ((maps, true),) = map_batches(depth, [batch], Crop(1, 4, 2, 5))
    np.testing.assert_array_equal(maps, [depth[1:4, 2:5]] * 2)
    np.testing.assert_array_equal(true, truth[:, 1:4, 2:5])


def test_densedepth_limits_cells_of_a_network_before_it_interpolates_them():
    """Cells of 4 m and 40 m side by side: 5/8 of the way is 7.75 m, not the limit of 10 m."""
    cells = np.where(np.arange(74) < 40, 4.0, 40.0).astype(np.float32) * np.ones((1, 55, 1), "f4")
    batch = np.zeros((1, 240, 320, 3), np.uint8), np.ones((1, 240, 320), np.float32)
    rules = PROTOCOLS["densedepth_nyu"]
    ((maps, _),) = cell_batches(lambda image: jnp.asarray(cells), [batch], nyu(), rules)
    np.testing.assert_allclose(maps[0, 0, 156:164], [4, 4, 4.75, 6.25, 7.75, 9.25, 10, 10])


def test_crops_that_reach_beyond_a_picture_are_refused(monkeypatch):
    outside = (Crop(0, 5, 0, 5), Crop(-1, 4, 0, 5), Crop(0, 4, 0, 6), Crop(0, 4, -1, 5))
    for beyond in (*outside, Crop(2, 2, 0, 5), Crop(0, 4, 3, 3)):  # the last two are empty
        monkeypatch.setitem(CROPS, "beyond", lambda size, box=beyond: box)
        with pytest.raises(DepthsiError, match="which images of 4x5 do not have"):
            cropped_region(dataclasses.replace(PLAIN, crop="beyond"), (4, 5))
    # inside the image, but in its margin that the network does not predict: rows 10..230
    for margin in (Crop(0, 10, 0, 320), Crop(230, 240, 0, 320), Crop(0, 240, 0, 12)):
        monkeypatch.setitem(CROPS, "beyond", lambda size, box=margin: box)
        with pytest.raises(DepthsiError, match="lies outside what the network covers"):
            evaluated_region(dataclasses.replace(PLAIN, crop="beyond"), nyu(), (240, 320))
    with pytest.raises(DepthsiError, match=r"needs images of \(240, 320\), not \(240, 321\)"):
        evaluated_region(EIGEN, nyu(), (240, 321))


@pytest.mark.slow
def test_depths_beyond_the_caps_do_not_count():
    truth = depths()
    protocol = dataclasses.replace(PLAIN, min_depth=1.0, max_depth=4.0)
    predicted = np.ones((2, 55, 74), np.float32)
    total = evaluate_predictor(
        lambda image: predicted[: len(image)], in_batches(truth), nyu(), protocol
    )
    box = truth[:, 10:230, 12:308]
    assert total.pixels == np.sum((box > 1) & (box < 4))
    # the caps are strict
    edge = np.array([[[1.0, 1.5, 4.0]]], np.float32)
    assert compare(edge, edge, protocol).pixels == 1


TRUE = np.array([[[1.0, 2.0, 4.0, 8.0, 0.0]]], np.float32)
WRONG = np.array([[[3.0, 4.0, 7.0, 20.0, 1e9]]], np.float32)


def after(alignment, predictions=WRONG, targets=TRUE):
    known = jnp.asarray(targets > 0)
    return np.asarray(align(jnp.asarray(predictions), jnp.asarray(targets), known, alignment))[0]


@pytest.mark.slow
def test_alignments_by_hand():
    np.testing.assert_allclose(after("none"), WRONG[0])
    # medians 3 of the truth, (4 + 7) / 2 of the prediction
    np.testing.assert_allclose(after("median"), WRONG[0] * 3 / 5.5, rtol=1e-6)
    # geometric means: 64^(1/4), 1680^(1/4)
    factor = (64 / 1680) ** 0.25
    np.testing.assert_allclose(after("log_mean"), WRONG[0] * factor, rtol=1e-6)
    # least squares of (1, 2, 4, 8) on (3, 4, 7, 20): about their means 3.75 and 8.5,
    # (-2.75, -1.75, 0.25, 4.25) . (-5.5, -4.5, -1.5, 11.5) = 71.5, and the latter squared 185
    fitted = 3.75 + 71.5 / 185 * (WRONG[0, :, :4] - 8.5)
    np.testing.assert_allclose(after("scale_shift")[:, :4], fitted, rtol=1e-5)


@pytest.mark.slow
def test_alignment_takes_each_image_by_itself_and_only_usable_pixels():
    predictions = jnp.asarray(np.concatenate([WRONG, 10 * WRONG]))
    targets = jnp.asarray(np.concatenate([TRUE, TRUE]))
    for name in ("median", "log_mean", "scale_shift"):
        maps = np.asarray(align(predictions, targets, targets > 0, name))
        np.testing.assert_allclose(maps[0, :, :4], maps[1, :, :4], rtol=1e-5)
        holed = WRONG.copy()
        holed[0, 0, 0] = np.nan
        fewer = after(name, WRONG[..., 1:], TRUE[..., 1:])
        np.testing.assert_allclose(after(name, holed)[:, 1:], fewer, rtol=1e-5)
    constant = np.full_like(WRONG, 5.0)
    np.testing.assert_allclose(after("scale_shift", constant), 3.75)


@pytest.mark.slow
def test_the_clamp_comes_after_the_alignment_and_keeps_nan():
    protocol = dataclasses.replace(PLAIN, alignment="median", clamp=(1.5, 4.0))
    true = np.array([[[1.0, 2.0, 3.0, 3.0]]], np.float32)
    terms = compare(np.array([[[10.0, 20.0, 20.0, 100.0]]], np.float32), true, protocol)
    # medians 2.5 and 20: aligned 1.25, 2.5, 2.5, 12.5; clamped 1.5, 2.5, 2.5, 4
    np.testing.assert_allclose(terms.means["absolute"], (0.5 + 0.5 + 0.5 + 1) / 4, rtol=1e-6)
    unaligned = dataclasses.replace(protocol, alignment="none")
    for bad, unusable in ((0.0, 0), (-3.0, 0), (np.inf, 0), (np.nan, 1)):
        holed = np.array([[[10.0, bad, 20.0, 100.0]]], np.float32)
        assert compare(holed, true, unaligned).unusable == unusable
        assert compare(holed, true, PLAIN).unusable == 1


@pytest.mark.slow
def test_the_oracle_scale_leaves_the_scale_invariant_error():
    """The paper's text: with the true mean log depth, RMSE log becomes its scale-invariant form."""
    truth, rng = depths(3), np.random.default_rng(2)
    maps = (truth * np.exp(rng.normal(0.3, 0.2, truth.shape))).astype(np.float32)
    plain = score([(maps, truth)], PLAIN).per_image()
    scaled = score([(maps, truth)], dataclasses.replace(PLAIN, alignment="log_mean")).per_image()
    np.testing.assert_allclose(scaled["rmse_log"], plain["rmse_log_si"], rtol=1e-5)
    np.testing.assert_allclose(scaled["scale_share"], 0, atol=1e-9)
    assert np.all(plain["scale_share"] > 0.5)


@pytest.mark.slow
def test_mean_predictor_and_constant_written_out():
    train, test = depths(6, seed=2), depths(3, seed=3)
    train[:, 50, 60] = 0  # never seen: no prediction there
    mean = mean_depth(in_batches(train))
    np.testing.assert_allclose(mean[50, 60], np.exp(np.log(train[train > 0]).mean()), rtol=1e-5)
    logs = np.where(train > 0, np.log(np.where(train > 0, train, 1).astype(np.float64)), np.nan)
    logs[:, np.all(train <= 0, axis=0)] = np.nanmean(logs)
    expected = np.nanmean(logs, axis=0)
    constant = np.full((240, 320), expected.mean())
    for ours, log_depth in ((mean, expected), (constant_depth(mean), constant)):
        scores = mean_scores(ours, test)
        rows = []
        for target in test[:, 10:230, 12:308]:
            known = target > 0
            rows.append(numbers(np.exp(log_depth)[10:230, 12:308][known], target[known]))
        for name in rows[0]:
            average = np.mean([row[name] for row in rows])
            np.testing.assert_allclose(scores.compute("image")[name], average, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not NYU.is_dir(), reason="the labelled NYU folder is not beside the project")
def test_the_mean_predictor_on_nyu_is_in_the_band_of_table_1():
    """All 795 training and 654 test images give d1 0.425-0.428, abs rel 0.36-0.40, RMSE 1.21-1.24,
    RMSE log 0.41-0.43, SI 0.305-0.308 pooled over pixels, whatever the crop; the folder holds 719
    and 492 of them, hence a wider band."""
    train, test = (FolderSource(NYU, split, size=(240, 320)) for split in ("train", "test"))
    mean = mean_depth(ordered_batches(InMemory(*train.arrays()), 64))
    ours = mean_scores(mean, test.arrays()[1]).compute("pixel")
    assert set(ours) == set(METRICS)
    for name, low, high in (
        ("d1", 0.41, 0.44),
        ("abs_rel", 0.34, 0.42),
        ("rmse", 1.15, 1.28),
        ("rmse_log", 0.39, 0.44),
        ("rmse_log_si", 0.295, 0.315),
    ):
        assert low < ours[name] < high, (name, ours[name])


def test_descriptions_name_crop_caps_and_what_differs():
    box = evaluated_region(EIGEN, nyu(), (240, 320))
    assert describe(EIGEN, box, (240, 320)).splitlines() == [
        "Protocol eigen2014_nyu: crop eigen2014_nyu (rows 10..230, columns 12..308 of 240x320); no"
        " depth caps; predictions resized nearest, not aligned; mean over images.",
        "Images are 240x320, the protocol's 480x640.",
    ]
    full = cropped_region(EIGEN, (480, 640))
    assert tuple(full) == (20, 460, 24, 616)
    assert len(describe(EIGEN, full, (480, 640)).splitlines()) == 1
    bts = PROTOCOLS["nyu_bts"]
    lines = describe(bts, evaluated_region(bts, nyu(), (240, 320)), (240, 320)).splitlines()
    assert "true depth in (0.001, 10) m; predictions resized bilinear" in lines[0]
    assert "clamped to 0.001..10 m" in lines[0]
    assert lines[1] == "Only where there are predictions, 97.7% of the crop."  # 208 of 213 rows
    assert describe(PLAIN, Crop(0, 4, 0, 5), (4, 5)).startswith("Protocol plain: crop none (rows 0")
