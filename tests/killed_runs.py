"""Starting trainings in processes of their own, in order to end them early."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from pictures import write_pairs

PROGRAM = Path(__file__).with_name("small_training.py")


def write_training_pairs(root, count=4):
    """A folder of images with depth, all for training."""
    rng = np.random.default_rng(0)
    pictures = (rng.integers(0, 255, (240, 320, 3), np.uint8) for _ in range(count))
    return write_pairs(root, [("train", picture, np.full((240, 320), 2.0)) for picture in pictures])


def arguments(run, data, *more, steps=(12, 8), save_every=5):
    """Of `depthsi train`, for a run of so many coarse and fine steps."""
    return [
        "train",
        "tiny",
        "--run",
        str(run),
        "--data.kind",
        "folder",
        "--data.root",
        str(data),
        "--schedule.batch-size",
        "2",
        "--schedule.coarse-samples",
        str(2 * steps[0]),
        "--schedule.fine-samples",
        str(2 * steps[1]),
        "--schedule.eval-every",
        "0",
        "--schedule.save-every",
        str(save_every),
        "--schedule.log-every",
        "1",
        *map(str, more),
    ]


def environment(**more):
    """Variables of a process that is killed, on top of this one's."""
    return {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(PROGRAM.parents[1]),
        # apart from what other tests read: a killed process may leave half a program
        "JAX_COMPILATION_CACHE_DIR": os.environ["JAX_COMPILATION_CACHE_DIR"] + "/killed",
    } | {name: str(value) for name, value in more.items()}


def start(words, **variables):
    """The process, with everything it prints in one pipe."""
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *words],
        env=os.environ | environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process, timeout=240):
    """Exit code and what was printed."""
    printed, _ = process.communicate(timeout=timeout)
    return process.returncode, printed


def wait_for(condition, process, seconds=200):
    """Returns once `condition()` is true, which must be before the process ends."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


def steps_logged(run):
    """How many steps stand in metrics.jsonl."""
    file = Path(run) / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def cluster(processes):
    """The options of each process of a run on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [
        [
            "--cluster.coordinator",
            address,
            "--cluster.processes",
            str(processes),
            "--cluster.process",
            str(number),
        ]
        for number in range(processes)
    ]
