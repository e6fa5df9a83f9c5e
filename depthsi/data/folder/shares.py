"""Splits for a folder that has none: whole scenes, drawn by a hash of their names.

What a pair belongs to follows from its own scene or name alone. So neither other files nor their
order move it, and files may be added at any time.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from depthsi.data.folder.index import IndexRow
from depthsi.data.folder.listing import composed
from depthsi.errors import DepthsiError, first_few

# Directories that tell images from depth or photographs from others, not one scene from another.
GENERIC = frozenset(
    (
        *("rgb", "rgbs", "color", "colors", "colour", "colours", "image", "images", "img", "imgs"),
        *("photos", "pictures", "frames", "jpg", "jpeg", "png", "cam", "camera", "left", "right"),
        *("data", "dataset"),
    )
)


class Shares(NamedTuple):
    """Which part of the scenes goes into the splits "val" and "test"; the others are "train"."""

    val: float = 0.0
    test: float = 0.0

    def split_of(self, group: str) -> str:
        """The split of a scene or, where there are none, of an image, by its name."""
        digest = hashlib.sha256(composed(group).encode(errors="surrogateescape")).digest()
        place = int.from_bytes(digest[:8]) / 2**64
        if place < self.test:
            return "test"
        return "val" if place < self.test + self.val else "train"


def share_out(rows: Sequence[IndexRow], shares: Shares, index: Path) -> tuple[IndexRow, ...]:
    """The rows, each with a split.

    Raises:
      DepthsiError: a row has a split already, or all are of one scene.
    """
    if given := sorted({row.split for row in rows} - {""}):
        raise DepthsiError(
            f"{index} already has splits ({first_few(given)}): leave out --data.val-share and"
            " --data.test-share (--val-share and --test-share of depthsi info)."
        )
    groups = [group_of(row) for row in rows]
    if len(rows) > 1 and len(set(groups)) == 1:
        raise DepthsiError(
            f"{index}: all pairs are of one scene, {groups[0]}, which cannot be in two splits; name"
            " the scenes in a column scene, or give --data.pattern with {name} only."
        )
    splits = {group: shares.split_of(group) for group in set(groups)}
    return tuple(row._replace(split=splits[group]) for row, group in zip(rows, groups, strict=True))


def group_of(row: IndexRow) -> str:
    """The group to which a pair belongs, which is never split.

    The scene; in an index without scenes the directory of the image, as long as it has a name that
    may be a scene's; else the image itself, since a pattern would name the scene if there were one.
    """
    if row.scene:
        return row.scene
    directory = _scene_directory(row.rgb.rpartition("/")[0]) if row.line else ""
    return directory or row.rgb


def _scene_directory(path: str) -> str:
    parts = [part for part in PurePosixPath(path).parts if part.lower() not in GENERIC]
    return "/".join(parts)
