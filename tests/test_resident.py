"""Samples in device memory and rooms rendered there: the same training as from the host."""

import dataclasses
import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi import compilation
from depthsi.config import ComputeConfig, Config, Folder, Rooms, ScheduleConfig
from depthsi.data import resident
from depthsi.data.order import Order
from depthsi.data.pipeline import InMemory, OnDemand, training_batches
from depthsi.data.resident import place, read_resident, to_counts
from depthsi.data.samples import Sample
from depthsi.errors import DepthsiError
from depthsi.presets import from_scratch
from depthsi.rooms.endless import render_rooms
from depthsi.rooms.source import RoomsSource
from depthsi.runs import RunDirectory
from depthsi.training import loop
from depthsi.training import run as command
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.feeds import (
    check_feed,
    longest_call,
    make_drawn_step,
    make_many_steps,
    open_feed,
    steps_to_pause,
)
from depthsi.training.parallel import make_mesh
from depthsi.training.stages import Stage, make_stages
from depthsi.training.state import State, initial_state
from depthsi.training.steps import make_train_step

pytestmark = pytest.mark.usefixtures("nothing_remembered")

CONFIG = Config(
    data=Rooms(train=8, val=4),
    model=from_scratch(width=0.02),
    schedule=ScheduleConfig(
        batch_size=4, coarse_samples=28, fine_samples=16, log_every=5, eval_every=0, save_every=3
    ),
)
RESIDENT = dataclasses.replace(CONFIG, data=Rooms(resident=True))
ENDLESS = dataclasses.replace(CONFIG, data=Rooms(train=8, val=4, endless=True))


def pairs(count=6, size=(240, 320), seed=0, scenes=()):
    """Depth in whole millimetres, some of it missing."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *size, 3), np.uint8)
    depths = (rng.integers(500, 10_000, (count, *size)) / 1000).astype(np.float32)
    depths[:, 0] = [[0], [np.nan], [-1], [np.inf], [0], [2]][:count]
    return InMemory(images, depths, scenes)


def metres(depth):
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0)


@pytest.fixture
def looped(monkeypatch):
    """Several steps a call, as on an accelerator."""
    monkeypatch.setattr("depthsi.training.feeds.loops_on_device", lambda: True)


def light_step(config, stage, loss=None):
    """Instead of the networks: a step whose state tells which samples came in which order."""

    def step(state, image, depth):
        known = jnp.where(jnp.isfinite(depth) & (depth > 0), depth, 0)
        seen = jnp.mean(image.astype(jnp.float32)) + 100 * jnp.mean(known)
        params = jax.tree.map(lambda p: 0.9 * p + seen, state.params)
        names = ("loss", "learning_rate", "gradient_norm", "update_norm", "valid_share")
        metrics = dict.fromkeys(names, seen) | {"loss": seen}
        return state.replace(step=state.step + 1, params=params), metrics

    return step


@pytest.fixture
def light(monkeypatch):
    def few_numbers(config, stage, shardings=None):
        params = {"coarse": {"weight": jnp.zeros(3)}, "fine": {"weight": jnp.ones(3)}}
        return State(jnp.zeros((), jnp.int32), params, (), jax.random.key(config.seed))

    monkeypatch.setattr(loop, "initial_state", few_numbers)
    monkeypatch.setattr(
        loop, "abstract_state", lambda *of: jax.eval_shape(lambda: few_numbers(*of))
    )
    monkeypatch.setattr(loop, "enter_stage", lambda state, config, stage: state)
    monkeypatch.setattr(loop, "make_train_step", light_step)


@pytest.fixture
def plain_rooms(monkeypatch):
    """Instead of rendering: depth and brightness tell the scene's number."""

    def render(numbers, seed, scale_range, mesh):
        depth = jnp.broadcast_to(numbers[:, None, None], (len(numbers), 2, 2)).astype(jnp.float32)
        return jnp.broadcast_to(depth[..., None], (*depth.shape, 3)).astype(jnp.uint8), depth

    monkeypatch.setattr("depthsi.training.feeds.render_rooms", render)


