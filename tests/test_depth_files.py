"""Depth in .npz, TIFF and EXR files: by independent writers, whole, cut, and of other kinds."""

import io
import itertools
import re
import struct
import sys
import time
import zipfile

import numpy as np
import OpenEXR
import pytest
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
        for given, assumed in ((units, None), (None, 1000)):
            result = read_depth(tmp_path / name, given, assumed=assumed)
            assert result.dtype == np.float32
            np.testing.assert_array_equal(result, expected)


def test_npz_without_a_depth_is_refused(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    with pytest.raises(DepthsiError, match=r"two\.npz has the arrays a, b; call the depth 'dep"):
        read_depth(tmp_path / "two.npz")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(DepthsiError, match=r"none\.npz has the arrays none; call"):
        read_depth(tmp_path / "none.npz")
    np.savez(tmp_path / "pickle.npz", depth=np.array([[{}]], object))
    with pytest.raises(DepthsiError, match=r"pickle\.npz holds \|O of shape \(1, 1\)"):
        read_depth(tmp_path / "pickle.npz")
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("depth.npy", npy_bytes(np.ones((2, 2), np.float32)))
        archive.writestr("depth", npy_bytes(np.ones((2, 2), np.float32)))
    with pytest.raises(DepthsiError, match=r"twice\.npz has the arrays depth; call"):
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


@pytest.mark.slow
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
    with pytest.raises(DepthsiError, match=r"u\.tiff has uint16 values, not metres; give the"):
        read_depth(tmp_path / "u.tiff")
    (tmp_path / "png.tiff").write_bytes(saved(tmp_path / "d.png", counts(4, 5)).read_bytes())
    with pytest.raises(DepthsiError, match=r"png\.tiff is not a TIFF file"):
        read_depth(tmp_path / "png.tiff", 1000)


def test_floats_are_metres_and_nothing_else(tmp_path):
    np.save(tmp_path / "d.npy", np.ones((4, 5), np.float32))
    read_depth(tmp_path / "d.npy", 1)
    with pytest.raises(
        DepthsiError, match=r"d\.npy has float32 values, .* given as 1000 per metre"
    ):
        read_depth(tmp_path / "d.npy", 1000)
    np.save(tmp_path / "d.npy", np.array([[1e300, 1e-300, 2.5]]))
    np.testing.assert_array_equal(read_depth(tmp_path / "d.npy"), [[0, 0, 2.5]])


LOSSLESS = ["NO", "RLE", "ZIPS", "ZIP", "PIZ", "ZSTD"]


def exr_depth():
    """Metres that float16 can hold."""
    return (1 + np.add.outer(np.arange(20) / 4, np.arange(7) / 16)).astype(np.float32)


def exr_header(compression="ZIP", tile=None, **more):
    header = {"compression": getattr(OpenEXR, f"{compression}_COMPRESSION"), **more}
    if tile:
        header["tiles"] = OpenEXR.TileDescription()
        header["tiles"].xSize, header["tiles"].ySize = tile
    return {"type": OpenEXR.tiledimage if tile else OpenEXR.scanlineimage, **header}


def write_exr(path, channels, **header):
    OpenEXR.File(exr_header(**header), dict(channels)).write(str(path))  # it changes the dict


@pytest.mark.slow
@pytest.mark.parametrize("tile", [None, (8, 4)])
@pytest.mark.parametrize("compression", LOSSLESS)
def test_exr_of_the_lossless_compressions(tmp_path, compression, tile):
    for dtype in (np.float32, np.float16):
        depth = exr_depth().astype(dtype)
        colours = {name: np.zeros_like(depth) for name in "RGB"}
        write_exr(tmp_path / "d.exr", {"Z": depth}, compression=compression, tile=tile)
        np.testing.assert_array_equal(read_depth(tmp_path / "d.exr"), exr_depth())
        channels = {**colours, "ViewLayer.Depth.Z": depth}
        write_exr(tmp_path / "d.exr", channels, compression=compression, tile=tile)
        result = read_depth(tmp_path / "d.exr")
        np.testing.assert_array_equal(result, exr_depth())
        assert result.dtype == np.float32


@pytest.mark.parametrize("compression", ["PXR24", "B44", "B44A", "DWAA", "DWAB"])
def test_exr_of_the_lossy_compressions(tmp_path, compression):
    write_exr(tmp_path / "d.exr", {"Z": exr_depth()}, compression=compression)
    np.testing.assert_allclose(read_depth(tmp_path / "d.exr"), exr_depth(), rtol=1e-4)


@pytest.mark.parametrize("compression", ["LJ2K", "HTJ2K32", "HTJ2K256"])
def test_exr_of_jpeg_2000_is_not_decoded(tmp_path, compression):
    """Its decoder is not safe with damaged files: see `COMPRESSIONS`."""
    write_exr(tmp_path / "d.exr", {"Z": exr_depth()}, compression=compression)
    words = rf"d\.exr is compressed with {compression}, which is not supported; use ZIP"
    with pytest.raises(DepthsiError, match=words):
        read_depth(tmp_path / "d.exr")


@pytest.mark.parametrize(("dtype", "far"), [(np.float32, 1e10), (np.float16, 65504)])
def test_what_blender_writes_where_it_sees_nothing_is_missing(tmp_path, dtype, far):
    """65504 is what remains of 1e10 in float16; as float32 it is a distance."""
    depth = exr_depth().astype(dtype)
    depth[0, :6] = [far, np.inf, np.nan, -np.inf, -1, 65472]
    expected = exr_depth()
    expected[0, :6] = [0, 0, 0, 0, 0, 65472]
    write_exr(tmp_path / "d.exr", {"Z": depth})
    np.testing.assert_array_equal(read_depth(tmp_path / "d.exr"), expected)
    write_exr(tmp_path / "d.exr", {"Z": np.full((4, 5), 65504, np.float32)})
    assert np.all(read_depth(tmp_path / "d.exr") == 65504)


NORMAL = ("V.Normal.X", "V.Normal.Y", "V.Normal.Z")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("Y",), "Y"),
        (("R", "G", "B", "Z"), "Z"),
        (("R", "G", "B", "z"), "z"),
        (("R", "G", "B", "ViewLayer.Z"), "ViewLayer.Z"),
        (("R", "G", "B", "depth"), "depth"),
        (("V.Depth.Z", *NORMAL), "V.Depth.Z"),
        (("V.Depth.Z", "V.Mist.Z"), "V.Depth.Z"),
        (("Depth.V", "Z"), "Depth.V"),
        (("Z", "V.Z", *NORMAL), "Z"),
        (("V.Z", "V.Mist.Z", *NORMAL), "V.Z"),
        (("X", "Y", "Z", "V.Z"), "V.Z"),
        (("V.X", "Y", "Z"), "Z"),
        (NORMAL, None),
        (("X", "Y", "Z"), None),
        (("R", "Mist.Z"), None),
        (("A.Z", "B.Z"), None),
        (("A.Depth.Z", "B.Depth.Z", "Z"), None),
        (("R", "G", "B"), None),
    ],
)
def test_which_channel_of_an_exr_is_depth(tmp_path, names, chosen):
    channels = {name: np.full((4, 5), i + 1, np.float32) for i, name in enumerate(names)}
    write_exr(tmp_path / "d.exr", channels)
    if chosen is None:
        there = re.escape(", ".join(sorted(names)))
        with pytest.raises(
            DepthsiError, match=rf"d\.exr has the channels {there}; call the depth Z"
        ):
            read_depth(tmp_path / "d.exr")
    else:
        np.testing.assert_array_equal(read_depth(tmp_path / "d.exr"), channels[chosen])


