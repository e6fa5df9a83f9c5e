"""The rival of `data.py`: the same samples, augmented the same way, by OpenCV and a DataLoader.

Written as one would without depthsi: every worker decodes and warps one image after the other on
one thread, and the loader stacks them. Needs the extra `bench`.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jax.numpy as jnp
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from depthsi.augment import View, apply_view
from depthsi.config import AugmentConfig
from depthsi.geometry import CELL_OFFSET, CELL_STRIDE, Geometry

Augmented = tuple[np.ndarray, np.ndarray, np.ndarray]  # image 0..255, log depth, valid


class Choice(NamedTuple):
    """One random view, in the order of the fields of `depthsi.augment.View`."""

    scale: float
    angle: float
    shift: np.ndarray
    mirror: bool
    colour: np.ndarray


def choose(
    rng: np.random.Generator, config: AugmentConfig, picture: tuple[int, ...], sizes: Geometry
) -> Choice:
    """Draws from the distribution of `depthsi.augment.draw_view`."""
    scale = rng.uniform(*config.scale)
    bound = math.radians(config.rotation)
    room = np.maximum(scale * np.array(picture) - np.array(sizes.input), 0) / 2
    return Choice(
        scale,
        rng.uniform(-bound, bound),
        room * rng.uniform(-1, 1, 2),
        rng.random() < config.flip,
        rng.uniform(*config.colour, 3),
    )


def decode(files: tuple[Path, Path, float]) -> tuple[np.ndarray, np.ndarray]:
    """RGB and metres of a pair of files, the depth a 16-bit PNG."""
    image, depth, per_metre = files
    colours: Any = cv2.imread(str(image), cv2.IMREAD_COLOR)
    counts: Any = cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), counts.astype(np.float32) / per_metre


def warp(view: Choice, image: np.ndarray, depth: np.ndarray, sizes: Geometry) -> Augmented:
    """What `depthsi.augment.apply_view` does: image bilinear, depth nearest at the output cells."""
    (height, width), (rows, cols) = sizes.input, sizes.output
    sin, cos = math.sin(view.angle) / view.scale, math.cos(view.angle) / view.scale
    side = -1.0 if view.mirror else 1.0
    linear = np.array([[cos * side, -sin], [sin * side, cos]])
    middle = np.array([(depth.shape[1] - 1) / 2, (depth.shape[0] - 1) / 2])
    turned = np.array([[cos, -sin], [sin, cos]]) @ view.shift[::-1]
    offset = middle + turned - linear @ [(width - 1) / 2, (height - 1) / 2]
    flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (width, height)
    pixels = cv2.warpAffine(
        image, np.c_[linear, offset], size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    first = offset + linear @ [CELL_OFFSET, sizes.fine_top + CELL_OFFSET]
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    metres = cv2.warpAffine(depth, np.c_[linear * CELL_STRIDE, first], (cols, rows), flags=flags)
    valid = np.isfinite(metres) & (metres > 0)
    log_depth = np.log(np.where(valid, metres / view.scale, 1)).astype(np.float32)
    return pixels * view.colour.astype(np.float32), log_depth, valid


def warp_batch(
    images: np.ndarray, depths: np.ndarray, config: AugmentConfig, sizes: Geometry
) -> list[Augmented]:
    """Random views of a batch, on one thread."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    return [
        warp(choose(rng, config, depth.shape, sizes), image, depth, sizes)
        for image, depth in zip(images, depths, strict=True)
    ]


def check_same_work(
    images: np.ndarray, depths: np.ndarray, config: AugmentConfig, sizes: Geometry
) -> float:
    """Mean difference, in grey levels, from what `depthsi.augment` makes of the same views.

    Raises:
      RuntimeError: the two do not do the same, so that comparing their times would mean nothing.
    """
    differences = []
    for i, (image, depth) in enumerate(zip(images, depths, strict=True)):
        view = choose(np.random.default_rng(i), config, depth.shape, sizes)
        theirs, log_depth, valid = warp(view, image, depth, sizes)
        fields = [jnp.asarray(value, jnp.float32) for value in view]
        same = View(*fields)._replace(mirror=jnp.asarray(view.mirror))
        ours = apply_view(same, image, depth, sizes)
        differences.append(np.mean(np.abs(ours.image - theirs)))
        agree = (np.asarray(ours.valid) == valid) & (np.abs(ours.log_depth - log_depth) < 0.01)
        if differences[-1] > 1 or np.mean(agree) < 0.98:
            raise RuntimeError("the two augmentations differ")
    return float(np.mean(differences))


class Pictures(Dataset):
    """Decoded and augmented samples."""

    def __init__(
        self, files: list[tuple[Path, Path, float]], config: AugmentConfig, sizes: Geometry
    ) -> None:
        self.files, self.config, self.sizes = files, config, sizes

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Augmented:
        cv2.setNumThreads(1)
        image, depth = decode(self.files[index])
        rng = np.random.default_rng(index)
        view = choose(rng, self.config, depth.shape, self.sizes)
        return warp(view, image, depth, self.sizes)


class Endless(Sampler[int]):
    """Shuffled anew in each pass, without end, so that workers never start again."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng(0)
        while True:
            yield from rng.permutation(self.count).tolist()


def batches(pictures: Pictures, batch_size: int, workers: int) -> Iterator[list[torch.Tensor]]:
    """Endless batches of a DataLoader."""
    loader = DataLoader(
        pictures,
        batch_size,
        sampler=Endless(len(pictures)),
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,  # jax does not survive a fork
    )
    return iter(loader)
