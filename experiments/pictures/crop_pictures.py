"""Draws every evaluation crop on an image, to see which pixels a table is about.

Question:  which part of an image does each named crop keep?
Command:   python -m experiments.pictures.crop_pictures IMAGE --out DIRECTORY
Result:    DIRECTORY/crops.png; a crop that is not defined for the image's size is named.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from depthsi.data.formats.decoding import read_image
from depthsi.errors import DepthsiError
from depthsi.geometry import CROPS, Crop, crop
from depthsi.metrics.protocols import PROTOCOLS
from depthsi.viz.grid import Cell, save_grid
from experiments.script import run_script

WIDTH, DIM = 3.4, 0.35  # inches of an image; brightness outside the crop


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Draws every crop that is defined for the image."""

    picture: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PICTURE")]
    """JPEG or PNG."""
    out: str
    """Directory for crops.png."""


def main(arguments: Arguments) -> None:
    picture = read_image(arguments.picture)
    height, width = picture.shape[:2]
    cells = []
    for name in CROPS:
        try:
            box = crop(name, (height, width))
        except DepthsiError as error:
            print(f"{name}: {error}")
            continue
        users = [each.name for each in PROTOCOLS.values() if each.crop == name]
        place = f"rows {box.top}..{box.bottom}, columns {box.left}..{box.right}"
        print(f"{name}: {place}; {', '.join(users) or 'no protocol'}")
        cells.append(Cell(outlined(picture, box), f"{name}: {place}", smooth=True))
    columns = 1 if width > 2 * height else 3
    while len(cells) % columns:
        cells.append(Cell(np.full_like(picture, 255), ""))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    across = WIDTH * (2 if columns == 1 else 1)
    out = Path(arguments.out) / "crops.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    heights = [across * height / width] * len(rows)
    save_grid(out, rows, f"{width}x{height}", width=across, heights=heights)
    print(out)


def outlined(picture: np.ndarray, box: Crop) -> np.ndarray:
    """The image with what lies outside the box darkened."""
    inside = np.s_[box.top : box.bottom, box.left : box.right]
    shown = (picture * DIM).astype(np.uint8)
    shown[inside] = picture[inside]
    return shown


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
