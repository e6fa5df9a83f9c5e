"""What the launchers refuse, and how they run programs."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence

from depthsi.errors import DepthsiError
from depthsi.presets import PRESETS


def check_training(training: Sequence[str]) -> None:
    """Raises DepthsiError unless these can be the arguments of a `depthsi train` to be launched."""
    names = [word.partition("=")[0].replace("_", "-") for word in training]
    if not ({"--config", "--resume"} & set(names) or (training and training[0] in PRESETS)):
        raise DepthsiError(
            "put the arguments of depthsi train after --, a preset first"
            f" ({', '.join(PRESETS)}), such as: -- nyu --run DIR; or --config FILE, or --resume."
        )
    if "--run" not in names:
        raise DepthsiError("--run is missing after --: name the directory of the run.")
    if any(name.startswith("--cluster.") for name in names):
        raise DepthsiError("--cluster options are set by depthsi launch: leave them out.")


def check_name(option: str, value: str, pattern: str, example: str) -> None:
    """Raises DepthsiError unless all of `value` matches `pattern`."""
    if not re.fullmatch(pattern, value):
        raise DepthsiError(f"{option} is {value!r}; it must look like {example}.")


def check_at_least(option: str, value: int, least: int) -> None:
    """Raises DepthsiError if `value` is less than `least`."""
    if value < least:
        raise DepthsiError(f"{option} is {value}; it must be at least {least}.")


def run(commands: Sequence[Sequence[str]], *, program: str, dry_run: bool, text: str = "") -> int:
    """Runs commands in turn, until one fails; or prints them.

    Args:
      commands: programs with their arguments.
      program: what must be installed for them.
      dry_run: whether to print them only.
      text: for the standard input of each.

    Returns:
      The exit code of the last one that ran.

    Raises:
      DepthsiError: `program` is not installed.
    """
    if dry_run:
        for command in commands:
            print(shlex.join(command) + (f" <<'END'\n{text}END" if text else ""))
        return 0
    if shutil.which(program) is None:
        raise DepthsiError(
            f"the program {program} is not installed here: use --dry-run to see what it would run."
        )
    for command in commands:
        if code := subprocess.run(command, input=text or None, text=True, check=False).returncode:
            return code
    return 0
