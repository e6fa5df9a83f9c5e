"""`depthsi info` for a data set."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from depthsi.commands.info_request import InfoRequest
from depthsi.data.bad_samples import READERS, BadSamples
from depthsi.data.greatest_value import GreatestValue, greatest_value
from depthsi.data.prepared.metadata import is_prepared
from depthsi.data.samples import Sample, Source, validate_sample
from depthsi.data.statistics import Statistics, coarse_histogram, merge, sample_statistics, summary
from depthsi.errors import DepthsiError, first_few
from depthsi.output import STDOUT, can_encode, printable, write_numbers
from depthsi.viz.colour_maps import require_matplotlib
from depthsi.viz.data_sheet import save_data_sheet, save_histogram

ROOMS = 64  # of each split, unless a limit is given
SHOWN = 6  # images of a split on the contact sheet
BARS = " ▁▂▃▄▅▆▇█"
ASCII_BARS = " .:-=+*%#"  # where the output has no blocks
MOST_SPLITS = 20
COLUMNS = 40  # of a histogram; more would show how coarsely depth is stored


def dataset_info(request: InfoRequest) -> None:
    """Prints the statistics of every split, and writes the requested files.

    Samples that cannot be used are counted, not included.

    Raises:
      DepthsiError: the data does not exist, or none of it can be used.
    """
    if request.out:
        require_matplotlib("--out draws a histogram, which")
    found: dict[str, Statistics] = {}
    shown: dict[str, list[Sample]] = {}
    bad: dict[str, BadSamples] = {}
    greatest: dict[str, GreatestValue | None] = {}
    for split, source in _open_splits(request).items():
        found[split], shown[split], bad[split] = _read_split(source, split, request)
        greatest[split] = greatest_value(source)
    if request.json != STDOUT:
        print(_report(request.what, found, bad))
        for split, each in greatest.items():
            if each is not None and (sentence := each.sentence()):
                print(f"{split}: {sentence}.")
    if request.json:
        numbers = {
            split: summary(each)
            | {"bad": bad[split].messages}
            | {"greatest_value": value._asdict() if (value := greatest[split]) else None}
            for split, each in found.items()
        }
        write_numbers(request.json, numbers)
    if request.out:
        name = Path(request.what).resolve().name if request.what != "rooms" else "rooms"
        pictures = _write_pictures(Path(request.out), name, found, shown)
        if request.json != STDOUT:
            print(f"Images: {' '.join(map(str, pictures))}")


def _open_splits(request: InfoRequest) -> dict[str, Source]:
    if request.what == "rooms":
        from depthsi.rooms.source import SPLITS, RoomsSource

        return {split: RoomsSource(split, request.limit or ROOMS, 0) for split in SPLITS}
    if is_prepared(Path(request.what)):
        return _prepared_splits(request.what)
    return _folder_splits(request)


def _folder_splits(request: InfoRequest) -> dict[str, Source]:
    from depthsi.data.folder.shares import Shares
    from depthsi.data.folder.source import ALL, FolderSource

    source = FolderSource(
        request.what,
        ALL,
        pattern=request.pattern,
        units_per_metre=request.units_per_metre or None,
        coding=request.depth_coding,
        shares=Shares(request.val_share, request.test_share),
    )
    named = sorted((split for split in source.splits if split), key=_place)
    if len(named) > MOST_SPLITS:
        raise DepthsiError(
            f"{request.what} has {len(named)} splits ({first_few(named, 3)}), more than the maximum"
            f" of {MOST_SPLITS}: correct the index column or pattern field that gives the split."
        )
    for sentence in source.notes():
        print(printable(sentence))
    return {split: source.of_split(split) for split in named} or {ALL: source}


def _place(split: str) -> tuple[int, str]:
    """Sort key of a split: train, val and test first, then the others by name."""
    usual = ("train", "val", "test")
    return (usual.index(split) if split in usual else len(usual)), split


def _prepared_splits(directory: str) -> dict[str, Source]:
    from depthsi.data.prepared.prepare import SPLITS
    from depthsi.data.prepared.source import PreparedSource

    problem = DepthsiError(f"{directory} has no split.")
    for first in SPLITS:
        try:
            names = PreparedSource(directory, first).splits
        except DepthsiError as error:
            problem = error
        else:
            return {split: PreparedSource(directory, split) for split in names}
    raise problem


def _read_split(
    source: Source, split: str, request: InfoRequest
) -> tuple[Statistics, list[Sample], BadSamples]:
    """One pass over a split: its statistics, some samples to show, and the bad samples."""
    limit = min(request.limit or len(source), len(source))
    chosen = np.linspace(0, len(source) - 1, limit).round().astype(int).tolist()
    wanted = set(np.array(chosen)[np.linspace(0, limit - 1, SHOWN).round().astype(int)].tolist())
    bad, shown = BadSamples("skip", limit), []
    total: Statistics | None = None
    names, scenes = (getattr(source, each, None) for each in ("names", "scenes"))
    with tqdm(total=limit, desc=split, unit="image", disable=None) as bar:
        for index, found in _read(source, scenes, chosen):
            bar.update()
            if isinstance(found, DepthsiError):
                # Collected beyond the limit of training, because info should list them all.
                bad.messages[names[index] if names else f"sample {index}"] = str(found)
                continue
            sample, each = found
            total = each if total is None else merge(total, each)
            if index in wanted:
                shown.append(sample)
    if total is None:
        raise DepthsiError(f"Split {split!r}: {bad.summary()}")
    return total, shown, bad


Found = tuple[Sample, Statistics] | DepthsiError


def _read(source: Source, scenes: Any, chosen: list[int]) -> Iterator[tuple[int, Found]]:
    def attempt(index: int) -> Found:
        try:
            sample = validate_sample(source[index])
        except DepthsiError as error:
            return error
        return sample, sample_statistics(sample, scenes[index] if scenes else "")

    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(chosen), 8 * READERS):
            some = chosen[start : start + 8 * READERS]
            yield from zip(some, pool.map(attempt, some), strict=True)


def _report(data: str, found: dict[str, Statistics], bad: dict[str, BadSamples]) -> str:
    lines = [f"{data}: {', '.join(f'{each.samples} {split}' for split, each in found.items())}"]
    edges = _edges(found)
    for split, each in found.items():
        lines += ["", *_split_lines(split, summary(each)), _bars(each, edges)]
        if bad[split].messages:
            lines.append(f"  bad        {printable(bad[split].summary())}")
    return "\n".join(lines)


def _split_lines(split: str, numbers: dict[str, Any]) -> list[str]:
    sizes = [f"{count} of {size}" for size, count in numbers["sizes"].items()]
    sizes = [*sizes[:3], f"{len(sizes) - 3} more sizes"] if len(sizes) > 4 else sizes
    marks = {"min": numbers["depth_min"]}
    marks |= {f"{100 * float(q):g} %": d for q, d in numbers["depth_quantiles"].items()}
    marks |= {"max": numbers["depth_max"]}
    mean, std = (", ".join(f"{c:.1f}" for c in numbers[key]) for key in ("rgb_mean", "rgb_std"))
    return [
        f"{split}: {numbers['samples']} samples",
        f"  pixels     {', '.join(sizes)}",
        f"  scenes     {numbers['scenes'] or 'unknown'}",
        f"  valid      {numbers['valid_share']:.2%} of the pixels have depth",
        f"  RGB        mean {mean}; std {std}",
        f"  log depth  mean {numbers['log_depth_mean']:.4f}, std {numbers['log_depth_std']:.4f}",
        "  depth      " + "".join(f"{mark:>8}" for mark in marks),
        "         m   " + "".join(f"{depth:8.3f}" for depth in marks.values()),
    ]


def _edges(found: dict[str, Statistics]) -> np.ndarray:
    """Bin edges of the histograms: the same for all splits, ignoring the outermost outliers."""
    near = min(each.quantile(0.001) for each in found.values())
    far = max(each.quantile(0.999) for each in found.values())
    return np.geomspace(near / 1.02, far * 1.02, COLUMNS + 1)


def _bars(statistics: Statistics, edges: np.ndarray) -> str:
    shares = coarse_histogram(statistics, edges)
    heights = np.ceil(shares / shares.max() * (len(BARS) - 1)).astype(int)
    signs = BARS if can_encode(BARS, sys.stdout) else ASCII_BARS
    bars = "".join(signs[height] for height in heights)
    return f"  {edges[0]:7.3f} m |{bars}| {edges[-1]:.3f} m"


def _write_pictures(
    out: Path, name: str, found: dict[str, Statistics], shown: dict[str, list[Sample]]
) -> tuple[Path, Path]:
    out.mkdir(parents=True, exist_ok=True)
    rows = {split: [(each.image, each.depth) for each in some] for split, some in shown.items()}
    save_data_sheet(out / "contact_sheet.png", rows, title=f"{name}: evenly spaced samples")
    edges = _edges(found)
    shares = {
        f"{split} ({each.samples})": coarse_histogram(each, edges) for split, each in found.items()
    }
    save_histogram(out / "histogram.png", edges, shares, title=f"{name}: depth of valid pixels")
    return out / "contact_sheet.png", out / "histogram.png"
