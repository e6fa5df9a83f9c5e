"""Numbers in depth files that mean no depth, and the range of depths that a user accepts."""

import json
import pickle
import warnings

import numpy as np
import OpenEXR
import pytest
from pictures import counts, saved, smooth_picture, write_index
from prepared_pictures import data_set
from test_cli import refusal

from depthsi.cli import main
from depthsi.config import Config, Folder, Prepared
from depthsi.config_json import config_from_dict, to_dict
from depthsi.data.folder.source import FolderSource
from depthsi.data.folder.units import guess_units
from depthsi.data.formats.decoding import read_depth
from depthsi.data.formats.missing import DepthLimits
from depthsi.data.greatest_value import greatest_value
from depthsi.data.prepared.prepare import prepare
from depthsi.data.prepared.source import PreparedSource
from depthsi.errors import DepthsiError, DepthsiWarning

SPLITS = ("train", "test")
WHOLE = ("d.png", "d.tiff", "d.npy", "d.npz")


def stored_as(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, depth=array)
    else:
        saved(path, array)
    return path


def marked(height=60, width=80):
    """Counts of up to 10 000 with 65535 in the upper quarter, as sky or holes are marked."""
    values = counts(height, width)
    values[: height // 4] = 65535
    return values


def oracle(values, units, gone):
    """Metres one by one: 0 for those `gone`, else float32 of the count over the unit."""
    return np.array(
        [[0.0 if gone(int(v)) else np.float32(int(v) / units) for v in row] for row in values],
        np.float32,
    )


@pytest.mark.parametrize("name", WHOLE)
def test_the_greatest_number_apart_from_all_others_is_missing(tmp_path, name):
    values = marked()
    depth = read_depth(stored_as(tmp_path / name, values), 512)
    np.testing.assert_array_equal(depth, oracle(values, 512, lambda v: v == 65535))
    values[20, 20] = 49151  # three quarters of the range, less one
    depth = read_depth(stored_as(tmp_path / name, values), 512)
    np.testing.assert_array_equal(depth == 0, values == 65535)


@pytest.mark.parametrize("name", WHOLE)
def test_a_ramp_that_runs_into_the_end_of_the_range_keeps_its_pixels_and_says_so(tmp_path, name):
    ramp = np.broadcast_to(np.linspace(0, 90_000, 80), (60, 80))
    values = ramp.clip(0, 65535).astype(np.uint16)
    path = stored_as(tmp_path / name, values)
    words = r"27\.\d% of its pixels hold 65535, the greatest uint16, .* --data\.missing 65535"
    with pytest.warns(DepthsiWarning, match=words):
        depth = read_depth(path, 1000)
    np.testing.assert_array_equal(depth, oracle(values, 1000, lambda v: v == 0))
    with warnings.catch_warnings(record=True) as caught:
        read_depth(path, 1000)  # said once, not for each file
        depth = read_depth(path, 1000, limits=DepthLimits(missing=(65535,)))
    assert not caught
    np.testing.assert_array_equal(depth, oracle(values, 1000, lambda v: v in (0, 65535)))


def test_a_few_pixels_at_the_end_of_the_range_are_no_reason_to_speak(tmp_path):
    values = np.arange(60_736, 65_536).reshape(60, 80).astype(np.uint16)
    assert (read_depth(saved(tmp_path / "d.png", values), 1000) > 0).all()


def test_naming_other_values_turns_the_recognition_off(tmp_path):
    values = marked()
    values[50:] = 7
    depth = read_depth(saved(tmp_path / "d.png", values), 512, limits=DepthLimits((7, -1, 1e300)))
    np.testing.assert_array_equal(depth, oracle(values, 512, lambda v: v == 7))


def test_floats_that_mark_nothing_are_missing(tmp_path):
    np.save(tmp_path / "half.npy", np.array([[2, 65504, np.inf, 60000]], np.float16))
    np.testing.assert_array_equal(read_depth(tmp_path / "half.npy"), [[2, 0, 0, 60000]])
    for name in ("full.npy", "full.npz"):
        metres = np.array([[2, 1e10, 65504, 3.4e38, 9e9]], np.float32)
        depth = read_depth(stored_as(tmp_path / name, metres))
        np.testing.assert_array_equal(depth, np.array([[2, 0, 65504, 0, 9e9]], np.float32))
        limits = DepthLimits(missing=(65504, 1e300))
        depth = read_depth(tmp_path / name, limits=limits)
        np.testing.assert_array_equal(depth[:, :3], np.array([[2, 1e10, 0]], np.float32))


def test_what_blender_writes_beyond_the_background_of_a_half_float_exr_is_missing(tmp_path):
    z = np.full((60, 80), 2, np.float16)
    z[:15] = 65504
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Z": z}).write(str(tmp_path / "d.exr"))
    np.testing.assert_array_equal(read_depth(tmp_path / "d.exr"), np.where(z < 3, z, 0))


@pytest.mark.parametrize("name", WHOLE)
def test_depth_out_of_range_is_missing_and_never_clipped(tmp_path, name):
    values = np.array([[0, 99, 100, 101, 500, 7999, 8000, 8001, 20000]], np.uint16)
    path = stored_as(tmp_path / name, values)
    depth = read_depth(path, 1000, limits=DepthLimits(min_depth=0.1, max_depth=8))
    np.testing.assert_array_equal(depth, oracle(values, 1000, lambda v: not 100 <= v <= 8000))
    depth = read_depth(path, 1000, limits=DepthLimits(max_depth=8))
    np.testing.assert_array_equal(depth, oracle(values, 1000, lambda v: v > 8000))


def folder(root, values):
    root.mkdir()
    for i in range(2):
        saved(root / f"{i}.png", values)
        saved(root / f"{i}.jpg", smooth_picture(*values.shape))
    return write_index(root, [(f"{i}.jpg", f"{i}.png", s, 512) for i, s in enumerate(SPLITS)])


def test_settings_reach_the_files_of_a_folder(tmp_path):
    values = marked()
    settings = Folder(root=str(folder(tmp_path / "f", values)), min_depth=1.0, max_depth=10.0)
    depth = settings.open("train")[0].depth
    gone = np.vectorize(lambda v: v == 65535 or not 512 <= v <= 5120)(values)
    np.testing.assert_array_equal(depth == 0, gone)
    _, depths = Folder(root=settings.root, missing=(5000.0,)).open("train").arrays()
    np.testing.assert_array_equal(depths[0] == 0, values == 5000)
    assert depths.max() > 127


def test_settings_reach_prepared_records(tmp_path):
    data = data_set({"train": 2}, units=1000.0)
    directory = prepare(data, tmp_path, report=lambda _: None)
    whole = PreparedSource(directory, "train")
    stored, depth = whole.stored(0), whole[0].depth
    middle, value = float(np.median(depth[depth > 0])), stored[stored > 0].flat[0]
    source = Prepared(root=str(directory), max_depth=middle).open("train")
    np.testing.assert_array_equal(source[0].depth, np.where(depth <= middle, depth, 0))
    source = Prepared(root=str(directory), missing=(float(value),)).open("train")
    np.testing.assert_array_equal(source[0].depth, np.where(stored == value, 0, depth))
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[0].depth, source[0].depth)


