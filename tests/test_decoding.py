"""Reading image and depth files: real ones written here, whole and broken in every way."""

import os
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from pictures import counts, saved, smooth_picture
from PIL import Image

from depthsi import files
from depthsi.data.formats.decoding import read_depth, read_image
from depthsi.data.samples import Sample, validate_sample
from depthsi.errors import DepthsiError
from depthsi.weights.arrays import read_arrays


def test_png_picture_is_read_exactly(tmp_path):
    image = smooth_picture(9, 11)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", image)), image)


def test_jpeg_is_known_by_its_content_not_its_name(tmp_path):
    image = smooth_picture(40, 50)
    saved(tmp_path / "a.png", image, format="JPEG", quality=95)
    assert np.abs(read_image(tmp_path / "a.png").astype(int) - image).max() < 12


def test_grey_palette_and_opaque_alpha_become_rgb(tmp_path):
    grey = smooth_picture(9, 11, 1)[..., 0]
    rgb = np.stack([grey] * 3, -1)
    opaque = np.full((9, 11, 1), 255, np.uint8)
    palette = Image.fromarray(grey).quantize(256)
    palette.save(tmp_path / "palette.png")
    palette.save(tmp_path / "palette_opaque.png", transparency=bytes([255] * 256))
    saved(tmp_path / "bits.png", grey > 120)
    for path, expected in [
        (saved(tmp_path / "grey.png", grey), rgb),
        (saved(tmp_path / "rgba.png", np.concatenate([rgb, opaque], -1)), rgb),
        (saved(tmp_path / "la.png", np.concatenate([grey[..., None], opaque], -1)), rgb),
        (tmp_path / "palette.png", np.asarray(palette.convert("RGB"))),
        (tmp_path / "palette_opaque.png", np.asarray(palette.convert("RGB"))),
        (tmp_path / "bits.png", 255 * (rgb > 120).astype(np.uint8)),
    ]:
        np.testing.assert_array_equal(read_image(path), expected, err_msg=path.name)
    assert read_image(saved(tmp_path / "grey.jpg", grey)).shape == (9, 11, 3)


def test_other_kinds_of_file_are_refused(tmp_path):
    saved(tmp_path / "a.gif", smooth_picture(9, 11))
    with pytest.raises(DepthsiError, match=r"a\.gif is neither JPEG nor PNG"):
        read_image(tmp_path / "a.gif")


@pytest.mark.parametrize("name", ["turned.jpg", "turned.png"])
def test_exif_orientation_turns_the_picture_only_when_asked(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right edge: turn clockwise
    saved(tmp_path / name, smooth_picture(40, 60), exif=exif)
    stored = read_image(tmp_path / name)
    assert stored.shape == (40, 60, 3)
    np.testing.assert_array_equal(
        read_image(tmp_path / name, exif=True), stored.transpose(1, 0, 2)[:, ::-1]
    )


@pytest.mark.parametrize("units", [1000.0, 256.0, 5000.0, 1.0])
def test_png_depth_is_the_nearest_float32_of_counts_over_units(tmp_path, units):
    values = np.array([[0, 1, 255, 256, 1000], [32767, 32768, 50000, 65534, 65535]], np.uint16)
    depth = read_depth(saved(tmp_path / "d.png", values), units)
    assert depth.dtype == np.float32
    expected = [[np.float32(int(v) / units) for v in row] for row in values]
    np.testing.assert_array_equal(depth, expected)


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_depth_keeps_metres_and_clears_what_is_missing(tmp_path, dtype, order):
    depth = np.array([[0.5, 1.25, -2], [np.nan, np.inf, -np.inf]], np.float32)
    signalling = np.uint32(0x7F800001).view(np.float32)
    depth = np.block([[depth], [np.array([[3, signalling, 0]], np.float32)]])
    np.save(tmp_path / "d.npy", np.array(depth, dtype, order=order))
    result = read_depth(tmp_path / "d.npy")
    assert result.dtype == np.float32
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, [[0.5, 1.25, 0], [0, 0, 0], [3, 0, 0]])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_of_every_version_is_read_and_surplus_bytes_are_not(tmp_path, version):
    depth = (counts(4, 5) / 512).astype(np.float32)
    with (tmp_path / "d.npy").open("wb") as file:
        np.lib.format.write_array(file, depth, version)
    np.testing.assert_array_equal(read_depth(tmp_path / "d.npy"), depth)
    with (tmp_path / "d.npy").open("ab") as file:
        file.write(bytes(4))
    with pytest.raises(DepthsiError, match=r"d\.npy is damaged"):
        read_depth(tmp_path / "d.npy")


