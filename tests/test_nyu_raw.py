"""The raw dump: files of its layout, pairing in time, projection against the toolbox's words."""

import math

import cv2
import numpy as np
import pytest

from depthsi.data.prepared.prepare import prepare
from depthsi.data.prepared.source import PreparedSource
from depthsi.datasets.nyu_depth_v2_raw import open_nyu_depth_v2_raw
from depthsi.datasets.nyu_depth_v2_raw.kinect import project_disparity, undistort_picture
from depthsi.datasets.nyu_depth_v2_raw.nearest_in_time import pair_nearest, timestamp
from depthsi.datasets.nyu_depth_v2_raw.netpbm import read_disparity, read_ppm
from depthsi.errors import DepthsiError

SIZE = HEIGHT, WIDTH = 480, 640
# camera_params.m, as published
FC_RGB, CC_RGB = (518.85790117450188, 519.46961112127485), (325.58244941119034, 253.73616633400465)
FC_D, CC_D = (582.62448167737955, 582.69103270988637), (313.04475870804731, 238.44389626620386)
KC_RGB = np.array(
    [
        0.20796615318809061,
        -0.58613825163911781,
        7.2231363135888329e-4,
        1.0479627195765181e-3,
        0.49856986684705107,
    ]
)
KC_D = np.array(
    [
        -0.099897236553084481,
        0.39065324602765344,
        1.9290592870229277e-3,
        -1.9422022475975055e-3,
        -0.51031725053400578,
    ]
)
R_LIST = [
    0.99997798940829263,
    5.0518419386157446e-3,
    4.3011152014118693e-3,
    -5.0359919480810989e-3,
    0.99998051861143999,
    -3.6879781309514218e-3,
    -4.3196624923060242e-3,
    3.6662365748484798e-3,
    0.99998394948385538,
]
T_X, T_Y, T_Z = 2.5031875059141302e-2, 6.6238747008330102e-4, -2.9342312935846411e-4


def write_ppm(path, image):
    path.write_bytes(b"P6 %d %d 255\n" % (image.shape[1], image.shape[0]) + image.tobytes())


def write_pgm(path, disparity, order="<"):
    """As the dump has it: low byte first, against the format."""
    head = b"P5 %d %d 65535\n" % (disparity.shape[1], disparity.shape[0])
    path.write_bytes(head + disparity.astype(order + "u2").tobytes())


