"""What a run tells: norms of layers, lines one step late, TensorBoard, profiles, one voice."""

import contextlib
import dataclasses
import gzip
import json
import struct
import sys
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_cli import refusal
from tqdm import tqdm

from depthsi.config import AugmentConfig, Config, ScheduleConfig, SgdConfig, TwoScaleConfig
from depthsi.errors import DepthsiError
from depthsi.presets import from_scratch
from depthsi.runs import RunDirectory
from depthsi.training import feeds
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.logs import metrics_log as watch
from depthsi.training.logs.metrics_log import LogOptions, MetricsLog
from depthsi.training.logs.profiling import Profile
from depthsi.training.logs.tensorboard import TensorBoard
from depthsi.training.norms import norm_metrics
from depthsi.training.optimisers import PAPER_RATES
from depthsi.training.parallel import make_mesh, replicated
from depthsi.training.stages import Stage, make_stages
from depthsi.training.state import State, initial_state
from depthsi.training.steps import make_train_step

CONFIG = Config(
    model=from_scratch(width=0.02),
    optim=SgdConfig(learning_rate=1e3, momentum=0.0, weight_decay=0.0),
    augment=AugmentConfig(scale=(1.0, 1.0), rotation=0.0, colour=(1.0, 1.0), flip=0.0),
    schedule=ScheduleConfig(
        batch_size=4, coarse_samples=32, fine_samples=16, log_every=2, eval_every=0
    ),
)
STAGE = make_stages(CONFIG)[0]


class FakeFeed:
    waited = 0.0

    def update(self, train_step, stage, sharding):
        raise NotImplementedError


@contextlib.contextmanager
def watching(path, feed=None, step=0, **options):
    """A watch over a new run in `path`."""
    run = RunDirectory(path)
    path.mkdir(exist_ok=True)
    with (
        Checkpoints(run.checkpoints) as checkpoints,
        MetricsLog(
            CONFIG, run, checkpoints, feed or FakeFeed(), step, LogOptions(**options)
        ) as watch,
    ):
        yield watch


def lines(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def scalars(**changes):
    values = {
        "loss": 1.0,
        "learning_rate": 0.1,
        "valid_share": 1.0,
        "gradient_norm": 2.0,
        "update_norm": 0.2,
        "gradient_norm/coarse/conv1": 1.5,
    }
    return values | changes


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_norms_are_those_of_each_layer_and_of_all(compiled):
    rng = np.random.default_rng(0)

    def draw(scale):
        return {
            "coarse": {
                "conv1": {"kernel": rng.normal(0, scale, (3, 4)), "bias": rng.normal(size=4)},
                "fc6": {"kernel": rng.normal(0, scale, (5, 2))},
            },
            "unet": {
                "down1": {
                    "conv_a": {"kernel": rng.normal(0, scale, 7)},
                    "conv_b": {"bias": rng.normal(0, scale, 2)},
                }
            },
        }

    trees = draw(1.0), draw(0.01), draw(30.0)
    given = jax.tree.map(jnp.float32, trees)
    found = (jax.jit(norm_metrics) if compiled else norm_metrics)(*given)
    wanted = {}
    for kind, tree in zip(("gradient", "update", "parameter"), trees, strict=True):
        conv1, down = tree["coarse"]["conv1"], tree["unet"]["down1"]
        groups = {
            "coarse/conv1": [conv1["kernel"], conv1["bias"]],
            "coarse/fc6": [tree["coarse"]["fc6"]["kernel"]],
            "unet/down1": [down["conv_a"]["kernel"], down["conv_b"]["bias"]],
        }
        every = [x for arrays in groups.values() for x in arrays]
        for name, arrays in {"": every, **groups}.items():
            flat = np.concatenate([x.ravel() for x in arrays])
            wanted[f"{kind}_norm{'/' if name else ''}{name}"] = np.linalg.norm(flat)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)
        assert found[name].dtype == jnp.float32


