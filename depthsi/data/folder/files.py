"""The files of a folder's pairs: whether they are there, and which files are in no pair."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np

from depthsi.data.folder.index import IndexRow, at_line
from depthsi.data.folder.listing import Listing
from depthsi.data.folder.units import FILES
from depthsi.errors import DepthsiError

JUNK = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")  # besides names that begin with "."
JUNK_DIRECTORIES = ("__macosx", "$recycle.bin", "@eadir", "lost+found")
# Text about the data, which nobody takes for an image or a depth map.
TEXTS = (".txt", ".md", ".rst", ".csv", ".json", ".yaml", ".yml", ".toml", ".xml", ".html", ".log")


def existing(rows: Iterable[IndexRow], root: Path, index: Path) -> Iterator[IndexRow]:
    """The rows with the paths of their files as they are spelled in the folder.

    A name that has its accents composed where the file's has not, or the other way round, is
    taken for the file's.

    Raises:
      DepthsiError: a file is missing; names the row of `index`, and a file of nearly that name.
    """
    listing = Listing(root)
    is_file = listing.is_file
    for row in rows:
        # A pair of no index was found by its name.
        if not row.line or (is_file(row.rgb) and is_file(row.depth)):
            yield row
            continue
        with at_line(index, row.line):
            yield row._replace(
                rgb=_spelt(listing, row.rgb, "rgb"), depth=_spelt(listing, row.depth, "depth")
            )


def _spelt(listing: Listing, path: str, column: str) -> str:
    file = listing.root / path
    if listing.is_file(path):
        return path
    what = "is a broken link" if os.path.islink(file) else "does not exist"
    try:
        found = listing.find(path)
    except DepthsiError:  # nothing there, or several: as good as missing
        found = None
    if found is None:
        raise DepthsiError(f"{file} {what}; correct the row.")
    if len(found) == len(path) and found.lower() == path.lower():
        raise DepthsiError(f"{file} {what}, but {found} does; write it so in the column {column}.")
    return found


def some_depth_files(rows: Sequence[IndexRow], root: Path) -> list[Path]:
    """A few depth files that are there, evenly spread over the rows."""
    chosen = [rows[place] for place in _spread(len(rows))]
    files = [root / row.depth for row in chosen if os.path.isfile(root / row.depth)]
    if len(files) < len(chosen):  # only a part of the data is here
        there = [row.depth for row in rows if os.path.isfile(root / row.depth)]
        files = [root / there[place] for place in _spread(len(there))]
    return files


def _spread(count: int) -> list[int]:
    return sorted({round(place) for place in np.linspace(0, count - 1, min(FILES, count)).tolist()})


def unused_files(root: Path, rows: Iterable[IndexRow]) -> Iterator[str]:
    """Files below `root`, sorted by directory, that are in no pair and not known to be of no use.

    Left out are names that begin with ".", `JUNK` and `TEXTS`. Links are followed; a directory
    that several lead to is looked at once.
    """
    used: dict[str, set[str]] = {}
    for row in rows:
        for path in (row.rgb, row.depth):
            directory, _, name = path.rpartition("/")
            used.setdefault(directory, set()).add(name)
    used_in: dict[str, set[str]] = {}
    for directory, names in used.items():
        used_in.setdefault(os.path.realpath(root / directory), set()).update(names)
    seen: set[str] = set()
    for place, directories, names in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        directories[:] = [] if real in seen else sorted(filter(_is_data_directory, directories))
        if real not in seen:
            there = used_in.get(real, set())
            for name in sorted(names):
                if name not in there and not is_junk(name):
                    yield os.path.relpath(os.path.join(place, name), root)
        seen.add(real)


def is_junk(name: str) -> bool:
    """Whether a file is one that systems and archives leave behind, or a text."""
    name = name.lower()
    return name.startswith(".") or name in JUNK or PurePath(name).suffix in TEXTS


def _is_data_directory(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in JUNK_DIRECTORIES
