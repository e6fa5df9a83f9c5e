"""The lines and numbers of text files."""

import gzip
import io
from pathlib import Path

from depthsi.errors import DepthsiError
from depthsi.files import PathLike, contents, decoding

MAX_TEXT = 2**26  # bytes; the longest list in use has 3 MB


def read_lines(path: PathLike) -> list[str]:
    """The lines of a text file in UTF-8, stripped; it is unpacked if its name ends in `.gz`.

    Raises:
      DepthsiError: it is missing, unreadable, damaged, longer than 64 MiB or not text.
    """
    data = contents(path)
    with decoding(path):
        if Path(path).suffix.lower() == ".gz":
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(MAX_TEXT + 1)
        if len(data) > MAX_TEXT:
            raise DepthsiError(
                f"{path} has over {MAX_TEXT} bytes, more than any text file of KITTI."
            )
        return [line.strip() for line in data.decode("utf-8-sig").split("\n")]


def numbers(text: str) -> list[float] | None:
    """The decimal numbers of `text` between spaces, None if anything else stands there."""
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return None