def guessed(path, missing=()):
    found = guess_units([[path]], missing)
    return found and found.units_per_metre


def test_marks_do_not_mislead_the_guess_of_the_unit(tmp_path):
    values = np.random.default_rng(0).integers(900, 6000, (60, 80)).astype(np.uint16)
    values[:15] = 65535
    path = saved(tmp_path / "d.png", values)
    assert guessed(path) == 1000
    values[:15] = 60000
    saved(path, values)
    with pytest.raises(DepthsiError, match="suggests 5000 or 100"):
        guess_units([[path]])
    assert guessed(path, (60000.0,)) == 1000
    saved(tmp_path / "d.jpg", smooth_picture(60, 80))
    write_index(tmp_path, [("d.jpg", "d.png", "train", "")])
    with pytest.warns(DepthsiWarning, match="assuming 1000 per metre"):
        FolderSource(tmp_path, "train", limits=DepthLimits((60000.0,)))


@pytest.mark.parametrize("kind", [Folder, Prepared])
def test_settings_that_make_no_sense_are_refused(kind):
    for fields, words in (
        ({"min_depth": -1.0}, "data.min_depth is -1.0; it must be at least 0"),
        ({"max_depth": float("nan")}, "data.max_depth is nan; it must be at least 0"),
        ({"min_depth": 2.0, "max_depth": 2.0}, "data.max_depth is 2 m; it must be over"),
    ):
        with pytest.raises(DepthsiError, match=words):
            kind(**fields)


