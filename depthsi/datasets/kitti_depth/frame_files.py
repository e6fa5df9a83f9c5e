"""Folders of files that are named by their frame."""

import os
import re
from pathlib import Path

from depthsi.errors import DepthsiError

FRAME = re.compile(r"(\d{10})\.(\w+)")


def by_frame(folder: Path, suffix: str) -> dict[int, Path]:
    """The files `0000000005.png` and so on of `folder` by number, in order; none if it is missing.

    Raises:
      DepthsiError: the folder cannot be listed.
    """
    if not folder.is_dir():
        return {}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DepthsiError(f"{folder} cannot be listed ({error}); check its rights.") from error
    found = ((FRAME.fullmatch(name), folder / name) for name in names)
    return {int(match[1]): path for match, path in found if match and f".{match[2]}" == suffix}
