"""Predictions made elsewhere, scored as their evaluators do: written out in float64 NumPy."""

import dataclasses

import numpy as np
import pytest
from pictures import write_pairs

from depthsi.errors import DepthsiError
from depthsi.evaluation.evaluate import evaluate
from depthsi.evaluation.map_checks import check_units
from depthsi.evaluation.report import terminal
from depthsi.evaluation.request import EvaluationRequest
from depthsi.metrics.protocols import PROTOCOLS

NYU_BOX = np.s_[4:47, 4:60]  # the crop of nyu_bts at 48x64
BAD = (0.0, -2.0, np.inf, -np.inf)
CLAMPING = ("nyu_bts", "densedepth_nyu", "eigen2014_kitti", "garg_kitti", "monodepth2_median")


def true_maps(size, count=2, far=8.0):
    """Depth in whole millimetres, farther at the top, with holes where nothing was measured."""
    rng = np.random.default_rng(3)
    rows = np.linspace(far, 1, size[0])[:, None] * np.ones(size)
    maps = np.round(1000 * rows * rng.uniform(0.8, 1.2, (count, *size))) / 1000
    maps[:, 20, 20:24] = 0
    return maps


def truth_folder(root, maps):
    picture = np.zeros((*maps.shape[1:], 3), np.uint8)
    return write_pairs(root, [("test", picture, depth + 1e-9) for depth in maps])


def evaluated(tmp_path, true, predicted, **options):
    """The evaluation of a stack of maps, given in float64."""
    data = truth_folder(tmp_path / "truth", true)
    np.save(tmp_path / "maps.npy", predicted)
    return evaluate(EvaluationRequest(what=str(tmp_path / "maps.npy"), data=str(data), **options))


def numbers(predicted, true):
    """Of the compared pixels of one image."""
    d = np.log(predicted / true)
    return {
        "abs_rel": np.mean(np.abs(predicted - true) / true),
        "rmse": np.sqrt(np.mean((predicted - true) ** 2)),
        "rmse_log": np.sqrt(np.mean(d**2)),
        "d1": np.mean(np.maximum(predicted / true, true / predicted) < 1.25),
    }


def assert_numbers(found, expected):
    per_image = found.scores["predictions"].per_image()
    for index, values in enumerate(expected):
        for name, value in values.items():
            np.testing.assert_allclose(per_image[name][index], value, rtol=2e-5, err_msg=name)


def limited(depth, low, high):
    """What the evaluators do to a prediction: assignments of pixels beyond the limits."""
    depth = depth.copy()
    depth[depth < low] = low
    depth[depth > high] = high
    return depth


@pytest.mark.parametrize("name", CLAMPING)
def test_what_the_evaluator_clamps_is_clamped_and_counted(name, tmp_path):
    """0, negative and infinite predictions take the limit on their side in all five sources."""
    rules = PROTOCOLS[name]
    size = (48, 64) if rules.data_set == "nyu" else (48, 160)
    true = true_maps(size, far=30.0 if rules.data_set == "kitti" else 8.0)
    predicted = np.where(true > 0, true, 3.0) * 1.2
    for column, bad in enumerate(BAD):
        predicted[1, 30, 40 + column] = bad
    predicted[1, 20, 20] = 0.0  # without truth: not compared, not counted
    predicted[1, 0, 0] = np.nan  # outside every crop
    found = evaluated(tmp_path, true, predicted, protocol=name)
    scores = found.scores["predictions"]
    assert scores.clamped.tolist() == [0, 4]
    assert scores.unusable.tolist() == [0, 0]
    note = "predictions: clamped 0, negative, infinite or NaN predictions at 4 of"
    assert f"{note} {scores.pixels.sum()} compared pixels, in 1 of 2 images." in found.notes
    assert "predictions: clamped 0," in terminal(found)
    # the two limits stand where the evaluator puts them
    assert rules.clamp is not None
    low, high = rules.clamp
    replaced = predicted.copy()
    replaced[1, 30, 40:44] = low, low, high, low
    if name == "monodepth2_median":  # the median of positive depth scales before the clamp
        median = found.scores["predictions"].means["absolute"][1]
        assert median < 1.0 < high
        return
    again = evaluated(tmp_path / "again", true, replaced, protocol=name)
    assert again.scores["predictions"].clamped.sum() == 0
    for metric, values in again.scores["predictions"].per_image().items():
        np.testing.assert_array_equal(scores.per_image()[metric], values, err_msg=metric)


