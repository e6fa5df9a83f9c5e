"""The steps, the stages and the loop: learning, resuming to the bit, stopping on nonsense."""

import dataclasses
import itertools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi import compilation
from depthsi.augment import Batch
from depthsi.config import (
    AdamWConfig,
    AugmentConfig,
    ComputeConfig,
    Config,
    ScaleInvariantConfig,
    ScheduleConfig,
    SgdConfig,
    TwoScaleConfig,
    UNetConfig,
)
from depthsi.data.pipeline import InMemory, training_batches
from depthsi.errors import DepthsiError
from depthsi.losses import si_mse
from depthsi.presets import from_scratch
from depthsi.runs import RunDirectory
from depthsi.training import loop, steps
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.checkpoints.trained import trained_outputs
from depthsi.training.loop import train
from depthsi.training.loss import make_loss
from depthsi.training.parallel import bind, make_mesh, state_sharding
from depthsi.training.stages import Stage, check_warmup, make_stages, stage_of
from depthsi.training.state import abstract_state, enter_stage, initial_state
from depthsi.training.steps import make_train_step

pytestmark = pytest.mark.usefixtures("nothing_remembered")

CONFIG = Config(
    model=from_scratch(width=0.02),
    optim=AdamWConfig(learning_rate=3e-3, weight_decay=0.01),
    schedule=ScheduleConfig(
        batch_size=4, coarse_samples=24, fine_samples=16, log_every=1, eval_every=4, save_every=3
    ),
)
TIMING = ("images_per_second", "waiting_share")
STILL = AugmentConfig(scale=(1.0, 1.0), rotation=0.0, colour=(1.0, 1.0), flip=0.0)


def pairs(count=8, seed=0):
    """Images whose brightness tells their depth."""
    rng = np.random.default_rng(seed)
    metres = rng.uniform(1, 6, count).astype(np.float32)
    depths = np.broadcast_to(metres[:, None, None], (count, 240, 320)).copy()
    depths[:, :40] = 0
    images = np.clip(depths[..., None] * 40 + rng.normal(0, 4, (*depths.shape, 3)), 0, 255)
    return InMemory(images.astype(np.uint8), depths)


def run_in(path, config=CONFIG, data=None):
    run = RunDirectory(path)
    run.create(config)
    return run, train(config, run, data or pairs(), pairs(4, seed=1))


def assert_equal_trees(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_stages_follow_the_samples():
    coarse, fine = make_stages(
        Config(
            schedule=ScheduleConfig(batch_size=32, coarse_samples=2_000_000, fine_samples=1_500_000)
        )
    )
    assert (coarse.start, coarse.end) == (0, 62_500)
    assert (fine.start, fine.steps, fine.output) == (62_500, 46_875, "fine")
    assert make_stages(
        Config(schedule=ScheduleConfig(batch_size=4, coarse_samples=5, fine_samples=0))
    ) == (Stage("coarse", "coarse", 0, 2),)


def test_the_checkpoint_between_stages_belongs_to_the_first():
    coarse, fine = stages = make_stages(
        Config(schedule=ScheduleConfig(batch_size=1, coarse_samples=3, fine_samples=2))
    )
    assert [stage_of(stages, step) for step in (0, 1, 3, 4, 5)] == [coarse] * 3 + [fine] * 2
    with pytest.raises(DepthsiError, match="step 6 lies beyond the schedule's 5"):
        stage_of(stages, 6)


def test_a_network_counts_as_trained_when_its_stage_has_begun():
    config = Config(schedule=ScheduleConfig(batch_size=1, coarse_samples=3, fine_samples=2))
    found = [trained_outputs(config, step) for step in range(6)]
    assert found == [("coarse",)] * 4 + [("coarse", "fine")] * 2


@pytest.mark.parametrize(
    ("model", "coarse", "fine", "words"),
    [
        (TwoScaleConfig(), 20, 100, r"stage coarse has 5 .*below 5, or raise --schedule\.coarse-"),
        (
            TwoScaleConfig(),
            100,
            17,
            r"stage fine has 5 .*below 5, or raise --schedule\.fine-samples",
        ),
        (UNetConfig(), 8, 12, r"stage unet has 5 .*below 5, or raise --schedule\.coarse-samples"),
    ],
)
def test_a_warmup_as_long_as_a_stage_is_refused(model, coarse, fine, words):
    """At the start: otherwise the rate would not do what was asked for, in whichever stage."""
    schedule = ScheduleConfig(batch_size=4, coarse_samples=coarse, fine_samples=fine)
    for warmup in (5, 6):
        config = Config(model=model, schedule=schedule, optim=SgdConfig(warmup=warmup))
        with pytest.raises(
            DepthsiError, match=rf"--optim\.warmup is {warmup} steps, but the {words}"
        ):
            check_warmup(config)
    for warmup in (0, 4):
        check_warmup(dataclasses.replace(config, optim=SgdConfig(warmup=warmup)))
    short = ScheduleConfig(batch_size=4, coarse_samples=1, fine_samples=0)
    check_warmup(Config(schedule=short))


@pytest.mark.slow
def test_the_coarse_stage_learns_and_leaves_the_fine_network_alone():
    stage = make_stages(Config(schedule=ScheduleConfig(batch_size=4, coarse_samples=160)))[0]
    config = dataclasses.replace(
        CONFIG,
        schedule=ScheduleConfig(batch_size=4, coarse_samples=160),
        augment=STILL,
        model=from_scratch(width=0.02, dropout=0.0),
    )
    state = initial_state(config, stage)
    before = jax.device_get(state.params)
    step = compilation.jit(make_train_step(config, stage))
    losses = []
    for image, depth in itertools.islice(training_batches(pairs(), 4, 0), 40):
        state, metrics = step(state, image, depth)
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:8])
    assert_equal_trees(before["fine"], state.params["fine"])
    assert np.any(before["coarse"]["conv1"]["kernel"] != state.params["coarse"]["conv1"]["kernel"])