def test_exr_of_several_parts(tmp_path):
    """The name of a part counts as the beginning of its channels'."""

    def part(name, **channels):
        values = {key: np.full((4, 5), value, np.float32) for key, value in channels.items()}
        return OpenEXR.Part(exr_header(), values, name)

    colours = part("rgb", R=1, G=1, B=1)
    normal = part("normal", X=0, Y=0, Z=1)
    for parts in ([colours, part("depth", Z=3)], [part("V", Z=3), normal, colours]):
        OpenEXR.File(parts).write(str(tmp_path / "d.exr"))
        np.testing.assert_array_equal(read_depth(tmp_path / "d.exr"), np.full((4, 5), 3.0))
    damaged = bytearray((tmp_path / "d.exr").read_bytes())
    damaged[-20:] = bytes(20)  # of the colours, which are last
    (tmp_path / "d.exr").write_bytes(damaged)
    with pytest.raises(DepthsiError, match=r"d\.exr is damaged .*pixels that cannot be decoded"):
        read_depth(tmp_path / "d.exr")
    OpenEXR.File([part("a", Z=3), part("b", Z=3)]).write(str(tmp_path / "d.exr"))
    with pytest.raises(DepthsiError, match=r"d\.exr has the channels a\.Z, b\.Z; call the depth"):
        read_depth(tmp_path / "d.exr")


def write_deep(path):
    deep = np.empty((4, 5), object)
    for pixel in np.ndindex(deep.shape):
        deep[pixel] = np.ones(2, np.float32)
    OpenEXR.File(exr_header("ZIPS", type=OpenEXR.deepscanline), {"Z": deep}).write(str(path))