def test_bts_numbers_with_invalid_pixels_are_those_of_its_procedure(tmp_path):
    true = true_maps((48, 64))
    rng = np.random.default_rng(5)
    predicted = rng.uniform(0.5, 14.0, true.shape)
    predicted[0, 10:12, 10:14] = np.array(BAD)
    found = evaluated(tmp_path, true, predicted, protocol="nyu_bts")
    expected = []
    for y, t in zip(predicted, true, strict=True):
        y, t = limited(y, 1e-3, 10)[NYU_BOX], t[NYU_BOX]
        keep = (t > 1e-3) & (t < 10)
        expected.append(numbers(y[keep], t[keep]))
    assert_numbers(found, expected)
    assert found.scores["predictions"].clamped.tolist() == [8, 0]


def test_nan_is_refused_unless_it_is_to_be_clamped(tmp_path):
    true = true_maps((48, 64))
    predicted = np.where(true > 0, true, 3.0)
    predicted[0, 30, 30:33] = np.nan, 0.0, np.inf
    with pytest.raises(DepthsiError, match=r"at 1 of \d+ compared .*give --invalid clamp, which"):
        evaluated(tmp_path / "a", true, predicted, protocol="nyu_bts")
    with pytest.raises(DepthsiError, match=r"at 3 of \d+ compared .*leave out --invalid refuse"):
        evaluated(tmp_path / "b", true, predicted, protocol="nyu_bts", invalid="refuse")
    with pytest.raises(DepthsiError, match=r"at 3 of \d+ compared .*a --protocol that clamps"):
        evaluated(tmp_path / "c", true, predicted, protocol="eigen2014_nyu")
    found = evaluated(tmp_path / "d", true, predicted, protocol="nyu_bts", invalid="clamp")
    assert found.scores["predictions"].clamped.tolist() == [3, 0]
    assert "clamped to 0.001..10 m, NaN to the least" in found.notes
    replaced = predicted.copy()
    replaced[0, 30, 30:33] = 1e-3, 1e-3, 10  # as bts_eval.py sets NaN and inf
    again = evaluated(tmp_path / "e", true, replaced, protocol="nyu_bts")
    for how, values in again.results["predictions"].items():
        assert found.results["predictions"][how] == values
    with pytest.raises(DepthsiError, match=r"'eigen2014_nyu.*' has no limits .*leave out"):
        evaluated(tmp_path / "f", true, predicted, protocol="eigen2014_nyu", invalid="clamp")


def fitted(y, goal):
    """y scaled and shifted to `goal`, by NumPy's solver of least squares."""
    system = np.stack([y, np.ones_like(y)], axis=1)
    (scale, shift), *_ = np.linalg.lstsq(system, goal, rcond=None)
    return scale * y + shift


@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("protocol", ["eigen2014_nyu", "nyu_bts"])
def test_affine_invariant_depth_with_an_exact_zero(protocol, low, tmp_path):
    """Maps in [0, 1] (Marigold) or [-1, 1]: what counts is what the alignment makes of them."""
    true = true_maps((48, 64))
    filled = np.where(true > 0, true, 3.0)
    noise = np.random.default_rng(1).normal(0, 0.05, true.shape)
    box = NYU_BOX if protocol == "nyu_bts" else np.s_[2:46, 2:62]
    inside = filled + noise
    inside -= np.array([each[box].min() for each in inside])[:, None, None]
    predicted = low + (1 - low) * inside / inside.max()  # the least of the box is exactly `low`
    assert all(each[box].min() == low for each in predicted)
    found = evaluated(tmp_path, true, predicted, protocol=protocol, alignment="scale_shift")
    expected = []
    for y, t in zip(predicted, true, strict=True):
        y, t = y[box], t[box]
        keep = (t > 1e-3) & (t < 10) if protocol == "nyu_bts" else t > 0
        aligned = fitted(y[keep], t[keep])
        expected.append(
            numbers(limited(aligned, 1e-3, 10) if protocol == "nyu_bts" else aligned, t[keep])
        )
    assert_numbers(found, expected)
    assert found.scores["predictions"].clamped.sum() == 0


