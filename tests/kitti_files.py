"""Small drives of exactly KITTI's published layout, and the projection written as a plain loop."""

import math
from fractions import Fraction

import numpy as np
from pictures import smooth_picture
from PIL import Image

SIZE = (40, 100)  # of the images, (H, W)


def turned(x, y, z):
    """Rotation by small angles about three axes."""
    turn = np.eye(3)
    for axis, angle in enumerate((x, y, z)):
        a, b = [i for i in range(3) if i != axis]
        one = np.eye(3)
        one[a, a] = one[b, b] = math.cos(angle)
        one[a, b], one[b, a] = -math.sin(angle), math.sin(angle)
        turn = turn @ one
    return turn


ROTATION = turned(0.01, 0.015, 0.02) @ [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
SHIFT = np.array([-0.004, -0.07, -0.27])
RECTIFICATION = turned(-0.004, 0.007, 0.01)
PROJECTIONS = {
    "image_02": np.array([[60, 0, 50, 3.5], [0, 60, 18, 0.2], [0, 0, 1, 0.003]]),
    "image_03": np.array([[60, 0, 50, -28.5], [0, 60, 18, 0.2], [0, 0, 1, 0.003]]),
}


def text(values):
    return " ".join(f"{value:.12e}" for value in np.ravel(values))


def write_calibration(folder, size=SIZE):
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["calib_time: 09-Jan-2012 13:57:47", "corner_dist: 9.950000e-02"]
    for camera, projection in PROJECTIONS.items():
        number = camera[-2:]
        lines += [
            f"S_{number}: 1.392000e+03 5.120000e+02",
            f"R_rect_{number}: {text(np.eye(3))}",
            f"S_rect_{number}: {text(size[::-1])}",
            f"P_rect_{number}: {text(projection)}",
        ]
    lines.insert(3, f"R_rect_00: {text(RECTIFICATION)}")
    (folder / "calib_cam_to_cam.txt").write_text("\n".join(lines) + "\n")
    velo = ["calib_time: 15-Mar-2012 11:37:16", f"R: {text(ROTATION)}", f"T: {text(SHIFT)}"]
    velo += ["delta_f: 0.000000e+00 0.000000e+00", "delta_c: 0.000000e+00 0.000000e+00"]
    (folder / "calib_velo_to_cam.txt").write_text("\n".join(velo) + "\n")


def scan_points(seed, count=3000):
    """Points all around, to 120 m, coarse enough that some share a pixel or an azimuth."""
    rng = np.random.default_rng(seed)
    turn = rng.integers(-180, 180, count) * np.pi / 180
    reach = rng.uniform(2, 120, count)
    points = np.stack([reach * np.cos(turn), reach * np.sin(turn), rng.uniform(-2, 2, count)], 1)
    return np.column_stack([points, rng.random(count)]).astype(np.float32)


def oxts_line(speed=10.0, acceleration=1.0, fields=30):
    values = [49.0, 8.4, 112.8, 0.02, 0.002, 1.5, 0, 0, speed, 0.01, 0, 0.1, 0.2, 9.8]
    values += [acceleration, 0.01, 9.8, *[0.0] * 6, 0.1, 0.05, 4, 8, 4, 4, 0]
    return " ".join(f"{value:.13g}" for value in values[:fields]) + "\n"


def stamp(frame, offset):
    """Ten revolutions a second; `offset` in nanoseconds from the instant facing forward."""
    return f"2011-09-26 13:02:25.{951199337 + offset:09d}".replace(":25.", f":{20 + frame:02d}.")


def write_drive(source, name, frames, *, scans=None, suffix=".png"):
    """Frames are numbers; those not in `scans` lack the scan and its timestamps."""
    folder = source / name[:10] / name
    write_calibration(source / name[:10])
    scans = frames if scans is None else scans
    for part in ("image_02/data", "image_03/data", "velodyne_points/data", "oxts/data"):
        (folder / part).mkdir(parents=True)
    for frame in frames:
        for camera in PROJECTIONS:
            picture = Image.fromarray(np.roll(smooth_picture(*SIZE), frame, 1))
            picture.save(folder / camera / "data" / f"{frame:010d}{suffix}")
        (folder / "oxts" / "data" / f"{frame:010d}.txt").write_text(oxts_line())
    for frame in scans:
        points = scan_points(frame)
        (folder / "velodyne_points" / "data" / f"{frame:010d}.bin").write_bytes(points.tobytes())
    offsets = {"timestamps_start": -51_000_000, "timestamps": 0, "timestamps_end": 40_000_000}
    for file, offset in offsets.items():
        lines = [stamp(i, offset) if i in scans else "" for i in range(max(frames) + 1)]
        (folder / "velodyne_points" / f"{file}.txt").write_text("\n".join(lines) + "\n")
    return folder


def looped_depth(
    points, chain, camera_size, *, size=None, kind="z", rule="closest_time", halves=(1, 1)
):
    """Oracle: every point by itself through each matrix, a dictionary keeps the best per pixel.

    Args:
      chain: projection (3, 4), rectification (3, 3), rotation (3, 3), shift (3,).
      halves: durations of the revolution before and after facing forward.
    """
    projection, rectification, rotation, shift = (np.asarray(m, np.float64) for m in chain)
    (height, width), (h, w) = camera_size, size or camera_size
    scale = min(Fraction(height, h), Fraction(width, w))
    row_of, column_of = (
        [
            math.floor((i + Fraction(1, 2) - Fraction(n, 2)) / scale + Fraction(m, 2))
            for i in range(n)
        ]
        for n, m in ((height, h), (width, w))
    )
    best = {}
    for x, y, z in points[:, :3].astype(np.float64):
        seen = rectification.dot(rotation.dot([x, y, z]) + shift)
        u, v, ahead = projection[:, :3].dot(seen) + projection[:, 3]
        if x <= 0 or ahead <= 0:
            continue
        column, row = round(u / ahead) - 1, round(v / ahead) - 1
        if not (0 <= column < width and 0 <= row < height):
            continue
        row, column = row_of[row], column_of[column]
        if not (0 <= column < w and 0 <= row < h):
            continue
        depth = {"z": ahead, "lidar_x": x}[kind]
        angle = math.atan2(y, x)
        when = abs(angle) * (halves[0] if angle < 0 else halves[1])
        entry = (when, depth) if rule == "closest_time" else (depth,)
        best[row, column] = min(best.get((row, column), entry), entry)
    result = np.zeros((h, w))
    for pixel, entry in best.items():
        result[pixel] = entry[-1]
    return result