@pytest.mark.slow
def test_the_norms_of_half_precision_are_summed_up_in_float32():
    tree = {"a": {"b": {"kernel": jnp.full(3000, 0.1, jnp.bfloat16)}}}
    norm = np.sqrt(3000) * float(jnp.bfloat16(0.1))
    np.testing.assert_allclose(norm_metrics(tree, tree, tree)["gradient_norm/a/b"], norm, rtol=1e-5)


@pytest.mark.slow
def test_a_step_tells_what_it_did_to_every_layer():
    """Plain gradient descent: the norms follow from the parameters before and after."""
    config = dataclasses.replace(CONFIG, model=TwoScaleConfig(width=0.02))
    stage = make_stages(config)[1]
    state = initial_state(config, stage)
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 6, (4, 240, 320)).astype(np.float32)
    image = rng.integers(0, 256, (4, 240, 320, 3), np.uint8)
    before = jax.device_get(state.params[stage.name])
    after, metrics = jax.jit(make_train_step(config, stage))(state, image, depth)
    after = jax.device_get(after.params[stage.name])
    total = 0.0
    for layer, arrays in before.items():
        old = np.concatenate([arrays[name].ravel() for name in ("kernel", "bias")]).astype(float)
        new = np.concatenate([after[layer][name].ravel() for name in ("kernel", "bias")])
        rates = [
            rate for group, rate in PAPER_RATES.items() if f"{stage.name}/{layer}".startswith(group)
        ]
        change, rate = np.linalg.norm(new - old), 1e3 * rates[0].learning_rate
        group = f"{stage.name}/{layer}"
        assert change > 0
        np.testing.assert_allclose(metrics[f"parameter_norm/{group}"], np.linalg.norm(old), 1e-5)
        np.testing.assert_allclose(metrics[f"update_norm/{group}"], change, rtol=2e-2)
        np.testing.assert_allclose(metrics[f"gradient_norm/{group}"], change / rate, rtol=2e-2)
        total += change**2
    np.testing.assert_allclose(metrics["update_norm"], np.sqrt(total), rtol=2e-2)
    assert not [name for name in metrics if "/coarse/" in name]  # which is not trained


def test_metrics_are_fetched_one_step_late(tmp_path):
    fetched = []

    class Recorder:
        """A scalar on a device: says when somebody wants to know it."""

        def __init__(self, step):
            self.step = step

        def __array__(self, dtype=None, copy=None):
            fetched.append(self.step)
            return np.float32(1.0)

    with watching(tmp_path / "run") as watch:
        for step in (1, 2, 3):
            watch.after(step, STAGE, scalars(loss=Recorder(step)))
            assert fetched == list(range(1, step))
        watch.flush()
        assert fetched == [1, 2, 3]
        watch.flush()
    assert fetched == [1, 2, 3]


