"""Laser points to depth maps, against a loop over the points, on real scans where they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kitti_files import (
    PROJECTIONS,
    RECTIFICATION,
    ROTATION,
    SHIFT,
    SIZE,
    looped_depth,
    scan_points,
    write_calibration,
)
from PIL import Image

from depthsi.data.fitting import fit_to
from depthsi.datasets.kitti_depth.calibration import object_matrix, read_camera
from depthsi.datasets.kitti_depth.projection import project
from depthsi.datasets.kitti_depth.sweeps import Sweep, times
from depthsi.datasets.kitti_depth.velodyne import read_scan

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "kitti_velodyne"
NAMES = ("000003", "002155", "007347")
DIFFERENT = {"000003": (0, 555), "002155": (3, 536), "007347": (0, 445)}  # pixels: full, half
KINDS, RULES = ("z", "lidar_x"), ("closest_time", "nearest")
# u = 50 - 50 y / x and v = 20 - 50 z / x: simple numbers to place points by.
SIMPLE = np.array([[50.0, -50, 0, 0], [20, 0, -50, 0], [1, 0, 0, 0]])


def chain_of(name):
    """The matrices of the object benchmark's file, read on their own."""
    lines = (REAL / f"{name}.calib.txt").read_text().splitlines()
    entries = dict(line.split(":") for line in lines if line)
    values = {key: np.array(value.split(), np.float64) for key, value in entries.items()}
    pose = values["Tr_velo_to_cam"].reshape(3, 4)
    return values["P2"].reshape(3, 4), values["R0_rect"].reshape(3, 3), pose[:, :3], pose[:, 3]


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real scans are not in {REAL}")
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_real_scans_pixel_by_pixel(name, half):
    points, matrix = read_scan(REAL / f"{name}.bin"), object_matrix(REAL / f"{name}.calib.txt")
    with Image.open(REAL / f"{name}.png") as picture:
        camera = picture.height, picture.width
    size = (184, 612) if half else camera
    maps = {}
    for kind in KINDS:
        for rule in RULES:
            found = project(points, matrix, camera, size=size, kind=kind, conflict=rule)
            wanted = looped_depth(points, chain_of(name), camera, size=size, kind=kind, rule=rule)
            np.testing.assert_array_equal(found > 0, wanted > 0)
            np.testing.assert_allclose(found, wanted, rtol=2e-7)
            maps[kind, rule] = found
    share = np.mean(maps["z", "nearest"] > 0)
    assert share > (0.14 if half else 0.04)
    # Where the rules give the same map, the comparison above cannot tell them apart: it can at half
    # the size in every scan, and at the full size, with hardly two points to a pixel, in one.
    differ = np.count_nonzero(maps["z", "nearest"] != maps["z", "closest_time"])
    assert differ == DIFFERENT[name][half]
    both = maps["z", "nearest"] > 0
    offset = np.median((maps["lidar_x", "nearest"] - maps["z", "nearest"])[both])
    assert 0.2 < offset < 0.4  # the scanner stands 0.27 m behind the camera


@pytest.mark.slow
@pytest.mark.parametrize("camera", list(PROJECTIONS))
@pytest.mark.parametrize("size", [None, (20, 50), (17, 30), (12, 50), (40, 60), (80, 200)])
@pytest.mark.parametrize("kind", KINDS)
def test_raw_calibration_and_sizes(tmp_path, camera, size, kind):
    write_calibration(tmp_path)
    how = read_camera(tmp_path, camera)
    assert how.size == SIZE
    points = scan_points(1)
    chain = (PROJECTIONS[camera], RECTIFICATION, ROTATION, SHIFT)
    for rule, sweep in (("nearest", Sweep(0.05, 0.05)), ("closest_time", Sweep(0.02, 0.08))):
        halves = (sweep.before, sweep.after)
        found = project(points, how.matrix, SIZE, size=size, kind=kind, conflict=rule, sweep=sweep)
        wanted = looped_depth(points, chain, SIZE, size=size, kind=kind, rule=rule, halves=halves)
        assert np.count_nonzero(wanted) > 100
        np.testing.assert_allclose(found, wanted, rtol=2e-7)


def test_smaller_maps_show_what_fitted_pictures_show():
    """Each pixel that `fit_to` gives a depth has one here, too, and a nearer or equal one."""
    points = scan_points(2, 20_000)
    full = project(points, SIMPLE, SIZE, conflict="nearest")
    for size in ((20, 50), (15, 30), (30, 70), (12, 50)):
        _, sampled = fit_to(np.zeros((*SIZE, 3), np.uint8), full, size)
        found = project(points, SIMPLE, SIZE, size=size, conflict="nearest")
        there = sampled > 0
        assert there.any()
        assert (found[there] > 0).all()
        assert (found[there] <= sampled[there]).all()
        assert np.count_nonzero(found) > 1.2 * np.count_nonzero(sampled)