def with_header(text, values):
    """A `.npy` file of version 1 as other programs may write it."""
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + values.tobytes()


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }          \n",
        "{'shape': (3L, 4L), 'fortran_order': True, 'descr': '<f4'}",
        '{"descr": "<f4", "fortran_order": False, "shape": (3, 4)}',
        "{'fortran_order':False,'descr':'<f4','shape':(3,4,)}",
        "{ 'shape' : ( 3 , 4 ) ,\n 'descr' : '<f4' , 'fortran_order' : True , }\n",
    ],
)
def test_npy_headers_are_read_as_numpy_reads_them(tmp_path, header):
    values = np.arange(12, dtype="<f4") + 1
    (tmp_path / "d.npy").write_bytes(with_header(header, values))
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.write(tmp_path / "d.npy", "w.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy would like those of Python 2 to be saved again
        expected = np.load(tmp_path / "d.npy")
    assert expected.shape == (3, 4)
    np.testing.assert_array_equal(read_depth(tmp_path / "d.npy"), expected)
    read = read_arrays(tmp_path / "w.npz", lambda name: True)
    np.testing.assert_array_equal(read["w"], expected)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'shape': (3, 4)}",
        "{'descr': '<f4', 'shape': (3, 4), 'shape': (3, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'fortran_order': True, 'shape': (3, 4)}",
        "{'descr': '<f4', 'fortran_order': False 'shape': (3, 4)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3LL, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)",
        "{'descr': [('<f4')], 'fortran_order': False, 'shape': (3, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 9000 + ", 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}" + " " * 20_000,
    ],
)
def test_npy_headers_that_numpy_does_not_write_are_refused(tmp_path, header):
    (tmp_path / "d.npy").write_bytes(with_header(header, np.ones(12, "<f4")))
    with pytest.raises(
        DepthsiError, match=r"d\.npy is damaged .*(one array of numbers|int\(\)|digits)"
    ):
        read_depth(tmp_path / "d.npy")


def test_depth_of_the_wrong_kind_is_refused(tmp_path):
    for name, array, mode in [
        ("eight.png", counts(4, 5).astype(np.uint8), "L"),
        ("colour.png", smooth_picture(4, 5), "RGB"),
        ("alpha.png", smooth_picture(4, 5, 4), "RGBA"),
    ]:
        with pytest.raises(DepthsiError, match=rf"{name} is of Pillow's mode {mode} .*16-bit"):
            read_depth(saved(tmp_path / name, array), 1000)
    with pytest.raises(DepthsiError, match=r"jpeg\.png is not a PNG file"):
        read_depth(saved(tmp_path / "jpeg.png", smooth_picture(4, 5), format="JPEG"), 1000)
    for array, held in [
        (np.ones((4, 5), np.uint8), r"\|u1 of shape \(4, 5\)"),
        (np.ones((4, 5), np.int64), r"<i8 of shape \(4, 5\)"),
        (np.ones((4, 5, 1), np.float32), r"<f4 of shape \(4, 5, 1\)"),
        (np.ones(4, np.float32), r"<f4 of shape \(4,\)"),
        (np.array([[{}]]), r"\|O of shape \(1, 1\)"),
    ]:
        np.save(tmp_path / "d.npy", array, allow_pickle=True)
        with pytest.raises(DepthsiError, match=rf"d\.npy holds {held}; save float32 metres"):
            read_depth(tmp_path / "d.npy")
    np.save(tmp_path / "d.npy", np.zeros((2, 2), [("depth", np.float32)]))
    with pytest.raises(DepthsiError, match=r"d\.npy is damaged .* one array of numbers"):
        read_depth(tmp_path / "d.npy")
    with (tmp_path / "d.npy").open("wb") as file:
        np.savez(file, depth=np.ones((4, 5), np.float32))
    with pytest.raises(DepthsiError, match=r"d\.npy is not a \.npy file"):
        read_depth(tmp_path / "d.npy")
    with pytest.raises(DepthsiError, match=r"d\.jpg: depth is read from \.png, .*; convert it"):
        read_depth(tmp_path / "d.jpg")


@pytest.mark.parametrize(
    ("name", "units"),
    [("d.png", None), ("d.png", 0), ("d.png", 1e-300), ("d.png", np.nan), ("d.npy", -1)],
)
def test_units_that_make_no_sense_are_misuse(tmp_path, name, units):
    with pytest.raises(ValueError, match=r"^`units_per_metre` \(="):
        read_depth(tmp_path / name, units)


def test_damaged_exif_does_not_disturb_who_needs_none(tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12"
    saved(tmp_path / "a.jpg", smooth_picture(9, 11), exif=exif)
    assert complaint(tmp_path / "a.jpg", read_image) is None
    saved(tmp_path / "b.jpg", smooth_picture(9, 11))
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), read_image(tmp_path / "b.jpg"))


def test_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for read in (read_image, lambda path: read_depth(path, 1000)):
        with pytest.raises(DepthsiError, match=r"none\.png does not exist; check"):
            read(tmp_path / "none.png")
        with pytest.raises(DepthsiError, match=r"folder\.png cannot be opened"):
            read(tmp_path / "folder.png")
        with pytest.raises(DepthsiError, match=r"cannot be opened \(embedded null"):
            read("a\0.png")


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


