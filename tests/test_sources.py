"""Data settings open themselves."""

import pytest
from pictures import counts, saved, smooth_picture, write_index

from depthsi.config import Folder, Prepared, Rooms
from depthsi.data.folder.source import FolderSource
from depthsi.errors import DepthsiError
from depthsi.rooms import source as rooms


def test_a_folder_opens_itself(tmp_path):
    with pytest.raises(DepthsiError, match=r"'folder' needs a directory: set --data\.root"):
        Folder().open("train")
    saved(tmp_path / "a.jpg", smooth_picture(8, 10))
    saved(tmp_path / "a.png", counts(8, 10))
    write_index(tmp_path, [("a.jpg", "a.png", "train", 1000)])
    source = Folder(root=str(tmp_path)).open("train", (4, 5))
    assert isinstance(source, FolderSource)
    assert source[0].image.shape == (4, 5, 3)
    assert Folder(root=str(tmp_path)).open("train")[0].image.shape == (8, 10, 3)


def test_pattern_and_unit_reach_the_folder(tmp_path):
    saved(tmp_path / "seen_1.jpg", smooth_picture(8, 10))
    saved(tmp_path / "1_far.png", counts(8, 10))
    data = Folder(root=str(tmp_path), pattern="seen_{name}.jpg -> {name}_far.png")
    near, far = (
        Folder(root=data.root, pattern=data.pattern, units_per_metre=units).open("all")
        for units in (1000.0, 500.0)
    )
    assert far[0].depth.max() == pytest.approx(2 * near[0].depth.max())


def test_prepared_data_needs_its_directory():
    with pytest.raises(DepthsiError, match=r"'prepared' needs a directory: set --data\.root"):
        Prepared().open("test")


def test_rooms_pass_everything_on(monkeypatch):
    class Recorder(rooms.RoomsSource):
        def __init__(self, *args):
            super().__init__(*args)
            self.args = args

    monkeypatch.setattr(rooms, "RoomsSource", Recorder)
    data = Rooms(train=7, val=3, test=5, seed=5, scale_range=(0.5, 2.0))
    for split, count in {"train": 7, "val": 3, "test": 5}.items():
        for size in (None, (240, 320)):
            opened = data.open(split, size)
            assert isinstance(opened, Recorder)
            assert opened.args == (split, count, 5, (0.5, 2.0))
            assert len(opened) == count
    with pytest.raises(DepthsiError, match=r"not \(184, 612\)"):
        data.open("train", (184, 612))
    with pytest.raises(DepthsiError, match="no split 'dev'"):
        data.open("dev")
