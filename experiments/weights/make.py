"""Makes the pretrained networks of the package: trains them from scratch and evaluates them.

Question:  none; this makes `depthsi/weights/files/NAME.safetensors`.
Command:   python -m experiments.weights.make --name unet_nyu --root FOLDER
Hardware:  2 CPU cores.
Time:      the U-Nets about 95 minutes on rooms, which both share, and for the one trained on NYU
           17 more; two_scale_nyu about 100. `timeout --signal=TERM 30m python -m ...` stops with
           everything saved, and the same command continues.
Result:    depthsi/weights/files/NAME.safetensors, in bfloat16, with the settings of the network,
           how it was trained and its metrics inside; experiments/results/weights_NAME.* with the
           evaluation of that file, as it is shipped, on the 492 test images.

The settings were chosen on val (experiments/nyu_row); the test images are used once, to say how
good the file is. README.md here is the model card.
"""

import dataclasses
import subprocess
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from depthsi import TrainedNetwork, read_network, write_network
from depthsi.config import Folder, TwoScaleConfig
from depthsi.data.pipeline import open_samples
from depthsi.evaluation.evaluate import evaluate, evaluate_and_report
from depthsi.evaluation.of_run import row_names
from depthsi.evaluation.request import EvaluationRequest
from depthsi.files import write_text
from depthsi.scale import describe_scale, log_scale_range
from depthsi.training.checkpoints.trained import trained_network
from depthsi.weights.shipped import FOLDER
from experiments.nyu_row import run as nyu_row
from experiments.nyu_row.settings import Settings
from experiments.script import RESULTS, command_line, run_script
from experiments.weights.narrow import narrowed

METRICS = ("d1", "d2", "d3", "abs_rel", "sq_rel", "rmse", "rmse_log", "rmse_log_si")
UNET = Settings(
    root="",
    kind="unet",
    size="small",
    batch=16,
    rooms_kept=9000,
    rooms_coarse=36_000,
    rooms_again=60_000,
    rooms_again_kept=15_000,
    coarse=16_000,
    fine=0,
    average=0.995,
    checkpoint="best",
)
TWO_SCALE = Settings(
    root="",
    fc6_units=1200,  # a quarter of them
    rooms_kept=15_000,
    rooms_coarse=120_000,
    rooms_fine=16_000,
    coarse=32_000,
    fine=8_000,
    average=0.995,
    checkpoint="best",
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network of the package is made.

    Attributes:
      settings: of the training.
      part: which of its runs is shipped.
      trained_on: the data, in a few words.
      licence: who may use the file for what.
      fc6_units: what `fc6_units` is in the file, if some units are left out of it.
    """

    settings: Settings
    part: Literal["rooms_again", "nyu"]
    trained_on: str
    licence: str
    fc6_units: int | None = None

    @property
    def checkpoint(self) -> Literal["newest", "best"]:
        """Which checkpoint of that run: on pairs what was chosen on val, on rooms the last one."""
        return self.settings.checkpoint if self.part == "nyu" else "newest"


OURS = "Apache License 2.0, as the package: no data but what its own renderer made."
RESEARCH = (
    "Apache License 2.0 for what is ours. NYU Depth v2 is there for research:"
    " see https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html."
)
RECIPES = {
    "unet_nyu": Recipe(UNET, "nyu", "24000 rooms, 719 NYU pairs", RESEARCH),
    "unet_rooms": Recipe(UNET, "rooms_again", "24000 rooms", OURS),
    "two_scale_nyu": Recipe(
        TWO_SCALE, "nyu", "15000 rooms, 719 NYU pairs", RESEARCH, fc6_units=1000
    ),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains what is missing, evaluates it on test, and writes the file."""

    name: Literal["unet_nyu", "unet_rooms", "two_scale_nyu"]
    """The network."""
    root: str
    """Folder of the labelled NYU pairs, with index.csv, whose splits are train, val and test."""
    run: str = ""
    """Directory of the trainings. Default: runs/weights and the kind of network."""
    remeasure: bool = False
    """Only measure the scale of the file that is there on val again, after a change of what is
    stored with a network: its weights and metrics stay."""


def main(arguments: Arguments) -> None:
    """Makes one file and its results."""
    recipe, file = RECIPES[arguments.name], FOLDER / f"{arguments.name}.safetensors"
    if arguments.remeasure:
        network = read_network(file)
        about = scale_on_val(file, network, arguments.root)
        ship(network, file, {**network.about, **about})
        return
    run = Path(arguments.run or f"runs/weights/{recipe.settings.kind}")
    settings = dataclasses.replace(recipe.settings, root=arguments.root, run=str(run))
    nyu_row.main(settings)
    network = trained_network(run / recipe.part, recipe.checkpoint)
    if recipe.fc6_units is not None:
        network = narrowed(network, training_images(arguments.root), recipe.fc6_units)
    command = command_line("weights.make", arguments, leave_out=("root", "run")) + " --root FOLDER"
    out = run / arguments.name
    about = description(recipe, command)
    ship(network, file, about)
    about |= scale_on_val(file, network, arguments.root)
    about |= {"metrics": evaluate_on_test(file, network, arguments.root, out)}
    ship(network, file, about)
    for suffix in ("json", "md"):
        text = (out / f"evaluation.{suffix}").read_text(encoding="utf-8")
        text = text.replace(arguments.root, Path(arguments.root).name)  # not where the data lies
        write_text(RESULTS / f"weights_{arguments.name}.{suffix}", text)
    print(f"Written: {file}")


def training_images(root: str) -> UInt8[np.ndarray, "n h w 3"]:
    """The images of the split `train`."""
    size = TwoScaleConfig().sizes.image
    samples = open_samples(Folder(root=root).open("train", size), size, "train")
    return samples.read(slice(None))[0]


def description(recipe: Recipe, command: str) -> dict[str, Any]:
    """What is known of a network apart from its metrics, as plain values."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "trained_on": recipe.trained_on,
        "licence": recipe.licence,
        "made_by": command,
        "commit": commit.stdout.strip(),
        "seed": recipe.settings.seed,
    }


def ship(network: TrainedNetwork, file: Path, about: dict[str, Any]) -> None:
    """Writes the network as the package has it."""
    file.parent.mkdir(exist_ok=True)
    write_network(file, dataclasses.replace(network, about=about), "bfloat16")


def scale_on_val(file: Path, network: TrainedNetwork, root: str) -> dict[str, Any]:
    """The interval of the scale, measured on the validation images, see `depthsi.scale`."""
    evaluation = evaluate(EvaluationRequest(what=str(file), data=root, split="val"))
    scores = evaluation.scores[evaluation.main]
    offsets = scores.means["offset"][scores.pixels > 0]  # mean(log prediction - log target)
    error = evaluation.results[evaluation.main]["image"]["rmse_log_si"]
    return describe_scale(log_scale_range(-offsets) | {"rmse_log_si": error}, network.outputs[-1])


def evaluate_on_test(file: Path, network: TrainedNetwork, root: str, out: Path) -> dict[str, Any]:
    """The metrics of a file on the test images, mean over images, without flips."""
    evaluation = evaluate_and_report(
        EvaluationRequest(what=str(file), data=root, split="test", mirrored=True, out=str(out))
    )
    values = evaluation.results[row_names(network)[-1]]["image"]
    return {
        "data": "NYU Depth v2 labelled, 492 test images, mean over images, protocol eigen2014_nyu",
        **{name: values[name] for name in METRICS},
    }


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