def test_halves_are_the_best_of_four_pixels():
    points = scan_points(3, 20_000)
    full = project(points, SIMPLE, SIZE, conflict="nearest").astype(np.float64)
    blocks = np.where(full > 0, full, np.inf).reshape(20, 2, 50, 2).min((1, 3))
    half = project(points, SIMPLE, SIZE, size=(20, 50), conflict="nearest")
    np.testing.assert_array_equal(half, np.where(np.isinf(blocks), 0, blocks))


def test_pixels_are_rounded_and_counted_from_one():
    """Column round(u) - 1, halves to even: u = 30.49, 30.5 and 31.5 give 29, 29 and 31."""
    for u, column in ((30.49, 29), (30.5, 29), (30.51, 30), (31.5, 31), (0.51, 0), (100.5, 99)):
        points = np.array([[50, 50 - u, 0, 0]], np.float32)
        depth = project(points, SIMPLE, SIZE)
        assert np.argwhere(depth).tolist() == [[19, column]], u
    for outside in (0.49, 100.51):
        assert not project(np.array([[50, 50 - outside, 0, 0]], np.float32), SIMPLE, SIZE).any()


def test_what_is_behind_is_left_out():
    points = np.array([[5, 1, 1, 0], [-5, -1, -1, 0]], np.float32)  # on one line of sight
    assert project(points[:1], SIMPLE, SIZE).any()
    for kind in KINDS:
        assert not project(points[1:], SIMPLE, SIZE, kind=kind).any()
        assert not project(points[1:], -SIMPLE, SIZE, kind=kind).any()
    # Ahead of the scanner, but behind the camera, which looks from 0.3 m further on.
    shifted = SIMPLE - np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0.3]])
    near = np.array([[0.2, 0.26, 0.12, 0]], np.float32)  # u = 30, v = 20, but z < 0
    assert not project(near, shifted, SIZE, kind="lidar_x").any()
    assert not project(np.empty((0, 4), np.float32), SIMPLE, SIZE).any()
    # Ahead of a camera that stands 2 m behind the scanner, but not ahead of the scanner.
    back = SIMPLE + np.array([[0, 0, 0, 100], [0, 0, 0, 40], [0, 0, 0, 2]])
    for x, seen in ((1e-3, True), (0, False), (-1e-3, False), (-0.5, False)):
        points = np.array([[x, 0.1, 0.1, 0]], np.float32)
        for rule in RULES:
            assert project(points, back, SIZE, conflict=rule).any() == seen


def test_conflicts_by_time_by_distance_and_in_ties():
    wide = np.array([[1.2, -0.1, 0, 0], [1.2, 0, -0.1, 0], [1, 0, 0, 0]])  # all in one pixel
    near_late = [5.0, 4.0, 0, 0]
    far_early = [50.0, -1.0, 0, 0]
    farther_same = [100.0, -2.0, 0, 0]
    for points in ([near_late, far_early, farther_same], [farther_same, far_early, near_late]):
        points = np.array(points, np.float32)
        kept = {rule: project(points, wide, SIZE, conflict=rule) for rule in RULES}
        assert [np.count_nonzero(depth) for depth in kept.values()] == [1, 1]
        assert kept["nearest"].max() == 5
        assert kept["closest_time"].max() == 50  # at the azimuth of 100 m, but nearer
    # Slow before, fast after: the point at the greater azimuth is closer in time.
    points = np.array([[10, 2, 0, 0], [20, -2, 0, 0]], np.float32)
    assert project(points, wide, SIZE).max() == 20
    assert project(points, wide, SIZE, sweep=Sweep(before=0.09, after=0.01)).max() == 10


def test_times_run_counter_clockwise_from_minus_half_to_half_a_turn():
    points = np.array([[1, 0], [1, 1], [0, 1], [-1, 1e-6], [-1, -1e-6], [1, -1]], np.float32)
    found = times(np.pad(points, [(0, 0), (0, 2)]), Sweep(0.04, 0.06))
    np.testing.assert_allclose(found, [0, 0.015, 0.03, 0.06, -0.04, -0.01], atol=1e-7)
    # unless told, a turn takes a tenth of a second, half of it on either side
    sides = np.array([[0, 1, 0, 0], [0, -1, 0, 0]], np.float32)
    np.testing.assert_allclose(times(sides), [0.025, -0.025], atol=1e-7)


def test_misuse_is_named():
    points = np.ones((2, 4), np.float32)
    usual = dict(points=points, matrix=SIMPLE, camera_size=SIZE)
    for arguments, words in (
        (dict(points=points[:, :3]), "`points` must"),
        (dict(matrix=np.eye(4)), "`matrix` must"),
        (dict(kind="y"), "`kind` must"),
        (dict(conflict="first"), "`conflict` must"),
    ):
        given: dict[str, Any] = {**usual, **arguments}
        with pytest.raises(ValueError, match=words):
            project(**given)
