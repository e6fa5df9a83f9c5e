"""The command line: parses and runs a command, and reports users' mistakes in one sentence."""

import dataclasses
import difflib
import functools
import gc
import operator
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import tyro

from depthsi import __version__
from depthsi.commands import completion
from depthsi.commands.settings import DEFAULTS, Start, as_flags, read_start
from depthsi.commands.verbs import VERBS, Launch, commands
from depthsi.compile_cache import keep_compiled_programs
from depthsi.errors import DepthsiError, DepthsiWarning, StoppedError
from depthsi.machine import keep_freed_memory
from depthsi.output import CLOSED_PIPE, complain, discard_output, make_encodable

# New objects before Python looks for circular garbage. Importing and tracing make little of it,
# and looking for it would take up to a tenth of the time of a prediction.
OBJECTS = 50_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a user's mistake gives a one-sentence message and exit code 2."""
    gc.set_threshold(OBJECTS)
    words, training = _split(list(sys.argv[1:] if arguments is None else arguments))
    for stream in (sys.stdout, sys.stderr):
        make_encodable(stream)
    try:
        if words[:1] == ["--version"]:
            print(f"depthsi {__version__}")
            return
        verb, start = words[:1], Start(DEFAULTS, None, words[1:])
        if verb == [completion.FLAG]:
            parse = functools.partial(_parsed, start)
            print(completion.completion_script(parse, start.rest))
            return
        _check_verb(verb)
        if verb in (["train"], ["config"]):
            start = read_start(words[1:])
        command = _parsed(start, verb + start.rest)
        if isinstance(command, Launch):  # which computes nothing, and may start other machines
            command = dataclasses.replace(command, training=tuple(training))
        else:
            keep_compiled_programs()
            keep_freed_memory()
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            command()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        discard_output()
        raise SystemExit(CLOSED_PIPE) from None
    except DepthsiError as error:
        with_settings = words[:1] in (["train"], ["config"], ["launch"])
        complain(as_flags(str(error)) if with_settings else str(error))
        raise SystemExit(2) from None
    except StoppedError as stopped:
        complain(f"{stopped} Continue with: {_resume_command(arguments)}")
        raise SystemExit(stopped.exit_code) from None
    except OSError as error:  # a full disk, a file where a directory should be, no permission
        if error.filename is None:
            discard_output()  # or what is left in its buffer fails once more
        where = "the output" if error.filename is None else error.filename
        complain(f"{where}: {error.strerror or error}.")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        complain(
            "interrupted; continue a training with --resume; a preparation continues when run"
            " again."
        )
        raise SystemExit(130) from None
    except Exception as error:
        from depthsi.environment import failing_setting

        if (sentence := failing_setting(error)) is None:
            raise  # a fault of ours, which needs its traceback
        complain(sentence)
        raise SystemExit(2) from None


def _parsed(start: Start, words: Sequence[str]) -> Any:
    """The command that `words` ask for; exits for --help and for what cannot be read."""
    return tyro.cli(
        functools.reduce(operator.or_, commands(start)),
        prog="depthsi",
        description="Depth from a single image with the scale-invariant error.",
        args=words,
        config=(
            tyro.conf.AvoidSubcommands,
            tyro.conf.CascadeSubcommandArgs,
            tyro.conf.FlagCreatePairsOff,
        ),
    )


def _check_verb(verb: Sequence[str]) -> None:
    """Raises DepthsiError for an unknown command, and suggests a similar one."""
    if verb and not verb[0].startswith("-") and verb[0] not in VERBS:
        near = difflib.get_close_matches(verb[0], VERBS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(VERBS)}."
        raise DepthsiError(f"There is no command {verb[0]!r}; {hint}")


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The words of `depthsi launch` before the first --, and those after it, for the training."""
    if words[:1] != ["launch"] or "--" not in words:  # tyro versions differ in what -- means
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _resume_command(arguments: Sequence[str] | None) -> str:
    """The command that continues the training started with `arguments`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    by_name = Path(sys.argv[0]).name.startswith("depthsi")
    program = ["depthsi"] if by_name else [sys.executable, "-m", "depthsi"]
    return shlex.join(program + words + ([] if "--resume" in words else ["--resume"]))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our own as a sentence, others as Python shows them."""
    if issubclass(category, DepthsiWarning):
        complain(str(message), file)
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        print(text.rstrip(), file=file or sys.stderr)
