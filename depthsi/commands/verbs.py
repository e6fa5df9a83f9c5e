"""The commands and their options; other modules do the work."""

import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import tyro

from depthsi.commands.export_request import ExportRequest
from depthsi.commands.info_request import InfoRequest
from depthsi.commands.predict_request import PredictRequest
from depthsi.commands.prepare import DataSetOptions
from depthsi.commands.settings import Start
from depthsi.config import Config
from depthsi.config_json import to_dict
from depthsi.evaluation.request import EvaluationRequest
from depthsi.launch.checks import check_training
from depthsi.launch.one_machine import Machine
from depthsi.launch.slurm_job import Slurm
from depthsi.launch.tpu_slice import Tpu
from depthsi.presets import PRESETS
from depthsi.training.processes.cluster import Cluster

VERBS = (
    "prepare",
    "train",
    "config",
    "launch",
    "evaluate",
    "report",
    "predict",
    "export",
    "models",
    "demo",
    "info",
)


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Check a published data set and store it for fast reading."""

    data_set: Annotated[DataSetOptions, tyro.conf.arg(name="")]
    """Data set to prepare."""
    data_dir: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """Directory for prepared data; each data set gets its own subdirectory."""
    size: tuple[int, int] | None = None
    """Height and width to which every image is resized. Default: keep the original sizes."""
    on_bad: Literal["strict", "skip"] = "strict"
    """strict: stop at the first frame that cannot be used. skip: leave out up to 1 % of them."""

    def __call__(self) -> None:
        from depthsi.commands.prepare import prepare

        prepare(self.data_set, self.data_dir, size=self.size, on_bad=self.on_bad)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Train the networks of a preset, or continue a run with --resume.

    Instead of a preset, --config FILE starts from the config.json of a run, and --run DIR --resume
    continues a run with its own settings. --data.kind, --model.kind, --loss.kind and --optim.kind
    select other kinds of data, network, loss and optimiser; with them, --help lists their options.
    """

    run: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """Directory for checkpoints, settings and logs."""
    resume: bool = False
    """Continue the run in that directory from its newest checkpoint, with its own settings."""
    tensorboard: bool = False
    """Also write the metrics for TensorBoard, to DIR/tensorboard."""
    profile: int = 0
    """Number of steps to profile, after the first few, to DIR/profile; 0 disables profiling."""
    dry_run: bool = False
    """Print what would be trained, on which data and at what cost; read and write nothing."""
    cluster: Cluster = dataclasses.field(default_factory=Cluster)

    def __call__(self) -> None:
        from depthsi.commands.dry_run import dry_run
        from depthsi.training.logs.metrics_log import LogOptions
        from depthsi.training.run import train_run

        config: Config = vars(self)["settings"]
        options = LogOptions(tensorboard=self.tensorboard, profile=self.profile)
        if self.dry_run:
            dry_run(config, self.run, resume=self.resume, cluster=self.cluster)
        else:
            train_run(config, self.run, resume=self.resume, options=options, cluster=self.cluster)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigOptions:
    """Print the settings of a preset or of --config FILE, with any changes, as JSON.

    Save the output as a file to use it with --config FILE, here and in train.
    """

    def __call__(self) -> None:
        print(json.dumps(to_dict(vars(self)["settings"]), indent=2))


def _with_settings(options: type, name: str, start: Start) -> Any:
    """`options` plus the settings of a run, as a choice of presets or as one set of defaults."""
    if start.settings is None:
        kind = tyro.extras.subcommand_type_from_defaults(
            start.presets,
            {name: _paragraphs(make) for name, make in PRESETS.items()},
            prefix_names=False,
        )
        field: Any = dataclasses.field()
    else:
        kind, field = Config, dataclasses.field(default=start.settings)
    settings = Annotated[kind, tyro.conf.arg(name="")]
    made = dataclasses.make_dataclass(
        options.__name__,
        [("settings", settings, field)],
        bases=(options,),
        frozen=True,
        kw_only=True,
    )
    made.__doc__ = inspect.getdoc(options)
    return Annotated[made, tyro.conf.subcommand(name)]


def _paragraphs(preset: Callable[[], Config]) -> str:
    """The preset's docstring with each line `Command: ...` as a paragraph, as help needs it."""
    text = re.sub(r"\n +", " ", inspect.getdoc(preset) or "")  # lines that go on
    return re.sub(r"\n+(?=\w+: )", "\n\n", re.sub(" {2,}", " ", text))


@dataclasses.dataclass(frozen=True)
class Launch:
    """Start a training on one machine, a SLURM cluster or a TPU pod slice."""

    target: Annotated[Machine | Slurm | Tpu, tyro.conf.arg(name="")]
    """Where to run the training."""
    training: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()

    def __call__(self) -> None:
        check_training(self.training)
        raise SystemExit(self.target.launch(self.training))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(EvaluationRequest):
    """Evaluate a network, or external predictions, under a named protocol."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN | PREDICTIONS")]
    """A network (the directory of a run, or a .safetensors file) or predictions (a folder with a
    depth file for each image, or one .npy, .npz or .mat file with all maps)."""

    def __call__(self) -> None:
        from depthsi.evaluation.evaluate import evaluate_and_report

        evaluate_and_report(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Write an HTML report on one or several runs: curves, metrics, images and settings."""

    runs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")
    ] = ()
    """Directories of the runs."""
    out: Annotated[str, tyro.conf.arg(metavar="FILE")] = ""
    """HTML file to write. Default: report.html in the run, or in the working directory for several
    runs."""
    split: Literal["test", "val"] = "test"
    """Split whose images are predicted and shown."""

    def __call__(self) -> None:
        from depthsi.report.write import write_report

        write_report(self.runs, self.out, self.split)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(PredictRequest):
    """Write depth maps of photos and videos of any size."""

    def __call__(self) -> None:
        from depthsi.commands.predict import predict

        if predict(self):
            raise SystemExit(1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export(ExportRequest):
    """Export a network to a single file for other programs."""

    def __call__(self) -> None:
        from depthsi.commands.export import export

        export(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Models:
    """List the pretrained networks that ship with depthsi, or describe one of them."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[NAME]")] = ""
    """Network to describe."""

    def __call__(self) -> None:
        from depthsi.commands.models import show_models

        show_models(self.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demo:
    """Serve a local web page that shows the depth of photos. Needs the extra demo."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[MODEL]")] = ""
    """A name listed by `depthsi models`, a run, a weights file or an exported network. Default:
    unet_nyu."""
    host: str = "127.0.0.1"
    """Address to listen on. The default accepts connections from this machine only."""
    port: int = 7860
    """Port to listen on; 0 chooses a free one."""

    def __call__(self) -> None:
        from depthsi.demo.serve import serve

        serve(self.model, self.host, self.port)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Info(InfoRequest):
    """Show versions and devices, the layers and progress of a run, or statistics of a data set."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[RUN | DATA]")] = ""
    """Directory of a run, of images with depth, or of prepared data; or the word rooms. Default:
    describe the installation."""

    def __call__(self) -> None:
        from depthsi.commands.info import info

        info(self)


def commands(start: Start) -> tuple[Any, ...]:
    """All commands in the order of `VERBS`; train and config have the settings of `start`."""
    return (
        Prepare,
        _with_settings(TrainOptions, "train", start),
        _with_settings(ConfigOptions, "config", start),
        Launch,
        Evaluate,
        Report,
        Predict,
        Export,
        Models,
        Demo,
        Info,
    )
