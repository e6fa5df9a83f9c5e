"""Opening sources by name."""

import pytest
from pictures import counts, saved, smooth_picture

from depthsi.data.folder.source import FolderSource
from depthsi.data.sources import open_source
from depthsi.errors import DepthsiError
from depthsi.rooms import source as rooms


def test_open_source_knows_its_kinds(tmp_path):
    with pytest.raises(DepthsiError, match=r"'nyu' is unknown; choose one of rooms, folder"):
        open_source("nyu", "train")
    with pytest.raises(DepthsiError, match="needs its directory"):
        open_source("folder", "train")
    with pytest.raises(DepthsiError, match=r"not \(184, 612\)"):
        open_source("rooms", "train", size=(184, 612), count=1)
    saved(tmp_path / "a.jpg", smooth_picture(8, 10))
    saved(tmp_path / "a.png", counts(8, 10))
    (tmp_path / "index.csv").write_text(
        "rgb,depth,split,depth_units_per_metre\na.jpg,a.png,train,1000\n"
    )
    source = open_source("folder", "train", root=tmp_path, size=(4, 5))
    assert isinstance(source, FolderSource)
    assert source[0].image.shape == (4, 5, 3)


def test_open_source_passes_everything_on_to_rooms(monkeypatch):
    class Recorder(rooms.RoomsSource):
        def __init__(self, *args):
            super().__init__(*args)
            self.args = args

    monkeypatch.setattr(rooms, "RoomsSource", Recorder)
    for size in (None, (240, 320)):
        opened = open_source("rooms", "val", count=3, seed=5, scale_range=(0.5, 2.0), size=size)
        assert isinstance(opened, Recorder)
        assert opened.args == ("val", 3, 5, (0.5, 2.0))
        assert len(opened) == 3
