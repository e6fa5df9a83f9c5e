"""How fast samples reach the training step: from files, from device memory, and rendered there.

Question:  how many images a second does each stage give (read, decode, augment, batch, transfer),
           the whole path from files with 0, 1 and 2 workers, and resident mode, beside the same
           work by OpenCV and PyTorch's DataLoader? How much does resident mode add to a step?
Command:   python -m experiments.benchmarks.data   (needs the extra `bench`)
           --root FOLDER for a data folder of one's own instead of rooms written to files;
           on a GPU: --batch 256 --width 1.0 --calls 20
Time:      about 10 minutes on 2 cores.
Result:    experiments/results/benchmark_data.md. The contestants of a table take turns, round after
           round, so that a machine whose speed drifts treats all alike; medians.
"""

import dataclasses
import functools
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from depthsi import compilation
from depthsi.augment import augment
from depthsi.compilation import loops_on_device
from depthsi.config import AdamWConfig, Config, ScheduleConfig
from depthsi.data.folder.index import read_index
from depthsi.data.folder.source import FolderSource
from depthsi.data.formats.decoding import read_depth, read_image
from depthsi.data.order import Order
from depthsi.data.pipeline import InMemory, OnDemand, to_devices, training_batches
from depthsi.data.resident import place, read_resident
from depthsi.machine import describe_machine
from depthsi.presets import from_scratch
from depthsi.rooms.endless import render_rooms
from depthsi.rooms.source import RoomsSource
from depthsi.training.feeds import make_drawn_step, make_many_steps
from depthsi.training.parallel import make_mesh, split
from depthsi.training.stages import make_stages
from depthsi.training.state import initial_state
from depthsi.training.steps import make_train_step
from experiments.benchmarks import opencv_loader as rival
from experiments.script import RESULTS, command_line, made_by, run_script, write_result

