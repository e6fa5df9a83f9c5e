"""How the scripts end that can be run with nothing but the networks' own dependencies."""

import contextlib
import sys
from collections.abc import Iterator

from depthsi.errors import DepthsiError, StoppedError


@contextlib.contextmanager
def plain_errors(program: str) -> Iterator[None]:
    """Turns what is the user's to mend into one sentence and an exit code, as `depthsi` does."""
    try:
        yield
    except DepthsiError as error:
        print(f"{program}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except StoppedError as stopped:
        print(f"{program}: {stopped} The same line continues.", file=sys.stderr)
        raise SystemExit(stopped.exit_code) from None
    except OSError as error:  # a full disk, a file where a directory should be, no permission
        print(f"{program}: {error.filename}: {error.strerror}.", file=sys.stderr)
        raise SystemExit(2) from None
