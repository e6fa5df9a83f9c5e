"""Reads the `index.csv` of a data folder and checks everything that needs no other file.

One line per pair; columns `rgb` and `depth` (paths inside the folder), `split`,
`depth_units_per_metre` (may be left empty) and, optionally, `scene`; any others are ignored.
Encoding UTF-8.
"""

import contextlib
import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path, PurePath

from depthsi.data.formats.decoding import DEPTH_SUFFIXES, UNITS_PER_METRE
from depthsi.errors import DepthsiError

COLUMNS = ("rgb", "depth", "split", "depth_units_per_metre")


@dataclasses.dataclass(frozen=True)
class IndexRow:
    """One pair.

    Attributes:
      line: where its record ends in the index, counted from 1; 0 for a pair that is in none.
      rgb: path of the picture relative to the folder.
      depth: path of the depth map relative to the folder.
      split: the split it belongs to, "" for none.
      units_per_metre: value in the depth file for one metre; None if not given.
      scene: what was pictured, "" if not known.
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
        or holds `..`, a picture listed twice, a scene in two splits.
    """
    if not path.parent.is_dir():
        raise DepthsiError(f"{path.parent} is not a folder; give the one that holds {path.name}.")
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
    reader = csv.DictReader(file, strict=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    if wrong := [name for name in COLUMNS if names.count(name) != 1]:
        raise DepthsiError(
            f"{path} must have one column {', one '.join(wrong)}, separated by commas; "
            f"its columns are: {', '.join(names) or 'none'}."
        )
    for record in reader:
        with at_line(path, reader.line_num):
            if None in record or None in record.values():
                raise DepthsiError(
                    "the number of fields differs from the header; quote values with commas."
                )
            yield _row({k: v.strip() for k, v in record.items()}, reader.line_num)


def _row(record: dict[str, str], line: int) -> IndexRow:
    rgb, depth = (_inside(record[name], name) for name in ("rgb", "depth"))
    suffix = PurePath(depth).suffix.lower()
    if suffix not in DEPTH_SUFFIXES:
        kinds = ", ".join(DEPTH_SUFFIXES)
        raise DepthsiError(f"depth {depth} must end in one of {kinds}; convert it.")
    units = _units(record["depth_units_per_metre"])
    return IndexRow(line, rgb, depth, record["split"], units, record.get("scene", ""))


def _inside(text: str, column: str) -> str:
    """`text` as a relative path without detours, so that each file has one spelling."""
    path = PurePath(text)
    if not text:
        raise DepthsiError(f"{column} is empty; give a path relative to the folder.")
    if path.anchor or ".." in path.parts:
        raise DepthsiError(f"{column} {text} leaves the folder; give a relative path without '..'.")
    return path.as_posix()


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
    first: dict[str, int] = {}
    for row in rows:
        if first.setdefault(row.rgb, row.line) != row.line:
            raise DepthsiError(
                f"{path}, row {row.line}: {row.rgb} is already in row {first[row.rgb]}; "
                "delete one of them."
            )


def check_scenes(rows: tuple[IndexRow, ...], path: Path) -> None:
    """Raises DepthsiError, naming both rows of `path`, if a scene is in two splits."""
    first: dict[str, IndexRow] = {}
    for row in rows:
        # A row without a split is in nobody's training or test data.
        if not (row.scene and row.split):
            continue
        other = first.setdefault(row.scene, row)
        if other.split != row.split:
            here, there = (f"row {each.line}" if each.line else each.rgb for each in (row, other))
            raise DepthsiError(
                f"{path}, {here}: scene {row.scene} is in split {row.split}, but in split "
                f"{other.split} in {there}; a scene must be in one split only."
            )