def test_a_line_has_everything_a_step_says_and_where_the_time_went(tmp_path, monkeypatch):
    clock = types.SimpleNamespace(now=100.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(watch, "time", clock)
    feed = FakeFeed()
    feed.waited = 50.0  # before this watch began
    with watching(tmp_path / "run", feed) as watcher:
        for step in (1, 2, 3, 4):
            clock.now += 2.0
            feed.waited += 0.5
            watcher.after(step, STAGE, scalars(loss=float(step)))
        watcher.flush()
        clock.now += 1.0
        watcher.evaluated(4, STAGE, {"rmse_log": 0.3, "rmse_log_si": 0.2, "d1": 0.5})
        clock.now += 3.0
        feed.waited += 3.0
        watcher.after(5, STAGE, scalars())
        watcher.after(6, STAGE, scalars())
        watcher.flush()
    first, second, val, third = lines(tmp_path / "run")
    assert first == scalars(loss=2.0) | {
        "step": 2,
        "stage": "coarse",
        "split": "train",
        "images_per_second": round(2 * 4 / 6, 2),
        "waiting_share": 0.25,
    }
    assert (second["step"], second["images_per_second"]) == (4, 2 * 4 / 2)
    assert (val["split"], val["step"], val["d1"]) == ("val", 4, 0.5)
    # the evaluation's time does not count
    assert (third["step"], third["images_per_second"]) == (6, round(2 * 4 / 3, 2))
    assert third["waiting_share"] == 1.0


def test_a_feed_from_the_host_measures_how_long_it_waits(monkeypatch):
    clock = types.SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(feeds, "time", clock)
    mesh = make_mesh(4)

    def batches():
        while True:
            clock.now += 0.25
            yield jnp.zeros(4), jnp.zeros(4)

    def step(state, image, depth):
        clock.now += 100.0  # while it is traced
        return state.replace(step=state.step + 1), {"loss": jnp.sum(image + depth)}

    feed = feeds._HostFeed(CONFIG, batches(), mesh)
    update = feed.update(step, STAGE, replicated(mesh))
    state, at = jax.device_put(State(jnp.int32(0), {}, (), ()), replicated(mesh)), 0
    for _ in range(3):
        state, at, _ = update(state, at)
    assert (at, feed.waited) == (3, 0.75)
    assert feeds._DeviceFeed.waited == 0


@contextlib.contextmanager
def as_process(number, path, monkeypatch, **options):
    """A watch as one process of several has it."""
    run = RunDirectory(path)
    path.mkdir()
    with Checkpoints(path / "checkpoints") as checkpoints, monkeypatch.context() as patch:
        patch.setattr(jax, "process_index", lambda: number)
        with MetricsLog(CONFIG, run, checkpoints, FakeFeed(), 3, LogOptions(**options)) as watcher:
            yield watcher


def test_only_the_first_process_tells_and_all_of_them_check(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboardX")
    for number, told in ((0, {"metrics.jsonl", "tensorboard"}), (1, set())):
        path = tmp_path / str(number)
        with as_process(number, path, monkeypatch, tensorboard=True, profile=2) as watcher:
            watcher.after(4, STAGE, scalars())
            watcher.flush()
            watcher.evaluated(4, STAGE, {"rmse_log": 0.3, "rmse_log_si": 0.2, "d1": 0.5})
            watcher.after(5, STAGE, scalars(loss=float("nan")))
            with pytest.raises(DepthsiError, match=r"stopped at step 5"):
                watcher.flush()
        assert {file.name for file in path.iterdir()} - {"checkpoints"} == told
        printed = capsys.readouterr().out
        assert ("coarse step 4: val rmse_log 0.300" in printed) == (number == 0)
        assert bool(printed) == (number == 0)


def test_only_the_first_process_has_a_progress_bar(tmp_path, monkeypatch):
    made = []

    def bar(**options):
        made.append(options)
        quiet: dict[str, Any] = options | {"disable": True}
        return tqdm(**quiet)

    monkeypatch.setattr(watch, "tqdm", bar)
    for number in (0, 1):
        with as_process(number, tmp_path / str(number), monkeypatch):
            pass
    assert [(each["disable"], each["initial"], each["total"]) for each in made] == [
        (None, 3, 12),
        (True, 3, 12),
    ]


def events(directory):
    """(tag, step) -> value of a TensorBoard directory, and where its writers started."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    values, starts = {}, []
    for file in sorted(directory.iterdir()):
        data = file.read_bytes()
        while data:  # length, checksum, event, checksum
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            if event.HasField("session_log"):
                starts.append(event.step)
            for value in event.summary.value:
                values[value.tag, event.step] = value.simple_value
    return values, starts


def test_tensorboard_has_every_number_of_the_lines(tmp_path):
    pytest.importorskip("tensorboardX")
    with watching(tmp_path / "run", tensorboard=True) as watcher:
        for step in (1, 2, 3, 4):
            watcher.after(step, STAGE, scalars(loss=0.5 * step))
        watcher.flush()
        watcher.evaluated(4, STAGE, {"rmse_log": 0.3, "rmse_log_si": 0.2, "d1": 0.5})
    values, starts = events(tmp_path / "run" / "tensorboard")
    assert starts == []
    assert {step for _, step in values} == {2, 4}
    assert values["train/loss", 2] == 1.0
    assert values["train/loss", 4] == 2.0
    assert values["gradient_norm/coarse/conv1", 4] == 1.5
    assert values["val/d1", 4] == 0.5
    named = {tag.rpartition("/")[2] for tag, _ in values}
    for line in lines(tmp_path / "run"):
        assert {name.rpartition("/")[2] for name in line} - {"step", "stage", "split"} <= named


def test_tensorboard_forgets_what_a_resumed_run_repeats(tmp_path):
    pytest.importorskip("tensorboardX")
    with TensorBoard(tmp_path, 6) as board:
        board.write(7, "train", {"loss": 1.0})
    assert events(tmp_path)[1] == [7]  # events from here on are no longer shown


def test_missing_tensorboardx_is_said_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    error = refusal(capsys, "train", "tiny", "--run", tmp_path / "run", "--tensorboard")
    assert "pip install 'depthsi[tensorboard]'" in error
    assert not (tmp_path / "run").exists()


def profiled(directory, stages, steps, sizes=1, stop=None):
    """Runs all `stages` of a made-up update under a profile, up to step `stop`; what it said."""
    said, step = [], 0
    body = jax.jit(lambda x: x @ x)

    def update(state, step):
        if step == stop:
            raise KeyboardInterrupt
        x = body(state.params)
        return state.replace(params=x), step + sizes, {"loss": x[0, 0]}

    with contextlib.suppress(KeyboardInterrupt), Profile(directory, steps, said.append) as profile:
        state = State(0, jnp.eye(8), (), None)
        for stage in stages:
            wrapped = profile.wrap(update, stage)
            while step < stage.end:
                state, step, _ = wrapped(state, step)
    return said


def traced_steps(directory):
    """Numbers of the steps in the newest trace."""
    file = max(directory.rglob("*.trace.json.gz"))
    events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    numbers = [event.get("args", {}).get("step_num") for event in events]
    return sorted({int(number) for number in numbers if number is not None})


@pytest.mark.slow
def test_a_profile_holds_the_steps_after_the_warm_up(tmp_path):
    (said,) = profiled(tmp_path / "profile", [Stage("coarse", "coarse", 0, 9)], 3)
    assert traced_steps(tmp_path / "profile") == [4, 5, 6]
    assert said.startswith(f"Profile of 3 steps in {tmp_path / 'profile'}: open")


@pytest.mark.slow
def test_a_profile_ends_with_its_stage(tmp_path):
    """The first stage has no step after the warm-up, the second one two, the third one many."""
    stages = [Stage("a", "a", 0, 3), Stage("b", "b", 3, 5), Stage("c", "c", 8, 20)]
    (said,) = profiled(tmp_path / "profile", stages, 4)
    assert traced_steps(tmp_path / "profile") == [7, 8]
    assert said.startswith("Profile of 2 steps")


@pytest.mark.slow
def test_calls_of_several_steps_are_profiled_whole(tmp_path):
    (said,) = profiled(tmp_path / "profile", [Stage("coarse", "coarse", 0, 80)], 3, sizes=10)
    assert said.startswith("Profile of 10 steps")
    assert traced_steps(tmp_path / "profile") == [31]


def test_a_run_too_short_for_a_profile_says_so(tmp_path):
    (said,) = profiled(tmp_path / "profile", [Stage("coarse", "coarse", 0, 3)], 3)
    assert said.startswith("No profile")
    assert not (tmp_path / "profile").exists()


@pytest.mark.slow
def test_an_interrupted_profile_is_kept(tmp_path):
    stage = Stage("coarse", "coarse", 0, 9)
    (said,) = profiled(tmp_path / "profile", [stage], 5, stop=5)
    assert {4, 5} <= set(traced_steps(tmp_path / "profile"))
    assert said.startswith("Profile of 2 steps")
    assert profiled(tmp_path / "next", [stage], 1)  # refused if one were still running


def test_negative_profiles_are_refused(tmp_path, capsys):
    error = refusal(capsys, "train", "tiny", "--run", tmp_path / "run", "--profile", "-1")
    assert "profile is -1; it must be at least 0" in error
