"""The weights of a run in a small file, to be taken along and to begin another run with.

Command:   python -m experiments.nyu_row.small_weights RUN FILE.npz --most-mib 22
           then: python -m experiments.nyu_row.run --start FILE.npz ...
Time:      seconds.
Result:    float16 has 11 bits, which is an error of 0.05 % at most in each weight. Where all
           arrays do not fit, the largest are left out (fc6 and fc7 of the full width, which are
           95 % of it); a run that starts from the file begins those anew, and says so.
"""

import argparse
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from depthsi.config import Config
from depthsi.errors import DepthsiError
from depthsi.files import write_bytes
from depthsi.training.checkpoints.start_from_run import read_weights
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.checkpoints.weight_files import read_arrays
from depthsi.training.state import State
from experiments.nyu_row.plain_errors import plain_errors


def save_small(run: str, file: str, most: int) -> str:
    """Writes the newest weights of `run` as float16 into `file`, at most about `most` bytes.

    Returns:
      What was written and what was left out, in words.

    Raises:
      DepthsiError: there are none, a weight is beyond float16, or not even one array fits.
    """
    if Path(file).suffix != ".npz":
        raise DepthsiError(f"{file} must end in .npz: name the file of weights so.")
    weights, step = read_weights(run)
    chosen = fitting({name: 2 * array.size for name, array in weights.items()}, most)
    if not chosen:
        raise DepthsiError(f"No array of {run} takes less than {most} bytes: raise --most-mib.")
    small = {}
    for name in chosen:
        array = np.asarray(weights[name])
        if not np.abs(array).max(initial=0) <= np.finfo(np.float16).max:
            raise DepthsiError(f"{name} of {run} has weights that float16 cannot hold.")
        small[name] = array.astype(np.float16)
    buffer = io.BytesIO()
    np.savez(buffer, **small)
    write_bytes(Path(file), buffer.getvalue())
    left_out = ", ".join(name for name in weights if name not in small) or "nothing"
    return f"{file}: {len(small)} arrays of step {step}; left out: {left_out}."


def fitting(sizes: Mapping[str, int], most: int) -> list[str]:
    """Names of as many arrays as fit into `most` bytes, the smallest first."""
    chosen, total = [], 0
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        total += sizes[name]
        if total > most:
            break
        chosen.append(name)
    return chosen


def as_run(file: str, directory: Path) -> Path:
    """Makes `directory` what `init.weights` can name, with the weights of `file`.

    Raises:
      DepthsiError: the file cannot be used.
    """
    if (directory / "checkpoints" / "1").is_dir():
        return directory
    params: dict[str, Any] = {}
    for name, array in read_arrays(file, lambda name: True).items():
        *parents, last = name.split("/")
        node = params
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = jnp.asarray(array, jnp.float32)
    with Checkpoints(directory / "checkpoints", Config()) as checkpoints:
        checkpoints.save(1, State(jnp.int32(1), params, (), jax.random.key(0)), "start", {})
    return directory


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The newest weights of a run in a small file.")
    parser.add_argument("run", help="directory of a run")
    parser.add_argument("file", help="file to write, .npz")
    parser.add_argument("--most-mib", type=float, default=22.0, help="size to stay under")
    arguments = parser.parse_args(words)
    with plain_errors("small_weights"):
        print(save_small(arguments.run, arguments.file, int(arguments.most_mib * 2**20)))


if __name__ == "__main__":
    main()
