"""Depth in PFM and PGM files, against files written byte by byte and by Pillow."""

import math
import re
import struct

import numpy as np
import pytest
from pictures import counts, saved, smooth_picture, write_index
from PIL import Image
from test_cli import refusal

from depthsi import files
from depthsi.cli import main
from depthsi.data.folder.source import FolderSource
from depthsi.data.formats import portable_maps
from depthsi.data.formats.decoding import read_depth
from depthsi.errors import DepthsiError


def pfm(rows, *, scale="-1", head="Pf\n{width} {height}\n{scale}\n"):
    """The bytes of a PFM as its definition has them: pixel by pixel, from the last row up."""
    order = "<" if float(scale) < 0 else ">"
    head = head.format(width=len(rows[0]), height=len(rows), scale=scale)
    return head.encode() + b"".join(
        struct.pack(f"{order}f", value) for row in reversed(rows) for value in row
    )


def pgm(rows, *, greatest=65535, head="P5\n{width} {height}\n{greatest}\n"):
    """The bytes of a binary PGM of 16 bits: high byte first, from the first row down."""
    head = head.format(width=len(rows[0]), height=len(rows), greatest=greatest)
    return head.encode() + b"".join(
        bytes([value >> 8, value & 255]) for row in rows for value in row
    )


METRES = [[1.0, 2.5, 3.25], [0.5, math.inf, -1.0], [math.nan, 8.0, 0.0], [9.0, 10.0, 11.0]]
KEPT = [[1.0, 2.5, 3.25], [0.5, 0, 0], [0, 8.0, 0.0], [9.0, 10.0, 11.0]]


@pytest.mark.parametrize("scale", ["-1", "-1.000000", "1.0", "-0.003922", "+2e0"])
@pytest.mark.parametrize(
    "head",
    [
        "Pf\n{width} {height}\n{scale}\n",
        "Pf {width}\t{height} {scale} ",
        "Pf\r\n{width} {height}\r\n{scale}\r\n",
        "Pf\n# depth in metres\n{width}\n{height}\n{scale}\n",
    ],
)
def test_pfm_of_either_byte_order_is_read_from_the_bottom_up(tmp_path, scale, head):
    (tmp_path / "d.pfm").write_bytes(pfm(METRES, scale=scale, head=head))
    depth = read_depth(tmp_path / "d.pfm")
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, KEPT)


def test_pfm_that_another_reader_knows(tmp_path):
    (tmp_path / "d.pfm").write_bytes(pfm(METRES))
    with Image.open(tmp_path / "d.pfm") as image:
        np.testing.assert_array_equal(np.asarray(image), np.array(METRES, np.float32))


def test_a_first_pixel_that_looks_like_the_end_of_the_header(tmp_path):
    first = struct.unpack(">f", b"\n\x20\x00\x00")[0]
    rows = [[4.0, 5.0], [first, 3.0]]
    (tmp_path / "d.pfm").write_bytes(pfm(rows, scale="1", head="Pf\n{width} {height}\n{scale}\r"))
    np.testing.assert_array_equal(read_depth(tmp_path / "d.pfm"), np.array(rows, np.float32))


@pytest.mark.parametrize("greatest", [65535, 10_000, 9999])
@pytest.mark.parametrize(
    "head",
    [
        "P5\n{width} {height}\n{greatest}\n",
        "P5 {width} {height} {greatest} ",
        "P5\n# Kinect\n {width}\t{height}\n# 16 bits\n{greatest}\n",
    ],
)
def test_pgm_is_whole_numbers_high_byte_first(tmp_path, greatest, head):
    values = counts(7, 9)
    (tmp_path / "d.pgm").write_bytes(pgm(values.tolist(), greatest=greatest, head=head))
    expected = (values.astype(np.float64) / 1000).astype(np.float32)
    np.testing.assert_array_equal(read_depth(tmp_path / "d.pgm", 1000), expected)
    np.testing.assert_array_equal(read_depth(tmp_path / "d.pgm", assumed=1000), expected)
    with Image.open(tmp_path / "d.pgm") as image:
        assert greatest < 65535 or (np.asarray(image) == values).all()
    with pytest.raises(DepthsiError, match=r"d\.pgm has uint16 values, not metres; give the"):
        read_depth(tmp_path / "d.pgm")


def test_pgm_marks_missing_depth_as_png_does(tmp_path):
    values = counts(8, 9)
    values[:2] = 65535
    (tmp_path / "d.pgm").write_bytes(pgm(values.tolist()))
    np.testing.assert_array_equal(read_depth(tmp_path / "d.pgm", 1000) == 0, values == 65535)


