"""Code that the scripts share: the command line, the command of a result, and its files."""

import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import tyro

from depthsi.errors import DepthsiError, StoppedError
from depthsi.files import write_text

RESULTS = Path(__file__).parent / "results"
T = TypeVar("T")


def run_script(main: Callable[[T], Any], arguments: type[T], description: str | None) -> None:
    """Calls `main` with the parsed command line; a user's mistake ends in one sentence.

    Args:
      main: what the script does.
      arguments: the dataclass of its options.
      description: the docstring of the script, whose first line --help shows.

    Raises:
      SystemExit: with code 2 after a mistake, 128 plus the signal's number after a signal.
    """
    summary = (description or "").partition("\n")[0]  # the lines below it would be run together
    try:
        main(tyro.cli(arguments, description=summary))
    except DepthsiError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except StoppedError as stopped:
        print(f"{stopped} The same command continues.", file=sys.stderr)
        raise SystemExit(stopped.exit_code) from None


def command_line(
    module: str, arguments: Any, *, leave_out: Collection[str] = ("out",), defaults: bool = True
) -> str:
    """What to type for the same result.

    Args:
      module: below `experiments`.
      arguments: the dataclass its command line was parsed into.
      leave_out: fields that do not change the result.
      defaults: whether to name options that have their default value as well.
    """
    words = ["python", "-m", f"experiments.{module}"]
    for field in dataclasses.fields(arguments):
        value, flag = getattr(arguments, field.name), f"--{field.name.replace('_', '-')}"
        if field.name in leave_out or (value == field.default and not defaults):
            continue
        if isinstance(value, bool):
            words += [flag] if value else []
        elif value != "":
            words += [flag, *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)


def made_by(result: dict[str, Any], seeds: str = "") -> str:
    """The line of a results page that says which command on which machine made it."""
    machine = result["machine"]
    return (
        f"`{result['command']}`, {f'{seeds}, ' if seeds else ''}{machine['processor']}, devices:"
        f" {machine['devices']}, jax {machine['jax']}, Python {machine['python']}."
    )


def named_without_place(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run with the name of its data's folder, but not where that is.

    Weights that it started from are named by their path from the working directory.
    """
    data, init = config["data"], config["init"]
    if "root" in data:
        data = data | {"root": Path(data["root"]).name}
    if Path(init["weights"]).is_absolute():
        init = init | {"weights": os.path.relpath(init["weights"])}
    return config | {"data": data, "init": init}


def read_json(file: Path, advice: str) -> dict[str, Any]:
    """What a file of an earlier script or command holds.

    Args:
      file: JSON file.
      advice: what to do if it cannot be read.

    Raises:
      DepthsiError: it cannot be read.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DepthsiError(f"{file} cannot be read ({error}): {advice}.") from error


def write_result(out: str, result: dict[str, Any], page: str) -> None:
    """Writes `result` to OUT.json and the page about it to OUT.md."""
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(f"{out}.json"), json.dumps(result, indent=1) + "\n")
    write_text(Path(f"{out}.md"), page)
