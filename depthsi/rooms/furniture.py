"""Kinds of furniture, each made of at most six boxes.

A piece is described in fractions of its width x depth x height; its own +y points at its back, the
side it turns to a wall. All lengths are metres.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

BOXES = 6
# What a piece is made of, keys of `room_materials.WEIGHTS`; a box names one by its place here.
ROLES = ("body", "accent", "filling", "cloth")


class Kind(NamedTuple):
    """Sizes in metres as (low, high); boxes as (x0, x1, y0, y1, z0, z1, role) in fractions.

    `top` is the height, in fractions, of a free top on which a vase can stand; 0 = none.
    """

    width: tuple[float, float]
    depth: tuple[float, float]
    height: tuple[float, float]
    boxes: tuple[tuple[float, ...], ...]
    top: float = 0.0


_TABLE = (
    (0.0, 1.0, 0.0, 1.0, 0.94, 1.0, 0),
    (0.02, 0.07, 0.03, 0.11, 0.0, 0.94, 1),
    (0.93, 0.98, 0.03, 0.11, 0.0, 0.94, 1),
    (0.02, 0.07, 0.89, 0.97, 0.0, 0.94, 1),
    (0.93, 0.98, 0.89, 0.97, 0.0, 0.94, 1),
)
_SOFA = (
    (0.0, 1.0, 0.0, 1.0, 0.1, 0.48, 3),
    (0.0, 1.0, 0.72, 1.0, 0.1, 1.0, 3),
    (0.0, 0.11, 0.0, 1.0, 0.0, 0.72, 3),
    (0.89, 1.0, 0.0, 1.0, 0.0, 0.72, 3),
    (0.13, 0.49, 0.02, 0.74, 0.48, 0.6, 3),
    (0.51, 0.87, 0.02, 0.74, 0.48, 0.6, 3),
)

KINDS = {
    "wardrobe": Kind(
        (0.8, 1.8),
        (0.5, 0.65),
        (1.7, 2.2),
        (
            (0.0, 1.0, 0.04, 1.0, 0.0, 1.0, 0),
            (0.02, 0.49, 0.0, 0.05, 0.05, 0.97, 1),
            (0.51, 0.98, 0.0, 0.05, 0.05, 0.97, 1),
        ),
    ),
    "dresser": Kind(
        (0.7, 1.6),
        (0.38, 0.55),
        (0.7, 1.1),
        (
            (0.0, 1.0, 0.04, 1.0, 0.0, 1.0, 0),
            (0.03, 0.97, 0.0, 0.05, 0.06, 0.33, 1),
            (0.03, 0.97, 0.0, 0.05, 0.36, 0.63, 1),
            (0.03, 0.97, 0.0, 0.05, 0.66, 0.93, 1),
            (0.08, 0.45, 0.2, 0.75, 1.0, 1.35, 2),
        ),
    ),
    "bookcase": Kind(
        (0.6, 1.4),
        (0.26, 0.4),
        (1.1, 2.1),
        (
            (0.0, 0.04, 0.0, 1.0, 0.0, 1.0, 0),
            (0.96, 1.0, 0.0, 1.0, 0.0, 1.0, 0),
            (0.04, 0.96, 0.55, 1.0, 0.0, 1.0, 2),
            (0.04, 0.96, 0.0, 0.55, 0.97, 1.0, 0),
            (0.04, 0.96, 0.0, 0.55, 0.63, 0.66, 0),
            (0.04, 0.96, 0.0, 0.55, 0.0, 0.33, 1),
        ),
    ),
    "counter": Kind(
        (1.2, 2.4),
        (0.58, 0.68),
        (2.1, 2.3),
        (
            (0.0, 1.0, 0.06, 1.0, 0.04, 0.4, 0),
            (0.0, 1.0, 0.0, 1.0, 0.4, 0.42, 1),
            (0.0, 1.0, 0.45, 1.0, 0.65, 1.0, 0),
            (0.12, 0.38, 0.03, 0.08, 0.07, 0.36, 2),
            (0.62, 0.82, 0.4, 0.85, 0.42, 0.54, 2),
        ),
    ),
    "screen": Kind(
        (1.0, 1.8),
        (0.35, 0.5),
        (1.0, 1.3),
        (
            (0.0, 1.0, 0.0, 1.0, 0.0, 0.4, 0),
            (0.08, 0.92, 0.55, 0.65, 0.46, 1.0, 2),
            (0.4, 0.6, 0.4, 0.8, 0.4, 0.47, 2),
        ),
    ),
    "desk": Kind(
        (1.0, 1.6), (0.55, 0.75), (0.7, 0.76), (*_TABLE, (0.3, 0.6, 0.55, 0.65, 1.05, 1.6, 2))
    ),
    "sofa": Kind((1.4, 2.2), (0.75, 0.95), (0.7, 0.9), _SOFA),
    "bed": Kind(
        (0.9, 1.7),
        (1.9, 2.1),
        (0.85, 1.1),
        (
            (0.0, 1.0, 0.0, 1.0, 0.05, 0.28, 0),
            (0.02, 0.98, 0.02, 0.97, 0.28, 0.52, 1),
            (0.0, 1.0, 0.95, 1.0, 0.0, 1.0, 0),
            (0.08, 0.47, 0.74, 0.93, 0.52, 0.64, 1),
            (0.53, 0.92, 0.74, 0.93, 0.52, 0.64, 1),
            (0.0, 1.0, 0.01, 0.62, 0.26, 0.55, 3),
        ),
    ),
    "table": Kind(
        (0.9, 1.8), (0.7, 1.0), (0.7, 0.78), (*_TABLE, (0.55, 0.75, 0.3, 0.6, 1.0, 1.12, 2)), 1.0
    ),
    "coffee": Kind(
        (0.7, 1.2), (0.5, 0.7), (0.38, 0.5), (*_TABLE, (0.05, 0.95, 0.1, 0.9, 0.3, 0.36, 2)), 1.0
    ),
    "chair": Kind(
        (0.4, 0.5),
        (0.4, 0.5),
        (0.8, 1.0),
        (
            (0.0, 1.0, 0.0, 1.0, 0.46, 0.52, 3),
            (0.0, 1.0, 0.92, 1.0, 0.52, 1.0, 0),
            (0.0, 0.09, 0.0, 0.09, 0.0, 0.46, 1),
            (0.91, 1.0, 0.0, 0.09, 0.0, 0.46, 1),
            (0.0, 0.09, 0.91, 1.0, 0.0, 0.52, 1),
            (0.91, 1.0, 0.91, 1.0, 0.0, 0.52, 1),
        ),
    ),
    "armchair": Kind((0.75, 0.95), (0.75, 0.9), (0.75, 0.95), _SOFA),
    "crate": Kind(
        (0.35, 0.7),
        (0.3, 0.6),
        (0.3, 0.6),
        ((0.03, 0.97, 0.03, 0.97, 0.0, 0.85, 0), (0.0, 1.0, 0.0, 1.0, 0.85, 1.0, 1)),
        1.0,
    ),
}

BIG = {"wardrobe": 2, "dresser": 3, "bookcase": 3, "counter": 2, "screen": 1, "desk": 2}
BIG |= {"sofa": 2, "bed": 2}
LOW = {"table": 3, "coffee": 3, "sofa": 1, "armchair": 1, "bed": 1, "desk": 0.5}
SMALL = {"chair": 4, "armchair": 1, "crate": 1.5}


def sizes() -> Float32[np.ndarray, "2 kinds 3"]:
    """Smallest and largest width, depth and height of each kind."""
    ranges = [(kind.width, kind.depth, kind.height) for kind in KINDS.values()]
    return np.moveaxis(np.array(ranges, np.float32), -1, 0)


def tops() -> Float32[np.ndarray, " kinds"]:
    """Height of the free top of each kind, as a fraction; 0 = none."""
    return np.array([kind.top for kind in KINDS.values()], np.float32)


def shares(weights: Mapping[str, int | float]) -> Float32[np.ndarray, " ends"]:
    """Where in [0, 1) one kind ends and the next begins."""
    row = np.cumsum([weights.get(name, 0.0) for name in KINDS])
    return (row[:-1] / row[-1]).astype(np.float32)


def boxes() -> tuple[Float32[np.ndarray, "kinds boxes 2 3"], Int32[np.ndarray, "kinds boxes"]]:
    """Corners in fractions about the centre of the footprint, and the role of each box."""
    corners = np.zeros((len(KINDS), BOXES, 2, 3), np.float32)  # empty boxes are never hit
    roles = np.zeros((len(KINDS), BOXES), np.int32)
    for i, kind in enumerate(KINDS.values()):
        for j, (x0, x1, y0, y1, z0, z1, role) in enumerate(kind.boxes):
            corners[i, j] = (x0 - 0.5, y0 - 0.5, z0), (x1 - 0.5, y1 - 0.5, z1)
            roles[i, j] = role
    return corners, roles