PAUSE = 0.5  # seconds
Contestant = Callable[[], int]  # does some work and waits for it; how many images that was


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Times the ways of the data."""

    root: str = ""
    """A data folder whose depth is 16-bit PNG; none: rooms are written to a temporary one."""
    split: str = "train"
    """Split of the folder."""
    images: int = 256
    """Number of samples."""
    batch: int = 32
    """Images per batch."""
    calls: int = 8
    """Batches a contestant makes in each round; more than any of them reads ahead."""
    rounds: int = 7
    """Number of rounds."""
    width: float = 0.5
    """Width of the networks whose step resident mode is compared with."""
    out: str = str(RESULTS / "benchmark_data")
    """Path of the .json and .md files to write, without extension."""


class Data:
    """The pairs in every form the contestants want."""

    def __init__(self, arguments: Arguments, root: Path) -> None:
        rows = [row for row in read_index(root / "index.csv") if row.split == arguments.split]
        self.config = Config(
            model=from_scratch(width=arguments.width),
            optim=AdamWConfig(learning_rate=1e-4, weight_decay=0.01),
            schedule=ScheduleConfig(
                batch_size=arguments.batch, coarse_samples=arguments.batch, fine_samples=0
            ),
        )
        self.sizes, self.batch = self.config.model.sizes, arguments.batch
        self.mesh = make_mesh(arguments.batch)
        self.source = FolderSource(root, arguments.split, size=self.sizes.image)
        self.files = [
            (root / row.rgb, root / row.depth, row.units_per_metre or 1000.0)
            for row in rows[: arguments.images]
        ]
        samples = [self.source[i] for i in range(len(self.files))]
        self.pairs = InMemory(
            np.stack([sample.image for sample in samples]),
            np.stack([sample.depth for sample in samples]),
        )
        order = Order(len(self.pairs), 0)
        self.numbers = order.numbers(0, 1000 * self.batch).astype(np.int32).reshape(1000, -1)
        self.first = self.pairs.read(self.numbers[0])
        self.augment = jax.jit(
            lambda keys, image, depth: augment(keys, image, depth, self.config.augment, self.sizes)
        )
        self.keys = jax.random.split(jax.random.key(0), self.batch)
        self.streams: list[Any] = []  # to be closed, so that workers end


def write_rooms(root: Path, count: int) -> None:
    """Rooms as JPEG and millimetre PNG, with their index."""
    lines = ["rgb,depth,split,depth_units_per_metre"]
    images, depths = RoomsSource("train", count).arrays()
    for i, (image, depth) in enumerate(zip(images, depths, strict=True)):
        Image.fromarray(image).save(root / f"{i}.jpg", quality=95)
        Image.fromarray(np.rint(depth * 1000).astype(np.uint16)).save(root / f"{i}.png")
        lines.append(f"{i}.jpg,{i}.png,train,1000")
    (root / "index.csv").write_text("\n".join(lines) + "\n")


def stages(data: Data) -> dict[str, Contestant]:
    """Each stage alone, one thread unless a name says otherwise."""
    few = data.files[: data.batch]
    on_device = jax.device_put(data.first, split(data.mesh))
    jobs: dict[str, Callable[[], Any]] = {
        "read both files": lambda: [(i.read_bytes(), d.read_bytes()) for i, d, _ in few],
        "decode": lambda: [(read_image(i), read_depth(d, unit)) for i, d, unit in few],
        "decode: OpenCV": lambda: [rival.decode(files) for files in few],
        "batch from memory": lambda: data.pairs.read(data.numbers[0]),
        "transfer": lambda: jax.block_until_ready(jax.device_put(data.first, split(data.mesh))),
        "augment on the device": lambda: jax.block_until_ready(data.augment(data.keys, *on_device)),
        "augment: OpenCV": lambda: rival.warp_batch(*data.first, data.config.augment, data.sizes),
    }
    return {name: functools.partial(counted, job, data.batch) for name, job in jobs.items()}


def counted(job: Callable[[], Any], images: int) -> int:
    job()
    return images


def paths(data: Data, calls: int) -> dict[str, Contestant]:
    """From files, or from device memory, to augmented batches on the device."""
    found: dict[str, Contestant] = {}
    source = OnDemand(data.source)
    pictures = rival.Pictures(data.files, data.config.augment, data.sizes)
    for workers in (0, 1, 2):
        ours = training_batches(source, data.batch, 0, workers=workers)
        data.streams.append(ours)
        augmented = (data.augment(data.keys, *pair) for pair in to_devices(ours, split(data.mesh)))
        found[f"files, {workers} workers"] = functools.partial(take, augmented, calls, data.batch)
        theirs = (
            jax.device_put([tensor.numpy() for tensor in batch])
            for batch in rival.batches(pictures, data.batch, workers)
        )
        name = f"files, {workers} workers: DataLoader + OpenCV"
        found[name] = functools.partial(take, theirs, calls, data.batch)
    placed = place(data.pairs, data.sizes.image, data.mesh)
    resident = jax.jit(
        lambda placed, keys, numbers: augment(
            keys, *read_resident(placed, numbers, data.mesh), data.config.augment, data.sizes
        )
    )
    batches = (resident(placed, data.keys, data.numbers[i % 1000]) for i in itertools.count())
    found["resident"] = functools.partial(take, batches, calls, data.batch)
    return found


def take(batches: Iterator[Any], calls: int, batch: int) -> int:
    for _ in range(calls):
        jax.block_until_ready(next(batches))
    return calls * batch


def steps(data: Data, calls: int) -> dict[str, Contestant]:
    """The coarse training step on one fixed batch, and with its samples drawn in resident mode."""
    stage = make_stages(data.config)[0]
    placed = place(data.pairs, data.sizes.image, data.mesh)
    fixed = jax.device_put(data.first, split(data.mesh))
    draws: dict[str, tuple[Any, Any]] = {
        "bare step": (fixed, lambda pair, numbers: pair),
        "resident": (placed, lambda placed, n: read_resident(placed, n, data.mesh)),
    }
    found = {}
    for name, (kept, draw) in draws.items():
        step: Any = make_drawn_step(make_train_step(data.config, stage), draw)
        program = make_many_steps(step) if loops_on_device() else step
        compiled = compilation.jit(program, donate_argnums=0)
        state = initial_state(data.config, stage)
        found[name] = functools.partial(advance, [state], compiled, kept, data.numbers[:calls])
    return found


def advance(kept: list[Any], compiled: Callable[..., Any], data: Any, numbers: np.ndarray) -> int:
    """Some steps of the training whose state is the only element of `kept`."""
    if loops_on_device():
        kept[0], _ = compiled(kept[0], data, numbers, np.int32(len(numbers)))
    else:
        for row in numbers:
            kept[0], _ = compiled(kept[0], data, row)
    jax.block_until_ready(kept)
    return numbers.size


def rendering(data: Data) -> dict[str, Contestant]:
    render = jax.jit(lambda numbers: render_rooms(numbers, 0, (1.0, 1.0), data.mesh))
    scenes = (render(jnp.arange(i, i + data.batch)) for i in itertools.count(0, data.batch))
    return {"rooms rendered": functools.partial(take, scenes, 1, data.batch)}


def rates(contestants: dict[str, Contestant], rounds: int) -> dict[str, float]:
    """Images a second of each: medians over rounds in which they take turns.

    Each runs twice in its turn and only the second counts, because the first may find batches that
    were read ahead while others had theirs; the pause lets it read ahead again at nobody's cost.
    """
    for run in contestants.values():
        run()  # compiles, starts workers, empties what was read ahead
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            run()
            start = time.perf_counter()
            images = run()
            found[name].append(images / (time.perf_counter() - start))
            time.sleep(PAUSE)
    return {name: statistics.median(values) for name, values in found.items()}


def main(arguments: Arguments) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(arguments.root or folder)
        if not arguments.root:
            write_rooms(root, arguments.images)
        data = Data(arguments, root)
        views = (data.pairs.images[:8], data.pairs.depths[:8])
        difference = rival.check_same_work(*views, data.config.augment, data.sizes)
        tables = {}
        for name, contestants in {
            "Stages": stages(data),
            "To augmented batches on the device": paths(data, arguments.calls),
            "Coarse training step": steps(data, arguments.calls),
            "Rooms": rendering(data),
        }.items():
            tables[name] = rates(contestants, arguments.rounds)
            print(name, {row: round(value) for row, value in tables[name].items()}, flush=True)
        for stream in data.streams:
            stream.close()
    # the folder's name only: where it lies says something about this machine alone
    named = dataclasses.replace(arguments, root=Path(arguments.root).name)
    settings = dataclasses.asdict(named)
    del settings["out"]
    result = {
        "command": command_line("benchmarks.data", named),
        "settings": settings,
        "machine": describe_machine(),
        "cores": os.cpu_count(),
        "mean_difference_of_augmentations": difference,
        "images_per_second": tables,
    }
    write_result(arguments.out, result, report(result))


def report(result: dict[str, Any]) -> str:
    """The tables, and what the goals compare."""
    tables = result["images_per_second"]
    lines = [
        made_by(result),
        "Images a second, medians. The two augmentations differ by "
        f"{result['mean_difference_of_augmentations']:.2f} grey levels on average.",
    ]
    for name, rows in tables.items():
        lines += ["", f"## {name}", "", "| | images/s |", "| --- | ---: |"]
        lines += [f"| {row} | {value:,.0f} |" for row, value in rows.items()]
    return "\n".join([*lines, "", "## Ratios", "", *ratios(result)]) + "\n"


def ratios(result: dict[str, Any]) -> list[str]:
    tables = result["images_per_second"]
    stage, path = tables["Stages"], tables["To augmented batches on the device"]
    step = tables["Coarse training step"]
    own = stage["augment on the device"]
    lines = ["| | |", "| --- | ---: |"]
    if "cpu" in result["machine"]["devices"]:  # a CPU device is all cores, OpenCV ran on one
        own /= result["cores"]
    lines.append(f"| augmentation over OpenCV's, per core | {own / stage['augment: OpenCV']:.2f} |")
    for workers in (0, 1, 2):
        name = f"files, {workers} workers"
        ratio = path[name] / path[f"{name}: DataLoader + OpenCV"]
        lines.append(f"| {name}: over DataLoader + OpenCV | {ratio:.2f} |")
    best = max(path[f"files, {n} workers"] for n in (0, 1, 2))
    other = max(path[f"files, {n} workers: DataLoader + OpenCV"] for n in (0, 1, 2))
    lines.append(f"| files, the best of each | {best / other:.2f} |")
    added = 100 * (step["bare step"] / step["resident"] - 1)
    lines.append(f"| resident mode adds to a step | {added:.1f} % |")
    return lines


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