def picture(seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    return coarse.repeat(40, 0).repeat(40, 1)


def disparities(seed=0, share=0.01):
    """Mostly unmeasured, the rest of all depths."""
    rng = np.random.default_rng(seed)
    values = rng.integers(600, 1093, SIZE).astype(np.uint16)
    return np.where(rng.random(SIZE) < share, values, 2047).astype(np.uint16)


def lens_map(fc, cc, kc):
    """Where OpenCV says that the undistorted pixels come from: columns and rows."""
    matrix = np.array([[fc[0], 0, cc[0]], [0, fc[1], cc[1]], [0, 0, 1]])
    return cv2.initUndistortRectifyMap(matrix, kc, np.eye(3), matrix, (WIDTH, HEIGHT), cv2.CV_32FC1)


def test_picture_is_sampled_where_the_lens_model_says():
    image = picture()
    result = undistort_picture(image)
    columns, rows = lens_map(FC_RGB, CC_RGB, KC_RGB)
    rng, inner = np.random.default_rng(1), 0
    for y, x in zip(rng.integers(0, HEIGHT, 3000), rng.integers(0, WIDTH, 3000), strict=True):
        row, column = float(rows[y, x]), float(columns[y, x])
        if -0.01 <= row <= HEIGHT - 0.99 and -0.01 <= column <= WIDTH - 0.99:
            top, left = int(max(row, 0)), int(max(column, 0))
            corners = [
                (1 - abs(row - r)) * (1 - abs(column - c)) * image[r, c].astype(float)
                for r in (top, min(top + 1, HEIGHT - 1))
                for c in (left, min(left + 1, WIDTH - 1))
            ]
            if 0 < row < HEIGHT - 1.01 and 0 < column < WIDTH - 1.01:
                # OpenCV's map has 24 bits: 1e-4 pixel, a hundredth of a grey value here
                assert np.abs(result[y, x] - sum(corners)).max() < 0.55
                inner += 1
        else:
            assert tuple(result[y, x]) == (255, 255, 255)
    assert inner > 2500
    assert (result[0, 0] == 255).all()


def toolbox_projection(disparity, z_of):
    """project_depth_map.m point by point, its signs and orders kept; also the sensor's depth."""
    rotation = np.linalg.inv((-np.array(R_LIST)).reshape(3, 3, order="F").T)
    translation = np.array([T_X, T_Z, T_Y])
    columns, rows = lens_map(FC_D, CC_D, KC_D)
    result = {}
    for y in range(HEIGHT):
        for x in range(WIDTH):
            row, column = rows[y, x], columns[y, x]
            if not (0 <= row <= HEIGHT - 1 and 0 <= column <= WIDTH - 1):
                continue
            value = int(disparity[round(float(row)), round(float(column))])
            if value == 2047 or value < 600 or value >= 1092.5:
                continue
            depth = min(351.3 / (1092.5 - value), 10.0)
            point = np.array(
                [(x + 1 - CC_D[0]) * depth / FC_D[0], (y + 1 - CC_D[1]) * depth / FC_D[1], depth]
            )
            moved = rotation @ point + translation
            u = math.floor(moved[0] * FC_RGB[0] / moved[2] + CC_RGB[0] + 0.5)
            v = math.floor(moved[1] * FC_RGB[1] / moved[2] + CC_RGB[1] + 0.5)
            if 0 < u <= WIDTH and 0 < v <= HEIGHT:
                stored = depth if z_of == "depth" else -moved[2]
                # of equally near ones the later pixel stays
                result[v - 1, u - 1] = min(
                    (depth, stored),
                    result.get((v - 1, u - 1), (99, 0)),
                    key=lambda values: values[0],
                )
    return result


@pytest.mark.slow
@pytest.mark.parametrize("z_of", ["depth", "colour"])
def test_depth_is_projected_as_the_toolbox_does(z_of):
    disparity = disparities()
    result = project_disparity(disparity, z_of=z_of, mask_extremes=False)
    expected = np.zeros(SIZE)
    for place, (_, stored) in toolbox_projection(disparity, z_of).items():
        expected[place] = stored
    different = np.argwhere(~np.isclose(result, expected, rtol=1e-6))
    # where OpenCV's 24 bits round a position to the other side of a pixel's edge
    assert len(different) <= 4
    assert np.count_nonzero(expected) > 2000
    assert result.dtype == np.float32


def test_both_cameras_z_differ_little_and_pixels_not_at_all():
    disparity = disparities(2)
    depth = project_disparity(disparity, z_of="depth", mask_extremes=False)
    colour = project_disparity(disparity, z_of="colour", mask_extremes=False)
    np.testing.assert_array_equal(depth > 0, colour > 0)
    near = (depth > 0) & (depth <= 4)
    assert 0.005 < np.abs(depth - colour)[near].max() < 0.02


def test_what_lies_straight_ahead_is_seen_left_of_the_centre():
    """The colour camera is on the right of the depth camera: 25 mm, 519 pixels per radian."""
    for value in (740, 1000):
        disparity = np.full(SIZE, 2047, np.uint16)
        disparity[235:240, 310:315] = value
        depth = project_disparity(disparity, mask_extremes=False)
        z = 351.3 / (1092.5 - value)
        _, columns = np.nonzero(depth)
        shift = 325.6 - (1 + columns.mean())
        assert shift == pytest.approx(518.9 * (0.025 / z + 0.0043), abs=1)


def test_extremes_of_the_frame_are_missing():
    disparity = np.full(SIZE, 2047, np.uint16)
    for column, value in ((200, 700), (250, 800), (300, 900), (350, 1070), (400, 1085)):
        disparity[200:210, column : column + 10] = value
    every = project_disparity(disparity, mask_extremes=False)
    kept = project_disparity(disparity)
    values = [351.3 / (1092.5 - value) for value in (700, 800, 900)]
    np.testing.assert_allclose(np.unique(every), [0, *values, 10], rtol=1e-6)
    np.testing.assert_allclose(np.unique(kept), [0, *values[1:]], rtol=1e-6)
    np.testing.assert_array_equal(kept[kept > 0], every[(every > 0.9) & (every < 10)])


@pytest.mark.parametrize("value", [0, 599, 1093, 2046, 2047])
def test_what_was_not_measured_stays_missing(value):
    disparity = np.full(SIZE, 2047, np.uint16)
    disparity[100:300, 100:300] = value
    disparity[350:360, 350:360] = 800
    depth = project_disparity(disparity, mask_extremes=False)
    assert set(np.unique(depth)) == {np.float32(0), np.float32(351.3 / 292.5)}
    assert not project_disparity(np.full(SIZE, value, np.uint16)).any()


def test_nearest_surface_hides_what_is_behind():
    disparity = np.full(SIZE, 1000, np.uint16)  # a wall at 3.8 m
    disparity[0, 0] = 2047
    disparity[200:280, 200:280] = 650  # a box at 0.79 m, which the parallax moves
    depth = project_disparity(disparity, mask_extremes=False)
    box = 351.3 / 442.5
    rows, columns = np.nonzero(np.isclose(depth, box))
    inner = depth[rows.min() + 3 : rows.max() - 2, columns.min() + 3 : columns.max() - 2]
    assert np.isclose(inner[inner > 0], box).all()  # its edge is not straight: the lens
    assert np.count_nonzero(depth) < np.count_nonzero(disparity < 2047)
    assert 60 < np.ptp(columns) < 80


def test_byte_orders_and_headers(tmp_path):
    values = disparities(4, 0.5)[:7, :9]
    for order in "<>":
        write_pgm(tmp_path / "d.pgm", values, order)
        np.testing.assert_array_equal(read_disparity(tmp_path / "d.pgm"), values)
    ambiguous = np.array([[0x0102, 0x0703]], np.uint16)  # the dump's order is the first guess
    write_pgm(tmp_path / "d.pgm", ambiguous)
    np.testing.assert_array_equal(read_disparity(tmp_path / "d.pgm"), ambiguous)
    data = values.astype("<u2").tobytes()
    (tmp_path / "d.pgm").write_bytes(b"P5\n# Kinect\n 9\t7\n# 11 bits\n65535\n" + data)
    np.testing.assert_array_equal(read_disparity(tmp_path / "d.pgm"), values)
    image = picture()[:7, :9]
    write_ppm(tmp_path / "r.ppm", image)
    np.testing.assert_array_equal(read_ppm(tmp_path / "r.ppm"), image)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty, damaged, or no Netpbm file of kind P5"),
        (b"P5 2 2", "is empty, damaged, or no Netpbm"),
        (b"P6 2 2 255\n" + bytes(12), "no Netpbm file of kind P5 with values to 65535"),
        (b"P5 2 2 255\n" + bytes(4), "no Netpbm file of kind P5 with values to 65535"),
        (b"P5 2 2 65535\n" + bytes(7), "is cut short: 7 bytes of pixels, not 8"),
        (b"P5 2 2 65535\n" + bytes(9), "is too long: 9 bytes of pixels, not 8"),
        (b"P5 0 2 65535\n", "a size of 2x0 pixels"),
        (b"P5 999999 999999 65535\n", "a size of 999999x999999 pixels"),
        (b"P5 99999999999 2 65535\n", "is empty, damaged, or no Netpbm"),
        (b"P5 2 1 65535\n\x08\xff\xff\x08", "has values over 2047"),
    ],
)
def test_disparity_file_that_cannot_be_used(tmp_path, data, message):
    (tmp_path / "d 北.pgm").write_bytes(data)
    with pytest.raises(DepthsiError, match=rf"d 北\.pgm.*{message}"):
        read_disparity(tmp_path / "d 北.pgm")


