"""The labelled `.mat`: small files of its exact layout, its splits, and every way to spoil them."""

import contextlib
import hashlib
import pickle
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from depthsi.data.prepared.frame_changes import hold_out_scenes
from depthsi.data.prepared.frames import Frame, Record
from depthsi.data.prepared.prepare import prepare
from depthsi.data.prepared.source import PreparedSource
from depthsi.datasets.nyu_depth_v2_labeled import open_nyu_depth_v2_labeled
from depthsi.datasets.nyu_depth_v2_labeled.data_set import read_pair
from depthsi.datasets.nyu_depth_v2_labeled.splits import read_split, read_variables
from depthsi.errors import DepthsiError

SPLITS = Path(__file__).resolve().parents[2] / "shared" / "data" / "splits"
SIZE = HEIGHT, WIDTH = 6, 8
SCENES = ["kitchen_0004", "kitchen_0004", "Küche 北 😀", "attic_0001", "attic_0001"]
RNG = np.random.default_rng(3)
# As MATLAB shows them: H x W x 3 x N and H x W x N.
IMAGES = RNG.integers(0, 256, (HEIGHT, WIDTH, 3, 5)).astype(np.uint8)
FILLED = RNG.uniform(0.7, 9.9, (HEIGHT, WIDTH, 5)).astype(np.float32)
RAW = np.where(RNG.random(FILLED.shape) < 0.3, np.float32(0), FILLED)


def write_mat(path, **replace):
    """A file as MATLAB writes it: 512 bytes of its own in front, axes reversed, text by reference.

    `replace` gives other values for an array, or None to leave it out.
    """
    arrays = {"images": IMAGES.T, "depths": FILLED.T, "rawDepths": RAW.T} | replace
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            if values is not None and name != "scenes":
                chunks = (1, *values.shape[1:]) if values.ndim > 2 else None
                file.create_dataset(name, data=values, chunks=chunks, compression=3)
        if replace.get("scenes", ()) is None:
            return path
        cells = file.create_dataset("scenes", (1, len(SCENES)), h5py.ref_dtype)
        for i, scene in enumerate(replace.get("scenes", SCENES)):
            units = np.frombuffer(scene.encode("utf-16-le"), np.uint16)[:, None]
            cells[0, i] = file.create_dataset(f"#refs#/{chr(97 + i)}", data=units).ref
    return path


def write_splits(path, train=(1, 2, 4), test=(3, 5), **options):
    arrays = {"trainNdxs": np.array([train]).T, "testNdxs": np.array([test]).T}
    scipy.io.savemat(path, arrays, **options)
    return path


@pytest.fixture
def source(tmp_path):
    write_splits(tmp_path / "splits.mat", (1, 2, 4, 5), (3,))
    return write_mat(tmp_path / "nyu 北.mat")


def test_every_pixel_arrives_where_matlab_shows_it(source, tmp_path):
    data = open_nyu_depth_v2_labeled(source)
    assert [frame.key for frame in data.frames] == ["0001", "0002", "0003", "0004", "0005"]
    directory = prepare(data, tmp_path / "out", report=list)
    for split, numbers in (("train", (0, 1, 3, 4)), ("test", (2,))):
        for name, matlab in (("depth", FILLED), ("depth_raw", RAW)):
            samples = PreparedSource(directory, split, depth=name)
            assert samples.scenes == tuple(SCENES[n] for n in numbers)
            assert samples.names == tuple(f"{n + 1:04d}" for n in numbers)
            for sample, n in zip(iter(samples), numbers, strict=True):
                assert sample.image.shape == (HEIGHT, WIDTH, 3)
                for y in range(HEIGHT):
                    for x in range(WIDTH):
                        assert sample.depth[y, x] == matlab[y, x, n]
                        assert tuple(sample.image[y, x]) == tuple(IMAGES[y, x, :, n])


def test_scenes_are_held_out_whole_and_always_the_same(source):
    few = open_nyu_depth_v2_labeled(source, val_scenes=1).frames
    chosen = {frame.scene for frame in few if frame.split == "val"}
    assert len(chosen) == 1
    for frame in few:
        assert (frame.split == "val") == (frame.scene in chosen)
    assert few[2].split == "test"
    again = open_nyu_depth_v2_labeled(source, val_scenes=1).frames
    assert [frame.split for frame in again] == [frame.split for frame in few]
    for count in (-1, 2):
        with pytest.raises(DepthsiError, match=rf"{count} scenes cannot be held out.* have 2"):
            open_nyu_depth_v2_labeled(source, val_scenes=count)


def unread() -> Record:
    raise AssertionError("a choice of scenes reads no frame")


