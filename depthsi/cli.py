"""The command line: `depthsi train | evaluate | predict | info`. Parses; the work is elsewhere."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from depthsi.config import PRESETS, Config
from depthsi.errors import DepthsiError
from depthsi.geometry import CROPS

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
    """Show versions and devices, or the layers and progress of a run."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[RUN]")] = ""
    """Directory of a run; none for the installation."""

    def __call__(self) -> None:
        from depthsi.commands.info import info

        info(self.run or None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a user's mistake ends in one sentence and exit code 2."""
    try:
        command = tyro.cli(
            Train | Evaluate | Predict | Info,
            prog="depthsi",
            description="Depth from a single image with the scale-invariant error.",
            args=arguments,
            config=(
                tyro.conf.CascadeSubcommandArgs,
                tyro.conf.OmitSubcommandPrefixes,
                tyro.conf.FlagCreatePairsOff,
            ),
        )
        command()
    except DepthsiError as error:
        print(f"depthsi: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a full disk, a file where a directory should be, no permission
        print(f"depthsi: {error.filename}: {error.strerror}.", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("depthsi: interrupted; a training continues with --resume.", file=sys.stderr)
        raise SystemExit(130) from None
