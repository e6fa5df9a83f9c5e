"""`depthsi info`."""

from pathlib import Path

import depthsi
from depthsi.commands.dataset_info import dataset_info
from depthsi.commands.info_request import InfoRequest
from depthsi.errors import DepthsiError
from depthsi.machine import describe_machine
from depthsi.runs import RunDirectory
from depthsi.training.checkpoints.trained import latest_step
from depthsi.training.costs import as_flops, count_parameters, forward_flops, step_flops
from depthsi.training.stages import make_stages
from depthsi.training.state import abstract_state


def info(request: InfoRequest) -> None:
    """`depthsi info`: versions and devices, what a run is made of, or what data is like."""
    path = Path(request.what)
    if not request.what:
        _print_installation()
    elif request.what != "rooms" and (path / "config.json").exists():
        _print_run(RunDirectory(path))
    elif request.what == "rooms" or path.is_dir():
        dataset_info(request)
    else:
        raise DepthsiError(
            f"{path} is no directory: give a run, a folder of pictures with depth, prepared data, "
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


def _print_installation() -> None:
    import importlib.metadata as metadata

    print(f"depthsi {depthsi.__version__}")
    for name in ("flax", "optax", "orbax-checkpoint", "grain"):
        try:
            print(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            print(f"{name} is not installed")
    for name, text in describe_machine().items():
        print(f"{name} {text}")
