"""Small pictures and depth maps for tests that need files."""

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