@pytest.mark.parametrize("alignment", ["median", "log_mean"])
def test_alignments_by_one_factor(alignment, tmp_path):
    true = true_maps((48, 64))
    rng = np.random.default_rng(6)
    predicted = 40 * np.where(true > 0, true, 3.0) ** 1.3 * rng.uniform(0.5, 1.5, true.shape)
    found = evaluated(tmp_path, true, predicted, protocol="nyu_bts", alignment=alignment)
    expected = []
    for y, t in zip(predicted, true, strict=True):
        y, t = y[NYU_BOX], t[NYU_BOX]
        keep = (t > 1e-3) & (t < 10)
        y, t = y[keep], t[keep]
        by_median, by_logs = np.median(t) / np.median(y), np.exp(np.mean(np.log(t) - np.log(y)))
        factor = by_median if alignment == "median" else by_logs
        expected.append(numbers(limited(factor * y, 1e-3, 10), t))
    assert_numbers(found, expected)


def test_depth_that_the_alignment_makes_negative_is_judged_there(tmp_path):
    true = true_maps((48, 64))
    predicted = np.where(true > 0, true, 3.0) / 10
    predicted[1, 30, 30] = -0.5  # of positive maps the only one below 0
    for name, words in (("eigen2014_nyu", "at 1 of .*a --protocol that clamps them"),):
        with pytest.raises(DepthsiError, match=f"map 1, aligned to the truth, has no .*{words}"):
            evaluated(tmp_path / name, true, predicted, protocol=name, alignment="scale_shift")
    found = evaluated(tmp_path, true, predicted, protocol="nyu_bts", alignment="scale_shift")
    assert found.scores["predictions"].clamped.tolist() == [0, 1]


def midas(disparity, true, cap):
    """The published evaluation of MiDaS: alignment of disparity, a cap, then depth."""
    aligned = fitted(disparity, 1 / true)
    return 1 / np.maximum(aligned, 1 / cap)


@pytest.mark.parametrize("kind", ["float", "negative", "uint16"])
def test_relative_inverse_depth_is_aligned_as_midas_is(kind, tmp_path):
    true = true_maps((48, 64), far=9.5)
    rng = np.random.default_rng(2)
    relative = 1 / np.where(true > 0, true, 3.0) + rng.normal(0, 0.02, true.shape)
    relative = relative - relative.min()
    predicted = {
        "float": 700 * relative,
        "negative": 3 * relative - 5,
        "uint16": np.round(65535 * relative / relative.max()).astype(np.uint16),
    }[kind]
    assert (predicted.min() < 0) == (kind == "negative")
    found = evaluated(tmp_path, true, predicted, protocol="nyu_bts", alignment="disparity")
    expected, capped = [], 0
    for y, t in zip(predicted.astype(np.float64), true, strict=True):
        y, t = y[NYU_BOX], t[NYU_BOX]
        keep = (t > 1e-3) & (t < 10)
        depth = midas(y[keep], t[keep], 10.0)
        capped += int(np.sum(depth == 10))
        expected.append(numbers(np.maximum(depth, 1e-3), t[keep]))
    assert capped > 10
    assert_numbers(found, expected)
    assert "scaled and shifted to 1/truth by least squares, then inverted" in found.notes


