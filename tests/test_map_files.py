"""Predictions made elsewhere: which file belongs to which image, what is refused and how."""

import os

import numpy as np
import pytest
from PIL import Image
from scipy import io

from depthsi.data.formats.matlab import read_mat
from depthsi.errors import DepthsiError
from depthsi.evaluation.map_checks import check_units, unit_doubt, whole_numbers_problem
from depthsi.evaluation.map_files import metres, open_predictions
from depthsi.evaluation.placing import in_box, shown_part
from depthsi.geometry import Crop

NAMES = ("rgb/0001.jpg", "rgb/0002.jpg")
MAPS = np.random.default_rng(0).uniform(1, 9, (2, 6, 8)).astype(np.float32)


def write_hdf5(path, **arrays):
    """As MATLAB 7.3 writes: axes reversed, behind a block of text."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    return path


def write_map(path, depth):
    if path.suffix == ".npy":
        np.save(path, depth)
    elif path.suffix == ".npz":
        np.savez(path, depth=depth)
    elif path.suffix == ".png":
        Image.fromarray((depth * 1000).astype(np.uint16)).save(path)
    elif path.stem.endswith("1"):
        io.savemat(path, {"depth": depth})
    else:
        write_hdf5(path, depth=depth)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".png", ".mat"])
def test_a_file_for_each_picture(suffix, tmp_path):
    for name, depth in zip(("0002", "0001", "0003"), (*MAPS[::-1], MAPS[0]), strict=True):
        write_map(tmp_path / f"{name}{suffix}", depth)
    found = open_predictions(tmp_path, NAMES)
    assert (len(found), found.unused) == (2, 1)
    for index, depth in enumerate(MAPS):
        values = metres(found.stored(index), 1000.0 if suffix == ".png" else None)
        np.testing.assert_allclose(values, depth, atol=1e-3 if suffix == ".png" else 0)
    assert found.place(1) == str(tmp_path / f"0002{suffix}")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", "7.mat"])
def test_one_file_with_all_maps(suffix, tmp_path):
    path = tmp_path / f"all{suffix}"
    if suffix == ".npy":
        np.save(path, MAPS)
    elif suffix == ".npz":
        np.savez(path, other=np.zeros(3), maps=MAPS)
    elif suffix == ".mat":
        io.savemat(path, {"maps": np.moveaxis(MAPS, 0, -1), "text": "not numbers"})
    else:
        write_hdf5(path, maps=np.moveaxis(MAPS, 0, -1))
    variable = "maps" if suffix == ".npz" else ""
    found = open_predictions(path, NAMES, variable=variable)
    np.testing.assert_array_equal(np.stack([found.stored(0), found.stored(1)]), MAPS)
    with pytest.raises(DepthsiError, match=r"has 2 maps, but the split has 3 images"):
        open_predictions(path, (*NAMES, "rgb/0003.jpg"), variable=variable)
    with pytest.raises(DepthsiError, match=r"has 2 maps, but the split has 1 images"):
        open_predictions(path, NAMES[:1], variable=variable)


def test_names_decide_by_as_much_of_the_path_as_there_is(tmp_path):
    names = ("a/rgb/1.jpg", "b/rgb/1.jpg")
    for scene, depth in zip("ab", MAPS, strict=True):
        (tmp_path / scene / "rgb").mkdir(parents=True)
        np.save(tmp_path / scene / "rgb" / "1.npy", depth)
    np.save(tmp_path / "1.npy", MAPS[0])  # fits both, but less of their paths
    found = open_predictions(tmp_path, names)
    np.testing.assert_array_equal(found.stored(1), MAPS[1])
    assert found.unused == 1
    alone = tmp_path / "alone"
    alone.mkdir()
    np.save(alone / "1.npy", MAPS[0])
    with pytest.raises(DepthsiError, match=r"1\.npy matches both a/rgb/1\.jpg and "):
        open_predictions(alone, names)


def test_a_pattern_chooses_among_files(tmp_path):
    for name in ("0001", "0002"):
        for kind in ("_depth.npy", "_depth.png"):
            write_map(tmp_path / f"{name}{kind}", MAPS[0])
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(tmp_path / f"{name}_panel.png")
    with pytest.raises(DepthsiError, match=r"no prediction for 2 of 2 .* 6 depth files, the first"):
        open_predictions(tmp_path, NAMES)
    with pytest.raises(DepthsiError, match=r"0001_depth\.npy and 0001_depth\.png: select one kind"):
        open_predictions(tmp_path, NAMES, pattern="{name}_depth")
    found = open_predictions(tmp_path, NAMES, pattern="{name}_depth.npy")
    assert (len(found), found.unused) == (2, 0)
    for pattern in ("depth", "{name}{name}"):
        with pytest.raises(DepthsiError, match=r"must contain \{name\} once"):
            open_predictions(tmp_path, NAMES, pattern=pattern)


def test_what_cannot_be_predictions(tmp_path):
    with pytest.raises(DepthsiError, match="does not exist: give a folder or a file"):
        open_predictions(tmp_path / "no", NAMES)
    with pytest.raises(DepthsiError, match=r"no prediction for 2 of 2 images.* 0 depth files:"):
        open_predictions(tmp_path, NAMES)
    (tmp_path / "maps.png").write_bytes(b"")
    with pytest.raises(DepthsiError, match="cannot contain the predictions of all images"):
        open_predictions(tmp_path / "maps.png", NAMES)
    np.save(tmp_path / "flat.npy", MAPS[0])
    with pytest.raises(DepthsiError, match=r"has float32 values of shape \(6, 8\); .* \(N, h, w\)"):
        open_predictions(tmp_path / "flat.npy", NAMES)
    np.savez(tmp_path / "two.npz", a=MAPS, b=MAPS)
    for variable in ("", "c"):
        with pytest.raises(DepthsiError, match="arrays a, b: select one with --variable"):
            open_predictions(tmp_path / "two.npz", NAMES, variable=variable)
    with pytest.raises(DepthsiError, match="--units-per-metre is 0; it must be positive"):
        metres(MAPS[0], 0.0)


def test_nothing_is_unpickled(tmp_path):
    """An array of objects runs code when it is unpickled; here it must raise before that."""
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(ran),)

    for path in (tmp_path / "stack.npy", tmp_path / "stack.npz"):
        save = np.save if path.suffix == ".npy" else np.savez
        save(path, np.array([Trap(), Trap()], object))
        with pytest.raises(DepthsiError, match=r"is damaged .*[Oo]bject|holds arr_0 as \|O"):
            open_predictions(path, NAMES)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("0001", "0002"):
        np.save(folder / f"{name}.npy", np.array([Trap()], object))
    with pytest.raises(DepthsiError):
        open_predictions(folder, NAMES).stored(0)
    assert not ran.exists()


def test_matlab_files(tmp_path):
    old = tmp_path / "old.mat"
    io.savemat(old, {"depths": MAPS[0].astype(np.float64), "more": MAPS[1], "note": "text"})
    new = write_hdf5(tmp_path / "new.mat", depths=MAPS[0].astype(np.float64), more=MAPS[1])
    for path in (old, new):
        np.testing.assert_array_equal(read_mat(path, "depths"), MAPS[0])
        with pytest.raises(DepthsiError, match=r"it has depths, more: select one with --variable"):
            read_mat(path)
        with pytest.raises(DepthsiError, match=r"no array 'x' of numbers; it has depths, more"):
            read_mat(path, "x")
    (tmp_path / "text.mat").write_text("not a MATLAB file at all")
    (tmp_path / "cut.mat").write_bytes(new.read_bytes()[:700])
    for name in ("text.mat", "cut.mat"):
        with pytest.raises(DepthsiError, match=name):
            read_mat(tmp_path / name)


def test_a_matlab_file_cannot_reach_outside(tmp_path):
    h5py = pytest.importorskip("h5py")
    write_hdf5(tmp_path / "secret.mat", depth=MAPS[0])
    with h5py.File(tmp_path / "link.mat", "w") as file:
        file["depth"] = h5py.ExternalLink(str(tmp_path / "secret.mat"), "/depth")
    with pytest.raises(DepthsiError, match="it has none"):
        read_mat(tmp_path / "link.mat")


def test_which_pixels_a_map_shows():
    size, box = (12, 16), Crop(2, 10, 4, 16)  # the box is 8x12
    whole = np.arange(12 * 16, dtype=float).reshape(size)
    cut = whole[2:10, 4:16]
    np.testing.assert_array_equal(in_box(whole, size, box, "nearest", "x"), cut)
    np.testing.assert_array_equal(in_box(cut, size, box, "nearest", "x"), cut)
    # a quarter of the box's size: its cells as blocks of the box
    cells = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
        in_box(cells, size, box, "nearest", "x"), np.kron(cells, np.ones((4, 4)))
    )
    # the image's proportions: blocks of the image
    half = np.arange(48.0).reshape(6, 8)
    expected = np.kron(half, np.ones((2, 2)))[2:10, 4:16]
    np.testing.assert_array_equal(in_box(half, size, box, "nearest", "x"), expected)
    with pytest.raises(DepthsiError, match=r"map 3 has 5x16 pixels, but its image 12x16: .*8x12"):
        in_box(np.ones((5, 16)), size, box, "nearest", "map 3")


def pairs(change, count=5):
    rng = np.random.default_rng(1)
    true = rng.uniform(1, 9, (count, 20, 30))
    predicted = true * np.exp(rng.normal(0.1, 0.3, true.shape))
    return [(change(p), t) for p, t in zip(predicted, true, strict=True)]


@pytest.mark.parametrize(
    ("factor", "given", "words"),
    [
        (10, None, "1.* times the true .* decimetres: .*--units-per-metre 10\\."),
        (100, None, "centimetres.* 100\\."),
        (256, None, "KITTI's 1/256 m.* 256\\."),
        (1000, None, "millimetres.* 1000\\."),
        (1 / 1000, None, r"1/9\d\d of the true depth.* 0.001\."),
        (1 / 10, None, "1/9.* of the true depth.* 0.1\\."),
        (256 / 1000, 1000, r"1/3.\d* of the .* KITTI's 1/256 m: .* 256\."),
        (1000 / 256, 256, "millimetres.* 1000\\."),
        (5000 / 1000, 1000, "5.* times the true depth .* 5000\\."),
        (1 / 1000, 1000, "1/9.*--units-per-metre 1\\."),
    ],
)
def test_a_wrong_unit_is_named(factor, given, words):
    wrong = pairs(lambda depth: depth * factor)
    with pytest.raises(DepthsiError, match=words):
        check_units(wrong, "maps", units_per_metre=given)
    check_units(wrong, "maps", units_per_metre=given, factors=False)


@pytest.mark.parametrize("scale", [1.0, 0.01, 300.0])
def test_inverse_depth_is_named(scale):
    for factors in (True, False):
        with pytest.raises(DepthsiError, match=r"fall where the true depth rises .* inverse depth"):
            check_units(pairs(lambda depth: scale / depth), "maps", factors=factors)


def test_bad_predictions_are_not_mistaken_for_wrong_units():
    for factor in (0.2, 0.5, 1, 2, 4):
        check_units(pairs(lambda depth, factor=factor: factor * depth), "maps")
    for factor in (0.4, 0.8, 1.25, 2.5):
        wrong = pairs(lambda depth, factor=factor: factor * depth)
        check_units(wrong, "maps", units_per_metre=1000)
    check_units(pairs(lambda depth: np.full_like(depth, 3.0)), "a constant")
    rng = np.random.default_rng(3)
    check_units(pairs(lambda depth: rng.permutation(depth.ravel()).reshape(depth.shape)), "noise")
    check_units([(np.full((3, 4), np.nan), np.ones((3, 4)))], "nothing known")
    check_units([], "nothing")


def test_the_middle_image_decides():
    """Of five, three are as they should be or three are not: means would decide otherwise."""
    rng = np.random.default_rng(4)
    right, inverse = pairs(lambda depth: depth), pairs(lambda depth: 3 / depth)
    noise = pairs(lambda depth: rng.permutation(depth.ravel()).reshape(depth.shape))
    check_units([*inverse[:2], *noise[2:]], "correlations near -1, -1, 0, 0, 0", factors=False)
    with pytest.raises(
        DepthsiError, match=r"correlation of their logarithms -0\.\d+\), as inverse"
    ):
        check_units([*inverse[:3], *right[3:]], "maps", factors=False)
    millimetres = pairs(lambda depth: 1000 * depth)
    check_units([*millimetres[:2], *right[2:]], "ratios 1000, 1000, 1, 1, 1")
    with pytest.raises(DepthsiError, match="millimetres"):
        check_units([*millimetres[:3], *right[3:]], "maps")
    # and in each image the middle pixel
    check_units(pairs(lambda depth: np.where(rng.random(depth.shape) < 0.33, 1000, 1) * depth), "x")


def test_whole_numbers_need_their_unit():
    error = whole_numbers_problem(pairs(lambda depth: depth * 1000), "0001.png", "uint16")
    assert "0001.png has values of type uint16, not metres" in str(error)
    assert "which suggests 1000." in str(error)
    assert "suggests 256." in str(whole_numbers_problem(pairs(lambda d: d * 256), "x", "uint16"))
    assert "suggests" not in str(whole_numbers_problem([], "x", "uint16"))


def with_holes(maps, hole):
    """`hole` in a third of the predictions, and in the truth of other pixels."""
    holed = []
    for predicted, true in maps:
        predicted, true = predicted.copy(), true.copy()
        predicted[:, :10], true[:, 10:14] = hole, 0
        holed.append((predicted, true))
    return holed


@pytest.mark.parametrize("hole", [0.0, -1.0, np.nan, np.inf])
def test_units_are_judged_where_there_are_predictions(hole):
    """A third of the pixels without depth hides no wrong unit, and makes none of a right one."""
    right = with_holes(pairs(lambda depth: depth), hole)
    inverse = with_holes(pairs(lambda depth: 3 / depth), hole)
    check_units(right, "maps")
    with pytest.raises(DepthsiError, match="millimetres"):
        check_units(with_holes(pairs(lambda depth: depth * 1000), hole), "maps")
    with pytest.raises(DepthsiError, match="fall where the true depth rises"):
        check_units(inverse, "maps")


def exact(change, count=3):
    """Predictions that are `change` of the true depth, without any noise."""
    true = np.random.default_rng(1).uniform(1, 9, (count, 20, 30))
    return [(change(each), each) for each in true]


def test_where_the_refusals_begin():
    """A factor within 1.5 of a usual one, but over 1.5 itself; 1.2 for a unit taken for another."""
    for factor, refused in (
        (1.49, False),
        (10 / 1.49, True),
        (10 / 1.51, False),
        (1000 * 1.49, True),
        (1000 * 1.51, False),
        (1 / (10 * 1.49), True),
        (1 / (10 * 1.51), False),
    ):
        maps = exact(lambda depth, factor=factor: factor * depth)
        assert bool(unit_doubt(maps, "maps")) == refused, factor
    # given as 1/256 m, it would be 1000 a metre if it were 3.9 times too large
    for factor, refused in ((1000 / 256 * 1.19, True), (1000 / 256 * 1.21, False)):
        maps = exact(lambda depth, factor=factor: factor * depth)
        assert bool(unit_doubt(maps, "maps", 256.0)) == refused, factor
    rng = np.random.default_rng(2)
    t, noise = rng.normal(size=(2, 100, 100))
    noise -= t * np.mean(t * noise) / np.mean(t * t)
    for correlation, refused in ((-0.24, False), (-0.26, True)):
        share = correlation / np.sqrt(1 - correlation**2) * noise.std() / t.std()
        maps = [(np.exp((share * t + noise) / 9), np.exp(t))]
        if refused:
            with pytest.raises(DepthsiError, match=r"logarithms -0\.26"):
                check_units(maps, "maps", factors=False)
        else:
            check_units(maps, "maps", factors=False)


def test_how_far_proportions_may_differ():
    """Resizing undoes 2 %: 100x101 and 100x102 for 100x100 pixels, not 100x103."""
    size, box = (100, 100), Crop(0, 100, 0, 100)
    for width, fits in ((101, True), (102, True), (103, False), (98, False), (99, True)):
        assert shown_part((100, width), size, box) == ("picture" if fits else None)
