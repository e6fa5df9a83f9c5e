"""Code that the studies share: data read once, small trainings that are reused, and reports.

Every study trains coarse networks of a fraction of the paper's width for minutes, with several
seeds, and with the same settings except for the one it studies. Trainings are stored by their
settings: studies that need the same training share it, and an interrupted study continues.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax

from depthsi.config import (
    Config,
    DataConfig,
    Folder,
    ModelConfig,
    MuonConfig,
    Rooms,
    ScheduleConfig,
)
from depthsi.config_json import to_dict
from depthsi.data.pipeline import InMemory, Samples, open_samples, ordered_batches
from depthsi.errors import DivergedError
from depthsi.inference import make_predictor
from depthsi.machine import describe_machine
from depthsi.metrics import ImageScores
from depthsi.metrics.compare import Predictor, cell_batches
from depthsi.metrics.protocols import DEFAULT_PROTOCOLS, Protocol
from depthsi.metrics.scorer import score
from depthsi.presets import from_scratch
from depthsi.runs import RunDirectory
from depthsi.training.loop import train
from experiments.script import RESULTS, command_line, made_by, run_script, write_result

T = TypeVar("T")
STUDIES = RESULTS / "studies"
PROTOCOL = DEFAULT_PROTOCOLS["nyu"]


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of every study."""

    root: str = ""
    """Folder of the labelled NYU pairs, with index.csv. Default: no real images."""
    seeds: tuple[int, ...] = (0, 1)
    """Random seeds; each drives initialisation, order, augmentation and dropout."""
    width: float = 0.125
    """Width of the networks."""
    samples: int = 6400
    """Training samples per network."""
    rooms: int = 2000
    """Number of procedural rooms to train on."""
    fast: bool = False
    """Only check that everything runs: the smallest networks, a few steps, no results."""
    runs: str = "runs/studies"
    """Directory for the training runs."""
    out: str = str(STUDIES)
    """Directory for the tables and figures."""

    @property
    def batch(self) -> int:
        """Images in a step."""
        return 4 if self.fast else 16

    @property
    def test(self) -> int:
        """Rooms to evaluate on."""
        return 4 if self.fast else 256


BATCH = 16  # images predicted at a time


class Lab:
    """Trainings and evaluations under the options of a study."""

    def __init__(self, options: Options) -> None:
        if options.fast:
            options = dataclasses.replace(options, width=0.02, samples=8, rooms=8)
        self.options = options
        self.pairs = functools.cache(self._read)
        self._predictor = functools.cache(make_predictor)
        # scored under several protocols one after the other, a training is read once
        self.params = functools.lru_cache(maxsize=len(options.seeds))(self._params)

    @property
    def data(self) -> dict[str, DataConfig]:
        """The data sets at hand, by the name they have in tables."""
        options = self.options
        found: dict[str, DataConfig] = {"rooms": Rooms(train=options.rooms, test=options.test)}
        if options.root:
            found["nyu_labelled"] = Folder(root=options.root)
        return found

    def some(self, values: Sequence[T]) -> tuple[T, ...]:
        """All values, or the first and the last where it is only tried out."""
        return tuple(values) if not self.options.fast else (values[0], values[-1])

    def config(self, data: str | DataConfig, seed: int, **changes: Any) -> Config:
        """Settings that all studies have in common, with some sections replaced."""
        options = self.options
        data = self.data[data] if isinstance(data, str) else data
        optim = MuonConfig(
            learning_rate=0.012,
            adamw_rate_factor=0.01,
            weight_decay=1e-2,
            rate_schedule="cosine",
            warmup=10,
        )
        schedule = ScheduleConfig(
            batch_size=options.batch,
            coarse_samples=options.samples,
            fine_samples=0,
            log_every=10,
            eval_every=0,
            save_every=10**6,
            keep=1,
        )
        model = from_scratch(width=options.width, dropout=0.1 if data.kind == "rooms" else 0.5)
        return Config(
            **{"data": data, "model": model, "optim": optim, "schedule": schedule, "seed": seed}
            | changes
        )

    def _params(self, config: Config) -> Any:
        """The parameters after a training with these settings, which runs unless it is kept."""
        settings = json.dumps(to_dict(config), sort_keys=True)
        name = hashlib.sha256(settings.encode()).hexdigest()[:16]
        run = RunDirectory(Path(self.options.runs) / name)
        if not (run.path / "config.json").exists():
            run.create(config)
        return train(config, run, self.pairs(config.data, "train"), None)

    def _read(self, data: DataConfig, split: str) -> Samples:
        config = Config(data=data)
        size = config.model.sizes.image
        return open_samples(config.data.open(split, size), size, split)

    def predict(self, model: ModelConfig, params: Any, output: str = "coarse") -> Predictor:
        """Images, uint8 (B, H, W, 3), to metres at the output cells."""
        network = self._predictor(model, output)
        return lambda image: network(params, image)

    def scores(
        self,
        config: Config,
        pairs: Samples,
        output: str = "coarse",
        *,
        protocol: Protocol = PROTOCOL,
        edges: bool = False,
    ) -> ImageScores:
        """The scores of the network that `config` trains on every image of `pairs`."""
        predict = self.predict(config.model, self.params(config), output)
        batches = ordered_batches(pairs, BATCH)
        return score(
            cell_batches(predict, batches, config.model.sizes, protocol), protocol, edges=edges
        )

    def finite_seeds(self, data: str, **changes: Any) -> list[int]:
        """The seeds whose training, see `config`, does not diverge."""
        found = []
        for seed in self.options.seeds:
            with contextlib.suppress(DivergedError):
                self.params(self.config(data, seed, **changes))
                found.append(seed)
        return found

    def numbers(
        self,
        data: str,
        metrics: Sequence[str],
        *,
        protocol: Protocol = PROTOCOL,
        seeds: Sequence[int] | None = None,
        **changes: Any,
    ) -> dict[str, list[float]]:
        """On the test images of `data`, metric -> a number for each seed; see `config`."""
        seeds = self.options.seeds if seeds is None else seeds
        configs = [self.config(data, seed, **changes) for seed in seeds]
        found = [
            self.scores(config, self.pairs(config.data, "test"), protocol=protocol).compute()
            for config in configs
        ]
        return {metric: [each[metric] for each in found] for metric in metrics}


