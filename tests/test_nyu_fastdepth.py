"""FastDepth's HDF5 files: small ones of their exact layout."""

import h5py
import numpy as np
import pytest

from depthsi.data.prepared.prepare import prepare
from depthsi.data.prepared.source import PreparedSource
from depthsi.datasets.nyu_fastdepth import open_nyu_fastdepth
from depthsi.datasets.nyu_fastdepth.data_set import read_pair
from depthsi.errors import DepthsiError

RNG = np.random.default_rng(8)


def write_h5(path, rgb=None, depth=None):
    """`rgb` (3, H, W) and `depth` (H, W); what is False is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = RNG.integers(0, 256, (3, 6, 8)).astype(np.uint8) if rgb is None else rgb
    depth = RNG.uniform(0.7, 9.9, (6, 8)).astype(np.float32) if depth is None else depth
    with h5py.File(path, "w") as file:
        for name, values in (("rgb", rgb), ("depth", depth)):
            if values is not False:
                file.create_dataset(name, data=values)
    return rgb, depth


@pytest.mark.slow
def test_every_pixel_arrives_exactly(tmp_path):
    root = tmp_path / "nyu depth 北"
    written = {
        name: write_h5(root / f"{name}.h5")
        for name in (
            "train/attic_0001/00001",
            "train/attic_0001/00002",
            "train/study_0004/00001",
            "val/official/00001",
        )
    }
    (root / "train/attic_0001/._00001.txt").write_text("")
    directory = prepare(open_nyu_fastdepth(root), tmp_path / "out", report=list)
    train, test = PreparedSource(directory, "train"), PreparedSource(directory, "test")
    assert (*train.names, *test.names) == tuple(written)
    assert train.scenes == ("attic_0001", "attic_0001", "study_0004")
    assert test.scenes == ("",)
    for sample in (*train, *test):
        rgb, depth = written[sample.name]
        for channel in range(3):
            np.testing.assert_array_equal(sample.image[:, :, channel], rgb[channel])
        np.testing.assert_array_equal(sample.depth, depth)
    held = open_nyu_fastdepth(root, val_scenes=1).frames
    assert sorted({frame.split for frame in held}) == ["test", "train", "val"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rgb", "depth", "message"),
    [
        (False, None, r"has no dataset 'rgb'; it has depth"),
        (None, False, r"has no dataset 'depth'; it has rgb"),
        (np.zeros((3, 6, 8), np.float32), None, r"'rgb' is float32"),
        (np.zeros((6, 8), np.uint8), None, r"'rgb' is uint8 of shape \(6, 8\); expected .* 3 axes"),
        (np.zeros((6, 8, 3), np.uint8), None, r"'rgb' has the shape \(6, 8, 3\)"),
        (None, np.zeros((6, 8), np.uint16), r"'depth' is uint16"),
        (None, np.zeros((6, 9), np.float32), r"'rgb' .* and 'depth' \(6, 9\)"),
    ],
)
def test_other_layouts_are_refused(tmp_path, rgb, depth, message):
    write_h5(tmp_path / "x.h5", rgb, depth)
    with pytest.raises(DepthsiError, match=rf"x\.h5.*{message}"):
        read_pair(tmp_path / "x.h5")


@pytest.mark.slow
def test_truncated_file_is_named_or_skipped(tmp_path):
    for i in range(150):
        write_h5(tmp_path / f"train/attic/{i:05d}.h5")
    bad = tmp_path / "train/attic/00004.h5"
    bad.write_bytes(bad.read_bytes()[:-30])
    with pytest.raises(DepthsiError, match=r"00004\.h5 is not HDF5, damaged or cut short"):
        prepare(open_nyu_fastdepth(tmp_path), tmp_path / "out", report=list)
    directory = prepare(open_nyu_fastdepth(tmp_path), tmp_path / "out", on_bad="skip", report=list)
    assert len(PreparedSource(directory, "train")) == 149


def test_nothing_there(tmp_path):
    with pytest.raises(DepthsiError, match=r"has neither train/<scene>/\*\.h5 nor"):
        open_nyu_fastdepth(tmp_path)
