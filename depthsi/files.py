"""Reading untrusted files, writing files atomically, locks, and reasons of errors."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from depthsi.errors import DepthsiError

PathLike = str | os.PathLike[str]

MAX_PIXELS = 89_478_485  # where Pillow, too, begins to suspect a decompression bomb
FREE_PIXELS = 2**24  # that a file may have however few bytes it has
PIXELS_PER_BYTE = 256  # of larger images: more than a JPEG of one flat colour has
MAX_ARRAY = 2**32  # bytes in memory: the 654 maps of NYU Depth v2's test take 1.6e9 as doubles
FREE_BYTES = 2**26  # that arrays may take however few bytes their file has
BYTES_PER_BYTE = 64  # of larger ones; measured depth packs to a tenth at best
MAX_BYTES = 2**30  # of one file: more than the largest image takes without compression


def contents(path: PathLike, first: int = -1) -> bytes:
    """All bytes of a regular file, or the first `first` ones; links are followed.

    Raises:
      DepthsiError: the file is missing, cannot be opened, is not regular, or is over 1 GiB.
    """
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > MAX_BYTES:
            raise DepthsiError(f"{path} has {size} bytes, more than the {MAX_BYTES} accepted.")
        try:
            return file.read(first)
        except OSError as error:
            raise DepthsiError(f"{path} cannot be read ({error}); check the file.") from error


def open_regular(path: PathLike) -> BinaryIO:
    """Opens a regular file to be read; links are followed.

    Raises:
      DepthsiError: missing, not to be opened, or not a regular file.
    """
    try:
        # A pipe has no end: reading it would wait for ever.
        if Path(path).exists() and not os.path.isfile(path):
            raise DepthsiError(f"{path} cannot be opened (not a regular file); check the name.")
        return open(path, "rb")
    except FileNotFoundError:
        raise DepthsiError(f"{path} does not exist; check its name.") from None
    except (OSError, ValueError) as error:  # ValueError: a name no file can have
        raise DepthsiError(f"{path} cannot be opened ({error}); check the file.") from error


@contextlib.contextmanager
def decoding(path: PathLike) -> Iterator[None]:
    """Converts any exception that a decoder raises on damaged bytes to one that names the file."""
    try:
        yield
    except (DepthsiError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DepthsiError(f"{path} is damaged or cut short ({reason}); replace it.") from error


def most_pixels(stored: int) -> int:
    """How many pixels a file of `stored` bytes may claim to have.

    A few bytes can unpack to gigabytes, which a header announces before they are unpacked.
    """
    return min(MAX_PIXELS, FREE_PIXELS + PIXELS_PER_BYTE * stored)


def check_pixels(path: PathLike, height: int, width: int, *, stored: int = MAX_BYTES) -> None:
    """Refuses an image that is too large, before it is decoded.

    Args:
      path: path of its file.
      height, width: in pixels, as its header says.
      stored: bytes of the file, where it may be compressed.

    Raises:
      DepthsiError: the image is too large, or too large for the bytes of its file.
      ValueError: it is empty.
    """
    if height < 1 or width < 1:
        raise ValueError(f"{height}x{width} pixels")
    if MAX_PIXELS >= height * width > most_pixels(stored):
        raise DepthsiError(
            f"{path} has {height}x{width} pixels in only {stored} bytes, which is not accepted; "
            "reduce it first."
        )
    if height * width > MAX_PIXELS:
        raise DepthsiError(
            f"{path} has {height}x{width} pixels, more than the {MAX_PIXELS} accepted; "
            "reduce it first."
        )


def check_unpacked(path: PathLike, name: str, needed: int, stored: int) -> None:
    """Refuses an array that is too large, before memory is allocated.

    Args:
      path: path of its file.
      name: name of the array.
      needed: bytes in memory.
      stored: bytes of the file.

    Raises:
      DepthsiError: the array is too large, or too large for the size of its file.
    """
    if needed > MAX_ARRAY:
        raise DepthsiError(
            f"{path}: {name!r} takes {needed} bytes, more than the {MAX_ARRAY} accepted; split it."
        )
    if needed > most_unpacked(stored):
        raise DepthsiError(
            f"{path}: {name!r} takes {needed} bytes, but the file has only {stored}, which is not "
            "accepted; save it without compression."
        )


def most_unpacked(stored: int) -> int:
    """How many bytes the arrays of a file of `stored` bytes may take in memory."""
    return min(MAX_ARRAY, FREE_BYTES + BYTES_PER_BYTE * stored)


def write_text(path: Path, text: str) -> None:
    """Replaces the file at `path` atomically: readers see either the old or the new text."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Like `write_text`. No link is followed: neither at `path` nor at its temporary name."""
    with replacing(path) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of the one at `path` if nothing goes wrong.

    No link is followed: neither at `path` nor at its temporary name.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()  # left by a process that was killed, or planted
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o666), "w+b") as file:
            yield file
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError):
            error.filename = error.filename or str(path)  # a full disk names no file
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def append_text(path: Path, text: str) -> None:
    """Adds to the end of a file, which is made if need be; a link there is an OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8") as file:
        file.write(text)


def check_no_links_outside(directory: PathLike, parts: Sequence[str] = ()) -> None:
    """Refuses to write into a directory if a part of it is a link out of it.

    In a directory made by someone else, writing through such a link would change the user's files.

    Args:
      directory: directory to write into.
      parts: names in it that are written; none for everything below it.

    Raises:
      DepthsiError: one of them is a symbolic link that leads out of `directory`.
    """
    root = os.path.realpath(directory)
    walked = [(root, list(parts), [])] if parts else os.walk(root)
    for parent, directories, names in walked:
        for path in (os.path.join(parent, name) for name in directories + names):
            if os.path.islink(path):
                target = os.path.realpath(path)
                if os.path.commonpath([root, target]) != root:
                    raise DepthsiError(
                        f"{os.path.join(directory, os.path.relpath(path, root))} is a symbolic link"
                        f" to {target}, outside the directory: nothing is written through it."
                        " Remove the link, or put what it leads to in its place."
                    )


@contextlib.contextmanager
def locked(file: Path, in_use: str, advice: str) -> Iterator[None]:
    """Holds the lock on `file`, which is created if necessary and names the holder.

    The kernel releases the lock when the process ends, however it ends. The file is kept, since
    removing it would let two other processes in.

    Args:
      file: the lock file; a symbolic link is refused, not followed.
      in_use, advice: text of the error message before and after the name of the holder.

    Raises:
      DepthsiError: another process holds the lock, or `file` is a link.
      OSError: the file cannot be written or locked.
    """
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(file, flags, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DepthsiError(f"{file} is a symbolic link, not a lock; delete it.") from error
        raise
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            raise DepthsiError(f"{in_use} ({holder}): {advice}.") from None
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def reason_of(error: BaseException) -> str:
    """A short reason of the original error, such as the system's message for a full disk."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO):
        if (words := os.strerror(number)) in str(error):
            return words
    first = (str(error).strip().splitlines() or [""])[0].partition(" [tensorstore_spec")[0]
    last = ": ".join(first.split(": ")[-2:])[:160]
    return last if " " in last else repr(error)[:160]
