"""Photos of all usual kinds as RGB of 8 bits; what they lose is said once; hostile ones refused."""

import io
import multiprocessing
import struct
import sys
import types
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from pictures import counts, saved, smooth_picture
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from test_decoding import chunk

from depthsi import files
from depthsi.data.formats import images, jpeg, png, tiff
from depthsi.data.formats.decoding import read_depth
from depthsi.data.formats.images import read_image
from depthsi.data.formats.orientation import exif_orientation
from depthsi.errors import DepthsiError, DepthsiWarning

LOSSLESS = [
    ("a.png", {}),
    ("a.bmp", {}),
    ("a.webp", {"lossless": True}),
    ("a.tiff", {}),
    ("a.tif", {"compression": "tiff_lzw"}),
    ("a.tiff", {"compression": "tiff_adobe_deflate"}),
    ("a.tiff", {"compression": "packbits"}),
]


@pytest.mark.parametrize(("name", "options"), LOSSLESS)
def test_lossless_kinds_are_read_exactly_and_by_content(tmp_path, name, options):
    image = smooth_picture(9, 11)
    saved(tmp_path / name, image, **options)
    np.testing.assert_array_equal(read_image(tmp_path / name), image)
    (tmp_path / name).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg", exif=True), image)


def test_grey_bits_and_palettes_of_other_kinds_lose_nothing(tmp_path):
    grey = smooth_picture(9, 11, 1)[..., 0]
    palette = Image.fromarray(grey).quantize(64)
    for suffix in ("bmp", "tiff", "png"):
        read = read_image(saved(tmp_path / f"grey.{suffix}", grey))
        np.testing.assert_array_equal(read, np.stack([grey] * 3, -1))
        read = read_image(saved(tmp_path / f"bits.{suffix}", grey > 120))
        np.testing.assert_array_equal(read, np.stack([255 * (grey > 120)] * 3, -1))
        palette.save(tmp_path / f"palette.{suffix}")
        read = read_image(tmp_path / f"palette.{suffix}")
        np.testing.assert_array_equal(read, np.asarray(palette.convert("RGB")))


def read_with(words, path):
    """The image, and once more without a warning."""
    with pytest.warns(DepthsiWarning, match=rf"{path.name}: {words}.* \(shown for the first"):
        image = read_image(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(path), image)
    return image


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_transparency_is_dropped_and_that_is_said_once(tmp_path, suffix):
    rgba = np.concatenate([smooth_picture(9, 11), np.full((9, 11, 1), 255, np.uint8)], -1)
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"opaque.{suffix}", rgba, **options)
    np.testing.assert_array_equal(read_image(path), rgba[..., :3])
    rgba[4, 5, 3] = 254
    path = saved(tmp_path / f"a.{suffix}", rgba, **options)
    np.testing.assert_array_equal(read_with("its transparency is dropped", path), rgba[..., :3])


