"""Loads the network of a trained run from its checkpoints."""

import dataclasses
import math
import os
import warnings
from pathlib import Path
from typing import Any

from depthsi.config import (
    HIGHER_IS_BETTER,
    Config,
    CustomNetworkConfig,
    ModelConfig,
    SgdConfig,
)
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.runs import RunDirectory, is_run
from depthsi.scale import describe_scale
from depthsi.training.stages import make_stages, stage_of
from depthsi.weights.network_file import SUFFIX, TrainedNetwork, read_description, read_network
from depthsi.weights.remote import is_remote
from depthsi.weights.shipped import named_file


def is_model(path: str | os.PathLike[str]) -> bool:
    """Whether `trained_network` takes `path` for a run, a weights file or a shipped network."""
    if is_remote(path):
        return True
    path = named_file(path)
    return Path(path).suffix == SUFFIX or is_run(path)


def trained_network(path: Path, checkpoint: str = "newest", module: Any = None) -> TrainedNetwork:
    """The network of a weights file, or of the newest, the best or a specific checkpoint.

    The newest network of a finished run is read from its weights file, which is faster than reading
    the checkpoint. A damaged checkpoint causes a warning, and the one before it is read.

    Args:
      path: the file, or the directory of a run.
      checkpoint: checkpoint of a run: newest, best, or a step.
      module: the network of settings of the kind custom.

    Raises:
      DepthsiError: there is no run or no such checkpoint, all checkpoints are damaged, or the
        module is missing, not needed, or has other parameters.
    """
    if path.suffix == SUFFIX:
        if checkpoint != "newest":
            raise DepthsiError(
                f"{path} is a weights file without checkpoints: leave out --checkpoint."
            )
        _check_module(path, read_description(path).settings, module)
        return _with_module(path, read_network(path), module)
    run = RunDirectory(path)
    config = run.config()
    _check_module(path, config.model, module)
    step = _wanted(run, config, checkpoint)
    if (network := _from_file(run, config, step)) is not None:
        return _with_module(path, network, module)
    params, step = _from_checkpoint(run, config, None if checkpoint == "newest" else step)
    outputs = trained_outputs(config, step)
    about = known_about(run, config, step)
    network = TrainedNetwork(config.model, params, outputs, step, about)
    return _with_module(path, network, module)


def known_about(run: RunDirectory, config: Config, step: int) -> dict[str, Any]:
    """The scale interval from the evaluation of a checkpoint, see `depthsi.scale`."""
    from depthsi.training.checkpoints.record import DamagedError
    from depthsi.training.checkpoints.store import Checkpoints

    with Checkpoints(run.checkpoints) as checkpoints:
        try:
            val = checkpoints.record(step).val
        except DamagedError:
            return {}
    return describe_scale(val, trained_outputs(config, step)[-1])


def _check_module(path: Path, settings: ModelConfig, module: Any) -> None:
    """Refuses a missing or unneeded module before any array is read."""
    if isinstance(settings, CustomNetworkConfig):
        if module is None:
            raise settings.missing(f"The network of {path}")
    elif module is not None:
        raise DepthsiError(
            f"{path} has a network of the kind {settings.kind}: leave out `network`."
        )


def _with_module(path: Path, network: TrainedNetwork, module: Any) -> TrainedNetwork:
    if not isinstance(network.settings, CustomNetworkConfig):
        return network
    from depthsi.models.custom import fitted_params

    params = fitted_params(network.settings, module, network.params, str(path))
    return dataclasses.replace(network, params=params, module=module)


def latest_step(run: RunDirectory) -> int | None:
    """Step of the newest checkpoint, None where there is none."""
    return max(_steps(run), default=None)


def trained_outputs(config: Config, step: int) -> tuple[str, ...]:
    """The outputs whose stage has started by `step`; the last one is the best trained."""
    stages = make_stages(config)
    reached = stage_of(stages, step)
    return tuple(stage.output for stage in stages if stage.start <= reached.start)


def _steps(run: RunDirectory) -> list[int]:
    directory = run.checkpoints
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal())


def _wanted(run: RunDirectory, config: Config, checkpoint: str) -> int:
    """The step that `checkpoint` stands for."""
    steps = _steps(run)
    if not steps:
        raise DepthsiError(f"{run.path} has no checkpoint yet: train it first.")
    if checkpoint == "newest":
        return steps[-1]
    if checkpoint == "best":
        step, what = _best(run, config), f"with the metric {config.schedule.best} of an evaluation"
    else:
        step, what = int(checkpoint) if checkpoint.isdecimal() else -1, f"of step {checkpoint!r}"
    if step not in steps:
        there = ", ".join(map(str, steps))
        raise DepthsiError(
            f"{run.path} has no checkpoint {what}: choose newest, best or one of {there}."
        )
    return step


def _best(run: RunDirectory, config: Config) -> int:
    """Step of the checkpoint with the best metric of an evaluation; -1 if none has one."""
    from depthsi.training.checkpoints.record import DamagedError
    from depthsi.training.checkpoints.store import Checkpoints

    name, scores = config.schedule.best, {}
    sign = -1 if name in HIGHER_IS_BETTER else 1
    with Checkpoints(run.checkpoints) as checkpoints:
        for step in checkpoints.steps:
            try:
                value = checkpoints.record(step).val.get(name, math.nan)
            except DamagedError:
                continue
            if math.isfinite(value):
                scores[step] = sign * value
    return min(scores, key=lambda step: (scores[step], step), default=-1)


def _from_file(run: RunDirectory, config: Config, step: int) -> TrainedNetwork | None:
    """The network of the weights file, if it belongs to the checkpoint of `step`."""
    if not run.weights.is_file():
        return None
    try:
        described = read_description(run.weights)
        if (described.step, described.settings) != (step, config.model):
            return None
        return read_network(run.weights)
    except DepthsiError as error:
        text = f"{error} The checkpoint of step {step} is read instead."
        warnings.warn(text, DepthsiWarning, stacklevel=2)
        return None


def _from_checkpoint(
    run: RunDirectory, config: Config, only: int | None
) -> tuple[dict[str, Any], int]:
    from depthsi.training.checkpoints.store import Checkpoints  # takes seconds to import
    from depthsi.training.state import abstract_state

    abstract = None  # of a module, whose parameters are compared with those that are found
    if not isinstance(config.model, CustomNetworkConfig):
        plain = dataclasses.replace(config, optim=SgdConfig())  # an optimiser may be missing
        abstract = abstract_state(plain, make_stages(config)[0]).params
    with Checkpoints(run.checkpoints) as checkpoints:
        found = checkpoints.newest_params(abstract, only=only)
    if found is None:
        raise DepthsiError(f"{run.path} has no checkpoint yet: train it first.")
    return found