def test_held_out_scenes_are_those_of_least_sha256():
    scenes = {int(hashlib.sha256(name.encode()).hexdigest(), 16): name for name in "abcdefgh"}
    frames = tuple(Frame(name, "train", name, unread) for name in "abcdefgh")
    for count in range(8):
        held = {frame.key for frame in hold_out_scenes(frames, count) if frame.split == "val"}
        assert held == {scenes[digest] for digest in sorted(scenes)[:count]}
    both = (
        Frame("1", "train", "b", unread),
        Frame("2", "test", "b", unread),
        Frame("3", "train", "a", unread),
        Frame("4", "train", "", unread),
    )
    splits = [frame.split for frame in hold_out_scenes(both, 1)]
    assert splits == ["val", "test", "train", "train"]  # b has the lesser one
    with pytest.raises(DepthsiError, match=r"1 scenes cannot be held out.* have 1"):
        hold_out_scenes(both[2:], 1)


def test_frames_can_be_sent_to_worker_processes(source):
    frame = pickle.loads(pickle.dumps(open_nyu_depth_v2_labeled(source).frames[1]))
    np.testing.assert_array_equal(frame.load().depth["depth"], FILLED[..., 1])


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({"rawDepths": None}, r"has no dataset 'rawDepths'; it has #refs#, depths, images, scenes"),
        ({"images": None}, r"has no dataset 'images'"),
        ({"scenes": None}, r"has no dataset 'scenes'"),
        ({"images": IMAGES.T.astype(np.float32)}, r"'images' is float32 .* expected uint8 with 4"),
        ({"depths": FILLED.T.astype(np.float64)}, r"'depths' is float64 .* expected float32"),
        ({"depths": FILLED}, r"'depths' has the shape \(6, 8, 5\), but 'images' needs \(5, 8, 6\)"),
        ({"images": IMAGES.transpose(3, 0, 1, 2)}, r"'images' has the shape \(5, 6, 8, 3\); exp"),
        ({"images": IMAGES[..., 0]}, r"expected uint8 with 4 axes"),
        ({"scenes": ["", *SCENES[1:]]}, r"a name in 'scenes' is not text"),
        ({"scenes": ["x" * 1001, *SCENES[1:]]}, r"a name in 'scenes' is not text"),
    ],
)
def test_other_layouts_are_refused(tmp_path, replace, message):
    path = write_mat(tmp_path / "x.mat", **replace)
    write_splits(tmp_path / "splits.mat")
    with pytest.raises(DepthsiError, match=rf"x\.mat.*{message}"):
        open_nyu_depth_v2_labeled(path)


def test_big_endian_values_are_the_same_numbers(tmp_path):
    path = write_mat(tmp_path / "x.mat", depths=FILLED.T.astype(">f4"))
    depth = read_pair(path, 1).depth["depth"]
    np.testing.assert_array_equal(depth, FILLED[..., 1])
    assert depth.dtype == np.float32


def test_links_out_of_the_file_are_refused(tmp_path):
    other = write_mat(tmp_path / "other.mat")
    path = write_mat(tmp_path / "x.mat", depths=None)
    write_splits(tmp_path / "splits.mat")
    for link in (h5py.ExternalLink(str(other), "depths"), h5py.SoftLink("/rawDepths")):
        with h5py.File(path, "a") as file:
            file["depths"] = link
        with pytest.raises(DepthsiError, match=r"'depths' is not an array stored in this file"):
            open_nyu_depth_v2_labeled(path)
        with h5py.File(path, "a") as file:
            del file["depths"]
    layout = h5py.VirtualLayout((5, 8, 6), np.float32)
    layout[:] = h5py.VirtualSource(other, "depths", (5, 8, 6))
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("depths", layout)
    with pytest.raises(DepthsiError, match=r"'depths' is not an array stored in this file"):
        open_nyu_depth_v2_labeled(path)


