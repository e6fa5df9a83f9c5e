"""Small images, depth maps and folders of them for tests that need files."""

import csv

import numpy as np
from PIL import Image


def smooth_picture(height, width, channels=3):
    """Something JPEG keeps to within a few grey levels."""
    rows, cols = np.mgrid[:height, :width]
    waves = [
        120 + 60 * np.sin(rows / (9 + c)) + 50 * np.cos(cols / (7 + c)) for c in range(channels)
    ]
    return np.stack(waves, -1).clip(0, 255).astype(np.uint8)


def counts(height, width, seed=0):
    return np.random.default_rng(seed).integers(1, 10_000, (height, width)).astype(np.uint16)


def saved(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


INDEX_HEADER = ("rgb", "depth", "split", "depth_units_per_metre")


def write_index(root, rows, header=INDEX_HEADER):
    """The index.csv of a folder: a row of values for each pair."""
    with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return root


def write_pairs(root, pairs):
    """A folder of pairs with its index.

    Args:
      root: the folder, made if need be.
      pairs: (split, uint8 image, metres) of each pair, stored as JPEG and as PNG in millimetres.
    """
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, (split, image, metres) in enumerate(pairs):
        saved(root / f"{i}.jpg", image)
        saved(root / f"{i}.png", (metres * 1000).astype(np.uint16))
        rows.append((f"{i}.jpg", f"{i}.png", split, 1000))
    return write_index(root, rows)
