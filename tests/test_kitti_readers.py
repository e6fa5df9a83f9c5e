"""KITTI's files one by one: what they say, and the sentence for each way they can be broken."""

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from kitti_files import (
    PROJECTIONS,
    ROTATION,
    SIZE,
    oxts_line,
    scan_points,
    stamp,
    write_calibration,
)
from pictures import saved

from depthsi.datasets.kitti_depth.annotated import list_annotated, read_annotated
from depthsi.datasets.kitti_depth.calibration import object_matrix, read_calibration, read_camera
from depthsi.datasets.kitti_depth.oxts import read_motion
from depthsi.datasets.kitti_depth.split_lists import read_list, read_lists
from depthsi.datasets.kitti_depth.sweeps import read_timestamps
from depthsi.datasets.kitti_depth.velodyne import read_scan
from depthsi.errors import DepthsiError

SPLITS = Path(__file__).resolve().parents[2] / "shared" / "data" / "splits"


def refused(words):
    return pytest.raises(DepthsiError, match=words)


def test_scan_round_trip_and_damage(tmp_path):
    file = tmp_path / "0000000000.bin"
    points = scan_points(0, 50)
    file.write_bytes(points.tobytes())
    found = read_scan(file)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, points)
    for data, words in (
        (b"", "is empty"),
        (points.tobytes()[:-3], r"797 bytes, no multiple of a point's 16"),
        (points.tobytes() + struct.pack("<4f", 1, np.nan, 2, 0), r"point 50 lies at \(1, nan, 2\)"),
        (struct.pack("<4f", 1, np.inf, 2, 0), r"point 0 lies at \(1, inf, 2\)"),
        (struct.pack("<4f", 251, 0, 2, 0), "not within 250 m"),
    ):
        file.write_bytes(data)
        with refused(f"0000000000.bin.*{words}"):
            read_scan(file)
    with refused(r"other\.bin does not exist"):
        read_scan(tmp_path / "other.bin")


def test_calibration_of_a_day(tmp_path):
    write_calibration(tmp_path)
    for camera, projection in PROJECTIONS.items():
        how = read_camera(tmp_path, camera)
        assert how.size == SIZE
        assert how.matrix.shape == (3, 4)
        # A point far ahead on the axis is seen about where the optical axis meets the image.
        u, v, depth = how.matrix @ [1e4, 0, 0, 1]
        assert depth == pytest.approx(1e4, rel=1e-3)
        assert abs(u / depth - projection[0, 2]) < 3
        assert abs(v / depth - projection[1, 2]) < 3


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("R_rect_00", "R_rect_09", "cam_to_cam.txt has no numbers for R_rect_00"),
        ("P_rect_02: 6", "P_rect_02: x", "cam_to_cam.txt has no numbers for P_rect_02"),
        ("P_rect_02: ", "P_rect_02: 1 ", "P_rect_02 has 13 numbers instead of 12"),
        ("P_rect_02: ", "P_rect_02: nan ", "line 7: P_rect_02 has a number that is not finite"),
        ("P_rect_02: ", "P_rect_02: 1e300 ", "line 7: P_rect_02 has a number that is not finite"),
        ("S_rect_02: 1", "S_rect_02: -1", "S_rect_02 is not a valid size"),
        ("R_rect_00: 9", "R_rect_00: 8", "cam_to_cam.txt: R_rect_00 is not a rotation"),
        ("R_rect_00: ", "R_rect_00: -", "cam_to_cam.txt: R_rect_00 is not a rotation"),
        ("P_rect_02: 6", "P_rect_02: 7", "P_rect_02 does not belong to a rectified camera"),
        ("P_rect_02: 6", "P_rect_02: -6", "P_rect_02 does not belong to a rectified camera"),
        ("S_rect_02:", "P_rect_02:", "line 7: P_rect_02 appears twice"),
        ("S_02:", "S_02:\xff", "is damaged or cut short"),
    ],
)
def test_broken_calibration(tmp_path, old, new, words):
    write_calibration(tmp_path)
    file = tmp_path / "calib_cam_to_cam.txt"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="latin1")
    with refused(words):
        read_camera(tmp_path, "image_02")


def test_missing_calibration_of_the_scanner(tmp_path):
    write_calibration(tmp_path)
    file = tmp_path / "calib_velo_to_cam.txt"
    file.write_text(file.read_text().replace("T:", "T0:"))
    with refused("velo_to_cam.txt has no numbers for T;"):
        read_camera(tmp_path, "image_02")
    lines = file.read_text().splitlines()
    lines[1] = f"R: {' '.join(str(-value) for value in ROTATION.ravel())}"  # mirrored
    file.write_text("\n".join(lines))
    with refused("velo_to_cam.txt: R is not a rotation"):
        read_camera(tmp_path, "image_02")
    file.unlink()
    with refused("velo_to_cam.txt does not exist"):
        read_camera(tmp_path, "image_02")


