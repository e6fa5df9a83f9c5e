"""Depth in .npz, TIFF and EXR files: by independent writers, whole, cut, and of other kinds."""

import io
import itertools
import struct
import zipfile

import numpy as np
import pytest
from exr_files import exr_file
from pictures import counts, saved, smooth_picture
from PIL import Image

from depthsi.data.formats import numpy_files as depth_arrays
from depthsi.data.formats.decoding import read_depth
from depthsi.errors import DepthsiError

DTYPES = ["<f2", ">f4", "<f8", "<u2", ">u2"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_npz_holds_one_array_or_one_called_depth(tmp_path, dtype):
    depth = np.array([[0.5, 1.25, 0], [2, 3, 8]]) * (1000 if "u" in dtype else 1)
    depth = depth.astype(dtype)
    units = 1000 if "u" in dtype else None
    expected = np.array([[0.5, 1.25, 0], [2, 3, 8]], np.float32)
    np.savez(tmp_path / "named.npz", depth=depth, intrinsics=np.eye(3), name=np.array(["x"]))
    np.savez_compressed(tmp_path / "single.npz", anything=depth)
    np.save(tmp_path / "plain.npy", depth)
    for name in ("named.npz", "single.npz", "plain.npy"):
        for given in ({"units_per_metre": units}, {"assumed": 1000}):
            result = read_depth(tmp_path / name, **given)
            assert result.dtype == np.float32
            np.testing.assert_array_equal(result, expected)


def test_npz_without_a_depth_is_refused(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    with pytest.raises(DepthsiError, match=r"two\.npz holds the arrays a, b; call the depth 'dep"):
        read_depth(tmp_path / "two.npz")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(DepthsiError, match=r"none\.npz holds the arrays none; call"):
        read_depth(tmp_path / "none.npz")
    np.savez(tmp_path / "pickle.npz", depth=np.array([[{}]], object))
    with pytest.raises(DepthsiError, match=r"pickle\.npz holds \|O of shape \(1, 1\)"):
        read_depth(tmp_path / "pickle.npz")
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("depth.npy", npy_bytes(np.ones((2, 2), np.float32)))
        archive.writestr("depth", npy_bytes(np.ones((2, 2), np.float32)))
    with pytest.raises(DepthsiError, match=r"twice\.npz holds the arrays depth; call"):
        read_depth(tmp_path / "twice.npz")


def npy_bytes(array):
    np.save(buffer := io.BytesIO(), array)
    return buffer.getvalue()


def test_npz_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(depth_arrays, "MAX_PIXELS", 50)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("depth.npy", npy_bytes(np.ones((300, 300), np.float32)))
    with pytest.raises(DepthsiError, match=r"bomb\.npz unpacks to over 65936 bytes; reduce"):
        read_depth(tmp_path / "bomb.npz")


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_depth_by_two_writers(tmp_path, compression):
    metres = (counts(12, 16) / 1024).astype(np.float32)
    metres[0, :3] = [np.nan, -1, np.inf]
    clean = metres.copy()
    clean[0, :3] = 0
    Image.fromarray(metres).save(tmp_path / "f.tiff", compression=compression)
    np.testing.assert_array_equal(read_depth(tmp_path / "f.tiff"), clean)
    Image.fromarray(counts(12, 16)).save(tmp_path / "u.tif", compression=compression)
    np.testing.assert_array_equal(
        read_depth(tmp_path / "u.tif", 1024), (counts(12, 16) / 1024).astype(np.float32)
    )
    tifffile = pytest.importorskip("tifffile", reason="tifffile, a second writer, is not installed")
    if compression not in (None, "tiff_adobe_deflate"):
        return
    packing = compression and "zlib"
    for order, big, tile in itertools.product("<>", (False, True), (None, (16, 16))):
        options = {"byteorder": order, "bigtiff": big, "tile": tile, "compression": packing}
        for array, expected in ((metres, clean), (counts(12, 16), counts(12, 16))):
            tifffile.imwrite(tmp_path / "t.tiff", array, **options)
            if order == ">" and (big or packing):
                with pytest.raises(DepthsiError, match=r"t\.tiff is a big-endian .* little-endian"):
                    read_depth(tmp_path / "t.tiff", assumed=1)
            else:
                result = read_depth(tmp_path / "t.tiff", assumed=1)
                np.testing.assert_array_equal(result, expected)


def test_tiff_of_another_kind_is_refused(tmp_path):
    cases = {
        "eight": (counts(4, 5).astype(np.uint8), "Pillow's mode L"),
        "colour": (smooth_picture(4, 5), "Pillow's mode RGB"),
    }
    for name, (array, words) in cases.items():
        saved(tmp_path / f"{name}.tiff", array)
        with pytest.raises(DepthsiError, match=rf"{name}\.tiff is of {words}, not one channel"):
            read_depth(tmp_path / f"{name}.tiff", 1000)
    pages = [Image.fromarray(counts(4, 5, seed)) for seed in (0, 1)]
    pages[0].save(tmp_path / "pages.tiff", save_all=True, append_images=pages[1:])
    with pytest.raises(DepthsiError, match=r"pages\.tiff has several pages; save"):
        read_depth(tmp_path / "pages.tiff", 1000)
    saved(tmp_path / "u.tiff", counts(4, 5))
    with pytest.raises(DepthsiError, match=r"u\.tiff holds uint16, not metres; say how many"):
        read_depth(tmp_path / "u.tiff")
    (tmp_path / "png.tiff").write_bytes(saved(tmp_path / "d.png", counts(4, 5)).read_bytes())
    with pytest.raises(DepthsiError, match=r"png\.tiff is not a TIFF file"):
        read_depth(tmp_path / "png.tiff", 1000)


def test_floats_are_metres_and_nothing_else(tmp_path):
    np.save(tmp_path / "d.npy", np.ones((4, 5), np.float32))
    read_depth(tmp_path / "d.npy", 1)
    with pytest.raises(DepthsiError, match=r"d\.npy holds float32, .* given as 1000 per metre"):
        read_depth(tmp_path / "d.npy", 1000)
    np.save(tmp_path / "d.npy", np.array([[1e300, 1e-300, 2.5]]))
    np.testing.assert_array_equal(read_depth(tmp_path / "d.npy"), [[0, 0, 2.5]])


def exr_depth():
    """What `exr_files` were written from: infinite, 1e10 and NaN pixels are missing depth."""
    depth = [[1 + row / 4 + col / 16 for col in range(7)] for row in range(20)]
    depth[3][4] = depth[0][0] = depth[5][5] = 0
    return np.array(depth, np.float32)


@pytest.mark.parametrize("name", ["zip", "zips_half", "none_layers"])
def test_exr_of_the_openexr_library(tmp_path, name):
    (tmp_path / "d.exr").write_bytes(exr_file(name))
    np.testing.assert_array_equal(read_depth(tmp_path / "d.exr"), exr_depth())


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("piz", None, "is compressed by PIZ, which is not read; save it with ZIP"),
        ("colour", None, "has the channels B, G, R; call the depth Z"),
        ("zip", (4, b"\x02\x02"), "is not an EXR of one part of scan lines"),
        ("zip", (5, b"\x10"), "is not an EXR of one part of scan lines"),
        ("zip", (0, b"P"), "is not an EXR file"),
    ],
)
def test_exr_that_is_not_read_says_why(tmp_path, name, change, words):
    data = bytearray(exr_file(name))
    if change:
        data[change[0] : change[0] + len(change[1])] = change[1]
    (tmp_path / "d.exr").write_bytes(data)
    with pytest.raises(DepthsiError, match=rf"d\.exr {words}"):
        read_depth(tmp_path / "d.exr")


