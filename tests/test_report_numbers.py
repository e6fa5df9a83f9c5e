"""The numbers of a report: the split of the error, tallies, curves, axes, settings."""

import dataclasses
import json
import math
import shlex

import numpy as np
import pytest

from depthsi.cli import main
from depthsi.config import AugmentConfig, CustomConfig, Folder
from depthsi.config_json import to_dict
from depthsi.config_kinds import with_kind
from depthsi.evaluation.depth_tally import DISTANCES, EDGES, occupied, tally_depths
from depthsi.evaluation.error_split import BLOCKS, ErrorParts, error_shares, split_error
from depthsi.presets import PRESETS
from depthsi.report.axes import as_number, axis
from depthsi.report.charts import MOST_POINTS, Line, _thinned
from depthsi.report.curves import curve
from depthsi.report.settings import compare_settings, training_command
from depthsi.report.tables import parted


def holes(shape, seed=0):
    """Depths with missing ones of every kind, predictions, and a mask."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.5, 9, shape).astype(np.float32)
    for value in (0.0, -1.0, np.nan, np.inf):
        true[rng.random(shape) < 0.1] = value
    predicted = rng.uniform(0.5, 9, shape).astype(np.float32)
    return predicted, true, rng.random(shape) < 0.8


def naive_parts(predicted, true, where):
    """Pixel by pixel, in float64."""
    height, width = true.shape
    size = math.ceil(max(height, width) / BLOCKS)
    blocks, d = {}, {}
    for i in range(height):
        for j in range(width):
            if where[i, j] and 0 < true[i, j] < math.inf:
                d[i, j] = math.log(float(predicted[i, j])) - math.log(float(true[i, j]))
                blocks.setdefault((i // size, j // size), []).append(d[i, j])
    middle = sum(d.values()) / len(d)
    low = {key: sum(values) / len(values) for key, values in blocks.items()}
    at = {(i, j): low[i // size, j // size] for i, j in d}
    return (
        sum(v**2 for v in d.values()) / len(d),
        middle**2,
        sum((at[key] - middle) ** 2 for key in d) / len(d),
        sum((v - at[key]) ** 2 for key, v in d.items()) / len(d),
    )


@pytest.mark.parametrize("shape", [(3, 24, 32), (2, 17, 9), (1, 1, 30), (2, 5, 5)])
def test_the_parts_of_the_error_against_a_loop(shape):
    predicted, true, where = holes(shape)
    parts = split_error(predicted, true, where)
    expected = [naive_parts(*each) for each in zip(predicted, true, where, strict=True)]
    np.testing.assert_allclose(np.stack(parts, axis=1), expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(parts.scale + parts.layout + parts.detail, parts.whole, rtol=1e-12)


def test_each_cause_alone_is_found():
    true, everywhere = np.full((1, 32, 64), 2.0), np.ones((1, 32, 64), bool)
    columns = np.arange(64) * np.ones((32, 1))
    sides = np.where(columns < 32, 1.1, 1 / 1.1)[None]
    fine = np.where(np.arange(64) % 2, 1.1, 1 / 1.1) * np.ones((1, 32, 1))
    causes = {"scale": 1.1 * np.ones_like(sides), "layout": sides, "detail": fine}
    for cause, factor in causes.items():
        parts = split_error(true * factor, true, everywhere)._asdict()
        assert parts.pop("whole") == pytest.approx(np.log(1.1) ** 2)
        assert parts.pop(cause) == pytest.approx(np.log(1.1) ** 2)
        assert max(each.item() for each in parts.values()) < 1e-12
    slope = np.exp(0.1 * columns / 64)[None]
    parts = split_error(true * slope, true, everywhere)
    assert float(parts.detail[0] / parts.layout[0]) == pytest.approx(1 / 63, rel=0.1)


def test_images_that_cannot_be_scored_are_nan():
    predicted, true, where = holes((3, 16, 16))
    where[0] = False
    row, column = np.argwhere(where[1] & (true[1] > 0) & (true[1] < np.inf))[0]
    predicted[1, row, column] = np.nan
    predicted[2][~where[2]] = np.nan  # which does not count
    parts = split_error(predicted, true, where)
    assert all(np.isnan(each[:2]).all() and np.isfinite(each[2]) for each in parts)


def test_shares_add_up_and_their_intervals_hold_them():
    parts = split_error(*holes((20, 16, 16)))
    shares = error_shares(parts)
    assert sum(share.value for share in shares.values()) == pytest.approx(1)
    for name, share in shares.items():
        assert share.value == pytest.approx(getattr(parts, name).sum() / parts.whole.sum())
        assert share.low < share.value < share.high
    left_out = ErrorParts(*(np.append(each, np.nan) for each in parts))
    assert error_shares(left_out) == shares
    nothing = ErrorParts(*(np.full(2, np.nan) for _ in parts))
    assert all(math.isnan(share.value) for share in error_shares(nothing).values())


def test_tallies_against_a_loop():
    predicted, true, where = holes((2, 12, 10))
    predicted[0, 0, :3] = 0.01, 900.0, np.nan
    true[1, 0, :3] = 1.5, 2.0, 80.0  # the ends of bins
    where[1, 0, :3] = True
    tally = tally_depths(predicted, true, where)
    pairs, sums = np.zeros_like(tally.pairs), np.zeros((len(DISTANCES) - 1, 4))
    for index in np.ndindex(*true.shape):
        y, t = float(predicted[index]), float(true[index])
        if not (where[index] and 0 < t < math.inf and 0 < y < math.inf):
            continue
        row, column = (
            min(max(sum(v >= edge for edge in EDGES) - 1, 0), len(EDGES) - 2) for v in (t, y)
        )
        pairs[row, column] += 1
        d = math.log(y / t)
        place = max(k for k, low in enumerate(DISTANCES[:-1]) if t >= low)
        sums[place] += (1, abs(y - t) / t, d, d**2)
    np.testing.assert_array_equal(tally.pairs, pairs)
    found = np.stack([tally.pixels, tally.abs_rel, tally.log, tally.square_log], axis=1)
    np.testing.assert_allclose(found, sums, rtol=1e-9, atol=1e-12)
    twice = tally + tally
    assert twice.pixels.sum() == 2 * tally.pixels.sum() == 2 * tally.pairs.sum()


def test_the_occupied_cells_hold_nearly_all():
    predicted, true, where = holes((4, 40, 40))
    tally = tally_depths(predicted, true, where)
    first, last = occupied(tally)
    assert 0.3 < EDGES[first] < 0.55
    assert 8.5 < EDGES[last] < 12
    assert tally.pairs[first:last, first:last].sum() >= 0.998 * tally.pairs.sum()
    empty = tally_depths(predicted, true, np.zeros_like(where))
    assert occupied(empty) == (0, len(EDGES) - 1)


def test_curves_take_only_numbers_and_the_last_row_of_a_step():
    rows = [
        {"step": 20, "split": "train", "loss": 2},
        {"step": 10, "split": "train", "loss": 1.0},
        {"step": 10, "split": "train", "loss": 1.5},
        {"step": 15, "split": "val", "loss": 7.0},
        *({"step": 16, "split": "train", "loss": bad} for bad in (math.nan, "1", None, True, [1])),
        {"step": 17, "split": "train", "loss": 10**400},
        {"step": 10**400, "split": "train", "loss": 1.0},
        {"step": 18},
    ]
    steps, values = curve(rows, "train", "loss")
    assert (steps.tolist(), values.tolist()) == ([10, 20], [1.5, 2])
    assert curve([], "val", "d1").steps.size == 0


@pytest.mark.parametrize(
    "values",
    [
        *([], [0.0], [0.0, 0.0], [-3.0, -3.0], [1.0, 1 + 2**-52], [0.0, 5e-324], [1e-5, 4.0]),
        *([-1e300, 1e300], [2.0, 3.0], [1e-300, 1e300], [1e16, 1e16 + 2]),
    ],
)
@pytest.mark.parametrize("log", [False, True])
def test_axes_suit_any_numbers(values, log):
    found = axis(values, 100.0, 0.0, log=log)
    assert all(0 <= found.place(value) <= 100 for value in values)
    ticks = found.ticks()
    assert 1 <= len(ticks) <= 12
    assert ticks == sorted(set(ticks))
    assert all(-1e-6 <= found.place(tick) <= 100 + 1e-6 for tick in ticks)
    assert found.log == (log and values == [1e-5, 4.0])
    assert found.place(found.low) == pytest.approx(100)


def test_ticks_are_short():
    labels = [as_number(value) for value in (0.0, 0.25, 1500.0, 62500.0, 2e6, 1e-5, 0.1 + 0.2)]
    assert labels == ["0", "0.25", "1.5k", "62.5k", "2M", "1e-05", "0.3"]


def test_long_lines_keep_their_ends_and_extremes():
    y = np.random.default_rng(0).normal(size=5000)
    line = _thinned(Line("loss", np.arange(5000.0), y))
    assert len(line.x) <= MOST_POINTS + 2
    assert (line.x[0], line.x[-1]) == (0, 4999)
    assert (line.y.min(), line.y.max()) == (y.min(), y.max())
    np.testing.assert_array_equal(line.y, y[line.x.astype(int)])


def test_intervals_part_only_without_a_number_in_common():
    assert parted((1.0, 2.0), (2.0, 3.0), "lower") is None
    assert parted((1.0, 2.0), (2.1, 3.0), "lower") == "worse"
    assert parted((1.0, 2.0), (2.1, 3.0), "higher") == "better"
    assert parted((1.0, 2.0), (0.0, 0.9), "lower") == "better"
    assert parted((1.0, 2.0), (0.0, 0.9), "") == "different"
    assert parted(None, (0.0, 1.0), "lower") is None


def changed(preset, **sections):
    config = PRESETS[preset]()
    return dataclasses.replace(
        config,
        **{
            name: dataclasses.replace(getattr(config, name), **values)
            if isinstance(values, dict)
            else values
            for name, values in sections.items()
        },
    )


CONFIGS = {
    "a preset": PRESETS["kitti"](),
    "numbers": changed("rooms", seed=3, optim={"learning_rate": 1e-5}, data={"train": 7}),
    "switches": changed("rooms", data={"endless": True}, model={"local_response_norm": False}),
    "pairs": changed("rooms", augment=AugmentConfig(scale=(1.0, 1.25))),
    "kinds": with_kind(with_kind(PRESETS["tiny"](), "model", "unet"), "optim", "adamw"),
    "loss": with_kind(PRESETS["rooms"](), "loss", "sum"),
    "names": changed("nyu", data=Folder(root="a b/'c", pattern="-x", missing=(65535.0, -1.0))),
    "a preset's name": changed("nyu", data=Folder(root="rooms")),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_command_of_a_run_makes_its_settings(config, capsys):
    words = shlex.split(training_command(config, "runs/it's new"))
    assert words[:2] == ["depthsi", "train"]
    assert words[-2:] == ["--run", "runs/it's new"]
    main(["config", *words[2:-2]])
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(to_dict(config)))


def test_settings_are_compared_with_the_nearest_preset():
    config = changed("tiny", seed=5, optim={"learning_rate": 0.5}, loss=CustomConfig(name="mine"))
    near = compare_settings(config)
    assert near.preset == "tiny"
    marked = {each.name: (each.value, each.default) for each in near.settings if each.changed}
    assert marked == {
        "seed": (5, 0),
        "optim.learning-rate": (0.5, 0.012),
        "loss.kind": ("custom", "scale_invariant"),
        "loss.name": ("mine", ""),
    }
    assert not any(each.changed for each in compare_settings(PRESETS["nyu"]()).settings)