def test_picture_file_that_cannot_be_used(tmp_path):
    (tmp_path / "r.ppm").write_bytes(b"P6 2 2 255\n" + bytes(11))
    with pytest.raises(DepthsiError, match=r"r\.ppm is cut short: 11 bytes of pixels, not 12"):
        read_ppm(tmp_path / "r.ppm")
    with pytest.raises(DepthsiError, match=r"nowhere\.ppm cannot be opened"):
        read_ppm(tmp_path / "nowhere.ppm")


def test_time_stamps():
    assert timestamp("d-1294886360.208451-2996770081.pgm") == 1294886360.208451
    assert timestamp("r-1294886360.5-29.ppm") == 1294886360.5
    for name in ("d-1294886360-1.pgm", "d-.pgm", "a-1.5-2.dump", "d-1.5-2.pgm.gz", "d-x.5-2.pgm"):
        assert timestamp(name) is None


def test_pairs_are_nearest_in_time_and_shared_pictures_are_dropped():
    assert pair_nearest([1.0, 2.0, 3.0], [1.1, 1.9, 2.8]) == [(0, 0), (1, 1), (2, 2)]
    assert pair_nearest([1.0, 1.2, 5.0], [1.1, 4.0]) == [(2, 1)]
    assert pair_nearest([3.0, 1.0], [2.9, 1.2, 9.0]) == [(0, 0), (1, 1)]
    assert pair_nearest([2.0], [1.0, 3.0]) == [(0, 0)]
    assert pair_nearest([2.0], [3.0, 1.0]) == [(0, 1)]
    assert pair_nearest([1.0], []) == []
    rng = np.random.default_rng(6)
    for _ in range(50):
        depths, pictures = rng.uniform(0, 10, (2, 12)).tolist()
        gaps = np.abs(np.subtract.outer(depths, pictures))
        nearest = gaps.argmin(1)
        expected = [(i, j) for i, j in enumerate(nearest) if (nearest == j).sum() == 1]
        assert pair_nearest(depths, pictures) == expected


