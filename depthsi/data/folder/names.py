"""Samples pictures with depth maps by a pattern of their names, for folders without an index.

A pattern is two paths inside the folder, such as
`{split}/{scene}/rgb/{name}.jpg -> {split}/{scene}/depth/{name}.png`. `{split}`, `{scene}` and
`{name}` stand for a part of one path component and mean the same wherever they occur.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from depthsi.data.folder.index import IndexRow, check_scenes
from depthsi.data.formats.decoding import DEPTH_SUFFIXES
from depthsi.errors import DepthsiError

FIELDS = ("split", "scene", "name")
FIELD = re.compile(r"\{(\w*)\}")
EXAMPLE = "{split}/rgb/{name}.jpg -> {split}/depth/{name}.png"
USUAL = tuple(
    f"{{split}}/rgb/{{name}}{picture} -> {{split}}/depth/{{name}}{depth}"
    for picture in (".jpg", ".jpeg", ".png")
    for depth in DEPTH_SUFFIXES
)


def find_pairs(root: Path, pattern: str = "") -> tuple[IndexRow, ...]:
    """The pairs of a folder, sorted by the pictures' names.

    Args:
      root: the folder.
      pattern: how pictures and depth maps are named; "" for SPLIT/rgb/NAME and SPLIT/depth/NAME
        with any of the usual endings.

    Raises:
      DepthsiError: no such folder, a pattern that makes no sense, no pair, a picture without depth,
        names that fit several endings, or a scene in two splits.
    """
    if not root.is_dir():
        raise DepthsiError(f"{root} is not a folder; give the one that holds the pictures.")
    if pattern:
        rows = _pairs(root, pattern)
        if not rows:
            raise DepthsiError(f"{root} holds no picture named as in the pattern {pattern!r}.")
    else:
        fitting = [each for each in USUAL if _has_pair(root, each)]
        if len(fitting) > 1:
            raise DepthsiError(
                f"{root} holds pairs named {fitting[0]} and {fitting[1]}; choose one pattern."
            )
        rows = _pairs(root, fitting[0]) if fitting else ()
    check_scenes(rows, root)
    return rows


def _pairs(root: Path, pattern: str) -> tuple[IndexRow, ...]:
    picture, depth = _sides(pattern)
    rows = []
    for path, fields in _matches(root, PurePosixPath(picture).parts, "", {}):
        other = FIELD.sub(lambda field, known=fields: known[field[1]], depth)
        if not os.path.isfile(root / other):
            raise DepthsiError(f"{root / path} has no depth {other}; add it or move the picture.")
        rows.append(
            IndexRow(0, path, other, fields.get("split", ""), None, fields.get("scene", ""))
        )
    return tuple(rows)


def _has_pair(root: Path, pattern: str) -> bool:
    """Whether at least one picture of the pattern has its depth."""
    picture, depth = _sides(pattern)
    for _, fields in _matches(root, PurePosixPath(picture).parts, "", {}):
        if os.path.isfile(root / FIELD.sub(lambda field, known=fields: known[field[1]], depth)):
            return True
    return False


def _sides(pattern: str) -> tuple[str, str]:
    """The paths of picture and depth.

    Raises:
      DepthsiError: it is not such a pattern.
    """
    sides = [side.strip() for side in pattern.split("->")]
    fields = [set(FIELD.findall(side)) for side in sides]
    wrong = ""
    if len(sides) != 2 or not all(sides):
        wrong = "has not the form PICTURE -> DEPTH"
    elif strange := sorted(set.union(*fields) - set(FIELDS)):
        wrong = f"has the field {{{strange[0]}}}, which is none of {{split}}, {{scene}}, {{name}}"
    elif not fields[1] <= fields[0] or "name" not in fields[1]:
        wrong = "must have {name} on both sides, and at the right no field missing at the left"
    elif any(PurePosixPath(side).anchor or ".." in PurePosixPath(side).parts for side in sides):
        wrong = "leaves the folder"
    elif PurePosixPath(sides[1]).suffix.lower() not in DEPTH_SUFFIXES:
        wrong = f"must end in one of {', '.join(DEPTH_SUFFIXES)}"
    if wrong:
        raise DepthsiError(f"The pattern {pattern!r} {wrong}; write it like {EXAMPLE!r}.")
    return sides[0], sides[1]


def _matches(
    root: Path, parts: tuple[str, ...], before: str, fields: dict[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Paths relative to `root` that fit, in order, with their fields.

    It looks no deeper than the pattern has components, so that circular links end by themselves.
    """
    component = _component(parts[0], fields)
    try:
        names = sorted(os.listdir(root / before))
    except OSError as error:
        raise DepthsiError(f"{root / before} cannot be listed ({error.strerror}).") from error
    for name in names:
        found = component.fullmatch(name)
        if found is None or name.startswith("."):  # such as the ._NAME that archives of macOS add
            continue
        path, known = f"{before}{name}", fields | found.groupdict()
        if len(parts) == 1 and os.path.isfile(root / path):
            yield path, known
        elif len(parts) > 1 and os.path.isdir(root / path):
            yield from _matches(root, parts[1:], f"{path}/", known)


def _component(text: str, known: dict[str, str]) -> re.Pattern[str]:
    """What a path component must look like, given the fields of those before it."""
    expression, end = "", 0
    seen: set[str] = set()
    for field in FIELD.finditer(text):
        name = field[1]
        expression += re.escape(text[end : field.start()])
        end = field.end()
        if name in known:
            expression += re.escape(known[name])
        else:
            expression += f"(?P={name})" if name in seen else f"(?P<{name}>.+?)"
            seen.add(name)
    return re.compile(expression + re.escape(text[end:]), re.DOTALL)