def test_calibration_of_the_object_benchmark(tmp_path):
    file = tmp_path / "000000.txt"
    file.write_text(
        "P2: 2 0 3 4 0 2 5 6 0 0 1 7\n"
        "R0_rect: 0 1 0 0 0 1 1 0 0\n"
        "Tr_velo_to_cam: 1 0 0 10 0 1 0 20 0 0 1 30\n\n"
    )
    # (1, 2, 3) is (11, 22, 33) for the camera, (22, 33, 11) rectified.
    np.testing.assert_array_equal(object_matrix(file) @ [1, 2, 3, 1], [81, 127, 18])
    assert sorted(read_calibration(file)) == ["P2", "R0_rect", "Tr_velo_to_cam"]
    file.write_text("P2: 1 2 3\n")
    with refused(r"000000.txt: P2 has 3 numbers instead of 12"):
        object_matrix(file)


OBJECT = {
    "P2": "2 0 3 4 0 2 5 6 0 0 1 7",
    "R0_rect": "0 1 0 0 0 1 1 0 0",
    "Tr_velo_to_cam": "1 0 0 10 0 1 0 20 0 0 1 30",
}


@pytest.mark.parametrize(
    ("key", "numbers", "words"),
    [
        ("P2", "-2 0 3 4 0 -2 5 6 0 0 1 7", "P2 does not belong to a rectified camera"),
        ("P2", "0 0 3 4 0 0 5 6 0 0 1 7", "P2 does not belong to a rectified camera"),
        ("P2", "2 0 3 4 0 2.1 5 6 0 0 1 7", "P2 does not belong to a rectified camera"),
        ("P2", "2 0 3 4 0 2 5 6 0 0 2 7", "P2 does not belong to a rectified camera"),
        ("P2", "2 0.1 3 4 0 2 5 6 0 0 1 7", "P2 does not belong to a rectified camera"),
        ("P2", "2 0 3 4 0.1 2 5 6 0 0 1 7", "P2 does not belong to a rectified camera"),
        ("P2", "2 0 3 4 0 2 5 6 0.1 0 1 7", "P2 does not belong to a rectified camera"),
        ("P2", "2 0 3 4 0 2 5 6 0 0.1 1 7", "P2 does not belong to a rectified camera"),
        ("P2", "2 0 3 1e6 0 2 5 6 0 0 1 7", "line 1: P2 has a number that is not finite or over"),
        ("P2", "2 0 3 4 0 2 5 6 0 0 1 7 8", "P2 has 13 numbers instead of 12"),
        ("R0_rect", "0 1.001 0 0 0 1 1 0 0", "R0_rect is not a rotation"),
        ("R0_rect", "0 1 0 0 0.002 1 1 0 0", "R0_rect is not a rotation"),
        ("R0_rect", "1 0 0 0 1 0 0 0 -1", "R0_rect is not a rotation"),
        ("Tr_velo_to_cam", "1 0 0 10 0 1 0 20 0 0 -1 30", "Tr_velo_to_cam is not a rotation"),
    ],
)
def test_calibration_that_no_camera_has_is_refused(tmp_path, key, numbers, words):
    file = tmp_path / "000000.txt"
    file.write_text(
        "\n".join(f"{name}: {text}" for name, text in (OBJECT | {key: numbers}).items())
    )
    with refused(f"000000.txt.*{words}"):
        object_matrix(file)


def test_calibration_has_rounded_numbers_and_large_ones(tmp_path):
    """A rotation of the published digits, and what is no more than unusual."""
    file = tmp_path / "000000.txt"
    for key, numbers in (
        ("R0_rect", "0 1.0004 0 0 0 1 1 0 0"),
        ("P2", "2 0 3 999999 0 2 5 6 0 0 1 7"),
    ):
        file.write_text("\n".join(f"{k}: {v}" for k, v in (OBJECT | {key: numbers}).items()))
        assert object_matrix(file).shape == (3, 4)


@pytest.mark.parametrize(
    ("size", "good"),
    [
        ("1 1", True),
        ("10000 10000", True),
        ("0 40", False),
        ("100 0", False),
        ("10001 40", False),
        ("100 10001", False),
        ("100 -1", False),
    ],
)
def test_calibration_of_a_size(tmp_path, size, good):
    """Width first, as the file has it."""
    write_calibration(tmp_path)
    file = tmp_path / "calib_cam_to_cam.txt"
    lines = file.read_text().splitlines()
    lines = [f"S_rect_02: {size}" if line.startswith("S_rect_02") else line for line in lines]
    file.write_text("\n".join(lines))
    if good:
        width, height = map(int, size.split())
        assert read_camera(tmp_path, "image_02").size == (height, width)
    else:
        with refused("S_rect_02 is not a valid size"):
            read_camera(tmp_path, "image_02")