def test_processes_that_read_for_another_leave_it_the_word(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", smooth_picture(9, 11, 4))
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    read_image(path)
    monkeypatch.undo()
    read_with("its transparency is dropped", path)


def test_a_transparent_colour_counts_as_well(tmp_path):
    image = Image.fromarray(np.zeros((9, 11, 3), np.uint8))
    image.save(tmp_path / "keyed.png", transparency=(0, 0, 0))
    assert not read_with("its transparency is dropped", tmp_path / "keyed.png").any()
    palette = Image.fromarray(smooth_picture(9, 11, 1)[..., 0]).quantize(64)
    palette.save(tmp_path / "p.png", transparency=bytes([0] * 64))
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), expected)


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped(tmp_path):
    values = np.array([[0, 128, 129, 255, 256, 257], [32767, 32768, 40000, 65406, 65407, 65535]])
    expected = np.array([[(int(v) * 255 + 32767) // 65535 for v in row] for row in values])
    for name, order in (("a.png", "<u2"), ("a.tiff", "<u2"), ("b.tiff", ">u2")):
        path = tmp_path / name
        Image.fromarray(values.astype(np.uint16)).save(path)
        if order == ">u2":
            big = Image.frombytes("I;16B", (6, 2), values.astype(order).tobytes())
            big.save(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DepthsiWarning)
            image = read_image(path)
        np.testing.assert_array_equal(image, np.stack([expected] * 3, -1))
    path = saved(tmp_path / "c.png", counts(5, 7))
    from depthsi import errors

    errors._warned.clear()
    read_with("its 16 bits are scaled to 8", path)


def test_sixteen_bits_of_colour_keep_the_upper_eight(tmp_path):
    colours = np.arange(2 * 3 * 3, dtype=np.uint16).reshape(2, 3, 3) * 3000
    header = struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    blocks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = png.SIGNATURE + b"".join(chunk(*block) for block in blocks)
    (tmp_path / "a.png").write_bytes(data)
    image = read_with("its 16 bits are scaled to 8", tmp_path / "a.png")
    assert np.abs(image - colours / 257.0).max() <= 1


def test_cmyk_is_converted_as_pillow_does(tmp_path):
    image = Image.fromarray(smooth_picture(16, 24)).convert("CMYK")
    image.save(tmp_path / "a.jpg", quality=95)
    read = read_with("its CMYK is converted to RGB without", tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as opened:
        np.testing.assert_array_equal(read, np.asarray(opened.convert("RGB")))
    assert np.abs(read.astype(int) - smooth_picture(16, 24)).max() < 20


@pytest.mark.parametrize("suffix", ["webp", "tiff"])
def test_of_several_pictures_the_first_is_read(tmp_path, suffix):
    first, second = (Image.fromarray(smooth_picture(9, 11) // n) for n in (1, 2))
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"a.{suffix}"
    first.save(path, save_all=True, append_images=[second], **options)
    read = read_with("only the first of its images is read", path)
    np.testing.assert_array_equal(read, np.asarray(first))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff"])
def test_every_orientation_is_turned_upright_as_pillow_does(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", orientation
    saved(tmp_path / name, smooth_picture(16, 24), exif=exif)
    with Image.open(tmp_path / name) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / name, exif=True), upright)
    if name != "a.tiff":
        assert read_image(tmp_path / name).shape == (16, 24, 3)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II*\0",
        b"II*\0\x08\0\0\0\xff\xff",
        b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x09\0\0",
        b"MM\0*\0\0\0\x08\0\1\x01\x12\0\4\0\0\0\1\0\x06\0\0",
        b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\2\0\x06\0\0",
        b"II*\0\xff\xff\xff\xff",
    ],
)
def test_damaged_orientation_means_upright(block):
    assert exif_orientation(block) == exif_orientation(b"Exif\0\0" + block) == 1


def test_orientation_of_either_byte_order():
    assert exif_orientation(b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x06\0\0") == 6
    assert exif_orientation(b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x05\0\0\0") == 5


def test_other_kinds_are_refused(tmp_path):
    saved(tmp_path / "a.gif", smooth_picture(9, 11))
    with pytest.raises(DepthsiError, match=r"a\.gif is neither JPEG nor PNG, WebP, BMP, TIFF or H"):
        read_image(tmp_path / "a.gif")
    saved(tmp_path / "f.tiff", smooth_picture(9, 11, 1)[..., 0].astype(np.float32))
    with pytest.raises(DepthsiError, match=r"f\.tiff is of Pillow's mode F; save it as 8-bit RGB"):
        read_image(tmp_path / "f.tiff")
    (tmp_path / "rle.bmp").write_bytes(
        b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 1078, 40, 8, 8, 1, 8, 1, 0, 0, 0, 256, 0)
        + bytes(1024)
        + b"\x08\x07" * 8
        + b"\0\1"
    )
    with pytest.raises(DepthsiError, match=r"rle\.bmp is a compressed BMP; save it as PNG"):
        read_image(tmp_path / "rle.bmp")
    Image.fromarray(smooth_picture(9, 11)).save(tmp_path / "z.tiff", compression="zstd")
    with pytest.raises(DepthsiError, match=r"z\.tiff is compressed in an unusual way; save it by"):
        read_image(tmp_path / "z.tiff")


HEIC = struct.pack(">I", 24) + b"ftypheic" + bytes(12)


def test_heic_needs_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(HEIC)
    with pytest.raises(
        DepthsiError, match=r"a\.heic: reading HEIC needs .* pip install pillow-heif"
    ):
        read_image(tmp_path / "a.heic")


def test_heic_by_its_library(tmp_path, monkeypatch):
    """The library is played; with it installed, the last test here reads a real file."""
    picture = Image.fromarray(smooth_picture(9, 11))
    opened = types.SimpleNamespace(size=picture.size, to_pillow=lambda: picture)
    library = types.SimpleNamespace(open_heif=lambda file, **_: opened)
    monkeypatch.setitem(sys.modules, "pillow_heif", library)
    (tmp_path / "a.heic").write_bytes(HEIC)
    np.testing.assert_array_equal(read_image(tmp_path / "a.heic"), smooth_picture(9, 11))
    opened.size, opened.to_pillow = (9459, 9459), None
    with pytest.raises(DepthsiError, match=r"a\.heic has 9459x9459 pixels in only 24 bytes"):
        read_image(tmp_path / "a.heic")


def test_a_real_heic(tmp_path):
    library = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    picture = Image.fromarray(smooth_picture(64, 96))
    library.from_pillow(picture).save(tmp_path / "a.heic", quality=95)
    read = read_image(tmp_path / "a.heic", exif=True).astype(int)
    assert np.abs(read - smooth_picture(64, 96)).mean() < 4


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def with_segments(path, segments):
    """The JPEG at `path` with `segments` before its own."""
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"".join(segments) + data[2:])
    return path


def test_metadata_never_reaches_the_decoder(tmp_path, monkeypatch):
    """Pillow joined these EXIF blocks one by one and took a minute."""
    path = saved(tmp_path / "a.jpg", smooth_picture(16, 24))
    plain, size = read_image(path), path.stat().st_size
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x06\0\0" + bytes(60_000)
    others = [segment(marker, b"ICC_PROFILE\0" + bytes(9000)) for marker in (0xE2, 0xED, 0xFE)]
    with_segments(path, [segment(0xE1, block)] * 3000 + others * 300)
    seen = []

    def opened(file):
        seen.append(len(file.getvalue()))
        return JpegImageFile(file)

    monkeypatch.setattr(jpeg, "JpegImageFile", opened)
    np.testing.assert_array_equal(read_image(path), plain)
    np.testing.assert_array_equal(read_image(path, exif=True), np.rot90(plain, -1))
    assert seen == [size, size]


def test_more_segments_than_any_photo_has_are_refused(tmp_path):
    path = saved(tmp_path / "a.jpg", smooth_picture(16, 24))
    with_segments(path, [segment(0xE1, b"")] * 5000)
    with pytest.raises(DepthsiError, match=r"a\.jpg has over 4096 segments; save it again"):
        read_image(path)


def test_what_follows_the_picture_is_left_out(tmp_path):
    path = saved(tmp_path / "a.jpg", smooth_picture(16, 24), progressive=True)
    whole = path.read_bytes()
    plain = read_image(path)
    film = b"\xff\xda\0\x04\0\0" * 20_000
    path.write_bytes(whole + film)
    np.testing.assert_array_equal(read_image(path), plain)
    assert jpeg.without_metadata(path, whole + film).data == jpeg.without_metadata(path, whole).data
    assert 2 < jpeg.without_metadata(path, whole).scans < 20


def test_scan_after_scan_over_many_pixels_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.jpg", smooth_picture(16, 24), progressive=True)
    scans = jpeg.without_metadata(path, path.read_bytes()).scans
    monkeypatch.setattr(jpeg, "MAX_SCANNED", scans * 16 * 24)
    read_image(path)
    monkeypatch.setattr(jpeg, "MAX_SCANNED", scans * 16 * 24 - 1)
    with pytest.raises(DepthsiError, match=rf"goes over its 16x24 pixels {scans} times; save it"):
        read_image(path)


def declared_png(path, height, width, *, bits=8, colour=2):
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    blocks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    path.write_bytes(png.SIGNATURE + b"".join(chunk(*block) for block in blocks))
    return path


def declared_jpeg(path, height, width):
    """A JPEG of a few pixels whose header says that it is larger."""
    data = saved(path, smooth_picture(16, 16)).read_bytes()
    at = data.index(b"\xff\xc0") + 5
    path.write_bytes(data[:at] + struct.pack(">HH", height, width) + data[at + 4 :])
    return path


def declared_webp(path, height, width, kind):
    size = struct.pack("<HH", width, height)
    start = {
        b"VP8 ": b"VP8 \x14\0\0\0\x30\1\0\x9d\x01\x2a" + size,
        b"VP8L": b"VP8L\x14\0\0\0\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little"),
        b"VP8X": b"VP8X\x0a\0\0\0\0\0\0\0"
        + b"".join((side - 1).to_bytes(3, "little") for side in (width, height)),
    }[kind]
    data = b"WEBP" + start + bytes(40)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(data)) + data)
    return path