def test_truncated_and_overwritten_files_are_named(source):
    data = source.read_bytes()
    for spoilt in (b"", data[:100], data[:700], data[: len(data) // 2], data[:-1], b"x" * 5000):
        source.write_bytes(spoilt)
        with pytest.raises(DepthsiError, match=r"nyu 北\.mat is not HDF5, damaged or cut short"):
            open_nyu_depth_v2_labeled(source)
    with pytest.raises(DepthsiError, match=r"nowhere\.mat does not exist"):
        open_nyu_depth_v2_labeled(source.with_name("nowhere.mat"))


def test_damaged_pixels_are_named_when_read(source):
    frames = open_nyu_depth_v2_labeled(source).frames
    with h5py.File(source) as file:
        chunk = file["images"].id.get_chunk_info(2)
    data = bytearray(source.read_bytes())
    start = 512 + chunk.byte_offset if chunk.byte_offset < 512 else chunk.byte_offset
    for offset in (0, 512):
        try:
            zlib.decompress(bytes(data[start + offset : start + offset + chunk.size]))
        except zlib.error:
            continue
        data[start + offset : start + offset + chunk.size] = b"\xff" * chunk.size
        break
    else:
        pytest.fail("the chunk was not found")
    source.write_bytes(data)
    frames[1].load()
    with pytest.raises(DepthsiError, match=r"nyu 北\.mat is .*damaged"):
        frames[2].load()
    with pytest.raises(DepthsiError, match=r"has no pair 6; it has 5"):
        read_pair(source, 5)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float64"])
def test_splits_as_matlab_writes_them(tmp_path, compressed, dtype):
    train, test = np.array([4, 1, 5], dtype), np.array([2, 3], dtype)
    path = write_splits(tmp_path / "splits.mat", train, test, do_compression=compressed)
    assert read_split(path, 5) == ["train", "test", "test", "train", "train"]
    values = read_variables(path)
    np.testing.assert_array_equal(values["trainNdxs"], train[:, None])
    np.testing.assert_array_equal(values["testNdxs"], test[:, None])


def test_list_of_training_pairs_leaves_the_others_to_test(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("2\n3\r\n5\n")
    assert read_split(path, 5) == ["test", "train", "train", "test", "train"]


@pytest.mark.skipif(not SPLITS.is_dir(), reason="needs the official split files")
def test_official_splits():
    split = read_split(SPLITS / "nyu_splits.mat", 1449)
    assert [split.count(name) for name in ("train", "test")] == [795, 654]
    assert read_split(SPLITS / "nyu_train795_index1.txt", 1449) == split
    test = [int(line) for line in (SPLITS / "nyu_test654_index1.txt").read_text().split()]
    assert [i + 1 for i, name in enumerate(split) if name == "test"] == test


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([1, 6], [2], r"index 6 is not one of 1\.\.5"),
        ([0, 1], [2], r"index 0 is not one of 1\.\.5"),
        ([1.5], [2], r"index 1\.5 is not one of"),
        ([1, 2], [2], r"index 2 is listed twice"),
        ([1, 1], [2], r"index 1 is listed twice"),
        ([1, 3], [2, 5], r"index 4 is in no split"),
    ],
)
def test_splits_that_cannot_be(tmp_path, train, test, message):
    path = write_splits(tmp_path / "splits.mat", train, test)
    with pytest.raises(DepthsiError, match=rf"splits\.mat: {message}"):
        read_split(path, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1 2 two", "neither a MATLAB 5 file nor a list"),
        (b"", "lists no index"),
        (b"\xff\xfe1", "neither a MATLAB 5 file nor a list"),
        (b"1\n1\n", "index 1 is listed twice"),
        (b"-1\n", "index -1 is not one of"),
    ],
)
def test_lists_that_cannot_be(tmp_path, text, message):
    (tmp_path / "train.txt").write_bytes(text)
    with pytest.raises(DepthsiError, match=rf"train\.txt.*{message}"):
        read_split(tmp_path / "train.txt", 5)


@pytest.mark.slow
def test_damaged_splits_raise_nothing_else(tmp_path):
    for compressed in (True, False):
        path = write_splits(tmp_path / "s.mat", range(1, 60), (60,), do_compression=compressed)
        data = path.read_bytes()
        expected = read_split(path, 60)
        assert expected == ["train"] * 59 + ["test"]
        for length in range(128, len(data), 3):
            path.write_bytes(data[:length])
            with pytest.raises(DepthsiError):
                read_split(path, 60)
        for place in range(116, len(data)):
            changed = bytearray(data)
            changed[place] ^= 0x55
            path.write_bytes(changed)
            with contextlib.suppress(DepthsiError):  # names and flags may change unnoticed
                assert read_split(path, 60) == expected
    (tmp_path / "c.mat").write_bytes(data[:128] + b"\x0f\0\0\0\x03\0\0\0abc")
    with pytest.raises(DepthsiError, match=r"c\.mat is not a MATLAB 5 file of numbers, or damaged"):
        read_split(tmp_path / "c.mat", 60)
    with pytest.raises(DepthsiError, match=r"nowhere\.mat cannot be read.*give the authors'"):
        read_split(tmp_path / "nowhere.mat", 60)
    scipy.io.savemat(tmp_path / "c.mat", {"trainNdxs": np.arange(1, 3)})
    with pytest.raises(DepthsiError, match=r"c\.mat has no variable testNdxs"):
        read_split(tmp_path / "c.mat", 60)
    scipy.io.savemat(tmp_path / "c.mat", {"trainNdxs": {"a": 1}, "testNdxs": "text"})
    with pytest.raises(DepthsiError, match=r"c\.mat is not a MATLAB 5 file of numbers"):
        read_split(tmp_path / "c.mat", 60)