def run_in(path, config, data):
    run = RunDirectory(path)
    run.create(config)
    return run, jax.device_get(loop.train(config, run, data, None))


def lines_of(run):
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def assert_equal_trees(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def stopped_and_resumed(path, config, data, monkeypatch, stop):
    """Interrupted after the checkpoint of step `stop`, then run to the end."""
    run = RunDirectory(path)
    run.create(config)

    class Stopped(Exception):
        pass

    watched = loop.MetricsLog.after

    def after(watch, step, stage, metrics):
        if step > stop:
            raise Stopped
        watched(watch, step, stage, metrics)

    monkeypatch.setattr(loop.MetricsLog, "after", after)
    with pytest.raises(Stopped):
        loop.train(config, run, data, None)
    monkeypatch.setattr(loop.MetricsLog, "after", watched)
    with Checkpoints(run.checkpoints) as checkpoints:
        assert checkpoints.latest == stop
    return run, jax.device_get(loop.train(config, run, data, None))


@pytest.mark.parametrize(
    ("farthest", "per_metre"),
    [
        (9.999, 6000),
        (65.535, 1000),
        (65.536, 512),
        (65.6, 512),
        (80.0, 512),
        (200.0, 256),
        (1000.0, 64),
    ],
)
def test_depth_as_counts(farthest, per_metre):
    depth = np.random.default_rng(0).uniform(0.3, farthest, (20, 30)).astype(np.float32)
    # what a product in float32 would round to the wrong side of half a count
    half_counts = (np.linspace(0.6, 0.99, 300) * farthest * per_metre // 1 + 0.5) / per_metre
    depth[10:] = half_counts.reshape(10, 30)
    depth[0, 0], depth[0, 1:6] = farthest, [0, -2, np.nan, np.inf, 1e-6]
    counts, given = to_counts(depth)
    assert given == per_metre
    assert counts.dtype == np.uint16
    assert counts[0, 1:6].tolist() == [0, 0, 0, 0, 1]
    valid = np.ones_like(depth, bool)
    valid[0, 1:6] = False
    error = np.abs(counts[valid] / per_metre - depth[valid].astype(np.float64))
    assert error.max() <= 0.5 / per_metre + 1e-12
    assert error.max() > 0.4 / per_metre  # half a count is the bound, not more than it


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "largest"), [(1000, 65_535), (1000, 9_000), (256, 65_400)])
def test_whole_units_come_back(unit, largest):
    """To a rounding: the compiler turns a division by one number into a multiplication."""
    depth = (np.arange(1, largest + 1) / unit).astype(np.float32)[None]
    counts, per_metre = to_counts(depth)
    back = jax.jit(lambda c, p: c.astype(jnp.float32) / p)(counts, np.float32(per_metre))
    np.testing.assert_array_equal(counts % (per_metre / unit), 0)
    np.testing.assert_allclose(back, depth, rtol=2e-7)


def test_depth_without_a_valid_pixel_stays_missing():
    counts, per_metre = to_counts(np.zeros((2, 3), np.float32))
    assert not counts.any()
    assert per_metre > 0


def test_depth_that_16_bits_cannot_hold_is_refused_by_sample():
    data = pairs(3, (4, 5))
    data.depths[2, 1, 1] = 1001.0
    with pytest.raises(DepthsiError, match=r"^Training sample 2: the depth 1001 m is over 1000 m"):
        place(data, (4, 5), make_mesh(4))