def test_exr_of_a_window_or_of_whole_numbers_is_refused(tmp_path):
    whole = exr_file("zip")
    at = whole.index(b"dataWindow\0box2i\0") + len(b"dataWindow\0box2i\0") + 4
    cut = whole[:at] + struct.pack("<4i", 1, 0, 6, 19) + whole[at + 16 :]
    at = whole.index(b"chlist\0") + len(b"chlist\0") + 4 + 2
    counting = whole[:at] + struct.pack("<i", 0) + whole[at + 4 :]
    for data, words in ((cut, "only a part of the picture"), (counting, "holds whole numbers")):
        (tmp_path / "d.exr").write_bytes(data)
        with pytest.raises(DepthsiError, match=rf"d\.exr .*{words}"):
            read_depth(tmp_path / "d.exr")


@pytest.mark.parametrize("name", ["d.npz", "d.tiff", "d.exr"])
def test_every_cut_of_the_other_depth_files_is_refused(tmp_path, name):
    path = tmp_path / name
    if name == "d.npz":
        np.savez(path, depth=(counts(12, 16) / 1000).astype(np.float32))
    elif name == "d.tiff":
        saved(path, (counts(12, 16) / 1000).astype(np.float32), compression="tiff_lzw")
    else:
        path.write_bytes(exr_file("zip"))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DepthsiError, match=path.name):
            read_depth(path)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_tiff_pixels_beyond_the_end_are_noticed_before_decoding(tmp_path, compression, capfd):
    """Without compression Pillow would not mind, and libtiff writes complaints of its own."""
    saved(tmp_path / "d.tiff", counts(12, 16), compression=compression)
    data = bytearray((tmp_path / "d.tiff").read_bytes())
    entry = data.index(struct.pack("<HHI", 279, 4, 1))  # the length of the only strip
    (length,) = struct.unpack_from("<I", data, entry + 8)
    struct.pack_into("<I", data, entry + 8, length + 1000)
    (tmp_path / "d.tiff").write_bytes(data)
    with pytest.raises(DepthsiError, match=r"d\.tiff is damaged .*pixel data beyond its end"):
        read_depth(tmp_path / "d.tiff", 1000)
    assert capfd.readouterr().err == ""