GREY = "Pf\n3 4\n-1\n"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("d.pfm", b"PF\n1 1\n-1\n" + bytes(12), "is a PFM of three colours; save the depth alone"),
        ("d.pgm", b"P2\n1 1\n65535\n7\n", "is a PGM of text; save it as binary"),
        ("d.pgm", b"P6\n1 1\n255\n" + bytes(3), "is a colour image; save the depth as"),
        ("d.pgm", b"P5\n2 2\n255\n" + bytes(4), "has 8 bits per pixel, too coarse for depth"),
        ("d.pfm", b"\x89PNG\r\n\x1a\n", "is neither PFM nor PGM; convert it"),
        ("d.pfm", b"", "is neither PFM nor PGM; convert it"),
        ("d.pfm", b"Pf\n", "a header that is not that of PFM"),
        ("d.pfm", b"Pf\n-3 4\n-1\n" + bytes(48), "a header that is not that of PFM"),
        ("d.pfm", b"Pf\n3 4\n-1" + bytes(48), "a header that is not that of PFM"),
        ("d.pfm", b"Pf\n3 4\nnan\n" + bytes(48), "a header that is not that of PFM"),
        ("d.pfm", b"Pf\n3 4\n1e999\n" + bytes(48), "a scale of inf"),
        ("d.pfm", b"Pf\n3 4\n0\n" + bytes(48), "a scale of 0.0"),
        ("d.pfm", b"Pf\n3 4\n1-1\n" + bytes(48), "could not convert string to float"),
        ("d.pfm", b"Pf\n0 4\n-1\n", "4x0 pixels"),
        ("d.pfm", b"Pf\n3 4\n-1\n" + bytes(47), "47 bytes of pixels, not 48"),
        ("d.pfm", b"Pf\n3 4\n-1\n" + bytes(49), "49 bytes of pixels, not 48"),
        ("d.pfm", b"Pf\n" + b"#" * 9000 + b"\n3 4\n-1\n" + bytes(48), "a header that is not"),
        ("d.pfm", b"Pf\n" + b"9" * 9000 + b" 4\n-1\n", "a header that is not that of PFM"),
        ("d.pgm", b"P5\n3 4\n65536\n" + bytes(24), "a greatest value of 65536"),
        ("d.pgm", b"P5\n3 4\n0\n" + bytes(24), "a greatest value of 0"),
        ("d.pgm", b"P5\n1 1\n256\n\1\1", "a pixel of 257, over its greatest value 256"),
        ("d.pgm", b"P5\n3 4\n65535\n" + bytes(23), "23 bytes of pixels, not 24"),
    ],
)
def test_other_and_damaged_files_are_refused(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DepthsiError, match=rf"d\.p[fg]m .*{re.escape(words)}"):
        read_depth(tmp_path / name, assumed=1000)


@pytest.mark.parametrize("head", [b"Pf\n200000 200000\n-1\n", b"P5 200000 200000 65535\n"])
def test_sizes_are_refused_before_memory_is_taken(tmp_path, monkeypatch, head):
    (tmp_path / "d.pfm").write_bytes(head)
    monkeypatch.setattr(portable_maps, "_pixels", None)
    with pytest.raises(
        DepthsiError, match=rf"has 200000x200000 pixels, more than the {files.MAX_PIXELS}"
    ):
        read_depth(tmp_path / "d.pfm")


@pytest.mark.parametrize("name", ["d.pfm", "d.pgm"])
def test_a_folder_may_hold_them(tmp_path, name):
    saved(tmp_path / "a.jpg", smooth_picture(4, 3))
    rows = np.array(KEPT) * (1000 if name == "d.pgm" else 1)
    rows = rows.astype(int) if name == "d.pgm" else rows
    (tmp_path / name).write_bytes((pgm if name == "d.pgm" else pfm)(rows.tolist()))
    units = 1000 if name == "d.pgm" else ""
    write_index(tmp_path, [("a.jpg", name, "train", units)])
    np.testing.assert_array_equal(FolderSource(tmp_path, "train")[0].depth, KEPT)


def pairs(root, shape=(24, 32)):
    """A folder of four test pairs, and the metres of their depth."""
    root.mkdir()
    depths = [counts(*shape, seed=i) / 1000 + 0.5 for i in range(4)]
    for i, depth in enumerate(depths):
        saved(root / f"{i}.jpg", smooth_picture(*shape))
        saved(root / f"{i}.png", (depth * 1000).round().astype(np.uint16))
    write_index(root, [(f"{i}.jpg", f"{i}.png", "test", 1000) for i in range(4)])
    return depths


def test_predictions_in_pfm_are_evaluated(tmp_path, capsys):
    depths, maps = pairs(tmp_path / "pairs"), tmp_path / "maps"
    maps.mkdir()
    for i, depth in enumerate(depths):
        (maps / f"{i}.pfm").write_bytes(pfm((1.25 * depth).tolist()))
    main(
        [
            "evaluate",
            str(maps),
            "--data",
            str(tmp_path / "pairs"),
            "--crop",
            "none",
            "--out",
            str(tmp_path / "out"),
        ]
    )
    assert "0.250" in capsys.readouterr().out
    (maps / "0.pfm").write_bytes(b"PF\n1 1\n-1\n" + bytes(12))
    error = refusal(capsys, "evaluate", maps, "--data", tmp_path / "pairs", "--crop", "none")
    assert f"{maps / '0.pfm'} is a PFM of three colours" in error
