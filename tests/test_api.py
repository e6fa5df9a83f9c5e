"""`depthsi.train` and `depthsi.evaluate`: one's own data, loss and callbacks."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import depthsi
from depthsi.config import (
    AugmentConfig,
    Config,
    CustomConfig,
    CustomData,
    ScheduleConfig,
    SgdConfig,
    TwoScaleConfig,
)
from depthsi.presets import from_scratch
from depthsi.runs import RunDirectory

CONFIG = Config(
    augment=AugmentConfig(scale=(1.0, 1.0), rotation=0.0),
    model=from_scratch(width=0.01, dropout=0.0),
    optim=SgdConfig(learning_rate=0.01),
    schedule=ScheduleConfig(
        batch_size=4, coarse_samples=12, fine_samples=4, log_every=2, eval_every=2, save_every=2
    ),
)


def samples(count, depth=2.0):
    rng = np.random.default_rng(0)
    ramp = np.linspace(0.8, 1.2, 320) * np.ones((240, 1))
    return [(rng.integers(0, 256, (240, 320, 3), np.uint8), depth * ramp) for _ in range(count)]


def absolute(predictions, targets, *, where):
    """The mean absolute log error."""
    error = jnp.where(where, jnp.abs(predictions - targets), 0)
    return jnp.sum(error, axis=(-2, -1)) / jnp.maximum(jnp.sum(where, axis=(-2, -1)), 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    heard = {"step": [], "eval": [], "checkpoint": []}
    result = depthsi.train(
        CONFIG,
        run=tmp_path_factory.mktemp("runs") / "run",
        train=samples(4),
        val=samples(2, depth=3.0),
        loss=absolute,
        on_step=lambda step, metrics: heard["step"].append((step, metrics["loss"])),
        on_eval=lambda step, metrics: heard["eval"].append((step, metrics["rmse_log"])),
        on_checkpoint=lambda step, path: heard["checkpoint"].append((step, path)),
    )
    return result, heard


@pytest.mark.slow
def test_callbacks_hear_every_step_evaluation_and_checkpoint(trained):
    result, heard = trained
    assert [step for step, _ in heard["step"]] == [1, 2, 3, 4]
    assert [step for step, _ in heard["eval"]] == [2, 3, 4]
    assert {step for step, _ in heard["checkpoint"]} == {2, 3, 4}
    assert heard["checkpoint"][-1][1] == result.run / "checkpoints" / "4"
    logged = {row["step"]: row["loss"] for row in result.rows if row["split"] == "train"}
    assert logged == {step: loss for step, loss in heard["step"] if step in (2, 3, 4)}
    # the first loss is the mean absolute error of the untrained map, which is log_mean everywhere
    assert isinstance(CONFIG.model, TwoScaleConfig)
    expected = np.mean(np.abs(CONFIG.model.log_mean - np.log(2 * np.linspace(0.8, 1.2, 320))))
    assert heard["step"][0][1] == pytest.approx(expected, rel=0.1)


@pytest.mark.slow
def test_a_run_on_given_data_says_so(trained):
    result, _ = trained
    config = RunDirectory(result.run).config()
    assert config.data == CustomData(name="list")
    assert config.loss == CustomConfig(name="absolute")
    with pytest.raises(depthsi.DepthsiError, match=r"passed by a program \(list\).*--data"):
        depthsi.evaluate(result.run)
    with pytest.raises(depthsi.DepthsiError, match="has a loss of its own, absolute"):
        depthsi.train(config, run=result.run, resume=True, train=samples(4))


@pytest.mark.slow
def test_a_predictor_a_run_and_weights_are_evaluated_alike_on_given_samples(trained):
    result, _ = trained
    data = samples(3)
    found = [
        depthsi.evaluate(model, data, protocol="eigen2014_nyu").results["coarse + fine"]
        for model in (result.predictor(), result.run, result.run / "weights.safetensors")
    ]
    assert found[0] == found[1] == found[2]
    # by hand, at the output cells inside the crop
    predictor = result.predictor()
    crops = jnp.stack([image[6:234, 8:312] for image, _ in data]).astype(jnp.float32)
    logs = np.asarray(predictor.log_depth(crops), np.float64)
    assert found[0]["image"]["rmse_log"] == pytest.approx(
        np.mean([_rmse_log(log, depth) for log, (_, depth) in zip(logs, data, strict=True)]),
        rel=0.05,
    )


def _rmse_log(log_depth, depth):
    rows, cols = 6 + 5 + 4 * np.arange(55), 8 + 5 + 4 * np.arange(74)
    return np.sqrt(np.mean((log_depth - np.log(depth[np.ix_(rows, cols)])) ** 2))


@pytest.mark.slow
def test_resuming_continues_with_the_same_loss_and_data(tmp_path):
    def stop(step, metrics):
        if step == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        depthsi.train(CONFIG, run=tmp_path, train=samples(4), loss=absolute, on_step=stop)
    resumed = depthsi.train(CONFIG, run=tmp_path, train=samples(4), loss=absolute, resume=True)
    whole = depthsi.train(CONFIG, run=tmp_path / "whole", train=samples(4), loss=absolute)
    ours, theirs = (
        depthsi.read_network(each.run / "weights.safetensors").params for each in (resumed, whole)
    )
    np.testing.assert_array_equal(
        ours["coarse"]["conv1"]["kernel"], theirs["coarse"]["conv1"]["kernel"]
    )


def test_what_cannot_be_is_said_at_once(tmp_path):
    with pytest.raises(depthsi.DepthsiError, match="`val` is given without `train`"):
        depthsi.train(CONFIG, run=tmp_path / "run", val=samples(1))
    with pytest.raises(depthsi.DepthsiError, match="samples passed for train are empty"):
        depthsi.train(CONFIG, run=tmp_path / "run", train=[])
    assert not (tmp_path / "run").exists()
    network = depthsi.TrainedNetwork(CONFIG.model, {}, ("coarse",), 0)
    with pytest.raises(depthsi.DepthsiError, match="A predictor has no data"):
        depthsi.evaluate(depthsi.Predictor(network))


def test_without_val_nothing_is_evaluated_on_the_way(monkeypatch, tmp_path):
    seen = {}

    def train_run(config, path, **options):
        seen.update(config=config, **options)
        return RunDirectory(path)

    monkeypatch.setattr("depthsi.api.train_run", train_run)
    depthsi.train(CONFIG, run=tmp_path, train=samples(2))
    assert seen["config"].schedule.eval_every == 0
    assert set(seen["data"]) == {"train"}
    config = dataclasses.replace(CONFIG, data=depthsi.config.Folder(root="x", even_scenes=3))
    depthsi.train(config, run=tmp_path, train=samples(2), val=samples(1))
    assert seen["config"].schedule.eval_every == 2
    assert seen["config"].data.even_scenes == 3