def test_disparity_at_or_below_0_lies_at_the_cap(tmp_path):
    """Counted, because no finite depth stands for it; without a cap it is refused."""
    true = true_maps((48, 64))
    predicted = 1 / np.where(true > 0, true, 3.0)
    predicted[0, 30, 30] = -1.0
    found = evaluated(tmp_path, true, predicted, protocol="nyu_bts", alignment="disparity")
    assert found.scores["predictions"].clamped.tolist() == [1, 0]
    shown = found.compared_image(0).predicted
    assert shown[30 - 4, 30 - 4] == 10
    with pytest.raises(DepthsiError, match="aligned to the truth, has no usable depth"):
        evaluated(tmp_path / "x", true, predicted, protocol="eigen2014_nyu", alignment="disparity")


def test_holes_decide_no_alignment(tmp_path):
    """NaN and inf in maps of any unit are no prediction; the line goes through the others."""
    true = true_maps((48, 64))
    predicted = 1 / np.where(true > 0, true, 3.0)
    predicted[0, 30, 30:32] = np.nan, np.inf
    found = evaluated(
        tmp_path, true, predicted, protocol="nyu_bts", alignment="disparity", invalid="clamp"
    )
    shown, inside = found.compared_image(0).predicted.copy(), true[0][NYU_BOX]
    assert shown[26, 26] == shown[26, 27] == np.float32(1e-3)
    shown[26, 26:28] = inside[26, 26:28]
    np.testing.assert_allclose(shown[inside > 0], inside[inside > 0], rtol=1e-4)


def test_maps_in_the_wrong_space_are_named(tmp_path):
    true = true_maps((48, 64))
    filled = np.where(true > 0, true, 3.0)
    for alignment, maps, words in (
        (
            "scale_shift",
            1 / filled - 1,
            "fall where .*values and it -.* give .*alignment disparity",
        ),
        ("disparity", filled - 5, "rise with the true depth .*--alignment scale_shift"),
        ("", 1 / filled, "fall where .*their logarithms -.*--alignment disparity for relative"),
    ):
        with pytest.raises(DepthsiError, match=words):
            evaluated(tmp_path / f"a{alignment}", true, maps, alignment=alignment)
    # a factor of 1e-7 is no reason to overlook it
    with pytest.raises(DepthsiError, match="fall where"):
        check_units([(1e-7 / filled[0], true[0])], "x", factors=False, alignment="scale_shift")


def test_the_baselines_of_relative_inverse_depth_are_inverted_too(tmp_path):
    true = true_maps((48, 64))
    maps = 1 / np.where(true > 0, true, 3.0)
    options = {"protocol": "nyu_bts", "baselines": "test"}
    found = evaluated(tmp_path / "a", true, maps, alignment="disparity", **options)
    plain = evaluated(tmp_path / "b", true, 1 / maps, alignment="scale_shift", **options)
    for row in ("mean predictor", "constant"):
        one, other = (each.results[row]["image"]["abs_rel"] for each in (found, plain))
        assert one == pytest.approx(other, rel=0.2)


def test_the_edges_are_those_of_aligned_maps(tmp_path):
    """Far too near and stretched by a line, a map has the true edges once it is aligned."""
    true = np.where(np.arange(64) < 30, 2.0, 4.0) * np.ones((2, 48, 1))
    found = evaluated(
        tmp_path, true, 0.01 * true + 7, protocol="nyu_bts", alignment="scale_shift", edges=True
    )
    assert found.results["predictions"]["image"]["boundary_f"] == 1


