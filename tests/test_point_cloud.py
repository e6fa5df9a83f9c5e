"""Points in space: read back with a parser of their own, projected back to the pixels."""

import base64
import inspect
import json
import re
import struct

import numpy as np
import pytest

from depthsi.geometry import kitti, nyu
from depthsi.viz.point_cloud import point_cloud, write_ply
from depthsi.viz.viewer import MOST_POINTS, write_viewer

RNG = np.random.default_rng(0)


def picture(height, width):
    depth = RNG.uniform(0.5, 10, (height, width)).astype(np.float32)
    return depth, RNG.integers(0, 256, (height, width, 3), np.uint8)


def read_ply(path):
    """Positions and colours, value by value as the header describes them."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    (count,) = (int(line.split()[2]) for line in lines if line.startswith("element vertex "))
    fields = [line.split()[1:] for line in lines if line.startswith("property ")]
    assert [name for _, name in fields] == ["x", "y", "z", "red", "green", "blue"]
    layout = "<" + "".join({"float": "f", "uchar": "B"}[kind] for kind, _ in fields)
    assert len(body) == count * struct.calcsize(layout)
    values = np.array(list(struct.iter_unpack(layout, body))).reshape(count, 6)
    return values[:, :3], values[:, 3:]


def project(positions, focal, centre):
    """Rows and columns of points, by the pinhole camera in float64."""
    x, y, z = np.asarray(positions, np.float64).T
    return focal * y / z + centre[0], focal * x / z + centre[1]


@pytest.mark.parametrize("centre", [None, (3.25, 20.5)])
def test_a_ply_file_projects_back_to_the_pixels(centre, tmp_path):
    depth, image = picture(9, 13)
    depth[2, 3] = depth[8, 12] = np.nan
    depth[0, 0] = np.inf
    write_ply(tmp_path / "a.ply", point_cloud(depth, image, 17.5, centre))
    positions, colours = read_ply(tmp_path / "a.ply")
    known = np.isfinite(depth)
    assert len(positions) == known.sum() == 9 * 13 - 3
    rows, cols = project(positions, 17.5, centre or (4, 6))
    np.testing.assert_allclose(rows, np.nonzero(known)[0], atol=1e-4)
    np.testing.assert_allclose(cols, np.nonzero(known)[1], atol=1e-4)
    np.testing.assert_array_equal(positions[:, 2], depth[known])
    np.testing.assert_array_equal(colours, image[known])


def test_right_is_x_down_is_y_and_away_is_z():
    depth = np.full((3, 3), 2.0)
    points = point_cloud(depth, np.zeros((3, 3, 3), np.uint8), 4.0).positions.reshape(3, 3, 3)
    np.testing.assert_array_equal(points[1, 1], (0, 0, 2))
    right, down = points[1, 2] - points[1, 1], points[2, 1] - points[1, 1]
    np.testing.assert_array_equal(right, (0.5, 0, 0))
    np.testing.assert_array_equal(down, (0, 0.5, 0))
    assert np.cross(right, down)[2] > 0  # right-handed: away from the camera


def test_a_plane_stays_a_plane():
    """n . (x, y, z) = 1 seen by a camera, whose depth is 1 / n . (ray)."""
    normal, focal, (height, width) = np.array([0.1, -0.15, 0.3]), 25.0, (24, 32)
    rows, cols = np.mgrid[:height, :width]
    rays = np.stack([(cols - 15.5) / focal, (rows - 11.5) / focal, np.ones((height, width))], -1)
    depth = (1 / (rays @ normal)).astype(np.float32)
    assert depth.min() > 0
    cloud = point_cloud(depth, np.zeros((height, width, 3), np.uint8), focal)
    np.testing.assert_allclose(cloud.positions @ normal, 1, rtol=1e-5)


def test_focal_lengths_are_those_of_the_cameras():
    assert nyu().focal_length((480, 640)) == pytest.approx(518.8579)
    assert nyu().focal_length((240, 320)) == pytest.approx(518.8579 / 2)
    assert nyu().focal_length((480, 900)) == pytest.approx(518.8579)  # wider, of the same scale
    assert kitti().focal_length((375, 1242)) == pytest.approx(721.5377)
    assert kitti("B").focal_length((184, 612)) == pytest.approx(721.5377 * 612 / 1242)


def test_what_has_no_points_is_an_empty_file(tmp_path):
    depth, image = np.full((4, 5), np.nan), np.zeros((4, 5, 3), np.uint8)
    write_ply(tmp_path / "a.ply", point_cloud(depth, image, 1.0))
    assert read_ply(tmp_path / "a.ply")[0].shape == (0, 3)
    write_viewer(tmp_path / "a.html", depth, image, 1.0, "empty")
    assert read_viewer(tmp_path / "a.html")[1].shape == (0, 3)


@pytest.mark.parametrize(("size", "focal"), [((4, 6), 1.0), ((4, 5), 0.0), ((4, 5), np.nan)])
def test_misuse_is_refused(size, focal):
    unchecked = inspect.unwrap(point_cloud)  # without the type checks of tests
    with pytest.raises(ValueError, match="must"):
        unchecked(np.ones((4, 5)), np.zeros((*size, 3), np.uint8), focal)


def test_the_example_runs():
    import doctest

    found = doctest.DocTestParser().get_doctest(
        inspect.getdoc(point_cloud) or "", {"point_cloud": point_cloud}, "point_cloud", None, None
    )
    assert found.examples
    assert doctest.DocTestRunner().run(found).failed == 0


def read_viewer(path):
    """What is in a page: the JSON about it, positions and colours."""
    page = path.read_text("utf-8")

    def text(name):
        return re.findall(rf'<script type="[^"]*" id="{name}">([^<]*)</script>', page)[0]

    positions = np.frombuffer(base64.b64decode(text("positions"), validate=True), "<f4")
    colours = np.frombuffer(base64.b64decode(text("colours"), validate=True), np.uint8)
    return json.loads(text("about")), positions.reshape(-1, 3), colours.reshape(-1, 3)


def test_a_page_has_all_points_of_a_small_image(tmp_path):
    depth, image = picture(12, 16)
    depth[3, 4] = np.nan
    write_viewer(tmp_path / "a.html", depth, image, 20.0, "a")
    about, positions, colours = read_viewer(tmp_path / "a.html")
    cloud = point_cloud(depth, image, 20.0)
    np.testing.assert_array_equal(positions, cloud.positions)
    np.testing.assert_array_equal(colours, cloud.colours)
    assert about["spacing"] == 1 / 20
    assert about["pivot"] == pytest.approx(np.nanmedian(depth))


@pytest.mark.parametrize("size", [(480, 640), (1000, 152), (2, 300_001)])
def test_a_page_of_a_large_image_has_every_nth_pixel(size, tmp_path):
    depth, image = picture(*size)
    write_viewer(tmp_path / "a.html", depth, image, 500.0, "a")
    about, positions, colours = read_viewer(tmp_path / "a.html")
    assert MOST_POINTS / 4 < len(positions) <= MOST_POINTS
    rows, cols = project(positions, 500.0, ((size[0] - 1) / 2, (size[1] - 1) / 2))
    step = about["spacing"] * 500
    assert step == pytest.approx(round(step))
    at = np.round(rows).astype(int), np.round(cols).astype(int)
    np.testing.assert_allclose(rows, at[0], atol=0.02)
    np.testing.assert_allclose(cols, at[1], atol=0.05)
    np.testing.assert_array_equal(colours, image[at])
    np.testing.assert_array_equal(positions[:, 2], depth[at])


def test_a_page_needs_nothing_else_and_trusts_no_name(tmp_path):
    depth, image = picture(4, 4)
    name = '</title><script>alert("{{ABOUT}}")</script>'
    write_viewer(tmp_path / "a.html", depth, image, 5.0, name)
    page = (tmp_path / "a.html").read_text("utf-8")
    assert "alert(&quot;{{ABOUT}}&quot;)" in page
    assert not re.search(r"https?:|src=|@import|<link(?! rel=\"icon\" href=\"data:,\")", page)
    assert "default-src 'none'" in page
    assert not re.search(r"(?<!&quot;)\{\{\w+\}\}", page)