@pytest.mark.parametrize("depth", [False, True])
def test_decompression_bomb_is_refused_without_unpacking(tmp_path, monkeypatch, depth):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 16 if depth else 8, 0, 0, 0, 0)
    blocks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*block) for block in blocks)
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(DepthsiError, match=r"bomb\.png has 60000x60000 pixels, more than"):
        read_depth(tmp_path / "bomb.png", 1000) if depth else read_image(tmp_path / "bomb.png")
    monkeypatch.setattr(files, "MAX_PIXELS", 99)
    with pytest.raises(DepthsiError, match="has 10x10 pixels"):
        read_image(saved(tmp_path / "a.jpg", smooth_picture(10, 10)))


def originals(folder):
    """(path, reader) of small whole files of every kind the readers know."""
    shape = (24, 32)
    depth = (counts(*shape) / 1000).astype(np.float32)
    grey = Image.fromarray(smooth_picture(*shape, 1)[..., 0])
    np.save(folder / "depth.npy", depth)
    grey.quantize(64).save(folder / "palette.png", transparency=bytes([255] * 64))
    rgba = np.concatenate([smooth_picture(*shape), np.full((*shape, 1), 255, np.uint8)], -1)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 3, "maker"
    pictures = [
        saved(folder / "colour.jpg", smooth_picture(*shape), quality=90, exif=exif),
        saved(folder / "progressive.jpg", smooth_picture(*shape), progressive=True),
        saved(folder / "grey.jpg", smooth_picture(*shape, 1)[..., 0]),
        saved(folder / "colour.png", smooth_picture(*shape)),
        saved(folder / "rgba.png", rgba),
        folder / "palette.png",
    ]
    saved(folder / "depth.png", counts(*shape))
    return [(path, read_image) for path in pictures] + [
        (folder / "depth.png", lambda path: read_depth(path, 1000)),
        (folder / "depth.npy", read_depth),
    ]


def mutated(data, rng, kind):
    """`data` cut, or with a few bytes changed, dropped or put in, anywhere or near its start."""
    place = int(rng.integers(len(data) if rng.random() < 0.5 else min(200, len(data))))
    length = int(rng.integers(1, 5))
    noise = rng.integers(0, 256, length, np.uint8).tobytes()
    if kind == "cut":
        return data[:place]
    if kind == "flip":
        flipped = data[place] ^ (1 << int(rng.integers(8)))
        return data[:place] + bytes([flipped]) + data[place + 1 :]
    if kind == "noise":
        return data[:place] + noise + data[place + length :]
    if kind == "drop":
        return data[:place] + data[place + length :]
    return data[:place] + noise + data[place:]


def complaint(path, read):
    """What the reader or the sample check has against the file, None if it is a valid sample."""
    caught = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = read(path)
            pair = (result, np.ones(result.shape[:2], np.float32))
            if result.ndim == 2:
                pair = (np.zeros((*result.shape, 3), np.uint8), result)
            validate_sample(Sample(*pair, path.name))
    except DepthsiError as error:
        return str(error)
    finally:
        assert not caught
    return None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "least"), [("cut", 90), ("flip", 36), ("noise", 36), ("drop", 40), ("insert", 40)]
)
def test_mutated_files_decode_to_valid_samples_or_are_refused(tmp_path, kind, least):
    """Nothing else: no other exception, no warning; and damage to a PNG never goes unnoticed."""
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    complaints = []
    for original, read in originals(tmp_path):
        whole, path = original.read_bytes(), tmp_path / f"mutated{original.suffix}"
        for _ in range(12):
            path.write_bytes(changed := mutated(whole, rng, kind))
            if (message := complaint(path, read)) is not None:
                complaints.append(message)
                assert path.name in message
                assert "\n" not in message
            elif path.suffix == ".png":
                assert changed.startswith(whole)
    assert len(complaints) >= least


@pytest.mark.slow
def test_every_changed_byte_of_a_depth_png_is_noticed(tmp_path):
    """Without its checksums, some changed pixel data would pass as other depths."""
    path = saved(tmp_path / "d.png", counts(12, 16))
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(DepthsiError, match=r"d\.png is "):
            read_depth(path, 1000)


@pytest.mark.slow
def test_every_cut_of_a_file_is_refused(tmp_path):
    for path, read in originals(tmp_path):
        whole = path.read_bytes()
        for length in range(0, len(whole) - 2, 37):  # a JPEG may do without its last two bytes
            path.write_bytes(whole[:length])
            with pytest.raises(DepthsiError, match=path.name):
                read(path)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    for read in (read_image, lambda path: read_depth(path, 1000)):
        with pytest.raises(DepthsiError, match=r"pipe\.png cannot be opened \(not a regular file"):
            read(tmp_path / "pipe.png")
    monkeypatch.setattr(files, "MAX_BYTES", 99)
    with pytest.raises(DepthsiError, match="more than the 99 accepted"):
        read_image(saved(tmp_path / "a.png", smooth_picture(20, 20)))
