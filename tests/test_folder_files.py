"""Every file of a data folder is paired, junk, or spoken of; and odd names."""

import os
import pickle
import unicodedata

import numpy as np
import pytest
from pictures import counts, saved, smooth_picture, write_index
from test_cli import refusal

from depthsi.cli import main
from depthsi.data.folder.source import FolderSource
from depthsi.errors import DepthsiError

JPEG_NAMES = "{name}.jpg -> {name}.png"
COMPOSED = unicodedata.normalize("NFC", "Küche é")
APART = unicodedata.normalize("NFD", COMPOSED)


def touch(root, *paths):
    """Empty files: who only lists a folder does not read them."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def opened(root, split="all", pattern=""):
    return FolderSource(root, split, pattern=pattern, units_per_metre=1000)


def pairs(source):
    return [(row.rgb, row.depth) for row in source.pairs]


@pytest.mark.parametrize("kind", [".npy", ".PNG", ".Tiff"])
def test_usual_endings_may_be_mixed_and_in_capitals(tmp_path, kind):
    names = ["1.JPG", "2.jpg", "3.jpeg", "4.Png", "5.webp"]
    touch(tmp_path, *(f"train/rgb/{name}" for name in names))
    touch(tmp_path, *(f"train/depth/{i}{kind}" for i in range(1, 6)))
    expected = [(f"train/rgb/{name}", f"train/depth/{name[0]}{kind}") for name in names]
    assert pairs(opened(tmp_path)) == expected
    assert opened(tmp_path, "train").names == tuple(rgb for rgb, _ in expected)
    touch(tmp_path, "train/rgb/6.JPEG")
    with pytest.raises(DepthsiError, match=r"rgb/6\.JPEG has no depth train/depth/6\.\w+; add it"):
        opened(tmp_path)


def test_pattern_takes_its_ending_in_capitals_and_no_other(tmp_path):
    touch(tmp_path, "1.jpg", "1.png", "2.JPG", "2.PNG", "3.jpeg", "3.png")
    source = opened(tmp_path, pattern=JPEG_NAMES)
    assert pairs(source) == [("1.jpg", "1.png"), ("2.JPG", "2.PNG")]
    assert source.notes() == [
        f"{tmp_path}: 2 files are in no pair (.jpeg 1, .png 1): 3.jpeg, 3.png"
    ]
    assert pairs(opened(tmp_path, pattern="{name}.JPG -> {name}.PNG")) == pairs(source)


def test_images_of_one_name_are_refused(tmp_path):
    for first, second in (("a.JPG", "a.jpg"), ("a.jpg", "a.png"), (f"{APART}.jpg", COMPOSED)):
        root = tmp_path / first
        second = second if "." in second else f"{second}.jpg"
        name = first.rpartition(".")[0]
        touch(root, f"t/rgb/{first}", f"t/rgb/{second}", f"t/depth/{name}.npy")
        with pytest.raises(DepthsiError, match=r"the same name but for .* one depth map, t/depth"):
            opened(root)


def test_depth_maps_of_one_name_are_refused_unless_one_fits_exactly(tmp_path):
    touch(tmp_path, "a.jpg", "a.PNG", "a.Png")
    with pytest.raises(DepthsiError, match=r"a\.P.*a\.P.* differ in the capitals of their ending"):
        opened(tmp_path, pattern=JPEG_NAMES)
    touch(tmp_path, "a.png")
    source = opened(tmp_path, pattern=JPEG_NAMES)
    assert pairs(source) == [("a.jpg", "a.png")]
    assert source.notes() == [f"{tmp_path}: 2 files are in no pair (.png 2): a.PNG, a.Png"]


@pytest.mark.parametrize("image", [COMPOSED, APART])
def test_composed_letters_are_as_good_as_others(tmp_path, image):
    depth = APART if image == COMPOSED else COMPOSED
    for name in ("rgb", "depth"):
        (tmp_path / image / name).mkdir(parents=True)
    saved(tmp_path / f"{image}/rgb/{image}.jpg", smooth_picture(12, 16))
    metres = counts(12, 16).astype(np.float32) / 1024
    np.save(tmp_path / f"{image}/depth/{depth}.npy", metres)
    pattern = f"{depth}/rgb/{{name}}.jpg -> {depth}/depth/{{name}}.npy"
    source = FolderSource(tmp_path, "all", pattern=pattern)
    np.testing.assert_array_equal(source[0].depth, metres)
    index = [(f"{depth}/rgb/{depth}.jpg", f"{depth}/depth/{image}.npy", "train", "")]
    source = FolderSource(write_index(tmp_path, index), "train")
    np.testing.assert_array_equal(source[0].depth, metres)


def test_index_with_other_capitals_says_so(tmp_path):
    touch(tmp_path, "IMG_1.JPG", "1.png")
    write_index(tmp_path, [("IMG_1.jpg", "1.png", "train", 1000)])
    with pytest.raises(
        DepthsiError, match=r"row 2: .*IMG_1\.jpg does not exist, but IMG_1\.JPG does; write it so"
    ):
        FolderSource(tmp_path, "train")


def test_junk_is_ignored_and_all_else_is_counted(tmp_path, capsys):
    junk = [".DS_Store", "Thumbs.db", "desktop.ini", "._1.jpg", "notes.txt", "README.md", "a.csv"]
    touch(tmp_path, *(f"train/rgb/{name}" for name in junk), *junk, "__MACOSX/train/rgb/1.jpg")
    for i in (1, 2):
        saved(tmp_path / f"train/rgb/{i}.jpg", smooth_picture(12, 16))
        saved(touch(tmp_path, f"train/depth/{i}.png") / f"train/depth/{i}.png", counts(12, 16))
    (tmp_path / "again").symlink_to(tmp_path)
    assert opened(tmp_path).notes() == []
    touch(tmp_path, "train/rgb/3.gif", "train/depth/3.png", "train/rgb/deeper/4.jpg", "more/5")
    touch(tmp_path, "train/rgb/6.gif")
    main(["info", str(tmp_path), "--units-per-metre", "1000"])
    assert (
        f"{tmp_path}: 5 files are in no pair (.gif 2, no ending 1, .png 1, .jpg 1): more/5,"
        " train/depth/3.png, train/rgb/3.gif and 2 more\n"
    ) in capsys.readouterr().out


def test_names_that_info_prints_cannot_move_the_cursor(tmp_path, capsys):
    saved(tmp_path / "1.jpg", smooth_picture(12, 16))
    saved(tmp_path / "1.png", counts(12, 16))
    touch(tmp_path, "\x1b[2J.gif")
    main(["info", str(tmp_path), "--pattern", JPEG_NAMES, "--units-per-metre", "1000"])
    printed = capsys.readouterr().out
    assert "1 files are in no pair (.gif 1): " in printed
    assert "\x1b" not in printed


def test_linked_files_are_in_their_pairs(tmp_path):
    disk, root = tmp_path / "disk", tmp_path / "data"
    touch(disk, "images/1.jpg", "images/2.gif", "blob")
    touch(root, "train/depth/1.png", "index.csv")
    (root / "train" / "rgb").symlink_to(disk / "images")
    (root / "train" / "depth" / "2.png").symlink_to(disk / "blob")
    source = opened(root, pattern="{split}/rgb/{name}.jpg -> {split}/depth/{name}.png")
    assert source.notes() == [
        f"{root}: 2 files are in no pair (.png 1, .gif 1): train/depth/2.png, train/rgb/2.gif"
    ]


def test_backslashes_in_an_index_are_those_of_windows(tmp_path):
    touch(tmp_path, "train/rgb/0.jpg", "train/depth/0.png", "a\\b.jpg", "a/b.jpg")
    rows = [
        ("train\\rgb\\0.jpg", ".\\train\\depth\\0.png", "train", 1000),
        ("a\\b.jpg", "train/depth/0.png", "train", 1000),  # a name that is really there goes first
    ]
    source = FolderSource(write_index(tmp_path, rows), "train")
    assert pairs(source) == [
        ("train/rgb/0.jpg", "train/depth/0.png"),
        ("a\\b.jpg", "train/depth/0.png"),
    ]
    for path in ("..\\0.jpg", "a\\..\\..\\0.jpg", "C:\\0.jpg", "C:/0.jpg", "\\\\host\\0.jpg"):
        write_index(tmp_path, [(path, "train/depth/0.png", "train", 1000)])
        with pytest.raises(DepthsiError, match=r"row 2: rgb .* leaves the folder; give a relative"):
            FolderSource(tmp_path, "train")


def test_absolute_paths_inside_the_folder_are_called_so(tmp_path, monkeypatch):
    touch(tmp_path, "d/rgb/0.jpg", "d/0.png")
    write_index(tmp_path / "d", [(str(tmp_path / "d/rgb/0.jpg"), "0.png", "train", 1000)])
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / "d", "d"):
        with pytest.raises(
            DepthsiError, match=r"/d/rgb/0\.jpg is an absolute path, .* write rgb/0\.jpg, relative"
        ):
            FolderSource(root, "train")


def test_characters_of_a_pattern_and_of_names_mean_themselves(tmp_path):
    touch(tmp_path, "(a+)/x[1].jpg", "(a+)/x[1].png", "(a+)/x1.jpg", "(a+)/x[2]_jpg", "aa/x[3].jpg")
    touch(tmp_path, "(a+)/b.jpg.d/1.(a+).jpg", "(a+)/b.jpg.d/1.aa.jpg", "(a+)/b.jpg.d/1.png")
    source = opened(tmp_path, pattern="(a+)/x[{name}].jpg -> (a+)/x[{name}].png")
    assert source.names == ("(a+)/x[1].jpg",)
    source = opened(
        tmp_path, pattern="{scene}/b.jpg.d/{name}.{scene}.jpg -> {scene}/b.jpg.d/{name}.png"
    )
    assert source.names == ("(a+)/b.jpg.d/1.(a+).jpg",)


def test_many_rows_ask_the_disk_for_few_files(tmp_path, monkeypatch):
    names = [f"{i:04d}" for i in range(3000)]
    touch(tmp_path, *(f"rgb/{name}.jpg" for name in names), *(f"depth/{i}.png" for i in range(9)))
    rows = [(f"rgb/{n}.jpg", f"depth/{int(n) % 9}.png", "train", 1000) for n in names]
    write_index(tmp_path, rows)
    asked = []
    isfile = os.path.isfile
    monkeypatch.setattr(os.path, "isfile", lambda path: asked.append(path) or isfile(path))
    assert len(FolderSource(tmp_path, "train")) == 3000
    assert 0 < len(asked) < 300
    (tmp_path / "rgb" / "2999.jpg").unlink()
    with pytest.raises(DepthsiError, match=r"row 3001: .*rgb/2999\.jpg does not exist; correct"):
        FolderSource(tmp_path, "train")


def test_messages_stay_short_however_many_names_there_are(tmp_path, capsys):
    touch(tmp_path, *(f"{i}.jpg" for i in range(500)), "0.png")
    write_index(tmp_path, [(f"{i}.jpg", "0.png", f"split{i}", 1000) for i in range(500)])
    with pytest.raises(DepthsiError) as caught:
        FolderSource(tmp_path, "train")
    assert "split9 (1) and 490 more, all (500)." in str(caught.value)
    assert (
        "has 500 splits (split0, split1, split10 and 497 more), more than the maximum of 20"
        in refusal(capsys, "info", tmp_path)
    )
    write_index(tmp_path, [("0.jpg", "0.png", "", 1000)])
    assert opened(tmp_path).notes() == [
        f"{tmp_path}: 499 files are in no pair (.jpg 499): 1.jpg, 10.jpg, 100.jpg and 496 more"
    ]


def test_other_splits_of_an_open_folder(tmp_path):
    touch(tmp_path, "0.jpg", "0.png", "1.jpg", "1.png")
    write_index(tmp_path, [(f"{i}.jpg", f"{i}.png", ("a", "b")[i], 1000) for i in range(2)])
    source = FolderSource(tmp_path, "a")
    (tmp_path / "index.csv").unlink()
    assert source.of_split("b").names == ("1.jpg",)
    assert source.names == ("0.jpg",)
    with pytest.raises(DepthsiError, match=r"no split 'c'; it has a \(1\), b \(1\), all \(2\)\."):
        source.of_split("c")
    sent = pickle.loads(pickle.dumps(source))
    assert (sent.names, sent.splits, sent.pairs) == (("0.jpg",), {"a": 1, "b": 1}, ())