def write_scene(folder, count=2, seed=0):
    folder.mkdir(parents=True)
    for i in range(count):
        write_ppm(folder / f"r-{100 + i}.25-{i}.ppm", picture(seed + i))
        write_pgm(folder / f"d-{100 + i}.30-{i}.pgm", disparities(seed + i, 0.3))
    (folder / "a-100.1-7.dump").write_bytes(b"accelerometer")
    (folder / "INDEX.txt").write_text("whatever")


@pytest.mark.slow
def test_dump_is_prepared_and_read_back(tmp_path):
    root = tmp_path / "dump 北"
    write_scene(root / "basements" / "basement_0001a")
    write_scene(root / "cafe_0001", 1, seed=7)
    write_scene(root / "left_out", 1)
    (tmp_path / "scenes.txt").write_text("cafe_0001 test\n\nbasement_0001a  train\nabsent train\n")
    data = open_nyu_depth_v2_raw(root, tmp_path / "scenes.txt")
    directory = prepare(data, tmp_path / "out", report=list)
    train, test = PreparedSource(directory, "train"), PreparedSource(directory, "test")
    assert train.names == ("basement_0001a/d-100.30-0", "basement_0001a/d-101.30-1")
    assert (train.scenes, test.scenes) == (("basement_0001a",) * 2, ("cafe_0001",))
    for sample, seed in ((train[0], 0), (train[1], 1), (test[0], 7)):
        np.testing.assert_array_equal(sample.image, undistort_picture(picture(seed)))
        exact = project_disparity(disparities(seed, 0.3))
        np.testing.assert_array_equal(sample.depth > 0, exact > 0)
        assert np.abs(sample.depth - exact).max() < 1.01e-4  # half of 0.2 mm
    fewer = open_nyu_depth_v2_raw(root, val_scenes=1).frames
    assert {frame.split for frame in fewer} == {"train", "val"}


def test_file_without_time_stamp_is_a_bad_frame(tmp_path):
    write_scene(tmp_path / "cafe", 1)
    for name in ("r-lost.ppm", "d-lost.pgm"):
        (tmp_path / "cafe" / name).write_bytes(b"")
        data = open_nyu_depth_v2_raw(tmp_path)
        assert len(data.frames) == 2
        with pytest.raises(DepthsiError, match=rf"cafe/{name} has no time stamp in its name"):
            prepare(data, tmp_path / f"out {name}", report=list)
        (tmp_path / "cafe" / name).unlink()


def test_frame_of_another_size_is_named(tmp_path):
    write_scene(tmp_path / "cafe", 1)
    write_ppm(tmp_path / "cafe" / "r-100.25-0.ppm", picture()[:240])
    (frame,) = open_nyu_depth_v2_raw(tmp_path).frames
    with pytest.raises(DepthsiError, match=r"r-100\.25-0\.ppm has 240x640 pixels; the calibration"):
        frame.load()


def test_layouts_and_lists_that_cannot_be_used(tmp_path):
    with pytest.raises(DepthsiError, match=r"has no directory with d-\*\.pgm files"):
        open_nyu_depth_v2_raw(tmp_path)
    write_scene(tmp_path / "dump" / "a" / "cafe", 1)
    write_scene(tmp_path / "dump" / "b" / "cafe", 1)
    with pytest.raises(DepthsiError, match=r"Two scenes are called cafe: .*a/cafe and .*b/cafe"):
        open_nyu_depth_v2_raw(tmp_path / "dump")
    for text, message in [
        ("cafe dev\n", r"line 1: give a scene and one of train, val, test, not 'cafe dev'"),
        ("\ncafe\n", r"line 2: give a scene"),
        ("cafe train\ncafe test\n", r"line 2: scene cafe is in two splits"),
        ("office train\n", r"has no pair of image and depth in any listed scene"),
    ]:
        (tmp_path / "scenes.txt").write_text(text)
        with pytest.raises(DepthsiError, match=message):
            open_nyu_depth_v2_raw(tmp_path / "dump" / "a", tmp_path / "scenes.txt")
    with pytest.raises(DepthsiError, match=r"absent\.txt cannot be read"):
        open_nyu_depth_v2_raw(tmp_path / "dump" / "a", tmp_path / "absent.txt")