class Wrapped:
    def __init__(self, inner):
        self.inner = inner

    def __len__(self):
        return len(self.inner)

    def __getitem__(self, index):
        return Sample(self.inner.images[index], self.inner.depths[index], str(index))

    def arrays(self, progress=None):
        return self.inner.images, self.inner.depths


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (2, 2)])
@pytest.mark.parametrize("on_demand", [False, True])
def test_what_is_placed_is_read_back(shape, on_demand):
    data, devices = pairs(6, (8, 10)), math.prod(shape)
    farther = np.array([1, 1, 2, 3, 4, 6])[:, None, None]  # with other counts per metre
    data.depths[:] = np.round(farther * np.float64(data.depths), 3)
    grid = np.array(jax.devices()[:devices]).reshape(shape)
    mesh = jax.sharding.Mesh(grid, ("data", "model"))
    placed = place(OnDemand(Wrapped(data)) if on_demand else data, (8, 10), mesh)
    assert placed.images.dtype == np.uint8
    assert placed.counts.dtype == np.uint16
    rows = {shard.data.shape[0] for shard in placed.images.addressable_shards}
    assert rows == {-(-6 // devices)}
    numbers = np.array([5, 0, 3, 3, 2, 1, 4, 5], np.int32)
    image, depth = jax.jit(lambda d, n: read_resident(d, n, mesh))(placed, numbers)
    np.testing.assert_array_equal(image, data.images[numbers])
    np.testing.assert_allclose(depth, metres(data.depths)[numbers], rtol=2e-7)
    assert image.sharding.shard_shape(image.shape)[0] == 8 // devices


def test_samples_that_do_not_fit_are_refused_with_both_sizes(monkeypatch):
    class Small:
        def memory_stats(self):
            return {"bytes_limit": 10 * 2**30, "bytes_in_use": 2**30}

    class Host:
        def memory_stats(self):
            return None

    assert resident.free_bytes(Small()) == int(0.8 * 9 * 2**30)
    monkeypatch.setattr("depthsi.machine.CONTAINER_LIMITS", ())  # those of this computer
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 2**20, "SC_PAGE_SIZE": 2**13}.get)
    assert resident.free_bytes(Host()) == 2**30  # half of 8 GiB, shared by 4 devices
    needed = 2 * 240 * 320 * 5  # of 6 samples on 4 devices
    monkeypatch.setattr(resident, "free_bytes", lambda device: needed)
    check_feed(RESIDENT, pairs(), make_mesh(4))
    monkeypatch.setattr(resident, "free_bytes", lambda device: needed - 1)
    words = r"needs 0\.00 GiB on each of 4 devices, but .* can spare 0\.00 GiB: use more devices"
    for refusing in (
        lambda: check_feed(RESIDENT, pairs(), make_mesh(4)),
        lambda: place(pairs(), (240, 320), make_mesh(4)),
    ):
        with pytest.raises(DepthsiError, match=words):
            refusing()
    monkeypatch.setattr(resident, "free_bytes", lambda device: 5 * 2**29)
    with pytest.raises(DepthsiError, match=r"needs 35\.76 GiB .* spare 2\.50 GiB"):
        resident.check_fits(400_000, (240, 320), make_mesh(4))


def test_calls_end_where_the_loop_looks():
    schedule = ScheduleConfig(
        batch_size=4, coarse_samples=100, fine_samples=0, log_every=6, eval_every=10, save_every=15
    )
    stage = Stage("coarse", "coarse", 0, 25)
    ends, step = [], 0
    while step < stage.end:
        step += steps_to_pause(schedule, stage, step)
        ends.append(step)
    assert ends == [6, 10, 12, 15, 18, 20, 24, 25]
    assert longest_call(schedule) == 6
    without = dataclasses.replace(schedule, eval_every=0)
    assert steps_to_pause(without, stage, 6) == 6