@pytest.mark.parametrize("side", [4200, 9459])
def test_a_small_file_that_claims_many_pixels_is_refused_before_it_is_decoded(
    tmp_path, monkeypatch, side
):
    def decoded(*_):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(Image.Image, "tobytes", decoded)
    monkeypatch.setattr(images, "WebPImageFile", decoded)
    made = [
        declared_png(tmp_path / "a.png", side, side),
        declared_jpeg(tmp_path / "a.jpg", side, side),
        *(declared_webp(tmp_path / f"{k.decode()}.webp", side, side, k) for k in WEBP_KINDS),
    ]
    saved(tmp_path / "a.bmp", smooth_picture(4, 4))
    data = (tmp_path / "a.bmp").read_bytes()
    (tmp_path / "a.bmp").write_bytes(data[:18] + struct.pack("<ii", side, side) + data[26:])
    saved(tmp_path / "a.tiff", smooth_picture(4, 4), compression="tiff_lzw")
    for path in [*made, tmp_path / "a.bmp"]:
        with pytest.raises(DepthsiError, match=rf"has {side}x{side} pixels in only \d+ bytes"):
            read_image(path)
    declared_png(tmp_path / "d.png", side, side, bits=16, colour=0)
    with pytest.raises(DepthsiError, match=rf"has {side}x{side} pixels in only \d+ bytes"):
        read_depth(tmp_path / "d.png", 1000)


