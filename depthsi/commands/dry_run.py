"""`depthsi train --dry-run`: what a training would cost, without reading or writing anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from depthsi.config import (
    Config,
    CustomData,
    CustomNetworkConfig,
    DataConfig,
    ModelConfig,
    Rooms,
    TwoScaleConfig,
)
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.start_from_run import check_coarse_convs, check_init
from depthsi.training.costs import (
    StepMemory,
    as_flops,
    count_parameters,
    forward_flops,
    step_flops,
    step_memory,
)
from depthsi.training.parallel import DATA, MODEL, make_mesh
from depthsi.training.processes.cluster import Cluster, join_cluster
from depthsi.training.stages import check_warmup, make_stages
from depthsi.training.state import abstract_state


def dry_run(
    config: Config,
    path: str,
    *,
    resume: bool,
    cluster: Cluster = Cluster(),  # noqa: B008 (frozen)
) -> None:
    """Prints networks, stages, costs, devices and data of a run; writes nothing.

    Raises:
      DepthsiError: settings or a run directory that a training would also refuse.
    """
    run = RunDirectory(path)
    with join_cluster(cluster):
        if resume:
            run.check_same(config)
        else:
            run.check_new()
        mesh = make_mesh(config.schedule.batch_size, config.compute)
        check_warmup(config)
        check_init(config.init)
        check_coarse_convs(config)
        say = print if jax.process_index() == 0 else _nothing
        say(f"A dry run: no data is read, and nothing is written to {path}.")
        for title, text in _lines(config, mesh):
            say(f"{title:<18}{text}", flush=True)  # some take a few seconds


def _lines(config: Config, mesh: Mesh) -> Iterator[tuple[str, str]]:
    model, schedule, compute = config.model, config.schedule, config.compute
    sizes, stages = model.sizes, make_stages(config)
    params = abstract_state(config, stages[0]).params
    yield "network", f"{model.kind} ({_network_size(model)}), geometry {sizes.name} {sizes.variant}"
    yield "  input, output", f"{_by(sizes.input)}, {_by(sizes.output)}"
    for name, layers in params.items():
        yield f"  {name}", f"{count_parameters(layers):,} parameters"
    if len(params) > 1:
        yield "  in all", f"{count_parameters(params):,} parameters"
    if config.init.weights:
        yield "  starts from", config.init.weights
    if config.init.coarse_convs:
        yield "  coarse/conv1..5", config.init.coarse_convs

    shape = f"mesh of {mesh.shape[DATA]} ({DATA}) x {mesh.shape[MODEL]} ({MODEL})"
    kind = mesh.devices.flat[0].device_kind
    yield "devices", f"{mesh.size} x {kind}, {shape}, {compute.binding}, {compute.precision}"
    each = schedule.batch_size // mesh.size
    turns = f" in {compute.accumulate} parts" if compute.accumulate > 1 else ""
    yield "batch", f"{schedule.batch_size} images, {each} on each device{turns}"
    yield "data", _data(config.data, watched=schedule.eval_every > 0)
    for stage in stages:
        samples = stage.steps * schedule.batch_size
        yield f"stage {stage.name}", f"{stage.steps:,} steps, {samples:,} samples"
        forward, step = forward_flops(config, stage), step_flops(config, stage)
        yield "  per image", f"{as_flops(forward)} to predict, {as_flops(step)} to train on"
        yield "  memory", _memory(step_memory(config, stage, mesh))
    yield "", "FLOP counts convolutions and matrix products; a multiply-add counts as 2."
    yield "", "Memory is per device, as compiled, and does not include resident data."


def _network_size(model: ModelConfig) -> str:
    if isinstance(model, TwoScaleConfig):
        return f"width {model.width:g}"
    return model.name if isinstance(model, CustomNetworkConfig) else model.size


def _memory(memory: StepMemory) -> str:
    parts = [
        ("parameters", memory.parameters),
        ("optimiser", memory.optimiser),
        ("batch", memory.batch),
    ]
    known = ", ".join(f"{name} {_size(count)}" for name, count in parts)
    if memory.temporaries is None:
        return f"{known}; activations are unknown"
    total = sum(count for _, count in parts) + memory.temporaries
    return f"{_size(total)}: {known}, activations and other temporaries {_size(memory.temporaries)}"


def _nothing(*_: Any, **__: Any) -> None:
    """Printing in all processes except the first one."""


def _data(data: DataConfig, *, watched: bool) -> str:
    """Describes the data; checks that its directory exists, without reading it."""
    if isinstance(data, Rooms):
        val = f"; {data.val} others for validation" if watched else ""
    else:
        val = "; split val for validation" if watched else ""
    if data.endless:
        return f"a new room in each sample, rendered on the devices{val}"
    where = ", kept in device memory" if data.resident else ""
    if isinstance(data, Rooms):
        return f"{data.train} rooms, rendered at the start{where}{val}"
    if isinstance(data, CustomData):
        return f"samples passed by a program ({data.name}){where}{val}"
    if not data.root:
        return f"{data.kind}, but its directory is not set yet: set --data.root"
    missing = "" if Path(data.root).is_dir() else " (not a directory yet)"
    return f"{data.kind} {data.root}{missing}, split train{where}{val}"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
