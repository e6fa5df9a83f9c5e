"""The command line: `depthsi prepare | train | launch | evaluate | predict | info`.

Parses; the work is elsewhere.
"""

import dataclasses
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import tyro

from depthsi.commands.prepare import DataSetOptions
from depthsi.config import Config
from depthsi.errors import DepthsiError, DepthsiWarning, StoppedError
from depthsi.launch.checks import check_training
from depthsi.launch.one_machine import Machine
from depthsi.launch.slurm_job import Slurm
from depthsi.launch.tpu_slice import Tpu
from depthsi.presets import PRESETS
from depthsi.training.processes.cluster import Cluster

if TYPE_CHECKING:
    _Preset = Config
else:
    _Preset = tyro.extras.subcommand_type_from_defaults(
        {name: make() for name, make in PRESETS.items()},
        {name: make.__doc__ or "" for name, make in PRESETS.items()},
        prefix_names=False,
    )


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


@dataclasses.dataclass(frozen=True)
class Train:
    """Train the coarse network, then the fine one."""

    preset: Annotated[_Preset, tyro.conf.arg(name="")]
    """Where the settings start from."""
    run: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """Directory for checkpoints, settings and logs."""
    resume: bool = False
    """Continue the run in that directory from its newest checkpoint."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard as well, into DIR/tensorboard."""
    profile: int = 0
    """Steps to record for a profiler, into DIR/profile, after the first few; 0 for none."""
    dry_run: bool = False
    """Only say what this would train, on what, and what it needs; read no data, write nothing."""
    cluster: Cluster = dataclasses.field(default_factory=Cluster)

    def __call__(self) -> None:
        from depthsi.commands.dry_run import dry_run
        from depthsi.commands.train import train
        from depthsi.training.logs.metrics_log import LogOptions

        options = LogOptions(self.tensorboard, self.profile)
        if self.dry_run:
            dry_run(self.preset, self.run, resume=self.resume, cluster=self.cluster)
        else:
            train(
                self.preset,
                self.run,
                resume=self.resume,
                options=options,
                cluster=self.cluster,
            )


@dataclasses.dataclass(frozen=True)
class Launch:
    """Start a training on one machine, a SLURM cluster or a TPU pod slice."""

    target: Annotated[Machine | Slurm | Tpu, tyro.conf.arg(name="")]
    """Where to."""
    training: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()

    def __call__(self) -> None:
        check_training(self.training)
        raise SystemExit(self.target.launch(self.training))


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Score a run, or depth maps predicted elsewhere, under a named protocol."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN | PREDICTIONS")]
    """Directory of a run; or a folder with a depth file for each picture, or one .npy, .npz or .mat
    file with all maps."""
    data: str = ""
    """What the predictions are of: a folder of pairs, prepared data, or a run whose data it is."""
    split: str = "test"
    """Split of the data."""
    protocol: str = ""
    """eigen2014_nyu, nyu_bts, densedepth_nyu, eigen2014_kitti, garg_kitti, kitti_benchmark or
    monodepth2_median; none for the paper's."""
    crop: str = ""
    """Pixels that count, in place of the protocol's."""
    alignment: Literal["", "none", "median", "log_mean", "scale_shift"] = ""
    """What is done to each predicted map first, in place of the protocol's."""
    aggregation: Literal["", "image", "pixel"] = ""
    """Mean of the images' numbers, or one number over all pixels, in place of the protocol's."""
    checkpoint: str = "newest"
    """Of a run: newest, best (on the split val) or a step."""
    out: str = ""
    """Directory for the results; none for the run's, or evaluation/ for predictions."""
    units_per_metre: float = 0.0
    """Of predictions: the number for one metre, such as 1000; 0 for floats in metres."""
    pattern: str = "{name}"
    """Of predictions: how the files are named, such as {name}_depth.npy."""
    variable: str = ""
    """Of predictions: the array in files that hold several."""
    baselines: str = ""
    """Of predictions: split of the data whose mean depth is scored as well, such as train."""
    mirrored: bool = False
    """Of a run: score the mean log depth of each picture and its mirror image as well."""
    edges: bool = False
    """Score the edges of depth as well."""
    seed: int = 0
    """Of the bootstrap intervals."""

    def __call__(self) -> None:
        from depthsi.commands.evaluate import evaluate
        from depthsi.evaluation.request import Request

        if self.seed < 0:
            raise DepthsiError(f"seed is {self.seed}; it must be at least 0.")
        values: dict[str, Any] = dataclasses.asdict(self)
        values["units_per_metre"] = self.units_per_metre or None
        evaluate(Request(**values))


@dataclasses.dataclass(frozen=True)
class Predict:
    """Write depth maps of photos of any size: PNG in millimetres, npy in metres, a picture."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Directory of a trained run."""
    photos: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PHOTO ...")]
    """JPEG or PNG files."""
    out: str = "out"
    """Directory for the results."""

    def __call__(self) -> None:
        from depthsi.commands.predict import predict

        if not self.photos:
            raise DepthsiError("No photo was named: depthsi predict RUN PHOTO [PHOTO ...].")
        predict(self.run, self.photos, self.out)


@dataclasses.dataclass(frozen=True)
class Info:
    """Show versions and devices, the layers and progress of a run, or what data is like."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[RUN | DATA]")] = ""
    """Directory of a run, of pictures with depth or of prepared data, or the word rooms; none for
    the installation."""
    out: str = ""
    """Directory for a contact sheet and a histogram of data."""
    json: str = ""
    """File for the numbers of data."""
    limit: int = 0
    """Samples of each split to look at, evenly spread; 0 for all, or 64 rooms."""
    pattern: str = ""
    """How pairs are named in a folder without index.csv; see data.pattern of train."""
    units_per_metre: float = 0.0
    """Value for one metre in depth files of whole numbers, where no index says; 0: guess it."""

    def __call__(self) -> None:
        from depthsi.commands.dataset_info import Request
        from depthsi.commands.info import info

        if self.limit < 0:
            raise DepthsiError(f"limit is {self.limit}; it must be at least 0.")
        info(
            Request(
                self.what,
                self.out,
                self.json,
                self.limit,
                self.pattern,
                self.units_per_metre or None,
            )
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a user's mistake ends in one sentence and exit code 2."""
    own, training = _split(list(sys.argv[1:] if arguments is None else arguments))
    try:
        command = tyro.cli(
            Prepare | Train | Launch | Evaluate | Predict | Info,
            prog="depthsi",
            description="Depth from a single image with the scale-invariant error.",
            args=own,
            config=(
                tyro.conf.CascadeSubcommandArgs,
                tyro.conf.OmitSubcommandPrefixes,
                tyro.conf.FlagCreatePairsOff,
            ),
        )
        if isinstance(command, Launch):
            command = dataclasses.replace(command, training=tuple(training))
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            command()
    except DepthsiError as error:
        print(f"depthsi: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except StoppedError as stopped:
        print(f"depthsi: {stopped} Continue with: {_resume_command(arguments)}", file=sys.stderr)
        raise SystemExit(stopped.exit_code) from None
    except OSError as error:  # a full disk, a file where a directory should be, no permission
        print(f"depthsi: {error.filename}: {error.strerror}.", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(
            "depthsi: interrupted; a training continues with --resume, a preparation by itself.",
            file=sys.stderr,
        )
        raise SystemExit(130) from None


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
    text = warnings.formatwarning(message, category, filename, lineno, line)
    ours = issubclass(category, DepthsiWarning)
    print(f"depthsi: {message}" if ours else text.rstrip(), file=file or sys.stderr)
