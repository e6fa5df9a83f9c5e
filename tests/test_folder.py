"""Folders with an index: written here, spoilt in every way, and the real ones where they are."""

import csv
import io
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from pictures import counts, saved, smooth_picture
from PIL import Image

from depthsi.data.fitting import fit_to
from depthsi.data.folder.source import FolderSource
from depthsi.errors import DepthsiError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
HEADER = "rgb,depth,split,depth_units_per_metre"


def write_folder(root, lines, header=HEADER, names=("a", "b", "c")):
    """Samples a, b, c with depth in millimetres, and an index of `lines`."""
    for seed, name in enumerate(names):
        Image.fromarray(smooth_picture(12, 16)).save(root / f"{name}.jpg", quality=95)
        Image.fromarray(counts(12, 16, seed)).save(root / f"{name}.png")
    (root / "index.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return root


def test_folder_gives_the_pairs_of_a_split_in_order(tmp_path):
    root = write_folder(
        tmp_path, ["a.jpg,a.png,train,1000", "b.jpg,b.png,test,1000", "c.jpg,c.png,train,2000"]
    )
    source = FolderSource(root, "train")
    assert len(source) == 2
    assert source.names == ("a.jpg", "c.jpg")
    assert source.splits == {"train": 2, "test": 1}
    assert [sample.name for sample in source] == ["a.jpg", "c.jpg"]
    np.testing.assert_array_equal(source[1].image, np.asarray(Image.open(root / "c.jpg")))
    np.testing.assert_array_equal(source[1].depth, (counts(12, 16, 2) / 2000).astype(np.float32))
    with pytest.raises(IndexError):
        source[2]


def test_all_takes_every_row_also_those_without_a_split(tmp_path):
    root = write_folder(tmp_path, ["a.jpg,a.png,,1000", "b.jpg,b.png,test,1000"])
    assert FolderSource(root, "all").names == ("a.jpg", "b.jpg")
    for split in ("", "train"):
        with pytest.raises(
            DepthsiError, match=rf"index\.csv has no split '{split}'; it has test \(1\), all \(2\)"
        ):
            FolderSource(root, split)


def test_index_as_spreadsheets_write_it(tmp_path):
    """BOM, CRLF, quotes with commas, spaces, extra columns, blank lines, names not in ASCII."""
    names = ("kitchen, left", "Küche 北 1")
    write_folder(tmp_path, [], names=names)
    lines = [
        " split ,id,depth,rgb,depth_units_per_metre,note",
        'train,1,"kitchen, left.png","kitchen, left.jpg", 1000 ,"two\r\nlines"',
        "",
        "train,2,./Küche 北 1.png,Küche 北 1.jpg,1e3,",
    ]
    (tmp_path / "index.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    source = FolderSource(tmp_path, "train")
    assert source.names == ("kitchen, left.jpg", "Küche 北 1.jpg")
    for i in range(2):
        np.testing.assert_array_equal(
            source[i].depth, (counts(12, 16, i) / 1000).astype(np.float32)
        )
    (tmp_path / "Küche 北 1.jpg").write_bytes(b"")
    with pytest.raises(DepthsiError, match=r"index\.csv, row 5: .*Küche 北 1\.jpg is neither"):
        source[1]


def test_npy_depth_needs_no_unit(tmp_path):
    root = write_folder(tmp_path, ["a.jpg,a.npy,train,", "b.jpg,b.npy,train,1"])
    depth = counts(12, 16).astype(np.float32) / 512
    depth[0, :3] = [np.nan, -1, np.inf]
    for name in "ab":
        np.save(root / f"{name}.npy", depth)
    depth[0, :3] = 0
    for sample in FolderSource(root, "train"):
        np.testing.assert_array_equal(sample.depth, depth)


GOOD = "a.jpg,a.png,train,1000"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"index\.csv has no rows; list"),
        ([GOOD, "a.jpg,b.png,test,1000"], r"row 3: a\.jpg is already in row 2; delete"),
        ([GOOD, "./a.jpg,b.png,test,1000"], r"row 3: a\.jpg is already in row 2"),
        ([GOOD, "../b.jpg,b.png,train,1000"], r"row 3: rgb \.\./b\.jpg leaves the folder; give"),
        ([GOOD, "b.jpg,x/../../b.png,train,1"], r"row 3: depth x/\.\./\.\./b\.png leaves"),
        ([GOOD, "/etc/b.jpg,b.png,train,1000"], r"row 3: rgb /etc/b\.jpg leaves the folder"),
        ([GOOD, ",b.png,train,1000"], r"row 3: rgb is empty; give a path"),
        ([GOOD, "b.jpg, ,train,1000"], r"row 3: depth is empty"),
        ([GOOD, "b.jpg,b.png,train"], r"row 3: the number of fields differs from the header"),
        ([GOOD, "b, 1.jpg,b.png,train,1"], r"row 3: the number of fields differs.*quote"),
        ([GOOD, "b.jpg,b.png,train,mm"], r"row 3: depth_units_per_metre is mm; give.* 1000 for"),
        ([GOOD, "b.jpg,b.png,train,0"], r"row 3: depth_units_per_metre is 0;"),
        ([GOOD, "b.jpg,b.png,train,-1000"], r"row 3: depth_units_per_metre is -1000;"),
        ([GOOD, "b.jpg,b.png,train,nan"], r"row 3: depth_units_per_metre is nan;"),
        ([GOOD, "b.jpg,b.png,train,inf"], r"row 3: depth_units_per_metre is inf;"),
        ([GOOD, "b.jpg,b.npy,train,m"], r"row 3: depth_units_per_metre is m; .*floats in metres"),
        ([GOOD, "b.jpg,b.gif,train,1"], r"row 3: depth b\.gif must end in one of .*; convert"),
        ([GOOD, "b.jpg,none.png,train,1"], r"row 3: .*none\.png does not exist; correct"),
        ([GOOD, "b.jpg,none\0.png,train,1"], r"row 3: .*none.*\.png does not exist; correct"),
        ([GOOD, f"{'b' * 300}.jpg,b.png,train,1"], r"row 3: .*b\.jpg does not exist; correct"),
        ([GOOD, '"b.jpg,b.png,train,1000'], r"index\.csv cannot be read as CSV.*; repair it"),
    ],
)
def test_index_that_cannot_be_used_names_the_row(tmp_path, lines, message):
    root = write_folder(tmp_path, lines)
    with pytest.raises(DepthsiError, match=message) as caught:
        FolderSource(root, "train")
    assert str(root / "index.csv") in str(caught.value)
    assert str(caught.value).count("row 3") <= 1


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "rgb,depth,split",
            "one column depth_units_per_metre, sep.* columns are: rgb, depth, split",
        ),
        ("image,DEPTH,split,depth_units_per_metre", "one column rgb, one depth, .*: image, DEPTH"),
        ("rgb;depth;split;depth_units_per_metre", "one column rgb, .* commas; .*: rgb;depth;split"),
        ("rgb,depth,rgb,split,depth_units_per_metre", "one column rgb, separated"),
        ("", "one column rgb, one depth, one split, .*; its columns are: none"),
    ],
)
def test_missing_columns_are_named_with_those_there(tmp_path, header, message):
    root = write_folder(tmp_path, [], header=header)
    with pytest.raises(DepthsiError, match=rf"index\.csv must have {message}"):
        FolderSource(root, "train")