@pytest.mark.slow
def test_resident_batches_are_those_from_the_host():
    """Images to the bit, depth in millimetres to a rounding."""
    data, mesh = pairs(6, (8, 10)), make_mesh(4)
    placed = place(data, (8, 10), mesh)
    order, read = Order(6, 5), jax.jit(lambda d, n: read_resident(d, n, mesh))
    batches = training_batches(data, 4, 5, first_step=2)
    for step, (image, depth) in zip((2, 3, 4), batches, strict=False):
        there = read(placed, order.numbers(4 * step, 4).astype(np.int32))
        np.testing.assert_array_equal(there[0], image)
        np.testing.assert_allclose(there[1], metres(depth), rtol=2e-7)
    batches.close()


@pytest.mark.slow
@pytest.mark.parametrize("on_device", [False, True])
def test_a_resident_run_is_the_run_from_the_host(tmp_path, light, monkeypatch, on_device):
    monkeypatch.setattr("depthsi.training.feeds.loops_on_device", lambda: on_device)
    data = pairs(scenes="aaabbc")
    host = dataclasses.replace(CONFIG, data=Folder(even_scenes=2))
    there = dataclasses.replace(CONFIG, data=Folder(resident=True, even_scenes=2))
    one, params = run_in(tmp_path / "host", host, data)
    two, others = run_in(tmp_path / "resident", there, data)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), params, others)
    for a, b in zip(lines_of(one), lines_of(two), strict=True):
        assert (a["step"], a["stage"]) == (b["step"], b["stage"])
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-6)
    assert [line["step"] for line in lines_of(two)] == [5, 7, 10, 11]
    with Checkpoints(two.checkpoints) as checkpoints:
        assert checkpoints.latest == 11


