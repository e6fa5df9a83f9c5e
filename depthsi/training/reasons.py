"""What libraries raise, in few words."""

import errno
import os


def reason_of(error: BaseException) -> str:
    """What went wrong first, in few words: the system's own, such as those for a full disk."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO):
        if (words := os.strerror(number)) in str(error):
            return words
    first = (str(error).strip().splitlines() or [""])[0].partition(" [tensorstore_spec")[0]
    last = ": ".join(first.split(": ")[-2:])[:160]
    return last if " " in last else repr(error)[:160]
