"""Photos of other cameras: focal lengths, and one room seen through several of them."""

import functools
import math
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from test_predictor import names, network, photo, predictor, run_predict, saved_photo, weights
from test_windows import brightness

from depthsi import DepthsiError
from depthsi.camera import (
    Photo,
    check_focal,
    field_of_view,
    focal_from_35mm,
    focal_from_fov,
)
from depthsi.compilation import quick_jit
from depthsi.data.formats.exif import focal_35mm
from depthsi.data.formats.images import read_photo
from depthsi.geometry import FOCAL_LENGTHS, kitti, nyu
from depthsi.photos import as_photo, with_camera
from depthsi.rooms.scene import scene
from depthsi.rooms.source import room_key
from depthsi.rooms.trace import rays, trace
from depthsi.windows import as_training_camera, predict_depth, resampled_size

__all__ = ["network", "predictor", "weights"]  # fixtures
FOCAL = FOCAL_LENGTHS["nyu"]  # of the training camera, at 320 pixels


@functools.cache
def seen(size, focal):
    """Depth of one room through a camera, and a texture painted on its surfaces.

    The colour of a point depends on where it is in the room alone: all cameras see the same one.
    """

    def look(room):
        depth = trace(room, size).depth
        point = [room.eye[k] + depth * ray for k, ray in enumerate(rays(room, size))]
        waves = [127 + 100 * jnp.sin(6 * point[k] + 4 * point[k - 1]) for k in range(3)]
        return jnp.stack(waves, axis=-1), depth

    half_width = jnp.float32(size[1] / 2 / focal)
    colours, depth = quick_jit(look)(room()._replace(half_width=half_width))
    return np.asarray(colours).round().astype(np.uint8), np.asarray(depth)


@functools.cache
def room():
    return quick_jit(scene)(room_key(7, "test", 3))


CAMERAS = [
    ((240, 320), FOCAL),  # the training camera
    ((480, 640), 2 * FOCAL),  # the same view with more pixels
    ((480, 640), 0.9 * FOCAL),  # wide: 102 degrees
    ((600, 450), 1.5 * FOCAL),  # upright
    ((300, 400), 2.2 * FOCAL),  # narrow: fewer pixels than a window
    ((150, 700), 1.1 * FOCAL),  # less high than a window
]


@pytest.mark.parametrize(("size", "focal"), CAMERAS[2:5])  # each takes a tracer to be compiled
def test_a_resampled_photo_is_what_the_training_camera_would_see(size, focal):
    image, _ = seen(size, focal)
    found = as_training_camera(Photo(image, focal), nyu()).astype(float)
    expected, _ = seen(found.shape[:2], FOCAL)
    differences = np.abs(found - expected)
    assert np.median(differences) <= 2  # grey levels
    assert np.mean(differences > 12) < 0.06  # edges of things, and slanted walls far away


@pytest.mark.parametrize("wider", [1, 3])
def test_depth_does_not_depend_on_the_camera(wider):
    """Of three times the pixels, those whose rays are the same; inside of three times the view."""
    _, depth = seen((80, 106), FOCAL / 3)
    _, other = seen((240, 318), FOCAL if wider == 1 else FOCAL / 3)
    same = other[1::3, 1::3] if wider == 1 else other[80:160, 106:212]
    np.testing.assert_allclose(same, depth, rtol=2e-5)