def write_window(path):
    window = (np.array([0, 0], np.int32), np.array([9, 19], np.int32))
    write_exr(path, {"Z": exr_depth()}, displayWindow=window)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: write_exr(path, {"Z": np.ones((4, 5), np.uint32)}), "has integers"),
        (write_window, "has only a part of the image; save all"),
        (write_deep, "has deep pixels; save flat ones"),
        (lambda path: saved(path, counts(4, 5), format="PNG"), "is not an EXR file"),
    ],
)
def test_exr_that_is_not_read_says_why(tmp_path, write, words):
    write(tmp_path / "d.exr")
    with pytest.raises(DepthsiError, match=rf"d\.exr {words}"):
        read_depth(tmp_path / "d.exr")


def test_exr_without_the_library_says_what_to_install(tmp_path, monkeypatch):
    write_exr(tmp_path / "d.exr", {"Z": exr_depth()})
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(DepthsiError, match=r"d\.exr: .*pip install 'depthsi\[data\]'"):
        read_depth(tmp_path / "d.exr")


def raw_exr(width, height, channels=("Z",), more=b"", sampling=1):
    """The header of an uncompressed EXR file, byte by byte, and no pixels."""

    def attribute(name, kind, value):
        return f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value

    listed = b"".join(
        name.encode() + struct.pack("<B4i", 0, 2, 0, sampling, 1) for name in channels
    )
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    fields = [
        ("channels", "chlist", listed + b"\0"),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", bytes(8)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    ]
    head = b"".join(attribute(*field) for field in fields)
    return b"\x76\x2f\x31\x01\x02\0\0\0" + head + more + b"\0"


def test_exr_of_small_pictures_in_huge_tiles_is_refused(tmp_path):
    """A decoder makes room for a whole tile."""
    write_exr(tmp_path / "d.exr", {"Z": exr_depth()}, tile=(64, 64))
    np.testing.assert_array_equal(read_depth(tmp_path / "d.exr"), exr_depth())
    whole = (tmp_path / "d.exr").read_bytes()
    sizes = [struct.pack("<2I", 64, rows) for rows in (64, 2**24)]
    (tmp_path / "d.exr").write_bytes(whole.replace(*sizes))
    with pytest.raises(DepthsiError, match=r"d\.exr unpacks to 4294967296 bytes, more than the"):
        read_depth(tmp_path / "d.exr")


MANY = b"".join(f"a{i}\0int\0\4\0\0\0".encode() + bytes(4) for i in range(50_000))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (raw_exr(60_000, 60_000), "has 60000x60000 pixels, more than"),
        (raw_exr(2**31 - 1, 2**31 - 1), "is damaged"),
        (raw_exr(0, 5), "is damaged"),
        (raw_exr(9000, 9000, "ABCZ"), "unpacks to 1296000000 bytes, more than"),
        (raw_exr(4, 5, sampling=2), "has a subsampled Z; save it in full"),
        (raw_exr(1, 200_000), "has 200000 rows or tiles, over 131072"),
        (raw_exr(4, 5, [f"c{i}" for i in range(50_000)]), "is damaged .*a header that is too long"),
        (raw_exr(4, 5, more=MANY), "is damaged .*a header that is too long"),
        (raw_exr(4, 5, more=b"a\0int\0\xff\xff\xff\xff"), "is damaged"),
        (raw_exr(4, 5, more=b"a\0int\0\0\0\0\x7f"), "is damaged"),
        (raw_exr(4, 5)[:-1], "is damaged"),
        (raw_exr(4, 5), "is damaged .*pixels that cannot be decoded"),
    ],
)
def test_exr_that_claims_too_much_is_refused_at_once(tmp_path, data, words):
    """The library allocates what the header says, and needs a minute for 100 000 channels."""
    (tmp_path / "d.exr").write_bytes(data)
    began = time.perf_counter()
    with pytest.raises(DepthsiError, match=rf"d\.exr {words}"):
        read_depth(tmp_path / "d.exr")
    assert time.perf_counter() - began < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["d.npz", "d.tiff", "d.exr"])
def test_every_cut_of_the_other_depth_files_is_refused(tmp_path, name):
    path = tmp_path / name
    if name == "d.npz":
        np.savez(path, depth=(counts(12, 16) / 1000).astype(np.float32))
    elif name == "d.tiff":
        saved(path, (counts(12, 16) / 1000).astype(np.float32), compression="tiff_lzw")
    else:
        write_exr(path, {"Z": exr_depth()})
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