def test_motion(tmp_path):
    file = tmp_path / "0000000000.txt"
    for speed, acceleration, stationary in (
        (0.0, 0.0, True),
        (0.15, 0.4, True),
        (0.3, 0.0, False),  # creeping
        (10.0, 0.0, False),  # cruising: the acceleration alone would drop it
        (0.0, -0.8, False),  # starting or stopping
    ):
        file.write_text(oxts_line(speed, acceleration))
        motion = read_motion(file)
        assert motion.speed == pytest.approx(np.hypot(speed, 0.01))
        assert motion.acceleration == pytest.approx(np.hypot(acceleration, 0.01))
        assert motion.stationary == stationary
    for text, words in (
        (oxts_line(fields=20), "20 numbers instead of 30"),
        ("", "0 numbers instead of 30"),
        (oxts_line() + "1\n", "31 numbers"),
        (oxts_line().replace("112.8", "nan"), "finite numbers"),
        (oxts_line().replace("112.8", "high"), "finite numbers"),
    ):
        file.write_text(text)
        with refused(f"0000000000.txt .*{words}"):
            read_motion(file)


def write_timestamps(folder, **changed):
    offsets = {"timestamps_start": -51_000_000, "timestamps": 0, "timestamps_end": 40_000_000}
    for name, offset in offsets.items():
        lines = changed.get(name, [stamp(frame, offset) for frame in range(3)])
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def test_timestamps(tmp_path):
    write_timestamps(tmp_path)
    sweep = read_timestamps(tmp_path).sweep(2)
    assert sweep.before == pytest.approx(0.051, abs=1e-12)
    assert sweep.after == pytest.approx(0.040, abs=1e-12)
    good = [stamp(frame, 0) for frame in range(3)]
    write_timestamps(tmp_path, timestamps=[*good[:2], stamp(2, 123)])
    sweep = read_timestamps(tmp_path).sweep(2)
    assert (sweep.before, sweep.after) == pytest.approx((0.051000123, 0.039999877), abs=1e-12)
    for lines, words in (
        (good[:2], r"timestamps.txt, line 3: there is no timestamp of this frame but ''"),
        ([*good[:2], ""], r"timestamps.txt, line 3: there is no timestamp"),
        ([*good[:2], "NaT"], r"line 3: .* but 'NaT'"),
        ([*good[:2], good[2].replace("-09-", "-19-")], "line 3: .* but '2011-19-26"),
        ([*good[:2], good[1]], r"timestamps.txt, line 3: .* is not between start"),
        ([*good[:2], stamp(2, -51_000_000)], "line 3: .* is not between start"),
        ([*good[:2], stamp(2, 40_000_000)], "line 3: .* is not between start"),
        ([*good[:2], good[2] + "0"], "line 3: there is no timestamp of this frame but '2011"),
    ):
        write_timestamps(tmp_path, timestamps=lines)
        stamps = read_timestamps(tmp_path)
        assert stamps.sweep(1).before == pytest.approx(0.051, abs=1e-12)
        with refused(words):
            stamps.sweep(2)
    write_timestamps(tmp_path)
    for frame in (3, 4, 5):
        with refused(f"line {frame + 1}: there is no timestamp of this frame but ''"):
            read_timestamps(tmp_path).sweep(frame)
    (tmp_path / "timestamps_end.txt").unlink()
    with refused("timestamps_end.txt does not exist"):
        read_timestamps(tmp_path)


