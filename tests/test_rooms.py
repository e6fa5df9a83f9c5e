"""Procedural rooms: depth against a float64 ray caster that works face by face, not by slabs."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.data.samples import Source, validate_sample
from depthsi.errors import DepthsiError
from depthsi.rooms import scene as room_scene
from depthsi.rooms import shade as room_shade
from depthsi.rooms import source as rooms
from depthsi.rooms import texture as room_texture
from depthsi.rooms import trace as room_trace

SMALL = (60, 80)
MANY = 64


@functools.cache
def _scenes():
    """MANY scenes as one stacked `Scene`."""
    return jax.jit(jax.vmap(room_scene.scene))(_keys())


def _keys():
    return jax.vmap(lambda i: rooms.room_key(0, "train", i))(jnp.arange(MANY))


def _scene(i):
    return jax.tree.map(lambda x: x[i], _host_scenes())


@functools.cache
def _host_scenes():
    return jax.tree.map(np.asarray, _scenes())


@functools.cache
def _trace():
    return jax.jit(functools.partial(room_trace.trace, size=SMALL))


@functools.cache
def _shade():
    return jax.jit(room_shade.shade)


@functools.cache
def _rooms(low=1.0, high=1.0):
    """Images and depths of the MANY scenes."""
    return rooms.RoomsSource("train", MANY, 0, (low, high)).arrays()


# --- an independent ray caster ---------------------------------------------------------------


def _exact(x) -> np.ndarray:
    return np.asarray(x, np.float64)


def _directions(scene, size):
    """Unit ray directions (pixels, 3), from the pinhole camera: focal length in pixels."""
    height, width = size
    focal = width / 2 / float(scene.half_width)
    right, down, forward = _exact(scene.axes)
    out = []
    for i in range(height):
        for j in range(width):
            x, y = (j - (width - 1) / 2) / focal, (i - (height - 1) / 2) / focal
            v = x * right + y * down + forward
            out.append(v / np.linalg.norm(v))
    return np.array(out)


def _face(eye, d, corner, a, b):
    """Distance to the parallelogram corner + s a + t b, 0 <= s, t <= 1; inf = missed."""
    normal = np.cross(a, b)
    if not np.linalg.norm(normal):
        return np.full(len(d), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = normal @ (corner - eye) / (d @ normal)
        p = eye + t[:, None] * d - corner
        s, r = np.linalg.lstsq(np.stack([a, b], 1), np.nan_to_num(p, posinf=0, neginf=0).T)[0]
        hit = (t > 0) & (s >= 0) & (s <= 1) & (r >= 0) & (r <= 1)
    return np.where(hit, t, np.inf)


def _box_faces(low, high, pose=(0, 0, 1, 0)):
    """Six parallelograms of a box turned and moved by a pose, in the order -x +x -y +y -z +z."""
    x, y, cos, sin = pose
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    edge = np.diag(high - low)
    for k in range(3):
        for side in (0, 1):
            corner = low + side * edge[k]
            a, b = edge[(k + 1) % 3], edge[(k + 2) % 3]
            yield turn @ corner + (x, y, 0), turn @ a, turn @ b


def _ball(eye, d, centre, radius):
    b = d @ (centre - eye)
    inside = b**2 - (centre - eye) @ (centre - eye) + radius**2
    t = b - np.sqrt(np.maximum(inside, 0))
    return np.where((inside > 0) & (t > 0), t, np.inf)


def _tube(eye, d, x, y, low, high, radius):
    ex, ey = eye[0] - x, eye[1] - y
    a, b, c = d[:, 0] ** 2 + d[:, 1] ** 2, ex * d[:, 0] + ey * d[:, 1], ex**2 + ey**2 - radius**2
    with np.errstate(invalid="ignore"):
        side = (-b - np.sqrt(b**2 - a * c)) / a
    z = eye[2] + side * d[:, 2]
    best = np.where((side > 0) & (z > low) & (z < high), side, np.inf)
    for lid in (low, high):
        t = (lid - eye[2]) / d[:, 2]
        off = (ex + t * d[:, 0]) ** 2 + (ey + t * d[:, 1]) ** 2
        best = np.minimum(best, np.where((t > 0) & (off < radius**2), t, np.inf))
    return best


def _hole_depth(scene, k, eye, d):
    """Distance through hole k (inf = the ray misses it): its sides, window bars, what is behind."""
    low, high = _exact(scene.passage[k])
    axis = int(scene.hole_axis[k])
    out = np.full(len(d), np.inf)
    if np.any(high <= low):
        return out
    outwards = 1 if abs(low[axis] - scene.room[axis]) < 1e-4 else 0
    faces = list(_box_faces(low, high))
    mouth = _face(eye, d, *faces[2 * axis + 1 - outwards])
    end = _face(eye, d, *faces[2 * axis + outwards])
    sides = [_face(eye, d, *f) for n, f in enumerate(faces) if n // 2 != axis]
    behind = np.array([_face(eye, d, *f) for f in _box_faces(*_exact(scene.beyond[k]))])
    behind = np.max(behind, axis=0, where=np.isfinite(behind), initial=0)  # where the ray leaves it
    p = eye + np.where(np.isfinite(end), end, 0)[:, None] * d
    u, z, n = p[:, 1 - axis], p[:, 2], 1 - axis
    bars = (u < low[n] + 0.04) | (u > high[n] - 0.04) | (z < low[2] + 0.04) | (z > high[2] - 0.04)
    bars |= abs(u - (low[n] + high[n]) / 2) < 0.02
    bars |= abs(z - (low[2] + high[2]) / 2) < 0.02
    blocked = bars & bool(scene.window[k])
    through = np.where(np.isfinite(end), np.where(blocked, end, behind), np.min(sides, axis=0))
    return np.where(np.isfinite(mouth), through, out)


def _reference(scene, size):
    """Depth (H, W) of a scene in float64."""
    eye, d = _exact(scene.eye), _directions(scene, size)
    walls = [_face(eye, d, *f) for f in _box_faces(np.zeros(3), _exact(scene.room))]
    best = np.min(walls, axis=0)
    for k in range(2):
        through = _hole_depth(scene, k, eye, d)
        best = np.where(np.isfinite(through), through, best)
    for pose, group in zip(_exact(scene.pose), _exact(scene.boxes), strict=True):
        for low, high in group:
            for face in _box_faces(low, high, pose):
                best = np.minimum(best, _face(eye, d, *face))
    for x, y, z, radius in _exact(scene.sphere):
        best = np.minimum(best, _ball(eye, d, np.array([x, y, z]), radius))
    for cylinder in _exact(scene.cylinder):
        best = np.minimum(best, _tube(eye, d, *cylinder))
    return (best * (d @ _exact(scene.axes[2]))).reshape(size)


def _plain():
    """An empty 4 x 5 x 2.5 m room seen straight ahead from (2, 0.5, 1.25); f = W."""
    scene = _scene(0)
    nothing = jax.tree.map(np.zeros_like, scene)
    return scene._replace(
        eye=np.array([2.0, 0.5, 1.25], np.float32),
        axes=np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32),
        half_width=np.float32(0.5),
        room=np.array([4.0, 5.0, 2.5], np.float32),
        passage=nothing.passage,
        beyond=nothing.beyond,
        pose=nothing.pose + np.array([[0, 0, 1, 0]], np.float32),
        boxes=nothing.boxes,
        sphere=nothing.sphere,
        cylinder=nothing.cylinder,
    )


# --- geometry --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_far_wall_has_one_depth():
    # Camera z, not the length of the ray: the wall 4.5 m ahead is 4.5 m everywhere.
    hits = _trace()(_plain())
    depth, surface = np.asarray(hits.depth), np.asarray(hits.surface)
    wall = (surface == room_scene.WALL_Y) | (surface == room_scene.TRIM)
    wall &= np.asarray(hits.face) == 1
    assert wall.sum() > 1000
    np.testing.assert_allclose(depth[wall], 4.5, rtol=1e-6)
    floor = surface == room_scene.FLOOR
    rows = np.broadcast_to(np.arange(60)[:, None], (60, 80))
    # 1.25 m below the eye, f = 80 pixels, centre row at 29.5.
    np.testing.assert_allclose(depth[floor], 1.25 * 80 / (rows[floor] - 29.5), rtol=1e-5)


@pytest.mark.slow
def test_primitives_stand_where_they_were_put():
    scene = _plain()
    scene.boxes[0, 0] = [[-0.25, -0.25, 0], [0.25, 0.25, 1.0]]
    scene.pose[0] = [1.2, 2.75, 1, 0]
    scene.sphere[0] = [2.0, 3.0, 1.25, 0.5]
    scene.cylinder[0] = [2.8, 2.5, 0.0, 2.0, 0.25]
    hits = _trace()(scene)
    depth, surface = np.asarray(hits.depth), np.asarray(hits.surface)
    first_round = room_scene.BOX + 8 * 6
    # x = 0.95..1.45 and z = 1.0 on a front face 2 m ahead: f (x - 2) / 2 + 39.5.
    box = np.argwhere((surface == room_scene.BOX) & (np.asarray(hits.face) == 1))
    columns = [80 * (x - 2.0) / 2.0 + 39.5 for x in (0.95, 1.45)]
    assert box[:, 1].min() == max(0, np.ceil(columns[0]))
    assert box[:, 1].max() == np.floor(columns[1])
    assert box[:, 0].min() == np.ceil(80 * 0.25 / 2.0 + 29.5)
    np.testing.assert_allclose(depth[tuple(box.T)], 2.0, rtol=1e-6)
    ball = surface == first_round
    assert ball[29, 39]
    assert depth[ball].min() == pytest.approx(2.0, rel=1e-3)  # 2.5 m to the centre, radius 0.5
    # The outline: half angle asin(0.5 / 2.5), as tangent 0.2041, so 16.3 pixels each way.
    assert np.ptp(np.argwhere(ball)[:, 1]) + 1 == 32
    tube = surface == first_round + 3
    assert depth[tube & (np.asarray(hits.face) == room_trace.CURVED)].min() == pytest.approx(
        1.75, rel=2e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("i", range(12))
def test_depth_equals_an_independent_ray_caster(i):
    scene = _scene(i)
    depth = np.asarray(_trace()(scene).depth)
    reference = _reference(scene, SMALL)
    off = abs(depth - reference) > 1e-4 * reference
    # A ray along an edge may fall to either side of it.
    assert off.mean() < 2e-3, f"{off.sum()} pixels differ"


def test_the_comparison_covers_every_kind_of_surface():
    codes = np.concatenate([np.unique(np.asarray(_trace()(_scene(i)).surface)) for i in range(12)])
    seen = set(codes.tolist())
    shell = {room_scene.FLOOR, room_scene.CEILING, room_scene.WALL_X, room_scene.WALL_Y}
    first_round = room_scene.BOX + 8 * 6
    assert shell | {room_scene.TRIM} <= seen
    assert sum(room_scene.BEYOND <= c < room_scene.BOX for c in seen) >= 4
    assert sum(room_scene.BOX <= c < first_round for c in seen) > 30
    assert set(range(first_round, first_round + 7)) <= seen


@pytest.mark.parametrize("i", range(4))
def test_back_projected_points_lie_on_their_surfaces(i):
    scene, size = _scene(i), SMALL
    hits = jax.tree.map(np.asarray, _trace()(scene))
    d = _directions(scene, size)
    ahead = d @ _exact(scene.axes[2])
    p = scene.eye + (hits.depth.reshape(-1) / ahead)[:, None] * d
    surface, face = hits.surface.reshape(-1), hits.face.reshape(-1)
    first_round = room_scene.BOX + 8 * 6
    for n, (x, y, z, r) in enumerate(scene.sphere):
        on = surface == first_round + n
        np.testing.assert_allclose(np.linalg.norm(p[on] - (x, y, z), axis=1), r, atol=2e-5)
    for n, (x, y, low, high, r) in enumerate(scene.cylinder):
        on = (surface == first_round + 3 + n) & (face == room_trace.CURVED)
        np.testing.assert_allclose(np.hypot(*(p[on, :2] - (x, y)).T), r, atol=2e-5)
        lid = p[(surface == first_round + 3 + n) & (face == 2), 2]
        assert np.all(np.minimum(abs(lid - low), abs(lid - high)) < 2e-5)
    for n in np.unique(surface[(surface >= room_scene.BOX) & (surface < first_round)]):
        g, b = divmod(n - room_scene.BOX, 6)
        x, y, cos, sin = scene.pose[g]
        q = (p[surface == n] - (x, y, 0)) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        gap = np.minimum(abs(q - scene.boxes[g, b, 0]), abs(q - scene.boxes[g, b, 1]))
        assert np.all(gap[np.arange(len(q)), face[surface == n]] < 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("height", [0.85, 0.3])  # of the light: over the furniture, among it
def test_shadows_equal_marching_along_the_ray(height):
    scene = jax.tree.map(lambda x: x[3], _scenes())
    target = scene.room * jnp.array([0.5, 0.6, height])
    rng = np.random.default_rng(0)
    points = rng.uniform(0.05, 0.95, (200, 3)) * np.asarray(scene.room) * (1, 1, 0.5)
    see = jax.jit(functools.partial(room_trace.visible, spheres=1, cylinders=3))
    clear = see(scene, tuple(jnp.asarray(points.T, jnp.float32)), target)
    scene = _scene(3)
    steps = np.linspace(0, 1, 2000)[None, :, None]
    path = points[:, None] + steps * (_exact(target) - points[:, None])
    blocked = np.zeros(path.shape[:2], bool)
    for (x, y, cos, sin), group in zip(scene.pose, scene.boxes, strict=True):
        q = (path - (x, y, 0)) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
        for low, high in group:
            blocked |= np.all((q > low) & (q < high), axis=-1)
    for x, y, z, r in scene.sphere[1:]:
        blocked |= np.linalg.norm(path - (x, y, z), axis=-1) < r
    for x, y, low, high, r in scene.cylinder[:3]:
        blocked |= (np.hypot(path[..., 0] - x, path[..., 1] - y) < r) & (
            (path[..., 2] > low) & (path[..., 2] < high)
        )
    expected = np.logical_not(np.any(blocked, axis=1))
    # Points inside a thing are nobody's business: no surface lies there.
    outside = np.logical_not(blocked[:, 0])
    assert 0.1 < expected[outside].mean() < 0.99
    assert np.mean(np.asarray(clear)[outside] != expected[outside]) < 0.01


def test_furniture_stands_in_the_room_and_not_in_other_furniture():
    scenes = jax.tree.map(np.asarray, _scenes())
    present = 0
    for i in range(MANY):
        rectangles = []
        for (x, y, cos, sin), group in zip(scenes.pose[i, :-1], scenes.boxes[i, :-1], strict=True):
            if not group.any():
                continue
            low, high = group[:, 0].min(0), group[:, 1].max(0)
            corners = np.array([(a, b) for a in (low[0], high[0]) for b in (low[1], high[1])])
            world = corners @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
            rectangles.append((world.min(0), world.max(0)))
            assert np.all(world > -1e-4)
            assert np.all(world < scenes.room[i, :2] + 1e-4)
            near = np.clip(scenes.eye[i, :2], world.min(0), world.max(0)) - scenes.eye[i, :2]
            assert np.abs(near).max() > 0.6
        present += len(rectangles)
        for n, (low, high) in enumerate(rectangles):
            for other_low, other_high in rectangles[:n]:
                assert np.any((low > other_high - 1e-4) | (other_low > high - 1e-4))
    assert present > 4 * MANY


# --- images --------------------------------------------------------------------------------


@pytest.mark.slow
def test_images_and_depths_are_plausible():
    image, depth = _rooms()
    assert image.dtype == np.uint8
    assert depth.dtype == np.float32
    assert image.shape == (MANY, 240, 320, 3)
    assert np.isfinite(depth).all()
    assert depth.min() > 0.4
    assert depth.max() < 30
    low, median, high = np.quantile(depth.reshape(MANY, -1), [0.05, 0.5, 0.95], axis=1)
    assert 1 < low.mean() < 2
    assert 2 < median.mean() < 3.5
    assert 4 < high.mean() < 7.5
    grey = image.mean(-1)
    assert np.all((grey.mean((1, 2)) > 60) & (grey.mean((1, 2)) < 170))
    assert grey.std((1, 2)).min() > 15
    logs = np.log(depth)
    error = logs - logs.mean(0)  # of predicting the mean log depth map
    assert 0.25 < np.sqrt(error.var((1, 2)).mean()) < 0.4


@pytest.mark.slow
def test_a_picture_shows_light_and_texture():
    # The same room with its lamp off and daylight gone is flatter; another seed changes texture.
    scene = _scene(1)
    hits = _trace()(scene)
    shade = _shade()
    lit = np.asarray(shade(scene, hits)).astype(int)
    off = scene._replace(lamp_colour=0 * scene.lamp_colour, window_colour=0 * scene.window_colour)
    dark = np.asarray(shade(off, hits)).astype(int)
    assert abs(lit - dark).mean() > 5
    other = scene._replace(
        response=scene.response._replace(seed=scene.response.seed + np.uint32(1))
    )
    assert 0.5 < abs(lit - np.asarray(shade(other, hits)).astype(int)).mean() < 40


@pytest.mark.slow
def test_exposure_and_noise_follow_the_look():
    scene = _scene(2)
    hits = _trace()(scene)
    shade = _shade()
    response = scene.response._replace(noise=np.float32(0), exposure=np.float32(0.3))
    dark = np.asarray(shade(scene._replace(response=response), hits)).astype(float)
    bright = np.asarray(
        shade(scene._replace(response=response._replace(exposure=np.float32(0.6))), hits)
    ).astype(float)
    assert bright.mean() > 1.4 * dark.mean()
    noisy = shade(scene._replace(response=response._replace(noise=np.float32(2))), hits)
    residual = (np.asarray(noisy) - dark)[(dark > 20) & (dark < 235)]
    # 2 grey levels, plus what rounding twice adds.
    assert residual.std() == pytest.approx(np.sqrt(4 + 1 / 6), rel=0.05)
    assert abs(residual.mean()) < 0.1


@pytest.mark.slow
def test_hashed_numbers_are_uniform_and_differ_by_seed():
    i, j = jnp.meshgrid(jnp.arange(-50, 50), jnp.arange(-50, 50))
    a = np.asarray(room_texture.hashed(i, j, jnp.uint32(7)))
    b = np.asarray(room_texture.hashed(i, j, jnp.uint32(8)))
    assert a.min() >= 0
    assert a.max() < 1
    counts = np.histogram(a, 20, (0, 1))[0]
    assert ((counts - 500) ** 2 / 500).sum() < 45  # chi square, 19 degrees of freedom
    for x, y in ((a, b), (a[1:], a[:-1]), (a[:, 1:], a[:, :-1])):
        assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 0.04


# --- streams and source ----------------------------------------------------------------------


def _alike(a, b):
    """Same image and depth up to rounding; a ray along an edge may fall to either side."""
    (image, depth), (other, other_depth) = a, b
    grey = abs(np.asarray(image, int) - np.asarray(other, int)).max(-1)
    gap = abs(np.asarray(depth) - np.asarray(other_depth)) / np.asarray(depth)
    return np.mean(grey > 2) < 0.01 and np.mean(gap > 1e-4) < 0.005


@pytest.mark.slow
def test_eager_and_jitted_rooms_agree():
    scene = jax.tree.map(lambda x: x[5], _scenes())
    hits, jitted = room_trace.trace(scene, SMALL), _trace()(scene)
    image = room_shade.shade(scene, hits)
    assert image.dtype == jnp.uint8
    assert hits.depth.dtype == jnp.float32
    assert _alike((image, hits.depth), (_shade()(scene, jitted), jitted.depth))


@pytest.mark.slow
def test_batched_rooms_equal_single_ones():
    # The source renders scene after scene; here two side by side.
    image, depth = jax.jit(jax.vmap(rooms.room))(_keys()[5:7])
    images, depths = _rooms()
    assert _alike((image[0], depth[0]), (images[5], depths[5]))
    assert _alike((image[1], depth[1]), (images[6], depths[6]))
    assert not _alike((image[0], depth[0]), (images[6], depths[6]))


@pytest.mark.slow
def test_streams_are_disjoint():
    data = [
        jax.random.key_data(rooms.room_key(seed, split, i)).tolist()
        for seed in (0, 1)
        for split in rooms.SPLITS
        for i in range(20)
    ]
    assert len({tuple(d) for d in data}) == len(data)
    train, val, test = (rooms.RoomsSource(split, 1)[0] for split in rooms.SPLITS)
    for a, b in ((train, val), (train, test), (val, test)):
        assert not _alike((a.image, a.depth), (b.image, b.depth))


@pytest.mark.slow
def test_source_keeps_the_contract():
    source = rooms.RoomsSource("val", 10, seed=3)
    done = []
    images, depths = source.arrays(progress=done.append)
    assert sum(done) == len(source) == 10
    assert images.shape == (10, *rooms.SIZE, 3)
    assert images.dtype == np.uint8
    assert depths.dtype == np.float32
    assert isinstance(source, Source)
    for i in (9, 0, 8):
        sample = validate_sample(source[i])
        np.testing.assert_array_equal(sample.image, images[i])
        np.testing.assert_array_equal(sample.depth, depths[i])
    assert source[9].name == "rooms/val/000009"
    again = rooms.RoomsSource("val", 1, seed=3)
    np.testing.assert_array_equal(again[0].image, images[0])  # whatever the count
    np.testing.assert_array_equal(again.arrays()[1], depths[:1])
    others = [rooms.RoomsSource("train", 1, seed=3), rooms.RoomsSource("val", 1, seed=4)]
    for other in others:
        assert not _alike((other[0].image, other[0].depth), (images[0], depths[0]))
    with pytest.raises(IndexError, match="room 10 of 10"):
        source[10]
    with pytest.raises(IndexError):
        source[-1]


def test_samples_are_the_callers_own():
    source = rooms.RoomsSource("val", 1, seed=3)
    source[0].image[:] = 0
    assert source[0].image.any()


def test_no_rooms_is_an_empty_source():
    images, depths = rooms.RoomsSource("test", 0).arrays()
    assert images.shape == (0, *rooms.SIZE, 3)
    assert depths.shape == (0, *rooms.SIZE)


def test_scale_leaves_the_picture_and_multiplies_the_depth():
    small, large = (rooms.RoomsSource("val", 8, 3, (s, s)).arrays() for s in (1.0, 3.0))
    np.testing.assert_array_equal(small[0], large[0])
    np.testing.assert_array_equal(np.float32(3) * small[1], large[1])


@pytest.mark.slow
def test_scale_is_one_log_uniform_factor_for_each_scene():
    (image, depth), (plain_image, plain_depth) = _rooms(0.5, 2.0), _rooms()
    np.testing.assert_array_equal(image, plain_image)
    ratio = depth / plain_depth
    factor = ratio.mean((1, 2))
    np.testing.assert_allclose(ratio, np.broadcast_to(factor[:, None, None], ratio.shape), 1e-6)
    # log2 of it is uniform on [-1, 1]: mean 0, standard deviation 0.577; bounds at 4 sigma.
    logs = np.log2(factor)
    assert logs.min() >= -1
    assert logs.max() <= 1
    assert abs(logs.mean()) < 4 * 0.577 / np.sqrt(MANY)
    assert 0.45 < logs.std() < 0.7


@pytest.mark.parametrize("scale_range", [(0.0, 1.0), (2.0, 1.0), (1.0, np.inf), (np.nan, 1.0)])
def test_bad_scale_ranges_are_refused(scale_range):
    with pytest.raises(DepthsiError, match="scale_range"):
        rooms.RoomsSource("train", 1, scale_range=scale_range)
    with pytest.raises(DepthsiError, match="scale_range"):
        rooms.room(rooms.room_key(0, "train", 0), scale_range=scale_range)


def test_bad_splits_seeds_and_counts_are_refused():
    with pytest.raises(DepthsiError, match="train, val, test"):
        rooms.RoomsSource("dev", 1)
    with pytest.raises(DepthsiError, match="train, val, test"):
        rooms.room_key(0, "dev", 0)
    with pytest.raises(DepthsiError, match="-1"):
        rooms.RoomsSource("train", -1)
    for seed in (-1, 2**32):
        with pytest.raises(DepthsiError, match=str(seed)):
            rooms.RoomsSource("train", 1, seed)


def test_rooms_are_the_same_in_any_order(monkeypatch):
    """Whoever jumps about has single rooms rendered, whoever reads in order several at once."""
    counts, render = [], rooms._renderer()

    def counted(*arguments: Any) -> Any:
        counts.append(int(arguments[2]))
        return render(*arguments)

    monkeypatch.setattr(rooms, "_renderer", lambda: counted)
    source = rooms.RoomsSource("train", 12)
    in_order = [source[i] for i in range(12)]
    assert counts == [8, 4]
    counts.clear()
    for i in (7, 2, 11, 2, 3):
        sample = source[i]
        np.testing.assert_array_equal(sample.image, in_order[i].image)
        np.testing.assert_array_equal(sample.depth, in_order[i].depth)
    assert counts == [1, 1, 1, 1, 8]
    images, depths = source.arrays()
    np.testing.assert_array_equal(images, [sample.image for sample in in_order])
    np.testing.assert_array_equal(depths, [sample.depth for sample in in_order])