@pytest.mark.slow
def test_the_loss_of_a_step_is_equation_4_of_its_batch():
    """No randomness, one image per weight: the mean of the images' losses, written out."""
    config = dataclasses.replace(
        CONFIG,
        augment=STILL,
        model=from_scratch(width=0.02, dropout=0.0, log_mean=0.5),
        loss=ScaleInvariantConfig(lam=0.25, multiplier=3.0),
    )
    stage = make_stages(config)[0]
    state = initial_state(config, stage)
    fc7 = state.params["coarse"]["fc7"]  # the untrained map without what the image says
    state.params["coarse"]["fc7"] = {**fc7, "kernel": jnp.zeros_like(fc7["kernel"])}
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 6, (4, 228, 304)).astype(np.float32)
    depth[1, :100] = 0
    depth[2] = np.nan  # not one valid pixel: no part of the mean
    image = np.zeros((4, 228, 304, 3), np.uint8)
    _, metrics = jax.jit(make_train_step(config, stage))(state, image, depth)
    values = []
    for picture in depth[[0, 1, 3]].astype(np.float64):
        target = picture[5:-5:4, 5:-5:4][:55, :74]
        d = 0.5 - np.log(target[target > 0])
        values.append(np.mean(d**2) - 0.25 * np.mean(d) ** 2)
    np.testing.assert_allclose(metrics["loss"], 3 * np.mean(values), rtol=1e-5)
    np.testing.assert_allclose(metrics["valid_share"], (2 + 30 / 55) / 4, rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_the_loss_of_metres_is_equation_4_without_the_logarithm(lam):
    """Written out; anything may stand where depth is not known, in values and in gradients."""
    rng = np.random.default_rng(0)
    valid = rng.random((2, 5, 6)) < 0.7
    logs, true = rng.normal(size=(2, 2, 5, 6)).astype(np.float32)
    batch = Batch(jnp.zeros(()), jnp.where(valid, true, jnp.nan), jnp.asarray(valid))
    predictions = jnp.where(valid, logs, 1e9)

    image_losses = make_loss(ScaleInvariantConfig(lam=lam, space="linear"))
    keys = jax.random.split(jax.random.key(0), 2)

    def loss(predictions):
        return steps._image_losses(predictions, batch, image_losses, keys)

    expected = []
    exact = np.asarray(logs, np.float64), np.asarray(true, np.float64)
    for one, other, known in zip(*exact, valid, strict=True):
        x = np.exp(one[known]) - np.exp(other[known])
        expected.append(np.mean(x**2) - lam * np.mean(x) ** 2)
    np.testing.assert_allclose(jax.jit(loss)(predictions), expected, rtol=1e-5)
    if lam == 1:
        same = si_mse(jnp.exp(logs), jnp.exp(true), where=batch.valid)
        np.testing.assert_allclose(loss(predictions), same, rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(loss(x))))(predictions)
    assert np.all(np.isfinite(gradient))
    np.testing.assert_array_equal(gradient != 0, valid)


