"""What lies in a data folder: every directory is listed once, and names are compared as one reads
them.

Systems differ in what they make of a name: the same letters may be composed (NFC) or not (NFD), and
cameras write `.JPG` where programs write `.jpg`.
"""

import contextlib
import os
import unicodedata
from pathlib import Path

from depthsi.errors import DepthsiError

ONE_BY_ONE = 100


class Listing:
    """The directories below a folder, listed when they are first asked for. Links are followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._entries: dict[str, dict[str, str]] = {}
        self._spellings: dict[str, dict[str, list[str]]] = {}
        self._asked: dict[str, int] = {}
        self._files: set[str] = set()

    def is_file(self, path: str) -> bool:
        """Whether there is such a file, spelt exactly so.

        A few files are asked for one by one. Of many in one directory the directory is listed,
        which for a million is a matter of seconds, not of a minute.
        """
        if path in self._files:
            return True
        directory = path.rpartition("/")[0]
        self._asked[directory] = self._asked.get(directory, 0) + 1
        if self._asked[directory] == ONE_BY_ONE:
            with contextlib.suppress(DepthsiError):  # files there may be read all the same
                entries = self.entries(directory)
                self._files.update(
                    _join(directory, name) for name in entries if entries[name] == "file"
                )
        return os.path.isfile(self.root / path)  # unlike Path.is_file, also for impossible names

    def entries(self, directory: str) -> dict[str, str]:
        """The names in a directory, in any order, with "file", "directory" or "" for anything else.

        Args:
          directory: its path relative to the folder, "" for the folder itself.

        Raises:
          DepthsiError: it cannot be listed.
        """
        if directory not in self._entries:
            path = self.root / directory
            try:
                with os.scandir(path) as found:
                    self._entries[directory] = {entry.name: _kind(entry) for entry in found}
            except OSError as error:
                raise DepthsiError(f"{path} cannot be listed ({error.strerror}).") from error
        return self._entries[directory]

    def find(self, path: str) -> str | None:
        """The file that `path` means, as its name is spelt in the folder; None if there is none.

        A name spelt exactly so goes first. Otherwise composed letters are as good as others, and
        capitals in the ending as good as small letters.

        Args:
          path: relative to the folder, without "..".

        Raises:
          DepthsiError: several names are meant alike, or a directory cannot be listed.
        """
        directory, _, name = path.rpartition("/")
        directory = self._directory(directory)
        if directory is None:
            return None
        name = self._spelt(directory, name, "file")
        return None if name is None else _join(directory, name)

    def _directory(self, path: str) -> str | None:
        if path in self._entries or not path:  # listed before, so that it is there
            return path
        above, _, name = path.rpartition("/")
        above = self._directory(above)
        if above is None:
            return None
        name = self._spelt(above, name, "directory")
        return None if name is None else _join(above, name)

    def _spelt(self, directory: str, name: str, kind: str) -> str | None:
        entries = self.entries(directory)
        if entries.get(name) == kind:
            return name
        if directory not in self._spellings:
            spellings: dict[str, list[str]] = {}
            for each in entries:
                spellings.setdefault(key(each), []).append(each)
            self._spellings[directory] = spellings
        alike = self._spellings[directory].get(key(name), [])
        alike = [each for each in alike if entries[each] == kind]
        if len(alike) > 1:
            first, second = (self.root / _join(directory, each) for each in alike[:2])
            raise DepthsiError(
                f"{str(first)!r} and {str(second)!r} differ in the capitals of their ending or in"
                f" their Unicode form ({alike[0]!a}, {alike[1]!a}) alone; keep one."
            )
        return alike[0] if alike else None


def composed(text: str) -> str:
    """`text` in Unicode's normal form C."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def key(name: str) -> str:
    """Equal for names of files that mean the same."""
    stem, dot, ending = composed(name).rpartition(".")
    return f"{stem}{dot}{ending.lower()}" if dot else ending


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        return "file" if entry.is_file() else "directory" if entry.is_dir() else ""
    except OSError:  # such as a link to itself
        return ""
