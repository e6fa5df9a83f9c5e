"""`depthsi prepare` and the TFDS builders, from the command to the samples."""

import dataclasses

import h5py
import numpy as np
import pytest
from prepared_pictures import stored

from depthsi.cli import main
from depthsi.commands.prepare import (
    KittiDepth,
    NyuDepthV2Labeled,
    NyuDepthV2Raw,
    NyuFastdepth,
    Rooms,
)
from depthsi.data.fitting import fit_to
from depthsi.data.prepared.frame_changes import fit_frames
from depthsi.data.prepared.source import PreparedSource
from depthsi.datasets.rooms import open_rooms
from depthsi.errors import DepthsiError
from depthsi.rooms.source import RoomsSource

ROOMS = ["rooms", "--train", "3", "--val", "2", "--test", "1", "--seed", "5"]


@pytest.mark.slow
def test_rooms_are_stored_bit_by_bit(tmp_path, capsys):
    arguments = ["prepare", *ROOMS, "--scale-range", "0.5", "2", "--data-dir", str(tmp_path)]
    main(arguments)
    directory = tmp_path / "rooms" / "1.0.0"
    assert f"{directory}: train 3, val 2, test 1; " in capsys.readouterr().out
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        prepared = PreparedSource(directory, split)
        rendered = RoomsSource(split, count, 5, (0.5, 2.0))
        assert len(set(prepared.scenes)) == count
        for ours, theirs in zip(iter(prepared), iter(rendered), strict=True):
            assert ours.name == theirs.name
            np.testing.assert_array_equal(ours.image, theirs.image)
            np.testing.assert_array_equal(ours.depth, theirs.depth)
    main(arguments)
    assert "already prepared" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["prepare", *ROOMS, "--data-dir", str(tmp_path)])
    assert caught.value.code == 2
    assert "was made from another source or with other options" in capsys.readouterr().err


def write_h5(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (3, 8, 12)).astype(np.uint8)
    depth = rng.uniform(0.7, 9.9, (8, 12)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["rgb"], file["depth"] = rgb, depth
    return rgb.transpose(1, 2, 0), depth


@pytest.mark.slow
def test_size_and_policy(tmp_path, capsys):
    written = [write_h5(tmp_path / f"in/train/attic/{i:05d}.h5", i) for i in range(110)]
    (tmp_path / "in/train/attic/00003.h5").write_bytes(b"")
    command = [
        "prepare",
        "nyu_fastdepth",
        "--source",
        str(tmp_path / "in"),
        "--size",
        "4",
        "4",
        "--data-dir",
        str(tmp_path / "out"),
    ]
    with pytest.raises(SystemExit):
        main(command)
    assert "00003.h5 is not HDF5" in capsys.readouterr().err
    main([*command, "--on-bad", "skip"])
    assert "1 frames were left out:\n  train/attic/00003: " in capsys.readouterr().out
    source = PreparedSource(tmp_path / "out", "train")
    assert len(source) == 109
    for place, number in ((0, 0), (3, 4), (108, 109)):
        image, depth = fit_to(*written[number], (4, 4))
        np.testing.assert_array_equal(source[place].image, image)
        np.testing.assert_array_equal(source[place].depth, depth)


def test_sizes_that_cannot_be():
    with pytest.raises(DepthsiError, match=r"The size is 0x4; give two numbers of at least 1"):
        fit_frames(open_rooms(1, 0, 0), (0, 4))


@pytest.mark.parametrize(
    "options",
    [
        NyuDepthV2Labeled("nowhere"),
        NyuDepthV2Raw("nowhere"),
        NyuFastdepth("nowhere"),
        KittiDepth("nowhere"),
        Rooms(train=-1),
    ],
)
def test_every_data_set_opens_or_says_why_not(options):
    with pytest.raises(DepthsiError, match=r"nowhere|number of rooms is -1"):
        options.open()


def test_missing_source_is_one_sentence(tmp_path, capsys):
    for name in ("nyu_depth_v2_labeled", "nyu_depth_v2_raw", "nyu_fastdepth", "kitti_depth"):
        with pytest.raises(SystemExit) as caught:
            main(["prepare", name, "--source", "nowhere", "--data-dir", str(tmp_path)])
        assert caught.value.code == 2
        assert capsys.readouterr().err == (
            "depthsi: --source nowhere does not exist; check its name.\n"
        )


@pytest.mark.slow
def test_tfds_builder_prepares_and_reads(tmp_path, capsys):
    from depthsi.datasets.rooms.rooms_dataset_builder import Builder

    builder = Builder(data_dir=tmp_path, train=2, val=0, test=1)
    assert builder.name == "rooms"
    builder.download_and_prepare()
    records = stored(builder, "train")
    rendered = RoomsSource("train", 2)
    for values, sample in zip(records, iter(rendered), strict=True):
        np.testing.assert_array_equal(values["image"], sample.image)
        np.testing.assert_array_equal(values["depth"], sample.depth)
    assert builder.info.splits["test"].num_examples == 1
    assert PreparedSource(tmp_path, "test").splits == {"train": 2, "test": 1}
    builder.download_and_prepare()
    assert "already prepared" in capsys.readouterr().out


def test_builders_have_the_names_of_their_data_sets():
    from depthsi.datasets.kitti_depth import kitti_depth_dataset_builder as kitti
    from depthsi.datasets.nyu_depth_v2_labeled import (
        nyu_depth_v2_labeled_dataset_builder as labeled,
    )
    from depthsi.datasets.nyu_depth_v2_raw import nyu_depth_v2_raw_dataset_builder as raw
    from depthsi.datasets.nyu_fastdepth import nyu_fastdepth_dataset_builder as fastdepth

    names = [module.Builder.name for module in (kitti, labeled, raw, fastdepth)]
    assert names == ["kitti_depth", "nyu_depth_v2_labeled", "nyu_depth_v2_raw", "nyu_fastdepth"]


@pytest.mark.slow
def test_frames_keep_their_other_values_when_fitted():
    data = open_rooms(2, 1, 0)
    fitted = fit_frames(data, (24, 32))
    assert fitted.size == (24, 32)
    assert fitted.made_from == data.made_from | {"fitted_to": [24, 32]}
    for before, after in zip(data.frames, fitted.frames, strict=True):
        assert dataclasses.replace(after, load=before.load) == before
    sample = RoomsSource("train", 2)[1]
    image, depth = fit_to(sample.image, sample.depth, (24, 32))
    record = fitted.frames[1].load()
    np.testing.assert_array_equal(record.image, image)
    np.testing.assert_array_equal(record.depth["depth"], depth)
