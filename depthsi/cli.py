"""The command line: `depthsi prepare | train | launch | evaluate | predict | export` and others.

Parses; the work is elsewhere.
"""

import dataclasses
import difflib
import functools
import inspect
import json
import operator
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import tyro

from depthsi import __version__
from depthsi.commands.export_request import ExportRequest
from depthsi.commands.info_request import InfoRequest
from depthsi.commands.predict_request import PredictRequest
from depthsi.commands.prepare import DataSetOptions
from depthsi.commands.settings import DEFAULTS, Start, read_start
from depthsi.compile_cache import keep_compiled_programs
from depthsi.config import Config
from depthsi.config_json import to_dict
from depthsi.errors import DepthsiError, DepthsiWarning, StoppedError
from depthsi.evaluation.request import EvaluationRequest
from depthsi.launch.checks import check_training
from depthsi.launch.one_machine import Machine
from depthsi.launch.slurm_job import Slurm
from depthsi.launch.tpu_slice import Tpu
from depthsi.output import CLOSED_PIPE, complain, discard_output, make_encodable
from depthsi.presets import PRESETS
from depthsi.training.processes.cluster import Cluster

VERBS = ("prepare", "train", "config", "launch", "evaluate", "report", "predict", "export", "info")


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Store a data set once, checked and fit for fast reading."""

    data_set: Annotated[DataSetOptions, tyro.conf.arg(name="")]
    """Which one."""
    data_dir: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """Directory for prepared data; each data set gets its own in it."""
    size: tuple[int, int] | None = None
    """Height and width every picture is brought to. Default: its own."""
    on_bad: Literal["strict", "skip"] = "strict"
    """strict: stop at the first frame that cannot be used; skip: leave up to 1 % out."""

    def __call__(self) -> None:
        from depthsi.commands.prepare import prepare

        prepare(self.data_set, self.data_dir, size=self.size, on_bad=self.on_bad)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Train every network of a preset, of --config FILE, or of a run to --resume.

    In place of a preset, --config FILE starts from the config.json of a run, and --run DIR --resume
    continues a run with its own settings. --data.kind, --model.kind, --loss.kind and --optim.kind
    choose other kinds of data, network, loss and optimiser, whose options --help then lists.
    """

    run: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """Directory for checkpoints, settings and logs."""
    resume: bool = False
    """Continue the run in that directory from its newest checkpoint; it knows its settings."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard as well, into DIR/tensorboard."""
    profile: int = 0
    """Steps to record for a profiler, into DIR/profile, after the first few; 0 for none."""
    dry_run: bool = False
    """Only say what this would train, on what, and what it needs; read no data, write nothing."""
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
    """Print the settings of a preset or of --config FILE as JSON, with any changes.

    What it prints is what --config FILE reads, here and in train.
    """

    def __call__(self) -> None:
        print(json.dumps(to_dict(vars(self)["settings"]), indent=2))


def _with_settings(options: type, name: str, start: Start) -> Any:
    """`options` with the settings of a run, as presets to choose from or as one set of defaults."""
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
    """Its docstring with each of its lines `Command: ...` as a paragraph, as help is laid out."""
    text = re.sub(r"\n +", " ", inspect.getdoc(preset) or "")  # lines that go on
    return re.sub(r"\n+(?=\w+: )", "\n\n", re.sub(" {2,}", " ", text))


