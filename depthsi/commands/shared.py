"""What several verbs need of a run: its data, its newest parameters."""

import functools
import json
import sys
from collections.abc import Mapping

from depthsi import files
from depthsi.config import Config
from depthsi.data.bad_samples import BadSamples, GoodSamples, good_samples
from depthsi.data.samples import Source
from depthsi.data.sources import open_source
from depthsi.errors import DepthsiError
from depthsi.runs import RunDirectory

BATCH = 16  # pictures evaluated at a time


def split_source(config: Config, split: str) -> Source:
    """One split of the run's data, without bad samples if its policy is to skip them."""
    data = config.data
    counts = {"train": data.train, "val": data.val, "test": data.test}
    try:
        source = open_source(
            data.kind,
            split,
            root=data.root,
            size=config.model.sizes.image,
            count=counts.get(split, 0),
            seed=data.seed,
            scale_range=data.scale_range,
            pattern=data.pattern,
            units_per_metre=data.units_per_metre or None,
            depth=data.depth,
        )
    except DepthsiError as error:
        if split == "val" and data.kind != "rooms":
            remedy = "to train without looking at a split 'val', set --schedule.eval-every 0."
            raise DepthsiError(f"{error} Or {remedy}") from error
        raise
    if data.kind == "rooms":  # computed, so that none can be bad
        return source
    return good_samples(source, data.on_bad, functools.partial(_warn, split))


def _warn(split: str, bad: BadSamples) -> None:
    print(f"Split {split!r}: {bad.summary()} Left out.", file=sys.stderr)


def record_left_out(run: RunDirectory, sources: Mapping[str, Source]) -> None:
    """Keeps what was left out of each split in bad_samples.json: messages by name of the sample.

    Nothing where the policy is strict.

    Raises:
      DepthsiError: the file is there already and names other samples: the run would see its data
        in another order than before.
    """
    bad = {
        split: source.bad.messages
        for split, source in sources.items()
        if isinstance(source, GoodSamples)
    }
    file = run.path / "bad_samples.json"
    if not bad:
        return
    if not file.exists():
        files.write_text(file, json.dumps(bad, indent=2, ensure_ascii=False) + "\n")
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        same = all(set(before[split]) == set(names) for split, names in bad.items())
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DepthsiError(f"{file} cannot be read ({error}): start another run.") from error
    if not same:
        raise DepthsiError(
            f"{file} names other samples than are bad now: restore the data as it was when the "
            "run started, or start another run."
        )
