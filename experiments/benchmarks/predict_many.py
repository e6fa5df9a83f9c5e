"""What many photos cost that are predicted by one command.

Question:  how long does `depthsi predict` take for one photo of many, and does its memory grow with
           their number?
Command:   nice -n 19 python -m experiments.benchmarks.predict_many
Hardware:  2 CPU cores.
Time:      15 minutes on a busy machine, most of it for 1000 photos.
Result:    experiments/results/benchmark_predict_many.md; each number of photos is one command in a
           process of its own. Its time includes starting Python and compiling; that of one photo is
           what is left when the time of the fewest photos is taken away.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from depthsi.errors import DepthsiError
from depthsi.machine import describe_machine
from experiments.script import RESULTS, command_line, made_by, run_script, write_result


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Predicts folders of photos."""

    counts: tuple[int, ...] = (100, 300, 1000)
    """Photos in each command."""
    model: str = "unet_nyu"
    """As `depthsi predict` takes it."""
    size: tuple[int, int] = (240, 320)
    """Height and width of a photo."""
    save: str = "png16"
    """What is written of each photo."""
    out: str = str(RESULTS / "benchmark_predict_many")
    """Where the .json and the .md go."""


def main(arguments: Arguments) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for count in sorted(arguments.counts):
            photos = Path(place) / f"photos_{count}"
            write_photos(photos, count, arguments.size)
            rows.append({"photos": count} | measured(photos, Path(place) / f"{count}", arguments))
            print(rows[-1], flush=True)
    result = {
        "command": command_line("benchmarks.predict_many", arguments),
        "machine": describe_machine(),
        "rows": rows,
    }
    write_result(arguments.out, result, page(result))


def write_photos(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Makes JPEG files of coloured spots, no two alike.

    Args:
      folder: to be made.
      count: of the files.
      size: height and width in pixels.
    """
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        spots = Image.fromarray(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8))
        photo = spots.resize((size[1], size[0]), Image.Resampling.BICUBIC)
        photo.save(folder / f"{index:05}.jpg")


def measured(photos: Path, out: Path, arguments: Arguments) -> dict[str, float]:
    """Seconds and peak memory in MiB of one command, in a process of its own.

    Args:
      photos: the folder that is predicted.
      out: where the results go.
      arguments: of this script.

    Raises:
      DepthsiError: the command fails, or leaves out a photo.
    """
    words = ["predict", arguments.model, str(photos), "--out", str(out), "--save", arguments.save]
    words += ["--camera", "training", "--quiet"]
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "depthsi", *words])
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    written = len(list(out.glob("*"))) if out.exists() else 0
    expected = len(list(photos.iterdir())) * len(arguments.save.split(","))
    if child.returncode or written != expected:
        raise DepthsiError(
            f"depthsi {' '.join(words)} ended with {child.returncode} and {written} files instead"
            f" of {expected}."
        )
    kibibytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    processor = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu_seconds": processor, "peak_mib": kibibytes / 1024}


def page(result: dict[str, Any]) -> str:
    """The table in Markdown, with the cost of one more photo."""
    lines = [
        "# Many photos in one command\n",
        f"{made_by(result)}\n",
        "| photos | seconds | CPU seconds | of a further photo: ms | CPU ms | peak memory, MiB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    first = result["rows"][0]
    for row in result["rows"]:
        more = row["photos"] - first["photos"]
        each = [
            f"{1000 * (row[name] - first[name]) / more:.0f}" if more else ""
            for name in ("seconds", "cpu_seconds")
        ]
        lines.append(
            f"| {row['photos']} | {row['seconds']:.1f} | {row['cpu_seconds']:.1f} |"
            f" {each[0]} | {each[1]} | {row['peak_mib']:.0f} |"
        )
    lines.append(
        "\nSeconds are by the clock, on a machine that may have been busy with other things; CPU"
        " seconds are those of the command alone, over all cores."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