@dataclasses.dataclass(frozen=True)
class Launch:
    """Start a training on one machine, a SLURM cluster or a TPU pod slice."""

    target: Annotated[Machine | Slurm | Tpu, tyro.conf.arg(name="")]
    """Where to."""
    training: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()

    def __call__(self) -> None:
        check_training(self.training)
        raise SystemExit(self.target.launch(self.training))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(EvaluationRequest):
    """Score a network, or depth maps predicted elsewhere, under a named protocol."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN | PREDICTIONS")]
    """Directory of a run, or a file of weights (.safetensors); or predictions: a folder with a
    depth file for each image, or one .npy, .npz or .mat file with all maps."""

    def __call__(self) -> None:
        from depthsi.evaluation.evaluate import evaluate_and_report

        evaluate_and_report(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Write a page about one run, or several side by side: curves, metrics, images, settings."""

    runs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")
    ] = ()
    """Directories of runs."""
    out: Annotated[str, tyro.conf.arg(metavar="FILE")] = ""
    """The HTML file; none for report.html in the run, or here for several runs."""
    split: Literal["test", "val"] = "test"
    """Split of the data whose images are predicted."""

    def __call__(self) -> None:
        from depthsi.report.write import write_report

        write_report(self.runs, self.out, self.split)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(PredictRequest):
    """Write depth maps of photos of any size."""

    def __call__(self) -> None:
        from depthsi.commands.predict import predict

        if failed := predict(self):
            complain(f"{failed} of the photos could not be predicted.")
            raise SystemExit(1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export(ExportRequest):
    """Write a network as one file that other programs can use."""

    def __call__(self) -> None:
        from depthsi.commands.export import export

        export(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Info(InfoRequest):
    """Show versions and devices, the layers and progress of a run, or what data is like."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[RUN | DATA]")] = ""
    """Directory of a run, of images with depth or of prepared data, or the word rooms; none for
    the installation."""

    def __call__(self) -> None:
        from depthsi.commands.info import info

        info(self)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a user's mistake ends in one sentence and exit code 2."""
    words, training = _split(list(sys.argv[1:] if arguments is None else arguments))
    for stream in (sys.stdout, sys.stderr):
        make_encodable(stream)
    try:
        if words[:1] == ["--version"]:
            print(f"depthsi {__version__}")
            return
        verb, start = words[:1], Start(DEFAULTS, None, words[1:])
        _check_verb(verb)
        if verb in (["train"], ["config"]):
            start = read_start(words[1:])
        verbs = (
            Prepare,
            _with_settings(TrainOptions, "train", start),
            _with_settings(ConfigOptions, "config", start),
            Launch,
            Evaluate,
            Report,
            Predict,
            Export,
            Info,
        )
        command = tyro.cli(
            functools.reduce(operator.or_, verbs),
            prog="depthsi",
            description="Depth from a single image with the scale-invariant error.",
            args=verb + start.rest,
            config=(
                tyro.conf.AvoidSubcommands,
                tyro.conf.CascadeSubcommandArgs,
                tyro.conf.FlagCreatePairsOff,
            ),
        )
        if isinstance(command, Launch):  # which computes nothing, and may start other machines
            command = dataclasses.replace(command, training=tuple(training))
        else:
            keep_compiled_programs()
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            command()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        discard_output()
        raise SystemExit(CLOSED_PIPE) from None
    except DepthsiError as error:
        complain(str(error))
        raise SystemExit(2) from None
    except StoppedError as stopped:
        complain(f"{stopped} Continue with: {_resume_command(arguments)}")
        raise SystemExit(stopped.exit_code) from None
    except OSError as error:  # a full disk, a file where a directory should be, no permission
        if error.filename is None:
            discard_output()  # or what is left in its buffer fails once more
        where = "the output" if error.filename is None else error.filename
        complain(f"{where}: {error.strerror or error}.")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        complain("interrupted; a training continues with --resume, a preparation by itself.")
        raise SystemExit(130) from None
    except Exception as error:
        from depthsi.environment import failing_setting

        if (sentence := failing_setting(error)) is None:
            raise  # a fault of ours, which needs its traceback
        complain(sentence)
        raise SystemExit(2) from None


def _check_verb(verb: Sequence[str]) -> None:
    """Raises DepthsiError for a word that is no command, with the one that it resembles."""
    if verb and not verb[0].startswith("-") and verb[0] not in VERBS:
        near = difflib.get_close_matches(verb[0], VERBS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(VERBS)}."
        raise DepthsiError(f"There is no command {verb[0]!r}; {hint}")


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The words of `depthsi launch` before the first --, and those after it, for the training."""
    if words[:1] != ["launch"] or "--" not in words:  # tyro versions differ in what -- means
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _resume_command(arguments: Sequence[str] | None) -> str:
    """What to type in order to continue the training started with `arguments`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    by_name = Path(sys.argv[0]).name.startswith("depthsi")
    program = ["depthsi"] if by_name else [sys.executable, "-m", "depthsi"]
    return shlex.join(program + words + ([] if "--resume" in words else ["--resume"]))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our own as a sentence, others as Python shows them."""
    if issubclass(category, DepthsiWarning):
        complain(str(message), file)
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        print(text.rstrip(), file=file or sys.stderr)
