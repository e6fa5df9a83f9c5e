"""Pairs images with depth maps by a pattern of their names, for folders without an index.

A pattern is two paths inside the folder, such as
`{split}/{scene}/rgb/{name}.jpg -> {split}/{scene}/depth/{name}.png`. `{split}`, `{scene}` and
`{name}` stand for a part of one path component and mean the same wherever they occur. Capitals in
an ending count as small letters, and composed letters as others.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from depthsi.data.folder.index import IndexRow, check_scenes
from depthsi.data.folder.listing import Listing, composed
from depthsi.data.formats.decoding import DEPTH_SUFFIXES
from depthsi.data.formats.images import IMAGE_SUFFIXES
from depthsi.errors import DepthsiError

FIELDS = ("split", "scene", "name")
FIELD = re.compile(r"\{(\w*)\}")
EXAMPLE = "{split}/rgb/{name}.jpg -> {split}/depth/{name}.png"


class Pattern(NamedTuple):
    """How the pairs of a folder are named.

    Attributes:
      picture: path of the images, with fields.
      endings: file extensions of the images, any of which may follow `picture`.
      depth: path of the depth map, with fields.
    """

    picture: str
    endings: Sequence[str]
    depth: str


def find_pairs(root: Path, pattern: str = "") -> tuple[IndexRow, ...]:
    """The pairs of a folder, sorted by the images' names.

    Args:
      root: the folder.
      pattern: how images and depth maps are named; "" for SPLIT/rgb/NAME and SPLIT/depth/NAME
        with any of the usual endings, of images also several at once.

    Raises:
      DepthsiError: no such folder, a pattern that makes no sense, no pair, an image without depth,
        two images of one name, names that fit several endings, or a scene in two splits.
    """
    if not root.is_dir():
        raise DepthsiError(f"{root} is not a folder; give the one that contains the images.")
    listing = Listing(root)
    if pattern:
        rows = _pairs(listing, _parse(pattern))
        if not rows:
            raise DepthsiError(f"{root} has no image that matches the pattern {pattern!r}.")
    else:
        rows = _usual_pairs(listing)
    check_scenes(rows, root)
    return rows


def _usual_pairs(listing: Listing) -> tuple[IndexRow, ...]:
    usual = [
        Pattern("{split}/rgb/{name}", IMAGE_SUFFIXES, f"{{split}}/depth/{{name}}{suffix}")
        for suffix in DEPTH_SUFFIXES
    ]
    images = list(_images(listing, usual[0]))
    fitting = [
        each
        for each in usual
        if any(listing.find(_filled(each.depth, fields)) for _, fields in images)
    ]
    if len(fitting) > 1:
        first, second = (f"{each.picture}.jpg -> {each.depth}" for each in fitting[:2])
        raise DepthsiError(
            f"{listing.root} has pairs named {first} and {second}; choose one with --data.pattern."
        )
    return _pairs(listing, fitting[0]) if fitting else ()


def _pairs(listing: Listing, pattern: Pattern) -> tuple[IndexRow, ...]:
    rows: list[IndexRow] = []
    seen: dict[tuple[str, ...], str] = {}
    for path, fields in _images(listing, pattern):
        wanted = _filled(pattern.depth, fields)
        depth = listing.find(wanted)
        image = listing.root / path
        if depth is None:
            raise DepthsiError(f"{image} has no depth {wanted}; add it or move the image.")
        other = seen.setdefault(tuple(fields.values()), path)
        if other != path:
            raise DepthsiError(
                f"{image} and {other} have the same name but for their endings or their Unicode"
                f" form ({path!a}, {other!a}), and one depth map, {depth}; keep one."
            )
        rows.append(
            IndexRow(0, path, depth, fields.get("split", ""), None, fields.get("scene", ""))
        )
    return tuple(rows)


def _filled(path: str, fields: dict[str, str]) -> str:
    return FIELD.sub(lambda field: fields[field[1]], path)


def _parse(text: str) -> Pattern:
    """The pattern as a user writes it.

    Raises:
      DepthsiError: it is not such a pattern.
    """
    sides = [side.strip() for side in text.split("->")]
    fields = [set(FIELD.findall(side)) for side in sides]
    wrong = ""
    if len(sides) != 2 or not all(sides):
        wrong = "does not have the form IMAGE -> DEPTH"
    elif strange := sorted(set.union(*fields) - set(FIELDS)):
        wrong = f"has the field {{{strange[0]}}}, which is none of {{split}}, {{scene}}, {{name}}"
    elif not fields[1] <= fields[0] or "name" not in fields[1]:
        wrong = "must have {name} on both sides, and on the right no field missing on the left"
    elif any(PurePosixPath(side).anchor or ".." in PurePosixPath(side).parts for side in sides):
        wrong = "leaves the folder"
    elif PurePosixPath(sides[1]).suffix.lower() not in DEPTH_SUFFIXES:
        wrong = f"must end in one of {', '.join(DEPTH_SUFFIXES)}"
    if wrong:
        raise DepthsiError(f"The pattern {text!r} {wrong}; write it like {EXAMPLE!r}.")
    picture, depth = (str(PurePosixPath(side)) for side in sides)
    ending = PurePosixPath(picture).suffix
    if FIELD.search(ending):
        ending = ""
    return Pattern(picture.removesuffix(ending), (ending,), depth)


def _images(listing: Listing, pattern: Pattern) -> Iterator[tuple[str, dict[str, str]]]:
    """Paths of the images that fit, in order, with their fields."""
    parts = PurePosixPath(pattern.picture).parts
    return _matches(listing, parts, pattern.endings, "", {})


def _matches(
    listing: Listing,
    parts: tuple[str, ...],
    endings: Sequence[str],
    before: str,
    fields: dict[str, str],
) -> Iterator[tuple[str, dict[str, str]]]:
    """Paths relative to the folder that fit, in order, with their fields.

    It looks no deeper than the pattern has components, so that circular links end by themselves.
    """
    last = len(parts) == 1
    component = _component(parts[0], fields, endings if last else ("",))
    for name, kind in sorted(listing.entries(before.removesuffix("/")).items()):
        found = component.fullmatch(composed(name))
        if found is None or name.startswith("."):  # such as the ._NAME that archives of macOS add
            continue
        path, known = f"{before}{name}", fields | found.groupdict()
        if last and kind == "file":
            yield path, known
        elif not last and kind == "directory":
            yield from _matches(listing, parts[1:], endings, f"{path}/", known)


def _component(text: str, known: dict[str, str], endings: Sequence[str]) -> re.Pattern[str]:
    """What a path component must look like, given the fields of those before it."""
    text = composed(text)
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
    expression += re.escape(text[end:])
    return re.compile(f"{expression}(?i:{'|'.join(map(re.escape, endings))})", re.DOTALL)
