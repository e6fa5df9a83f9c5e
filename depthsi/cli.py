"""The command line: `depthsi prepare | train | evaluate | predict | info`.

Parses; the work is elsewhere.
"""

import dataclasses
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import tyro

from depthsi.commands.prepare import DataSetOptions
from depthsi.config import Config
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.geometry import CROPS
from depthsi.presets import PRESETS

if TYPE_CHECKING:
    _Preset = Config
    _Crop = str
else:
    _Preset = tyro.extras.subcommand_type_from_defaults(
        {name: make() for name, make in PRESETS.items()},
        {name: make.__doc__ or "" for name, make in PRESETS.items()},
        prefix_names=False,
    )
    # kb is for pictures of full resolution; samples have half of it
    _Crop = Literal["default", *(name for name in CROPS if name != "kb")]


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

    def __call__(self) -> None:
        from depthsi.commands.train import train

        train(self.preset, self.run, resume=self.resume)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Print a run's eight numbers beside the mean predictor's and the paper's."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    split: str = "test"
    """Split of the run's data."""
    crop: _Crop = "default"
    """Pixels that count; default: eigen2014_nyu for NYU, none for KITTI."""
    aggregation: Literal["image", "pixel"] = "image"
    """Mean of the images' numbers, or one number over all pixels."""

    def __call__(self) -> None:
        from depthsi.commands.evaluate import evaluate

        crop = None if self.crop == "default" else self.crop
        evaluate(self.run, self.split, crop=crop, aggregation=self.aggregation)


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
                self.what, self.out, self.json, self.limit, self.pattern,
                self.units_per_metre or None,
            )
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a user's mistake ends in one sentence and exit code 2."""
    try:
        command = tyro.cli(
            Prepare | Train | Evaluate | Predict | Info,
            prog="depthsi",
            description="Depth from a single image with the scale-invariant error.",
            args=arguments,
            config=(
                tyro.conf.CascadeSubcommandArgs,
                tyro.conf.OmitSubcommandPrefixes,
                tyro.conf.FlagCreatePairsOff,
            ),
        )
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            command()
    except DepthsiError as error:
        print(f"depthsi: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a full disk, a file where a directory should be, no permission
        print(f"depthsi: {error.filename}: {error.strerror}.", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(
            "depthsi: interrupted; a training continues with --resume, a preparation by itself.",
            file=sys.stderr,
        )
        raise SystemExit(130) from None


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