def changed(pairs: Samples, image: Callable[[Any], Any], depth: Callable[[Any], Any]) -> InMemory:
    """The same samples with all images, uint8, and all depths, metres, changed."""
    images, depths = pairs.read(slice(0, len(pairs)))
    return InMemory(image(images), depth(depths), pairs.scenes)


def conduct(
    name: str,
    options: Options,
    measure: Callable[[Lab], dict[str, Any]],
    report: Callable[[dict[str, Any]], str],
    draw: Callable[[dict[str, Any], Path], None],
) -> dict[str, Any]:
    """Measures, and writes NAME.json, NAME.md and NAME.png; returns what the first one holds.

    Args:
      name: of the study's module, and of its files.
      options: of the study.
      measure: what is found, as plain values.
      report: the table of what `measure` found, in Markdown.
      draw: draws its figure.
    """
    kept = dataclasses.asdict(options)
    for place in ("root", "runs", "out"):  # of this machine
        del kept[place]
    measured = measure(Lab(options))
    result = {
        "study": name,
        "command": command(name, options),
        "settings": kept,
        "machine": describe_machine(),
        "results": measured,
    }
    result = json.loads(json.dumps(result))
    write_result(f"{options.out}/{name}", result, page(result, report))
    draw(measured, Path(options.out) / f"{name}.png")
    print(page(result, report))
    return result


def command(name: str, options: Options) -> str:
    """What to type for the same study, from here."""
    if options.root:  # where it lies on this machine is nobody's business
        options = dataclasses.replace(options, root=os.path.relpath(options.root))
    return command_line(f"studies.{name}", options, leave_out=("runs", "out"), defaults=False)


def page(result: dict[str, Any], report: Callable[[dict[str, Any]], str]) -> str:
    """A study's page in Markdown, from what its JSON holds."""
    seeds = f"seeds {', '.join(map(str, result['settings']['seeds']))}"
    return (
        f"# {result['study']}\n\n{made_by(result, seeds)}\n\n"
        f"{report(result['results'])}\n\n![{result['study']}]({result['study']}.png)\n"
    )


def spread(values: Sequence[float | None], digits: int = 3) -> str:
    """The mean over seeds, with the least and the greatest in brackets.

    A dash where there is no seed, or one without a number.
    """
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "-"
    mean = sum(known) / len(known)
    if len(known) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} [{min(known):.{digits}f}, {max(known):.{digits}f}]"


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text."""
    lines = [headers, ["---", *("---:" for _ in headers[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(
    function: Callable[[Options], Any],
    description: str | None,
    options: type[Options] = Options,
) -> None:
    """Runs a study from the command line; a user's mistake is one sentence and exit code 2.

    Args:
      function: the study.
      description: the docstring of its module.
      options: its class of options, which may have other defaults.
    """

    def study(options: Options) -> None:
        keep_compiled_programs(Path(options.runs) / "compiled")
        function(options)

    run_script(study, options, description)


def keep_compiled_programs(directory: Path) -> None:
    """Lets trainings that differ in nothing but data and seed share their compiled programs."""
    jax.config.update("jax_compilation_cache_dir", str(directory.resolve()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
