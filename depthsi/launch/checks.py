"""Checks of the launchers' options, and running other programs."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence

from depthsi.errors import DepthsiError
from depthsi.presets import PRESETS


def check_training(training: Sequence[str]) -> None:
    """Raises DepthsiError unless these are arguments with which `depthsi train` can be launched."""
    names = [word.partition("=")[0].replace("_", "-") for word in training]
    if not ({"--config", "--resume"} & set(names) or (training and training[0] in PRESETS)):
        raise DepthsiError(
            "Put the arguments of depthsi train after --, starting with a preset"
            f" ({', '.join(PRESETS)}), such as: -- nyu --run DIR; or use --config FILE or --resume."
        )
    if "--run" not in names:
        raise DepthsiError("--run is missing after --: give the directory of the run.")
    if any(name.startswith("--cluster.") for name in names):
        raise DepthsiError("depthsi launch sets the --cluster options itself: leave them out.")


def check_name(option: str, value: str, pattern: str, example: str) -> None:
    """Raises DepthsiError unless all of `value` matches `pattern`."""
    if not re.fullmatch(pattern, value):
        raise DepthsiError(f"{option} is {value!r}; it must look like {example}.")


def check_at_least(option: str, value: int, least: int) -> None:
    """Raises DepthsiError if `value` is less than `least`."""
    if value < least:
        raise DepthsiError(f"{option} is {value}; it must be at least {least}.")


def run(commands: Sequence[Sequence[str]], *, program: str, dry_run: bool, text: str = "") -> int:
    """Runs commands one after the other until one fails, or prints them.

    Args:
      commands: programs with their arguments.
      program: program that must be installed for them.
      dry_run: whether to only print them.
      text: standard input of each command.

    Returns:
      The exit code of the last command that ran.

    Raises:
      DepthsiError: `program` is not installed.
    """
    if dry_run:
        for command in commands:
            print(shlex.join(command) + (f" <<'END'\n{text}END" if text else ""))
        return 0
    if shutil.which(program) is None:
        raise DepthsiError(
            f"The program {program} is not installed: use --dry-run to see what it would run."
        )
    for command in commands:
        if code := subprocess.run(command, input=text or None, text=True, check=False).returncode:
            return code
    return 0
