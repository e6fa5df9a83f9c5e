"""Reads the `index.csv` of a data folder and checks everything that needs no other file.

One line per pair; columns `rgb` and `depth` (paths inside the folder), `split`,
`depth_units_per_metre` (may be left empty) and, optionally, `scene`; any others are ignored.
Encoding UTF-8.
"""

import contextlib
import csv
import functools
import operator
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

from depthsi.data.formats.decoding import DEPTH_SUFFIXES, UNITS_PER_METRE
from depthsi.errors import DepthsiError

COLUMNS = ("rgb", "depth", "split", "depth_units_per_metre")
# In "/RGB\n/DEPTH\n": what most paths have not, an empty one, a detour, a root, or a backslash. As
# there may be millions, the others are not looked at one by one.
CLOSER_LOOK = re.compile(r"/[\n./]|:/|\\").search
DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class IndexRow(NamedTuple):
    """One pair.

    Attributes:
      line: line of the index on which its record ends, counted from 1; 0 without an index.
      rgb: path of the image relative to the folder.
      depth: path of the depth map relative to the folder.
      split: the split it belongs to, "" for none.
      units_per_metre: value in the depth file for one metre; None if not given.
      scene: the scene it shows, "" if unknown.
    """

    line: int
    rgb: str
    depth: str
    split: str
    units_per_metre: float | None
    scene: str


def read_index(path: Path) -> tuple[IndexRow, ...]:
    """All rows of the index at `path`, in order.

    Raises:
      DepthsiError: file or folder missing or unreadable, not a CSV in UTF-8, a column missing or
        doubled, no rows, or, naming the line: an empty or unusable field, a path that is absolute
        or holds `..`, an image listed twice, a scene in two splits.
    """
    if not path.parent.is_dir():
        raise DepthsiError(
            f"{path.parent} is not a folder; give the one that contains {path.name}."
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = tuple(_rows(file, path))
    except FileNotFoundError:
        raise DepthsiError(
            f"{path} does not exist; write it with the columns {', '.join(COLUMNS)}."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DepthsiError(
            f"{path} cannot be read as CSV in UTF-8 ({error}); repair it."
        ) from error
    if not rows:
        raise DepthsiError(f"{path} has no rows; list one pair per line.")
    _check_unique(rows, path)
    check_scenes(rows, path)
    return rows


@contextlib.contextmanager
def at_line(path: Path, line: int) -> Iterator[None]:
    """Puts file and line, if there is one, in front of the message of a `DepthsiError`."""
    try:
        yield
    except DepthsiError as error:
        row = f", row {line}" if line else ""
        raise DepthsiError(f"{path}{row}: {error}") from error


def _rows(file: Iterator[str], path: Path) -> Iterator[IndexRow]:
    reader = csv.reader(file, strict=True)
    names = [name.strip() for name in next(reader, ())]
    if wrong := [name for name in COLUMNS if names.count(name) != 1]:
        raise DepthsiError(
            f"{path} must have one column {', one '.join(wrong)}, separated by commas; "
            f"its columns are: {', '.join(names) or 'none'}."
        )
    places = [names.index(name) for name in COLUMNS]
    scene_place = len(names) - 1 - names[::-1].index("scene") if "scene" in names else None
    values, width, root = operator.itemgetter(*places), len(names), path.parent
    for record in filter(None, reader):  # without empty lines
        try:
            if len(record) != width:
                raise DepthsiError(
                    "the number of fields differs from the header; quote values with commas."
                )
            rgb, depth, split, units = map(str.strip, values(record))
            both = f"/{rgb}\n/{depth}\n"
            if CLOSER_LOOK(both) or not depth.endswith(DEPTH_SUFFIXES):
                rgb, depth = _inside(rgb, "rgb", root), _depth(_inside(depth, "depth", root))
            scene = "" if scene_place is None else record[scene_place].strip()
            yield IndexRow(reader.line_num, rgb, depth, split, _units(units), scene)
        except DepthsiError as error:
            raise DepthsiError(f"{path}, row {reader.line_num}: {error}") from error


def _inside(text: str, column: str, root: Path) -> str:
    """`text` as a relative path without detours, so that each file has one spelling."""
    if not text:
        raise DepthsiError(f"{column} is empty; give a path relative to the folder.")
    if "\\" in text and not os.path.lexists(root / text):  # written on Windows
        text = text.replace("\\", "/")
    path = PurePath(text)
    if path.anchor or DRIVE.match(text):
        with contextlib.suppress(ValueError):
            inside = path.relative_to(root.absolute()).as_posix()
            raise DepthsiError(
                f"{column} {text} is an absolute path, with which the folder cannot be moved;"
                f" write {inside}, relative to the folder."
            )
    if path.anchor or DRIVE.match(text) or ".." in path.parts:
        raise DepthsiError(f"{column} {text} leaves the folder; give a relative path without '..'.")
    return path.as_posix()


def _depth(path: str) -> str:
    dot = path.rfind(".")
    if path[dot:].lower() not in DEPTH_SUFFIXES or path[:dot].endswith("/") or not dot:
        kinds = ", ".join(DEPTH_SUFFIXES)
        raise DepthsiError(f"depth {path} must end in one of {kinds}; convert it.")
    return path


@functools.lru_cache(maxsize=1000)
def _units(text: str) -> float | None:
    low, high = UNITS_PER_METRE
    if not text:
        return None
    try:
        units = float(text)
    except ValueError:
        units = float("nan")
    if not low <= units <= high:
        raise DepthsiError(
            f"depth_units_per_metre is {text}; give the number that stands for one metre, such as "
            "1000 for millimetres or 256 for KITTI, or leave it empty for floats in metres."
        )
    return units


def _check_unique(rows: tuple[IndexRow, ...], path: Path) -> None:
    if len({row.rgb for row in rows}) == len(rows):
        return
    first: dict[str, int] = {}
    for row in rows:
        if first.setdefault(row.rgb, row.line) != row.line:
            raise DepthsiError(
                f"{path}, row {row.line}: {row.rgb} is already in row {first[row.rgb]}; "
                "delete one of them."
            )


def check_scenes(rows: tuple[IndexRow, ...], path: Path) -> None:
    """Raises DepthsiError, naming both rows of `path`, if a scene is in two splits."""
    # A row without a split is in nobody's training or test data.
    rows = tuple(row for row in rows if row.scene and row.split)
    places = {(row.scene, row.split) for row in rows}
    if len({scene for scene, _ in places}) == len(places):
        return
    first: dict[str, IndexRow] = {}
    for row in rows:
        other = first.setdefault(row.scene, row)
        if other.split != row.split:
            here, there = (f"row {each.line}" if each.line else each.rgb for each in (row, other))
            raise DepthsiError(
                f"{path}, {here}: scene {row.scene} is in split {row.split}, but in split "
                f"{other.split} in {there}; a scene must be in one split only."
            )