WEBP_KINDS = (b"VP8 ", b"VP8L", b"VP8X")


@pytest.mark.parametrize("kind", WEBP_KINDS)
def test_the_size_of_a_webp_is_read_as_its_library_does(tmp_path, kind):
    options = {b"VP8 ": {}, b"VP8L": {"lossless": True}, b"VP8X": {"exif": Image.Exif()}}[kind]
    if kind == b"VP8X":
        options["exif"][0x0112] = 1
    data = saved(tmp_path / "a.webp", smooth_picture(21, 300), **options).read_bytes()
    assert data[12:16] == kind
    assert images._webp_size(data) == (21, 300)


def test_pixels_that_a_file_may_claim():
    assert files.most_pixels(0) == 2**24
    assert files.most_pixels(10**9) == files.MAX_PIXELS
    phone = 8064 * 6048
    assert files.most_pixels(phone // 171) > phone  # bytes of one flat colour


@pytest.mark.slow
def test_a_photo_of_48_megapixels_is_read(tmp_path):
    rows = np.linspace(0, 255, 6048).astype(np.uint8)
    photo = np.broadcast_to(rows[:, None, None], (6048, 8064, 3))
    saved(tmp_path / "a.jpg", photo)
    assert read_image(tmp_path / "a.jpg", exif=True).shape == (6048, 8064, 3)
    saved(tmp_path / "flat.jpg", np.zeros_like(photo), quality=30)
    assert not read_image(tmp_path / "flat.jpg").any()


def test_a_png_of_endless_blocks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(png, "MAX_BLOCKS", 5)
    data = saved(tmp_path / "a.png", smooth_picture(9, 11)).read_bytes()
    at = data.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(data[:at] + chunk(b"tEXt", b"a\0b") * 4 + data[at:])
    with pytest.raises(DepthsiError, match=r"a\.png is damaged .*over 5 blocks"):
        read_image(tmp_path / "a.png")


def tiff_with(tags):
    """A TIFF of 2x2 grey pixels with further tags: (tag, type, count, value or offset)."""
    usual = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    usual += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 2), (279, 4, 1, 4)]
    entries = sorted([*usual, *tags])
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 12) + b"\1\2\3\4" + struct.pack("<H", len(entries)) + body


