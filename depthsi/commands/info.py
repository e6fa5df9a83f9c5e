"""`depthsi info`."""

from importlib import metadata
from pathlib import Path
from typing import Any

import depthsi
from depthsi.commands.dataset_info import dataset_info
from depthsi.commands.info_request import InfoRequest
from depthsi.errors import DepthsiError
from depthsi.machine import describe_machine
from depthsi.output import STDOUT, write_numbers
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.trained import latest_step
from depthsi.training.costs import as_flops, count_parameters, forward_flops, step_flops
from depthsi.training.stages import make_stages
from depthsi.training.state import abstract_state


def info(request: InfoRequest) -> None:
    """Describes the installation, a run, or a data set."""
    path = Path(request.what)
    if not request.what:
        found = _installation()
        if request.json:
            write_numbers(request.json, found)
        if request.json != STDOUT:
            _print_installation(found)
    elif request.what != "rooms" and (path / "config.json").exists():
        run = RunDirectory(path)
        if request.json:
            write_numbers(request.json, _numbers_of_run(run))
        if request.json != STDOUT:
            _print_run(run)
    elif request.what == "rooms" or path.is_dir():
        dataset_info(request)
    else:
        raise DepthsiError(
            f"{path} is not a directory: give a run, a folder of images with depth, prepared data, "
            "or the word rooms."
        )


def _print_run(run: RunDirectory) -> None:
    config = run.config()
    stages = make_stages(config)
    params = abstract_state(config, stages[0]).params
    sizes = config.model.sizes
    print(f"{run.path}: step {latest_step(run) or 0} of {stages[-1].end}")
    print(f"geometry {sizes.name} {sizes.variant}: input {sizes.input}, output {sizes.output}")
    for name, layers in params.items():
        for layer, arrays in layers.items():
            shape = "x".join(map(str, arrays["kernel"].shape)) if "kernel" in arrays else ""
            print(f"  {f'{name}/{layer}':<18} {shape:>16} {count_parameters(arrays):>12,}")
        print(f"  {name:<18} {'':>16} {count_parameters(layers):>12,} parameters")
    for stage in stages:
        forward, step = forward_flops(config, stage), step_flops(config, stage)
        print(
            f"stage {stage.name}: steps {stage.start + 1} to {stage.end}; per image"
            f" {as_flops(forward)} to predict, {as_flops(step)} to train on"
        )


def _numbers_of_run(run: RunDirectory) -> dict[str, Any]:
    """The values that `_print_run` prints, for JSON."""
    config = run.config()
    stages = make_stages(config)
    return {
        "run": str(run.path),
        "step": latest_step(run) or 0,
        "steps": stages[-1].end,
        "parameters": {
            f"{name}/{layer}": count_parameters(arrays)
            for name, layers in abstract_state(config, stages[0]).params.items()
            for layer, arrays in layers.items()
        },
        "stages": [
            {
                "name": stage.name,
                "start": stage.start,
                "end": stage.end,
                "predict_flops": forward_flops(config, stage),
                "train_flops": step_flops(config, stage),
            }
            for stage in stages
        ],
    }


def _installation() -> dict[str, str]:
    """Versions and devices; "" for packages that are not installed."""
    found = {"depthsi": depthsi.__version__}
    for name in ("flax", "optax", "orbax-checkpoint", "grain"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found | describe_machine()


def _print_installation(found: dict[str, str]) -> None:
    for name, text in found.items():
        print(f"{name} {text or 'is not installed'}")
