"""`depthsi prepare` without options: a split to validate on, and paths of the wrong sort."""

import pytest
from prepared_pictures import changed, data_set
from test_cli import refusal
from test_nyu_fastdepth import write_h5
from test_nyu_labeled import write_mat, write_splits

from depthsi.cli import main
from depthsi.config import Prepared
from depthsi.data.prepared.frame_changes import hold_out_scenes, scenes_to_hold_out
from depthsi.data.prepared.source import PreparedSource


def scenes_of(directory, split):
    return set(PreparedSource(directory, split).scenes)


def prepare_labelled(tmp_path, *options):
    write_splits(tmp_path / "splits.mat", (1, 2, 4, 5), (3,))
    source = write_mat(tmp_path / "nyu_depth_v2_labeled.mat")
    out = tmp_path / "out"
    words = ["prepare", "nyu_depth_v2_labeled", "--source", str(source), *options]
    main([*words, "--data-dir", str(out)])
    return out


def test_labelled_pairs_can_be_trained_on_as_the_command_says(tmp_path, capsys):
    out = prepare_labelled(tmp_path)
    printed = capsys.readouterr().out
    assert "The split val is 1 of the training scenes, held out (--val-scenes 0 keeps" in printed
    assert f"Next: depthsi train nyu --data.kind prepared --data.root {out}" in printed
    assert len(Prepared(root=str(out)).open("val", (4, 4))) == 2
    assert not scenes_of(out, "val") & scenes_of(out, "train")
    assert PreparedSource(out, "test").splits == {"train": 2, "val": 2, "test": 1}


def test_no_scene_is_held_out_if_it_is_so_said(tmp_path, capsys):
    assert PreparedSource(prepare_labelled(tmp_path, "--val-scenes", "0"), "test").splits == {
        "train": 4,
        "test": 1,
    }
    assert "The split val" not in capsys.readouterr().out


def test_a_single_scene_is_kept_for_training(tmp_path, capsys):
    write_h5(tmp_path / "in/train/attic/00001.h5")
    out = tmp_path / "out"
    words = ["prepare", "nyu_fastdepth", "--source", str(tmp_path / "in"), "--data-dir", str(out)]
    main(words)
    printed = capsys.readouterr().out
    assert "There is no split val, because there is only one training scene: train" in printed
    assert PreparedSource(out, "train").splits == {"train": 1}


@pytest.mark.parametrize(("frames", "count"), [(3, 0), (6, 1), (42, 1), (60, 2), (300, 10)])
def test_a_tenth_of_the_scenes_is_held_out(frames, count):
    data = data_set({"train": frames})  # three frames of a scene
    assert scenes_to_hold_out(data.frames) == count
    held = {f.scene for f in hold_out_scenes(data.frames, count) if f.split == "val"}
    assert len(held) == count
    with_val = data_set({"train": frames, "val": 1})
    assert scenes_to_hold_out(with_val.frames) == 0
    unknown = tuple(changed(frame, scene="") for frame in data.frames)
    assert scenes_to_hold_out(unknown) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("nyu_depth_v2_labeled", "--source", "."),
            "is a directory; give the file nyu_depth_v",
        ),
        (("nyu_depth_v2_raw", "--source", "x"), "--source x is a file; give the directory of the"),
        (("nyu_fastdepth", "--source", "x"), "--source x is a file; give the directory of the"),
        (("kitti_depth", "--source", "x"), "--source x is a file; give the directory of the data"),
        (("kitti_depth", "--source", ".", "--annotated", "x"), "--annotated x is a file; give the"),
        (
            ("kitti_depth", "--source", ".", "--val-list", "."),
            "--val-list . is a directory; give",
        ),
        (("kitti_depth", "--source", ".", "--val-list", "y"), "--val-list y does not exist; check"),
        (("nyu_depth_v2_labeled", "--source", "x", "--splits", "."), "give splits.mat or a text"),
        (("nyu_depth_v2_raw", "--source", ".", "--scenes", "."), "--scenes . is a directory; give"),
    ],
)
def test_paths_of_the_wrong_sort_say_what_is_wanted(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("")
    assert message in refusal(capsys, "prepare", *words, "--data-dir", "out")