def test_batches_depend_on_seed_and_step_alone():
    data = InMemory(np.arange(10)[:, None], np.zeros((10, 1)))
    first = [image for image, _ in itertools.islice(training_batches(data, 4, 7), 6)]
    later = training_batches(data, 4, 7, first_step=3)
    for batch in first[3:]:
        np.testing.assert_array_equal(next(later)[0], batch)
    np.testing.assert_array_equal(np.sort(np.concatenate(first)[:10, 0]), np.arange(10))
    other = next(training_batches(data, 4, 8))[0]
    assert np.any(other != first[0])


class Number(nn.Module):
    """Another number for each image."""

    layer: str

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1, kernel_init=nn.initializers.ones, name=self.layer)(x)


class TwoNumbers(nn.Module):
    """In the place of both networks: what they predict everywhere, from the mean colour."""

    cells: tuple[int, int]

    @nn.compact
    def __call__(self, image, *, train=False, output="fine", examples=None):
        del train, examples
        coarse = Number("fc7", name="coarse")(image.mean((1, 2, 3))[:, None] / 100)
        fine = Number("conv3", name="fine")(jax.lax.stop_gradient(coarse))
        x = fine if output == "fine" else coarse
        return jnp.broadcast_to(x[:, :, None], (len(image), *self.cells))


@pytest.fixture
def two_numbers(monkeypatch):
    def make(config, **_):
        return TwoNumbers(config.sizes.output)

    for module in ("steps", "state"):
        monkeypatch.setattr(f"depthsi.training.{module}.make_model", make)


@pytest.mark.slow
@pytest.mark.usefixtures("two_numbers")
def test_a_batch_without_known_depth_changes_nothing():
    config = dataclasses.replace(CONFIG, optim=SgdConfig(weight_decay=0.0))
    stage = make_stages(config)[0]
    state = initial_state(config, stage)
    image, depth = np.zeros((4, 228, 304, 3), np.uint8), np.full((4, 228, 304), np.nan, np.float32)
    after, metrics = jax.jit(make_train_step(config, stage))(state, image, depth)
    assert_equal_trees(after.params, state.params)
    assert (metrics["loss"], metrics["valid_share"], metrics["gradient_norm"]) == (0, 0, 0)
    assert after.step == 1


@pytest.mark.usefixtures("two_numbers")
@pytest.mark.parametrize("binding", ["jit", "pmap"])
def test_the_average_of_the_parameters(binding):
    """The steps are those without it; the parameters are their moving average, written out."""
    compute = ComputeConfig(binding=binding)
    plain = dataclasses.replace(CONFIG, augment=STILL, compute=compute)
    averaged = dataclasses.replace(plain, optim=AdamWConfig(learning_rate=3e-3, average=0.25))
    plain = dataclasses.replace(plain, optim=AdamWConfig(learning_rate=3e-3))
    stage, mesh = make_stages(plain)[0], make_mesh(4, compute)
    states = [initial_state(config, stage) for config in (plain, averaged)]
    steps_of = [
        jax.jit(bind(make_train_step(config, stage), mesh, compute), donate_argnums=0)
        for config in (plain, averaged)
    ]
    expected, weights = jax.tree.map(np.float64, states[0].params["coarse"]), []
    for number, (image, depth) in enumerate(itertools.islice(training_batches(pairs(), 4, 0), 5)):
        states = [
            step(state, image, depth)[0] for step, state in zip(steps_of, states, strict=True)
        ]
        trained = states[0].params["coarse"]
        assert_equal_trees(states[1].opt_state.trained["coarse"], trained)
        weights.append(max(0.75, 9 / (10 + number)))
        expected = jax.tree.map(
            lambda old, new, w=weights[-1]: old + w * (np.float64(new) - old), expected, trained
        )
    assert weights[0] == 0.9
    assert weights[-1] == 0.75
    jax.tree.map(
        lambda ours, oracle: np.testing.assert_allclose(ours, oracle, rtol=1e-6),
        states[1].params["coarse"],
        expected,
    )
    assert_equal_trees(states[1].params["fine"], states[0].params["fine"])


