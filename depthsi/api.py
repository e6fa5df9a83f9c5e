"""Training and evaluation from Python, with your own data, loss and callbacks.

`depthsi.train` and `depthsi.evaluate` are these functions.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import optax

from depthsi.config import Config, CustomData
from depthsi.data.given import RandomAccess, given_source
from depthsi.data.samples import Source
from depthsi.errors import DepthsiError
from depthsi.evaluation.evaluate import evaluate as _evaluate
from depthsi.evaluation.of_run import EvaluatedNetwork, evaluate_network
from depthsi.evaluation.report import Evaluation
from depthsi.evaluation.request import EvaluationRequest
from depthsi.exports.artefact import ExportedNetwork
from depthsi.models.custom import checked_module
from depthsi.predictor import Predictor, load
from depthsi.training.logs.callbacks import Callbacks
from depthsi.training.logs.metrics_log import LogOptions
from depthsi.training.loss import Loss
from depthsi.training.own import Own
from depthsi.training.run import train_run


@dataclasses.dataclass(frozen=True)
class Training:
    """The result of a training.

    Attributes:
      run: directory of the run.
      rows: the lines of its metrics.jsonl, for the splits train and val.
      network: the trained module, if you passed your own.

    Example:
      >>> result = depthsi.train(config, run="runs/mine", train=samples)  # doctest: +SKIP
      >>> result.rows[-1]["loss"], result.predictor()(image).shape  # doctest: +SKIP
      (0.05, (240, 320))
    """

    run: Path
    rows: list[dict[str, Any]]
    network: nn.Module | None = None

    def predictor(self, checkpoint: str | int = "newest") -> Predictor:
        """The trained network; see `depthsi.load`.

        Args:
          checkpoint: newest, best, or the step of a checkpoint.
        """
        return load(self.run, checkpoint=checkpoint, network=self.network)


def train(
    config: Config,
    *,
    run: str | os.PathLike[str],
    train: RandomAccess | Source | None = None,
    val: RandomAccess | Source | None = None,
    loss: Loss | None = None,
    network: nn.Module | None = None,
    optimiser: optax.GradientTransformation | None = None,
    resume: bool = False,
    on_step: Callable[[int, Mapping[str, float]], object] | None = None,
    on_eval: Callable[[int, Mapping[str, float]], object] | None = None,
    on_checkpoint: Callable[[int, Path], object] | None = None,
    tensorboard: bool = False,
) -> Training:
    """Trains all stages of a run.

    Args:
      config: all settings; see `depthsi.presets` for presets.
      run: directory of the run; created, or continued with `resume`.
      train: samples to train on, instead of `config.data`; see `depthsi.data.given.RandomAccess`.
      val: samples to evaluate on during training; if only `train` is passed, nothing is evaluated.
      loss: `f(predictions, targets, *, where) -> (b,)` of log metres (b, h, w), instead of that of
        `config.loss`, whose reduction and multiplier still apply. `depthsi.losses.in_space`
        converts a loss of metres or disparity.
      network: your own Flax Linen module, instead of that of `config.model`, whose geometry still
        applies. It takes images (b, H, W, 3), RGB on the scale 0..255, of the geometry's `input`
        size, and returns log metres (b, h, w) of its `output` size. If its `__call__` has an
        argument `train`, it is True in training, and dropout has the stream "dropout". The module
        trains in one stage, on as many samples as all stages of `config.schedule` together.
        `flax.nnx.bridge.to_linen` converts an NNX module.
      optimiser: optax transformation to use instead of `config.optim`; each stage starts with a
        fresh state.
      resume: continue the run from its newest checkpoint, with the same arguments.
      on_step: called with (step, metrics) after every step.
      on_eval: called with (step, metrics) after every evaluation on `val`.
      on_checkpoint: called with (step, directory) when the writing of a checkpoint starts.
      tensorboard: also write the metrics for TensorBoard.

    Raises:
      DepthsiError: the settings, the samples, the network or the directory cannot be used.
      StoppedError: a signal was received; the state is saved, and `resume` continues.

    Example:
      >>> import dataclasses, depthsi, numpy as np
      >>> from depthsi.presets import tiny
      >>> image, depth = np.zeros((240, 320, 3), np.uint8), np.full((240, 320), 2.0)
      >>> config = dataclasses.replace(tiny(), schedule=depthsi.config.ScheduleConfig(
      ...     batch_size=4, coarse_samples=8, fine_samples=8))
      >>> samples = [(image, depth)] * 4
      >>> result = depthsi.train(config, run="runs/mine", train=samples)  # doctest: +SKIP
      >>> result.predictor()(image).shape  # doctest: +SKIP
      (240, 320)
    """
    if network is not None:
        checked_module(network)
    size, data = config.model.sizes.image, {}
    if train is not None:
        data["train"] = given_source(train, "train", size)
        old = config.data
        given = CustomData(
            name=type(train).__qualname__,
            even_scenes=getattr(old, "even_scenes", 0),
            resident=old.resident,
        )
        config = dataclasses.replace(config, data=given)
        if val is None:
            schedule = dataclasses.replace(config.schedule, eval_every=0)
            config = dataclasses.replace(config, schedule=schedule)
    if val is not None:
        if train is None:
            raise DepthsiError("`val` is given without `train`: give both, or neither.")
        data["val"] = given_source(val, "val", size)
    functions = {"on_step": on_step, "on_eval": on_eval, "on_checkpoint": on_checkpoint}
    trained = train_run(
        config,
        os.fspath(run),
        resume=resume,
        options=LogOptions(tensorboard=tensorboard),
        own=Own(loss, network, optimiser),
        data=data,
        callbacks=Callbacks(**{name: f for name, f in functions.items() if f is not None}),
    )
    return Training(trained.path, trained.rows(), network)


def evaluate(
    model: Predictor | str | os.PathLike[str],
    data: RandomAccess | Source | str | os.PathLike[str] | None = None,
    *,
    split: str = "test",
    network: nn.Module | None = None,
    **options: Any,
) -> Evaluation:
    """The metrics of a network or of external predictions, under a named protocol.

    Args:
      model: a predictor, a run, a weights file, or external predictions as `depthsi evaluate`
        takes them.
      data: data to evaluate on: samples (see `depthsi.data.given.RandomAccess`; only for a
        predictor or model), or the path of a folder of pairs, prepared data, or a run. A run is
        evaluated on its own data by default.
      split: split of the data, unless samples are passed.
      network: the module of a run or weights file with your own network; see `load`.
      options: fields of `EvaluationRequest`, such as protocol="nyu_bts", alignment="median".

    Returns:
      The scores: `results[row]["image"]` has the means over images by metric, "pixel" those over
      all pixels, and `depthsi.evaluation.report.terminal` formats a table of all rows.

    Raises:
      DepthsiError: the request cannot be evaluated.

    Example:
      >>> import depthsi
      >>> found = depthsi.evaluate("runs/rooms", protocol="nyu_bts")  # doctest: +SKIP
      >>> found.results["coarse + fine"]["image"]["abs_rel"]  # doctest: +SKIP
      0.231
    """
    given = None if isinstance(data, str | os.PathLike) else data
    what = "predictor" if isinstance(model, Predictor) else os.fspath(model)
    where = os.fspath(data) if isinstance(data, str | os.PathLike) else ""
    request = EvaluationRequest(what=what, data=where, split=split, **options)
    if not isinstance(model, Predictor):
        if given is None:
            return _evaluate(request, network)
        model = load(model, network=network)
    if data is None:
        raise DepthsiError("A predictor has no data: pass the data to evaluate it on as `data`.")
    if isinstance(model.network, ExportedNetwork):
        raise DepthsiError(
            "An exported network has one output and no parameters: evaluate the run or the"
            " weights file it was made from."
        )
    source = None if given is None else given_source(given, split, model.sizes.image)
    return evaluate_network(request, EvaluatedNetwork(model.network, what), source)
