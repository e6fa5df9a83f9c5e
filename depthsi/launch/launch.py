"""Starts one training on many devices: a TPU pod slice, a SLURM cluster, or one machine.

Command:   depthsi launch tpu|slurm|machine [options] -- TRAIN ARGUMENTS
           where TRAIN ARGUMENTS are those of `depthsi train`; README.md has examples.
With --dry-run it only prints what it would run, ready to be pasted into a shell.
"""

import sys
from collections.abc import Sequence

import tyro

from depthsi.errors import DepthsiError
from depthsi.launch.one_machine import Machine
from depthsi.launch.slurm_job import Slurm
from depthsi.launch.tpu_slice import Tpu
from depthsi.presets import PRESETS


def main(arguments: Sequence[str]) -> None:
    """Runs the command line; a mistake ends in one sentence and exit code 2."""
    own, _, training = _partition(list(arguments))
    target = tyro.cli(
        Tpu | Slurm | Machine,
        prog="launch.py",
        description=__doc__,
        args=own,
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    try:
        _check(training)
        code = target.launch(tuple(training))
    except DepthsiError as error:
        print(f"launch.py: {error}", file=sys.stderr)
        code = 2
    raise SystemExit(code)


def _partition(arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    """What stands before the first "--", it, and what stands after it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at : at + 1], arguments[at + 1 :]


def _check(training: list[str]) -> None:
    if not training or training[0] not in PRESETS:
        raise DepthsiError(
            "put the arguments of depthsi train after --, a preset first"
            f" ({', '.join(PRESETS)}), such as: -- nyu --run DIR."
        )
    names = [word.partition("=")[0].replace("_", "-") for word in training]
    if "--run" not in names:
        raise DepthsiError("--run is missing after --: name the directory of the run.")
    if any(name.startswith("--cluster.") for name in names):
        raise DepthsiError("--cluster options are for launch.py to set: leave them out.")


if __name__ == "__main__":
    main(sys.argv[1:])