@pytest.mark.usefixtures("two_numbers")
def test_a_run_with_averaged_parameters_resumes_in_the_same_bits(tmp_path, monkeypatch):
    """The average is what is evaluated, saved and read again, and what the next stage builds on."""
    config = dataclasses.replace(CONFIG, optim=AdamWConfig(learning_rate=3e-2, average=0.8))

    def run_of(name, config):
        run = RunDirectory(tmp_path / name)
        run.create(config)
        return run

    class Stopped(Exception):
        pass

    def after(watch, step, stage, metrics):
        if step == 5:
            raise Stopped
        watched(watch, step, stage, metrics)

    data, run, watched = pairs(), run_of("run", config), loop.MetricsLog.after
    with monkeypatch.context() as patched:
        patched.setattr(loop.MetricsLog, "after", after)
        with pytest.raises(Stopped):
            train(config, run, data, None)
    with Checkpoints(run.checkpoints) as checkpoints:
        abstract = abstract_state(config, make_stages(config)[0])
        state = checkpoints.restore(
            3, abstract, state_sharding(abstract, make_mesh(4, ComputeConfig()))
        )
        newest = checkpoints.newest_params(abstract.params)
    assert newest is not None
    saved, step = newest
    assert step == 3
    assert_equal_trees(saved, state.params)
    trained = state.opt_state.trained["coarse"]["fc7"]["kernel"]
    assert np.all(np.asarray(saved["coarse"]["fc7"]["kernel"]) != np.asarray(trained))
    resumed = train(config, run, data, None)
    assert_equal_trees(resumed, train(config, run_of("whole", config), data, None))
    plain = dataclasses.replace(config, optim=AdamWConfig(learning_rate=3e-2))
    assert np.any(
        jax.tree.leaves(resumed)[0]
        != jax.tree.leaves(train(plain, run_of("plain", plain), data, None))[0]
    )


@pytest.mark.slow
@pytest.mark.usefixtures("two_numbers")
def test_the_rates_of_both_stages_are_logged_and_used(tmp_path):
    """Written out: two steps of warm-up, then half a cosine, in each stage from its own start."""
    config = dataclasses.replace(
        CONFIG,
        optim=SgdConfig(
            learning_rate=0.02, momentum=0.0, weight_decay=0.0, rate_schedule="cosine", warmup=2
        ),
        augment=STILL,
    )
    run = RunDirectory(tmp_path / "run")
    run.create(config)
    train(config, run, pairs(), None)
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    expected = []
    for steps_of in (6, 4):
        falling = [0.5 + 0.5 * np.cos(np.pi * k / (steps_of - 2)) for k in range(steps_of - 2)]
        expected += [0.0, 0.01, *(0.02 * np.array(falling))]
    np.testing.assert_allclose([line["learning_rate"] for line in lines], expected, rtol=1e-6)
    paper = np.repeat([0.1, 0.001], [6, 4])  # of coarse/fc7 and fine/conv3
    changes = [line["update_norm"] / line["gradient_norm"] for line in lines]
    np.testing.assert_allclose(changes, paper * expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [3, 6, 9])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, monkeypatch, stop, whole_run):
    """Stopped in the coarse stage, between the stages and in the fine stage."""
    run, params = whole_run
    run2 = RunDirectory(tmp_path / "resumed")
    run2.create(CONFIG)

    class Stopped(Exception):
        pass

    def after(watch, step, stage, metrics):
        if step == stop + 1:  # the checkpoint of `stop` is on its way to the disk
            raise Stopped
        watched(watch, step, stage, metrics)

    data, watched = pairs(), loop.MetricsLog.after
    monkeypatch.setattr(loop.MetricsLog, "after", after)
    with pytest.raises(Stopped):
        train(CONFIG, run2, data, pairs(4, seed=1))
    monkeypatch.undo()
    with Checkpoints(run2.checkpoints) as checkpoints:
        assert checkpoints.latest == stop
    assert_equal_trees(params, train(CONFIG, run2, data, pairs(4, seed=1)))
    lines = [
        [{k: v for k, v in json.loads(line).items() if k not in TIMING} for line in file]
        for file in (run.metrics.read_text().splitlines(), run2.metrics.read_text().splitlines())
    ]
    assert lines[0] == lines[1]
    so_far = []
    for directory in (run.checkpoints, run2.checkpoints):
        with Checkpoints(directory) as checkpoints:
            so_far.append(checkpoints.record(10).so_far)
    assert so_far[0] == so_far[1]
    assert len(so_far[0]["val"]) == 4


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    return run_in(tmp_path_factory.mktemp("run") / "whole")


