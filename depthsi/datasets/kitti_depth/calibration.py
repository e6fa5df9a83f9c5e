"""Calibration files, and the matrix that takes a laser point to a pixel of a rectified camera.

A matrix (3, 4) takes the homogeneous point (x, y, z, 1) of the scanner (metres; x forward, y left,
z up) to (u w, v w, w): column u and row v in pixels, and w, the camera's z in metres.
"""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from depthsi.datasets.kitti_depth.text import numbers, read_lines
from depthsi.errors import DepthsiError
from depthsi.files import PathLike

CAMERA_FILE, SCANNER_FILE = "calib_cam_to_cam.txt", "calib_velo_to_cam.txt"
LARGEST = 1e6  # far above any focal length in pixels
LARGEST_SIDE = 10_000  # pixels

Matrix = Float64[np.ndarray, "3 4"]
Entries = dict[str, np.ndarray]


def read_calibration(path: PathLike) -> Entries:
    """The numbers of each `key: 1.0 2.0 ...` line; lines without such numbers are left out.

    Raises:
      DepthsiError: the file is missing or unreadable, or, naming the line, a key stands twice or a
        number is not finite or absurdly large.
    """
    entries: Entries = {}
    for line, text in enumerate(read_lines(path), 1):
        key, colon, rest = text.partition(":")
        values = numbers(rest)
        if not colon or not values:  # a blank line, or the date of the calibration
            continue
        if key in entries:
            raise DepthsiError(f"{path}, line {line}: {key} appears twice; replace the file.")
        if not all(abs(value) < LARGEST for value in values):
            raise DepthsiError(
                f"{path}, line {line}: {key} has a number that is not finite or over {LARGEST:g}; "
                "replace the file."
            )
        entries[key] = np.array(values)
    return entries


@dataclasses.dataclass(frozen=True)
class Camera:
    """How a rectified camera sees the scanner's points.

    Attributes:
      matrix: (3, 4), from scanner to pixels.
      size: (H, W) of its images in pixels.
      file: where the size stands.
    """

    matrix: np.ndarray
    size: tuple[int, int]
    file: Path


def read_camera(folder: PathLike, camera: str) -> Camera:
    """Reads the calibration of a day of the raw drives.

    The matrix is P_rect_0x R_rect_00 (R | T).

    Args:
      folder: folder of the date, with `calib_cam_to_cam.txt` and `calib_velo_to_cam.txt`.
      camera: "image_00" to "image_03".

    Raises:
      DepthsiError: a file cannot be read, or a key is missing, of another length, or not what it
        should be: a rotation, a rectified camera's projection, a size.
    """
    camera_file, scanner_file = Path(folder) / CAMERA_FILE, Path(folder) / SCANNER_FILE
    cameras, scanner = read_calibration(camera_file), read_calibration(scanner_file)
    number = camera[-2:]
    rotation = _rotation(scanner, "R", scanner_file)
    shift = _entry(scanner, "T", (3, 1), scanner_file)
    projection = _projection(cameras, f"P_rect_{number}", camera_file)
    rectification = _rotation(cameras, "R_rect_00", camera_file)
    width, height = _entry(cameras, f"S_rect_{number}", (2,), camera_file)
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise DepthsiError(
            f"{camera_file}: S_rect_{number} is not a valid size, {width:g}x{height:g}; replace"
            " the file."
        )
    matrix = _chained(projection, rectification, np.hstack([rotation, shift]))
    return Camera(matrix, (int(height), int(width)), camera_file)


def object_matrix(path: PathLike) -> Matrix:
    """The matrix of the left colour camera from a file of the object benchmark.

    It is P2 R0_rect Tr_velo_to_cam.

    Raises:
      DepthsiError: as `read_camera`.
    """
    entries = read_calibration(path)
    projection, rectification = (
        _projection(entries, "P2", path),
        _rotation(entries, "R0_rect", path),
    )
    pose = _entry(entries, "Tr_velo_to_cam", (3, 4), path)
    _check_rotation(pose[:, :3], "Tr_velo_to_cam", path)
    return _chained(projection, rectification, pose)


def _entry(entries: Entries, key: str, shape: tuple[int, ...], path: PathLike) -> np.ndarray:
    if key not in entries:
        raise DepthsiError(f"{path} has no numbers for {key}; replace it with the published file.")
    count = int(np.prod(shape))
    if entries[key].size != count:
        raise DepthsiError(
            f"{path}: {key} has {entries[key].size} numbers instead of {count}; replace the file."
        )
    return entries[key].reshape(shape)


def _rotation(entries: Entries, key: str, path: PathLike) -> np.ndarray:
    matrix = _entry(entries, key, (3, 3), path)
    _check_rotation(matrix, key, path)
    return matrix


def _check_rotation(matrix: np.ndarray, key: str, path: PathLike) -> None:
    # A damaged digit would otherwise put every point beside what it measured.
    orthogonal = np.allclose(matrix @ matrix.T, np.eye(3), rtol=0, atol=1e-3)
    if not (orthogonal and np.linalg.det(matrix) > 0):
        raise DepthsiError(f"{path}: {key} is not a rotation; replace the file.")


def _projection(entries: Entries, key: str, path: PathLike) -> np.ndarray:
    matrix = _entry(entries, key, (3, 4), path)
    rest = matrix[:, :3] - np.diag(matrix.diagonal())  # what remains is the principal point
    if not (
        matrix[0, 0] == matrix[1, 1] > 0
        and matrix[2, 2] == 1
        and np.count_nonzero(rest[:, :2]) == 0
    ):
        raise DepthsiError(
            f"{path}: {key} does not belong to a rectified camera; replace the file."
        )
    return matrix


def _chained(projection: np.ndarray, rotation: np.ndarray, pose: np.ndarray) -> np.ndarray:
    return projection @ np.vstack([rotation @ pose, [0, 0, 0, 1]])