@pytest.mark.parametrize(("size", "focal"), CAMERAS)
def test_every_pixel_of_any_camera_gets_the_depth_of_its_place(size, focal):
    """By a network that reads log depth from the red channel: the whole photo, nothing shifted."""
    rows, cols = np.mgrid[: size[0], : size[1]]
    log_depth = 0.5 + 0.4 * np.sin(rows / size[0] * 5) + 0.5 * np.cos(cols / size[1] * 4)
    red = (100 * log_depth).clip(0, 255).round().astype(np.uint8)
    image = np.stack([red, red, red], axis=-1)
    depth = predict_depth(brightness(nyu()), Photo(image, focal), nyu())
    assert depth.shape == size
    inner = np.s_[size[0] // 24 : -size[0] // 24, size[1] // 24 : -size[1] // 24]
    np.testing.assert_allclose(np.log(depth)[inner], red[inner] / 100, atol=0.045)
    assert np.all(np.isfinite(depth))


STRIPE, DISTANCE = 0.1, 2.0  # metres


def stripes(size, focal):
    """A wall across the view with upright stripes, some of which are at each pixel."""
    across = (np.arange(size[1]) + 0.5 - size[1] / 2) / focal * DISTANCE
    grey = 127 + 100 * np.sin(2 * np.pi * across / STRIPE)
    return np.broadcast_to(grey[None, :, None], (*size, 3)).astype(np.uint8)


def by_stripes(image):
    """Stands for a network trained with one camera: it knows how wide a stripe is."""
    found = []
    for window in np.asarray(image):
        crossings = np.flatnonzero(np.diff(np.signbit(window[114, 64:240, 0] - 127)))
        pixels = 2 * np.mean(np.diff(crossings[1:-1])) if window.any() else 1.0
        found.append(np.full(nyu().output, np.log(FOCAL * STRIPE / pixels), np.float32))
    return np.stack(found)


@pytest.mark.parametrize(("size", "focal"), CAMERAS)
def test_metres_need_the_focal_length(size, focal):
    image = stripes(size, focal)
    known = predict_depth(by_stripes, Photo(image, focal), nyu())
    np.testing.assert_allclose(known, DISTANCE, rtol=0.02)
    assumed = predict_depth(by_stripes, image, nyu())
    wrong = nyu().focal_length(size) / focal
    np.testing.assert_allclose(assumed, DISTANCE * wrong, rtol=0.02)


def test_a_map_of_a_narrow_view_on_kitti_has_the_rows_of_the_fine_network():
    def constant(image):
        return np.full((len(image), 27, 142), np.log(20.0), np.float32)

    image = np.zeros((172, 300, 3), np.uint8)
    depth = predict_depth(constant, Photo(image, FOCAL_LENGTHS["kitti"]), kitti())
    assert np.all(np.isnan(depth[:56]))
    np.testing.assert_allclose(depth[56:], 20, rtol=1e-5)


def test_focal_lengths_by_hand():
    assert focal_from_fov(60, 1000) == pytest.approx(500 * math.sqrt(3))
    assert field_of_view(500 * math.sqrt(3), 1000) == pytest.approx(60)
    # full frame: 50 mm on 36 mm of width
    assert focal_from_35mm(50, (4000, 6000)) == pytest.approx(50 / 36 * 6000)
    # a phone of 4:3 with "26 mm": its diagonal sees what 43.27 mm see at 26 mm
    focal = focal_from_35mm(26, (3024, 4032))
    assert focal is not None
    assert math.atan(2520 / focal) == pytest.approx(math.atan(21.633 / 26), rel=1e-4)
    assert focal_from_35mm(None, (10, 10)) is focal_from_35mm(0, (10, 10)) is None
    assert focal_from_35mm(60_000, (10, 10)) is focal_from_35mm(1, (10, 10)) is None


@pytest.mark.parametrize("degrees", [0, -5, 0.5, 161, 180, math.nan, math.inf])
def test_angles_of_no_camera_are_refused(degrees):
    with pytest.raises(DepthsiError, match="give one from 1 to 160"):
        focal_from_fov(degrees, 640)


@pytest.mark.parametrize("focal", [0, -5, 56, 36669, math.nan, math.inf])
def test_focal_lengths_of_no_camera_are_refused(focal):
    with pytest.raises(DepthsiError, match="give one from 57 to 36668"):
        check_focal(focal, 640)
    check_focal(57, 640)
    check_focal(36668, 640)


def test_a_photo_that_would_grow_too_large_is_refused():
    with pytest.raises(DepthsiError, match="too wide an angle"):
        resampled_size((20_000, 20), focal_from_fov(159, 20), nyu())


def exif_block(order, value, kind=3, count=1):
    """EXIF whose camera part has the focal length for 35 mm film."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    pointer = struct.pack(order + "IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0)
    packed = struct.pack(order + ("HH" if kind == 3 else "I"), *([value, 0][: 5 - kind]))
    entry = struct.pack(order + "HHHI", 1, 0xA405, kind, count) + packed
    return start + pointer + entry


def test_exif_of_either_byte_order_has_the_focal_length():
    for order in "<>":
        assert focal_35mm(exif_block(order, 26)) == 26
        assert focal_35mm(b"Exif\0\0" + exif_block(order, 26)) == 26
        assert focal_35mm(exif_block(order, 0)) is None
        assert focal_35mm(exif_block(order, 26, kind=4)) is None
        assert focal_35mm(exif_block(order, 26, count=2)) is None
        for length in range(len(exif_block(order, 26))):
            assert focal_35mm(exif_block(order, 26)[:length]) is None
    assert focal_35mm(b"") is focal_35mm(b"II*\0\xff\xff\xff\xff") is None


def with_exif(path, image, millimetres, orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = millimetres
    Image.fromarray(image).save(path, exif=exif)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_focal_length_is_read_from_a_photo(tmp_path, name, orientation):
    with_exif(tmp_path / name, photo(60, 80), 30, orientation)
    expected = 30 * 100 / math.hypot(36, 24)  # pixels, by the diagonals; upright or not
    read = read_photo(tmp_path / name)
    assert read.focal == pytest.approx(expected)
    assert read.image.shape == ((60, 80, 3) if orientation == 1 else (80, 60, 3))
    with Image.open(tmp_path / name) as image:
        assert as_photo(image).focal == pytest.approx(expected)
    assert as_photo(read.image).focal is None
    saved_photo(tmp_path / name, photo())
    assert read_photo(tmp_path / name).focal is None


def test_what_is_given_goes_before_exif():
    image = photo(60, 80)
    assert with_camera(Photo(image, 70.0), None, None).focal == 70
    assert with_camera(Photo(image, 70.0), 50, None).focal == 50
    assert with_camera(Photo(image, 70.0), None, 90).focal == pytest.approx(40)
    assert with_camera(Photo(image, 70.0), None, None, "training").focal is None
    assert with_camera(Photo(image, 70.0), 50, None, "training").focal == 50
    with pytest.raises(DepthsiError, match="not both"):
        with_camera(Photo(image), 50, 60)


def test_a_predictor_takes_the_camera_in_each_way(predictor, tmp_path):
    image = photo(90, 120)
    with_exif(tmp_path / "a.png", image, 24)
    focal = 24 * 150 / math.hypot(36, 24)
    expected, assumed = predictor(image, focal=focal), predictor(image)
    assert not np.allclose(expected, assumed, rtol=1e-3)
    for found in (
        predictor(tmp_path / "a.png"),
        predictor(image, fov=field_of_view(focal, 120)),
        predictor(Photo(image, focal)),
        predictor.batch([image, image], focal=focal)[1],
        next(predictor.stream([tmp_path / "a.png"])),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(predictor(tmp_path / "a.png", camera="training"), assumed, rtol=1e-5)


def test_the_command_uses_the_camera_and_says_once_that_it_is_unknown(
    weights, tmp_path, capsys, predictor
):
    image = photo(90, 120)
    for name in ("b.png", "c.png"):
        saved_photo(tmp_path / name, image)
    with_exif(tmp_path / "a.png", image, 24)
    words = (weights, tmp_path, "--out", tmp_path, "--save", "npy,ply")
    assert run_predict(*words) == 0
    said = capsys.readouterr().err
    assert said.count("is unknown") == said.count("b.png") == 1
    focal = 24 * 150 / math.hypot(36, 24)
    expected, assumed = predictor(image, focal=focal), predictor(image)
    np.testing.assert_allclose(np.load(tmp_path / "a_depth.npy"), expected, rtol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "c_depth.npy"), assumed, rtol=1e-5)
    body = (tmp_path / "a_points.ply").read_bytes().partition(b"end_header\n")[2]
    x, _, z = np.frombuffer(body[:12], "<f4")
    assert x / z == pytest.approx(-59.5 / focal, rel=1e-5)

    assert run_predict(*words, "--fov", field_of_view(focal, 120)) == 0
    np.testing.assert_allclose(np.load(tmp_path / "c_depth.npy"), expected, rtol=1e-5)
    assert run_predict(*words, "--camera", "training") == 0
    np.testing.assert_allclose(np.load(tmp_path / "a_depth.npy"), assumed, rtol=1e-5)
    assert "unknown" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--focal", "70", "--fov", "60"), 2, "--focal and --fov say the same"),
        (("--focal", "-3"), 2, "--focal -3 must be a positive number"),
        (("--fov", "190"), 2, "--fov: A horizontal field of view of 190 degrees"),
        (("--focal", "5"), 1, "a.png: A focal length of 5 pixels"),
    ],
)
def test_a_mistake_about_the_camera_is_a_sentence(weights, tmp_path, capsys, words, code, said):
    saved_photo(tmp_path / "a.png", photo())
    assert run_predict(weights, tmp_path / "a.png", "--out", tmp_path / "out", *words) == code
    assert said in capsys.readouterr().err
    assert names(tmp_path) == ["a.png"]