@pytest.mark.parametrize("name", ["garg_kitti", "eigen2014_kitti"])
@pytest.mark.parametrize("factor", [1, 2])
def test_predictions_of_kittis_352_rows_are_placed_where_they_belong(name, factor, tmp_path):
    """Rows 23..375 and columns 13..1229 of 375x1242, in which both crops lie."""
    size = (375, 1242)
    true = true_maps(size, count=1, far=50.0)
    whole = np.where(true > 0, true, 3.0)
    cut = whole[:, 23:375, 13:1229][:, ::factor, ::factor]
    if factor == 2:  # the map in blocks, put back by hand
        whole = np.ones((1, *size))
        whole[:, 23:375, 13:1229] = np.kron(cut[0], np.ones((2, 2)))
    resize = "nearest" if factor == 2 else ""
    found = evaluated(tmp_path / "cut", true, 1.1 * cut, protocol=name, resize=resize)
    expected = evaluated(tmp_path / "all", true, 1.1 * whole, protocol=name, resize=resize)
    assert "1 of 1 predictions show 352x1216 pixels (crop kb) and were placed at the" in found.notes
    assert "352x1216" not in expected.notes
    assert found.results == expected.results
    assert found.results["predictions"]["image"]["d1"] > 0.5


def test_only_kitti_pictures_have_such_a_part_and_the_rest_has_no_prediction(tmp_path):
    true = true_maps((375, 1242), count=1, far=50.0)
    cut = np.full((1, 352, 1216), 20.0)
    options = {"protocol": "garg_kitti", "crop": "none"}
    found = evaluated(tmp_path, true, cut, **options)
    outside = np.ones(true.shape, bool)
    outside[:, 23:375, 13:1229] = False
    assert found.scores["predictions"].clamped.tolist() == [np.sum(outside & (true > 0))]
    with pytest.raises(DepthsiError, match=r"has 352x1216 pixels, but its image 375x1242: "):
        evaluated(tmp_path / "x", true, cut, protocol="densedepth_nyu", crop="none")


def test_densedepth_limits_cells_before_it_interpolates_them(tmp_path):
    """Two cells of 4 m and 40 m: between them 7, a quarter of the way 5.5, after DenseDepth."""
    true = np.full((1, 48, 64), 5.0)
    cells = np.where(np.arange(32) < 16, 4.0, 40.0) * np.ones((1, 24, 1))
    cells[0, 6, 6] = 0.0
    found = evaluated(tmp_path, true, cells, protocol="densedepth_nyu", units_per_metre=1.0)
    shown = found.compared_image(0).predicted
    # the crop's column 29 is the image's 31
    np.testing.assert_allclose(shown[30, 28:32], [4, 5.5, 8.5, 10], rtol=1e-6)
    # the invalid cell is 0.1 m before it is mixed into 16 pixels, with 9/16 into the nearest
    np.testing.assert_allclose(shown[12 - 2, 12 - 2], 4 * 7 / 16 + 0.1 * 9 / 16, rtol=1e-6)
    assert found.scores["predictions"].clamped.tolist() == [16]
    assert "predictions clamped to 0.1..10 m, resized bilinear, not aligned; pooled" in found.notes
    later = dataclasses.replace(PROTOCOLS["densedepth_nyu"], clamp_first=False)
    assert "resized bilinear, not aligned, clamped to 0.1..10 m; pooled" in later.rules()


def test_a_unit_that_is_given_is_believed_and_the_doubt_is_told(tmp_path):
    true = true_maps((48, 64))
    maps = 1000 * np.where(true > 0, true, 3.0)
    with pytest.raises(DepthsiError, match=r"if they are metres, give --units-per-metre 1; if"):
        evaluated(tmp_path / "a", true, maps)
    found = evaluated(tmp_path / "b", true, maps, units_per_metre=1.0)
    doubt = "the predictions are 1e+03 times the true depth (median over the images), as if they"
    assert doubt in found.notes
    assert "give --units-per-metre 1000." in terminal(found)
    assert found.results["predictions"]["image"]["abs_rel"] == pytest.approx(999, rel=1e-4)
    right = evaluated(tmp_path / "c", true, maps, units_per_metre=1000.0)
    assert "units-per-metre" not in right.notes
    with pytest.raises(DepthsiError, match="fall where the true depth rises"):
        evaluated(tmp_path / "d", true, 1 / maps, units_per_metre=1.0)