def test_folder_and_index_must_exist_and_be_text(tmp_path):
    with pytest.raises(DepthsiError, match=r"nowhere is not a folder; give the one that contains"):
        FolderSource(tmp_path / "nowhere", "train")
    with pytest.raises(DepthsiError, match=r"index\.csv does not exist; write it with .* rgb, "):
        FolderSource(tmp_path, "train")
    (tmp_path / "index.csv").write_bytes((HEADER + "\n").encode("utf-16"))
    with pytest.raises(DepthsiError, match=r"index\.csv cannot be read as CSV in UTF-8"):
        FolderSource(tmp_path, "train")
    (tmp_path / "index.csv").write_bytes(b"")
    with pytest.raises(DepthsiError, match=r"its columns are: none"):
        FolderSource(tmp_path, "train")


def test_scene_may_not_be_in_two_splits(tmp_path):
    header = HEADER + ",scene"
    lines = ["a.jpg,a.png,train,1000,hall", "b.jpg,b.png,train,1000,hall", "c.jpg,c.png,{},1000,{}"]
    for split, scene in [("train", "hall"), ("test", "attic"), ("test", ""), ("", "hall")]:
        rows = [*lines[:2], lines[2].format(split, scene)]
        assert len(FolderSource(write_folder(tmp_path, rows, header), "all")) == 3
    rows = [*lines[:2], lines[2].format("test", "hall")]
    for chosen in ("train", "test", "all"):
        with pytest.raises(
            DepthsiError, match=r"row 4: scene hall is in split test, but in split train in row 2"
        ):
            FolderSource(write_folder(tmp_path, rows, header), chosen)


@pytest.mark.parametrize(
    ("file", "array", "message"),
    [
        ("b.png", counts(12, 17), "b.jpg: the image is 12x16 pixels but its depth 12x17"),
        ("b.png", np.zeros((12, 16), np.uint16), "b.jpg: no pixel has a valid depth"),
        ("b.png", counts(12, 16).astype(np.uint8), "b.png is of Pillow's mode L"),
        ("b.jpg", counts(12, 16).astype(np.uint8)[:, :9], "b.jpg: the image is 12x9 pixels"),
    ],
)
def test_pair_that_cannot_be_used_names_the_row(tmp_path, file, array, message):
    root = write_folder(tmp_path, [GOOD, "b.jpg,b.png,train,1000"])
    saved(root / file, array)
    for size in (None, (6, 8)):
        source = FolderSource(root, "train", size=size)
        assert source[0].name == "a.jpg"
        for read in (lambda s=source: s[1], source.arrays):
            with pytest.raises(DepthsiError, match=r"index\.csv, row 3: .*" + re.escape(message)):
                read()