def test_settings_are_kept_in_files_and_read_back(capsys):
    config = Config(data=Folder(root="f", missing=(65535.0, -1.0), max_depth=80.0))
    values = json.loads(json.dumps(to_dict(config)))
    assert config_from_dict(values) == config
    values["data"]["missing"] = [65535, "sky"]
    with pytest.raises(DepthsiError, match=r"config\.data\.missing\[1\] is 'sky'"):
        config_from_dict(values)
    values["data"]["missing"] = 65535
    with pytest.raises(DepthsiError, match=r"config\.data\.missing is 65535, which is not"):
        config_from_dict(values)
    del values["data"]["missing"], values["data"]["max_depth"], values["data"]["min_depth"]
    assert config_from_dict(values).data == Folder(root="f")
    main(["config", "rooms", "--data.kind", "prepared", "--data.missing", "65535", "0"])
    assert json.loads(capsys.readouterr().out)["data"]["missing"] == [65535, 0]
    words = refusal(capsys, "config", "rooms", "--data.missing", "65535")
    assert "--data.missing is not an option of --data.kind rooms" in words


@pytest.mark.filterwarnings("default")
def test_info_says_how_many_pixels_hold_the_greatest_number(tmp_path, capsys):
    ramp = np.broadcast_to(np.linspace(0, 90_000, 80), (60, 80)).clip(0, 65535).astype(np.uint16)
    for name, values, words in (
        (
            "sky",
            marked(),
            "25.00% of the pixels hold 65535, the greatest uint16, which counts as m",
        ),
        (
            "ramp",
            ramp,
            "27.50% of the pixels hold 65535, the greatest uint16, read as 128 m; if it means no"
            " depth, set --data.missing 65535.",
        ),
        (
            "far",
            np.where(counts(60, 80) > 9000, 41000, counts(60, 80) // 2).astype(np.uint16),
            "of the pixels hold 41000, the greatest there is, read as 80.078 m; if it means no"
            " depth, set --data.missing 41000 or --data.max-depth 8.8.",
        ),
        (
            "clipped",
            counts(60, 80).clip(0, 5120),
            "of the pixels hold 5120, the greatest there is, read as 10 m; if it means no depth,"
            " set --data.missing 5120.",
        ),
    ):
        root, numbers = folder(tmp_path / name, values), tmp_path / f"{name}.json"
        main(["info", str(root), "--json", str(numbers)])
        assert words in capsys.readouterr().out
        found = json.loads(numbers.read_text())["test"]["greatest_value"]
        assert found["value"] == values.max()
        assert found["share"] == pytest.approx(np.mean(values == values.max()))
    main(["info", str(folder(tmp_path / "plain", counts(60, 80)))])
    assert "greatest" not in capsys.readouterr().out


def test_the_greatest_number_is_that_of_all_files(tmp_path):
    first = np.full((60, 80), 1000, np.uint16)
    root = folder(tmp_path / "f", first)
    second = first.copy()
    second[:, :8] = 3000
    saved(root / "1.png", second)
    found = greatest_value(FolderSource(root, "all"))
    assert found is not None
    assert (found.value, found.share, found.is_last) == (3000, 0.05, False)
    assert (found.metres, found.next_metres) == pytest.approx((3000 / 512, 1000 / 512))