FORMS = {
    "2011_09_26/2011_09_26_drive_0022_sync 473 r": ("0022", "image_03", 473, True),
    "2011_09_26_drive_0002_sync 0000000069 l": ("0002", "image_02", 69, True),
    "2011_09_26_drive_0002_sync 0000000069 l gt": ("0002", "image_02", 69, True),
    "2011_09_26_drive_0002_sync 0000000069 l nogt": ("0002", "image_02", 69, False),
    "2011_09_26/2011_09_26_drive_0009_sync/image_02/data/0000000010.jpg "
    "2011_09_26/2011_09_26_drive_0009_sync/image_03/data/0000000010.jpg": (
        "0009",
        "image_02",
        10,
        True,
    ),
    "2011_09_26/2011_09_26_drive_0009_sync/image_03/data/0000000010.png "
    "2011_09_26_drive_0009_sync/proj_depth/groundtruth/image_03/0000000010.png 721.5377": (
        "0009",
        "image_03",
        10,
        True,
    ),
    "2011_09_26/2011_09_26_drive_0009_sync/image_02/data/0000000011.png None 721.5377": (
        "0009",
        "image_02",
        11,
        False,
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("line", FORMS)
def test_forms_of_lists(tmp_path, line, packed):
    file = tmp_path / ("list.txt.gz" if packed else "list.txt")
    data = f"\n{line}\r\n\n".encode()
    file.write_bytes(gzip.compress(data) if packed else data)
    (row,) = read_list(file)
    number, camera, frame, annotated = FORMS[line]
    assert row.drive == f"2011_09_26_drive_{number}_sync"
    assert (row.camera, row.frame, row.annotated) == (camera, frame, annotated)
    assert row.place == f"{file}, line 2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lists no images"),
        ("2011_09_26_drive_0022_sync 473\n", "line 1: .* does not have a known form"),
        ("2011_09_26_drive_0022_sync 47 l\n2011_09_26_drive_0022_sync 4 x\n", "line 2: "),
        ("../2011_09_26_drive_0022_sync 473 l\n", "line 1: .* does not have a known form"),
        (
            "2011_09_26/../2011_09_26_drive_0022_sync 473 l\n",
            "line 1: .* does not have a known form",
        ),
        ("2011_09_26_drive_0022_sync 47 l\n\n2011_09_26_drive_0022_sync 047 l\n", "line 3: .*ne 1"),
        ("\xff\xfe", "damaged or cut short"),
    ],
)
def test_broken_lists(tmp_path, text, words):
    file = tmp_path / "my list.txt"
    file.write_bytes(text.encode("latin1"))
    with refused(f"my list.txt.*{words}"):
        read_list(file)


def test_a_cut_archive_is_named(tmp_path):
    file = tmp_path / "list.txt.gz"
    data = gzip.compress(b"".join(b"2011_09_26_drive_0022_sync %d l\n" % i for i in range(999)))
    for broken in (data[:-20], b"plain", data[:100] + b"????" + data[104:]):
        file.write_bytes(broken)
        with refused("list.txt.gz"):
            read_list(file)


def test_a_drive_in_two_splits_is_named(tmp_path):
    for name, rows in (("a", "1 l\n{}2 r"), ("b", "3 l")):
        drive = "2011_09_26_drive_0022_sync "
        (tmp_path / name).write_text(drive + rows.format(drive) + "\n")
    with refused(r"b, line 1: drive 2011_09_26_drive_0022_sync is in split val, .*train in .*a, l"):
        read_lists({"train": tmp_path / "a", "val": tmp_path / "b"})
    assert list(read_lists({"val": tmp_path / "b"})) == ["val"]


@pytest.mark.slow
@pytest.mark.skipif(not SPLITS.is_dir(), reason=f"the published lists are not in {SPLITS}")
@pytest.mark.parametrize(
    ("name", "rows", "annotated", "drives"),
    [
        ("kitti_eigen_test_697.txt", 697, 697, 28),
        ("kitti_eigen_benchmark_test_652.txt", 652, 652, 28),
        ("kitti_eigen_test_with_gt_bts.txt", 697, 652, 28),
        ("kitti_eigen_train_with_gt_bts.txt.gz", 23158, 23158, 33),
        ("kitti_eigen_full_train.txt.gz", 45200, 45200, 33),
        ("kitti_eigen_full_val.txt.gz", 1776, 1776, 33),
    ],
)
def test_published_lists(name, rows, annotated, drives):
    found = read_list(SPLITS / name)
    assert len(found) == rows
    assert sum(row.annotated for row in found) == annotated
    assert abs(len({row.drive for row in found}) - drives) <= ("652" in name)


@pytest.mark.skipif(not SPLITS.is_dir(), reason=f"the published lists are not in {SPLITS}")
def test_monodepth_validates_on_its_training_drives():
    lists = {split: SPLITS / f"kitti_eigen_full_{split}.txt.gz" for split in ("train", "val")}
    with refused("is in split val, but in split train"):
        read_lists(lists)


def test_annotated_maps_are_found_in_both_parts_and_exact(tmp_path):
    drive, tail = "2011_09_26_drive_0001_sync", "proj_depth/groundtruth/image_02"
    counts = np.arange(65536, dtype=np.uint16).reshape(128, 512)
    for part, frame in (("train", 5), ("val", 6)):
        folder = tmp_path / part / drive / tail
        folder.mkdir(parents=True)
        saved(folder / f"{frame:010d}.png", counts)
    shutil.copy(folder / "0000000006.png", folder / "notes.png")
    found = list_annotated(tmp_path, drive, "image_02")
    assert [(frame, path.parent.parts[-5]) for frame, path in found.items()] == [
        (5, "train"),
        (6, "val"),
    ]
    assert list_annotated(tmp_path, drive, "image_03") == {}
    depth = read_annotated(found[5])
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth.astype(np.float64) * 256, counts)
    found[5].write_bytes(found[5].read_bytes()[:-30])
    with refused("0000000005.png is damaged or cut short"):
        read_annotated(found[5])