def test_absurd_unit_is_found_by_the_depths(tmp_path):
    root = write_folder(tmp_path, ["a.jpg,a.png,train,1", "b.jpg,b.png,train,1e8"])
    source = FolderSource(root, "train")
    with pytest.raises(DepthsiError, match=r"row 2: a\.jpg: most depths are over 1000 m"):
        source[0]
    with pytest.raises(DepthsiError, match=r"row 3: b\.jpg: most depths are under 1 mm"):
        source[1]


def test_depth_lost_by_the_fit_is_noticed(tmp_path):
    root = write_folder(tmp_path, [GOOD])
    sparse = np.zeros((12, 16), np.uint16)
    sparse[5, 0] = 1000
    saved(root / "a.png", sparse)
    FolderSource(root, "train")[0]
    with pytest.raises(DepthsiError, match=r"row 2: a\.jpg: no pixel has a valid depth"):
        FolderSource(root, "train", size=(12, 12))[0]


def test_arrays_are_the_samples_stacked(tmp_path):
    root = write_folder(tmp_path, [f"{name}.jpg,{name}.png,train,1000" for name in "abc"])
    for size in (None, (5, 8)):
        source, steps = FolderSource(root, "train", size=size), []
        images, depths = source.arrays(steps.append)
        assert sum(steps) == 3
        assert images.dtype == np.uint8
        assert depths.dtype == np.float32
        for i in range(3):
            np.testing.assert_array_equal(images[i], source[i].image)
            np.testing.assert_array_equal(depths[i], source[i].depth)
            if size:
                image, depth = fit_to(
                    np.asarray(Image.open(root / source.names[i])),
                    (counts(12, 16, i) / 1000).astype(np.float32),
                    size,
                )
                np.testing.assert_array_equal(images[i], image)
                np.testing.assert_array_equal(depths[i], depth)


def test_arrays_of_different_sizes_ask_for_one(tmp_path):
    root = write_folder(tmp_path, [GOOD, "b.jpg,b.png,train,1000"])
    saved(root / "b.jpg", smooth_picture(12, 20))
    saved(root / "b.png", counts(12, 20))
    with pytest.raises(
        DepthsiError, match=r"row 3: b\.jpg has 12x20 pixels, but a\.jpg 12x16; give"
    ):
        FolderSource(root, "train").arrays()
    assert FolderSource(root, "train", size=(6, 8)).arrays()[0].shape == (2, 6, 8, 3)


def test_source_can_be_sent_to_worker_processes(tmp_path):
    source = FolderSource(write_folder(tmp_path, [GOOD]), "train", size=(6, 8))
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[0].depth, source[0].depth)


def real(name):
    if not (SHARED / name / "index.csv").is_file():
        pytest.skip(f"{SHARED / name} is not here; it may not be distributed with the project")
    return SHARED / name


def test_nyu_folder():
    root = real("nyu_labelled")
    sizes = {split: len(FolderSource(root, split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 719, "val": 76, "test": 492}
    source = FolderSource(root, "val", size=(240, 320))
    with (root / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    assert source.names == tuple(row["rgb"] for row in rows)
    for i in (0, 41):
        stored = np.asarray(Image.open(io.BytesIO((root / rows[i]["depth"]).read_bytes())))
        np.testing.assert_array_equal(source[i].depth, (stored / 1000).astype(np.float32))
        np.testing.assert_array_equal(
            source[i].image, np.asarray(Image.open(root / rows[i]["rgb"]))
        )
        # The depth law of these files: (v + 0.5) / 25.5 m of an 8-bit v, rounded to millimetres.
        levels = source[i].depth[source[i].depth > 0].astype(np.float64) * 25.5 - 0.5
        assert np.abs(levels - levels.round()).max() <= 0.0005 * 25.5 + 1e-4


def test_kitti_samples():
    root = real("kitti_samples")
    whole, fitted = FolderSource(root, "all"), FolderSource(root, "all", size=(184, 612))
    assert len(whole) == 9
    images, depths = fitted.arrays()
    assert images.shape == (9, 184, 612, 3)
    assert whole[0].depth.shape == (185, 612)
    np.testing.assert_array_equal(images[0], whole[0].image[:184])
    np.testing.assert_array_equal(depths[0], whole[0].depth[:184])
    for i in range(9):
        assert set(np.unique(depths[i])) <= set(np.unique(whole[i].depth))
    with pytest.raises(DepthsiError, match=r"row 3: rgb/kh000001\.jpg has 187x621 pixels"):
        whole.arrays()