@pytest.mark.slow
def test_what_a_run_leaves_behind(whole_run):
    run, params = whole_run
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    train_lines = [line for line in lines if line["split"] == "train"]
    assert [line["step"] for line in train_lines] == list(range(1, 11))
    assert [line["stage"] for line in train_lines] == ["coarse"] * 6 + ["fine"] * 4
    assert [line["step"] for line in lines if line["split"] == "val"] == [4, 6, 8, 10]
    assert RunDirectory(run.path).config() == CONFIG
    with Checkpoints(run.checkpoints) as checkpoints:
        assert checkpoints.latest == 10
        val = {line["step"]: line["rmse_log_si"] for line in lines if line["split"] == "val"}
        best = min(val, key=lambda step: val[step])
        assert checkpoints.steps == sorted({6, 9, 10, best})
        assert checkpoints.record(best).val["rmse_log_si"] == val[best]
        so_far = checkpoints.record(9).so_far
        assert so_far["val"] == [line for line in lines if line["split"] == "val"][:3]
        assert so_far["train"].items() <= train_lines[8].items()
        assert len(so_far["train"]) == len(train_lines[8]) - 5  # names and timing
        abstract = abstract_state(CONFIG, make_stages(CONFIG)[0])
        newest = checkpoints.newest_params(abstract.params)
        assert_equal_trees(newest, (params, 10))


@pytest.mark.slow
def test_training_again_does_nothing(whole_run):
    run, params = whole_run
    before = run.metrics.read_text()
    assert_equal_trees(train(CONFIG, run, pairs(), None), params)
    assert run.metrics.read_text() == before


@pytest.mark.slow
def test_another_architecture_is_named(whole_run):
    run, _ = whole_run
    other = dataclasses.replace(CONFIG, model=from_scratch(width=0.05))
    abstract = abstract_state(other, make_stages(other)[0])
    words = r"checkpoints/10 .*coarse/conv1/bias is \(2,\) there and \(5,\) in this model"
    with Checkpoints(run.checkpoints) as checkpoints, pytest.raises(DepthsiError, match=words):
        checkpoints.newest_params(abstract.params)


@pytest.mark.slow
def test_training_stops_on_a_loss_that_is_not_finite(tmp_path):
    optim = SgdConfig(learning_rate=1e30)
    config = dataclasses.replace(CONFIG, optim=optim)
    with pytest.raises(DepthsiError, match=r"step [12] .coarse.*no checkpoint was made yet"):
        run_in(tmp_path / "run", config)
    with Checkpoints(RunDirectory(tmp_path / "run").checkpoints) as checkpoints:
        assert checkpoints.latest is None


@pytest.mark.slow
def test_the_last_good_checkpoint_survives_a_loss_that_is_not_finite(tmp_path, monkeypatch):
    def poisoned(config, stage, loss=None):
        step = make_train_step(config, stage)

        def update(state, image, depth):
            new, metrics = step(state, image, depth)
            bad = jnp.where(new.step > 4, jnp.nan, 1.0)
            params = jax.tree.map(lambda p: p * bad, new.params)
            return new.replace(params=params), {**metrics, "loss": metrics["loss"] * bad}

        return update

    monkeypatch.setattr("depthsi.training.loop.make_train_step", poisoned)
    with pytest.raises(DepthsiError, match=r"stopped at step 5 .*checkpoint of step 4 is kept"):
        run_in(tmp_path / "run")
    with Checkpoints(RunDirectory(tmp_path / "run").checkpoints) as checkpoints:
        newest = checkpoints.newest_params()
    assert newest is not None
    params, step = newest
    assert step == 4
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params))


@pytest.mark.slow
def test_entering_a_stage_keeps_the_parameters_and_resets_the_optimiser():
    coarse, fine = make_stages(CONFIG)
    state = initial_state(CONFIG, coarse)
    later = jax.jit(lambda state: enter_stage(state, CONFIG, fine))(state)
    assert_equal_trees(later.params, state.params)
    fresh = abstract_state(CONFIG, fine).opt_state
    assert jax.tree.structure(later.opt_state) == jax.tree.structure(fresh)


def test_a_batch_the_devices_cannot_share_is_refused():
    assert make_mesh(8).shape == {"data": 4, "model": 1}
    with pytest.raises(DepthsiError, match="batch_size is 6, which 4 devices"):
        make_mesh(6)


def test_compiler_options_are_dropped_where_refused(monkeypatch):
    known = compilation.compiler_options()
    assert known
    assert compilation.jit(lambda x: x + 1)(1.0) == 2.0
    monkeypatch.setattr(compilation, "_ACCEPTED", {})
    try:
        compilation._accepted_options.cache_clear()
        assert compilation.compiler_options() == known  # tried out, this version does the same
        refused = ({"xla_no_such_option": "1"}, {})
        monkeypatch.setattr(compilation, "_CPU_OPTIONS", refused)
        compilation._accepted_options.cache_clear()
        assert compilation.compiler_options() is None
        assert compilation.jit(lambda x: x + 1)(1.0) == 2.0
    finally:
        monkeypatch.undo()
        compilation._accepted_options.cache_clear()
    assert compilation.compiler_options() == known