def test_a_tiff_is_held_to_its_own_bytes(tmp_path):
    path = tmp_path / "a.tiff"
    path.write_bytes(tiff_with([]) + bytes(4))
    np.testing.assert_array_equal(read_image(path)[..., 0], [[1, 2], [3, 4]])
    shared = [(60_000 + i, 1, 900, 8) for i in range(99)]
    path.write_bytes(tiff_with(shared) + bytes(4))
    with pytest.raises(DepthsiError, match="tags that share their values"):
        read_image(path)
    path.write_bytes(tiff_with([(60_000, 1, 1, 8)] * 5000) + bytes(4))
    with pytest.raises(DepthsiError, match="5009 tags"):
        read_image(path)
    strips = tiff_with([]).replace(
        struct.pack("<HHI", 273, 4, 1), struct.pack("<HHI", 273, 4, 2**18)
    )
    path.write_bytes(strips + bytes(2**21))
    with pytest.raises(DepthsiError, match="262144 strips or tiles"):
        read_image(path)


def test_exif_inside_a_tiff_is_not_followed(tmp_path):
    """Its lists of tags are not held to the size of the file."""
    path = tmp_path / "a.tiff"
    start = len(tiff_with([(34665, 4, 1, 0)])) + 4
    inner = struct.pack("<H", 200) + b"".join(
        struct.pack("<HHII", 37500, 7, start, 0) for _ in range(200)
    )
    path.write_bytes(tiff_with([(34665, 4, 1, start)]) + bytes(4) + inner + bytes(4))
    np.testing.assert_array_equal(read_image(path)[..., 0], [[1, 2], [3, 4]])
    data, *_ = tiff._checked(path.read_bytes())
    assert struct.pack("<HHI", 34665, 4, 1) not in data
    assert struct.pack("<HHI", tiff.PRIVATE, 4, 1) in data


def test_memory_of_a_picture_is_not_taken_twice(tmp_path):
    image = Image.open(io.BytesIO(saved(tmp_path / "a.png", smooth_picture(9, 11)).read_bytes()))
    calls = []
    image.convert = lambda *_: calls.append("copied")  # type: ignore[method-assign]
    pixels, _ = images._converted(images.Opened(image))
    assert (pixels.shape, calls) == ((9, 11, 3), [])


def test_fill_bytes_before_markers_are_allowed(tmp_path):
    path = saved(tmp_path / "a.jpg", smooth_picture(16, 24), progressive=True)
    plain, data = read_image(path), path.read_bytes()
    for marker in (b"\xff\xdb", b"\xff\xc2", b"\xff\xda", b"\xff\xd9"):
        data = data.replace(marker, b"\xff\xff\xff" + marker)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path), plain)