def test_nothing_is_limited_in_a_unit_that_is_still_to_be_aligned(tmp_path):
    true = true_maps((48, 64))
    maps = 1000 * np.where(true > 0, true, 3.0)
    options = {"protocol": "densedepth_nyu", "alignment": "median"}
    found = evaluated(tmp_path, true, maps, **options)
    assert found.results["predictions"]["image"]["abs_rel"] < 1e-5
    assert "resized bilinear, each image scaled to the true median, clamped to 0.1..10 m" in (
        found.notes
    )


@pytest.mark.parametrize("name", ["nyu_bts", "densedepth_nyu"])
def test_a_clamp_hides_no_wrong_unit(name, tmp_path):
    true = true_maps((48, 64))
    maps = 1000 * np.where(true > 0, true, 3.0)
    with pytest.raises(DepthsiError, match="as if they were millimetres"):
        evaluated(tmp_path / "a", true, maps, protocol=name)
    with pytest.raises(DepthsiError, match="which suggests 1000"):
        evaluated(tmp_path / "b", true, maps.round().astype(np.uint16), protocol=name)
    found = evaluated(tmp_path / "c", true, maps, protocol=name, units_per_metre=1.0)
    assert "give --units-per-metre 1000" in found.notes


def test_whole_numbers_need_no_unit_where_the_truth_gives_it(tmp_path):
    true = true_maps((48, 64))
    maps = np.round(1000 * np.where(true > 0, true, 3.0)).astype(np.uint16)
    with pytest.raises(DepthsiError, match="has values of type uint16, not metres"):
        evaluated(tmp_path / "a", true, maps)
    for alignment in ("median", "log_mean", "scale_shift"):
        found = evaluated(tmp_path / alignment, true, maps, alignment=alignment)
        assert found.results["predictions"]["image"]["abs_rel"] < 1e-5


def test_what_a_protocol_is_unsure_of_is_printed_with_the_table(tmp_path):
    true = true_maps((48, 64))
    for name in ("nyu_bts", "densedepth_nyu"):
        found = evaluated(tmp_path / name, true, np.where(true > 0, true, 3.0), protocol=name)
        assert PROTOCOLS[name].unsure in " ".join(terminal(found).split())
    assert "AdaBins and ZoeDepth" in PROTOCOLS["nyu_bts"].unsure


def test_resizing_is_chosen_by_name(tmp_path):
    true = np.full((1, 48, 64), 3.0)
    cells = np.random.default_rng(0).uniform(1, 5, (1, 24, 32))
    shown = {}
    for resize in ("nearest", "bilinear", "bilinear_corners"):
        found = evaluated(tmp_path / resize, true, cells, protocol="nyu_bts", resize=resize)
        assert f"nyu_bts{' with resize ' + resize if resize != 'bilinear' else ''}:" in found.notes
        shown[resize] = found.compared_image(0).predicted
    from scipy import ndimage

    aligned = np.asarray(ndimage.zoom(cells[0], 2, order=1, mode="nearest"))  # corner on corner
    np.testing.assert_allclose(shown["bilinear_corners"], aligned[NYU_BOX], rtol=1e-6)
    assert np.abs(shown["bilinear"] - shown["bilinear_corners"]).max() > 0.1
    np.testing.assert_array_equal(
        shown["nearest"], np.kron(cells[0], np.ones((2, 2)))[NYU_BOX].astype("f4")
    )


def test_holes_of_small_maps_stay_out_of_their_neighbours(tmp_path):
    """0 marks a hole: an interpolated map has no depth beside it, not one of half the size."""
    true = np.full((1, 48, 64), 4.0)
    for hole in (0.0, -1.0, np.nan, np.inf):
        cells = np.full((1, 24, 32), 4.0)
        cells[0, 10, 10] = hole
        words = r"no usable depth .* at 16 of \d+ compared"
        with pytest.raises(DepthsiError, match=words):
            evaluated(
                tmp_path / str(hole),
                true,
                cells,
                crop="none",
                resize="bilinear",
                units_per_metre=1.0,
            )