@pytest.mark.slow
def test_how_steps_are_cut_into_calls_changes_no_bit():
    """The real step, with augmentation and dropout."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    stage = make_stages(CONFIG)[0]
    placed = place(pairs(), (240, 320), mesh)
    drawn = make_drawn_step(
        make_train_step(CONFIG, stage), lambda data, numbers: read_resident(data, numbers, mesh)
    )
    dispatch = compilation.jit(make_many_steps(drawn))
    numbers = Order(6, 0).numbers(0, 3).reshape(3, 1).astype(np.int32)
    begin = functools.partial(initial_state, CONFIG, stage)

    def run(*cuts):
        state, losses, step = begin(), [], 0
        for count in cuts:
            table = np.zeros((3, 1), np.int32)
            table[:count] = numbers[step : step + count]
            state, metrics = dispatch(state, placed, table, np.int32(count))
            losses += metrics["loss"][:count].tolist()
            assert not np.any(metrics["loss"][count:])
            step += count
        return state.replace(key=jax.random.key_data(state.key)), losses

    whole, losses = run(3)
    assert len(set(losses)) == 3
    assert int(whole.step) == 3
    state, again = run(1, 2)
    assert again == losses
    assert_equal_trees(state, whole)
    _, metrics = compilation.jit(drawn)(begin(), placed, numbers[0])
    np.testing.assert_allclose(metrics["loss"], losses[0], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("config", "stop"), [(RESIDENT, 3), (RESIDENT, 7), (ENDLESS, 6)])
def test_a_resumed_run_ends_in_the_same_bits(
    tmp_path, light, looped, plain_rooms, monkeypatch, config, stop, whole_runs
):
    """Within a stage and between the stages; also its log is the same."""
    data = None if config.data.endless else pairs()
    run, params = stopped_and_resumed(tmp_path / "run", config, data, monkeypatch, stop)
    lines, expected = whole_runs(config, data)
    assert_equal_trees(params, expected)
    assert lines_of(run) == lines


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory):
    """Uninterrupted runs, made once for each configuration."""
    done = {}

    def of(config, data):
        if config not in done:
            path = tmp_path_factory.mktemp("whole") / "run"
            run, params = run_in(path, config, data)
            done[config] = lines_of(run), params
        return done[config]

    return of


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_its_step(tmp_path, light, looped, monkeypatch):
    """Though it is inside a call."""

    def poisoned(config, stage, loss=None):
        step = light_step(config, stage)

        def update(state, image, depth):
            new, metrics = step(state, image, depth)
            return new, metrics | {"loss": jnp.where(new.step >= 9, jnp.nan, metrics["loss"])}

        return update

    monkeypatch.setattr(loop, "make_train_step", poisoned)
    schedule = ScheduleConfig(
        batch_size=4, coarse_samples=400, fine_samples=0, log_every=7, eval_every=0, save_every=7
    )
    config = dataclasses.replace(RESIDENT, schedule=schedule)
    with pytest.raises(DepthsiError, match=r"stopped at step 9 .*checkpoint of step 7 is kept"):
        run_in(tmp_path / "run", config, pairs())
    with Checkpoints(RunDirectory(tmp_path / "run").checkpoints) as checkpoints:
        assert checkpoints.latest == 7


@pytest.mark.slow
def test_rendered_rooms_are_the_training_split_going_on():
    mesh = make_mesh(4, ComputeConfig(model_devices=2))
    render = jax.jit(lambda n: render_rooms(n, 3, (0.5, 2.0), mesh))
    images, depths = RoomsSource("train", 8, 3, (0.5, 2.0)).arrays()
    pictures = set()
    for first in (0, 4):
        image, depth = render(jnp.arange(first, first + 4, dtype=jnp.int32))
        np.testing.assert_allclose(depth, depths[first : first + 4], rtol=1e-4)
        assert np.mean(np.asarray(image) != images[first : first + 4]) < 1e-3
        pictures |= {one.tobytes() for one in np.asarray(image)}
    assert len(pictures) == 8
    assert np.asarray(render(jnp.full(4, 2**31 - 1, jnp.int32))[1]).min() > 0


@pytest.mark.slow
def test_endless_rooms_never_repeat(plain_rooms):
    """The numbers of a whole run, across stages and a restart."""

    def told(state, image, depth):
        return state, {str(i): depth[i, 0, 0] for i in range(4)}

    def numbers_from(start):
        drawn, step = [], start
        with open_feed(ENDLESS, None, make_mesh(4), step) as feed:
            for stage in make_stages(ENDLESS):
                update = feed.update(told, stage, None)
                while step < stage.end:
                    _, step, metrics = update(
                        State(jnp.int32(step), {}, (), jax.random.key(0)), step
                    )
                    drawn += [int(metrics[name]) for name in "0123"]
        return drawn

    assert numbers_from(0) == list(range(44))
    assert numbers_from(6) == list(range(24, 44))


def test_the_host_feed_needs_samples():
    with (
        pytest.raises(ValueError, match="`pairs` must not be None"),
        open_feed(CONFIG, None, make_mesh(4), 0),
    ):
        pass


@pytest.mark.slow
def test_the_command_trains_on_endless_rooms(tmp_path, light, plain_rooms, monkeypatch, capsys):
    """`data.train` rooms are rendered for the mean predictor once, not when resumed."""
    path = tmp_path / "run"
    command.train_run(ENDLESS, str(path), resume=False)
    run = RunDirectory(path)
    depths = RoomsSource("train", 8).arrays()[1].astype(np.float64)
    np.testing.assert_allclose(run.mean_depth(), np.exp(np.log(depths).mean(0)), rtol=1e-5)
    opened = []
    monkeypatch.setattr(command, "open_samples", lambda *args: opened.append(args))
    command.train_run(ENDLESS, str(path), resume=True)
    assert opened == []
    assert "Trained 11 steps" in capsys.readouterr().out


def test_what_cannot_be_trained_on_leaves_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr(resident, "free_bytes", lambda device: 10)
    config = dataclasses.replace(CONFIG, data=Rooms(train=4, resident=True))
    with pytest.raises(DepthsiError, match=r"data\.resident needs"):
        command.train_run(config, str(tmp_path / "run"), resume=False)
    assert not (tmp_path / "run").exists()
