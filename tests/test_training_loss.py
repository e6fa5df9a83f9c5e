"""Every kind of loss a run can have: values, gradients, and steps of training."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from depthsi import losses
from depthsi.augment import Batch
from depthsi.config import AdamWConfig, AugmentConfig, Config, ScheduleConfig
from depthsi.config_kinds import KINDS
from depthsi.errors import DepthsiError
from depthsi.losses.settings import (
    BerhuConfig,
    CustomConfig,
    EigenFergus2015Config,
    PairwiseConfig,
    RankingConfig,
    ScaleInvariantConfig,
    SilogConfig,
    SiMseConfig,
    SsiConfig,
    SumConfig,
)
from depthsi.presets import from_scratch
from depthsi.training import steps
from depthsi.training.loss import make_loss
from depthsi.training.stages import make_stages
from depthsi.training.state import initial_state

RNG = np.random.default_rng(0)
LOGS, TRUE = 0.4 * RNG.normal(size=(2, 2, 9, 10)) + 0.8
WHERE = RNG.random((2, 9, 10)) < 0.8
KEYS = jax.random.split(jax.random.key(0), 2)


def linear(oracle):
    return lambda p, t, w, **options: oracle(np.exp(p), np.exp(t), w, **options)


def disparity(oracle):
    return lambda p, t, w, **options: oracle(np.exp(-p), np.exp(-t), w, **options)


def midas(predictions, targets, where, value: Any = oracles.ssi):
    scale, shift = oracles.scale_shift(predictions, targets, where)
    aligned = scale * predictions + shift
    return value(predictions, targets, where) + 0.5 * oracles.gradient_matching(
        aligned, targets, where
    )


def berhu_of_log(predictions, targets, where):
    d = oracles.residuals(*FIRST)  # the greatest error is a constant for the gradient
    return oracles.berhu(predictions, targets, where, max(map(abs, d)) / 5)


FIRST = LOGS[0], TRUE[0], WHERE[0]
BTS = functools.partial(oracles.silog, factor=10, lam=0.85)
ORACLES = [
    (ScaleInvariantConfig(lam=0.3), functools.partial(oracles.equation_4, lam=0.3)),
    (
        ScaleInvariantConfig(lam=1.0, space="linear"),
        linear(functools.partial(oracles.equation_4, lam=1.0)),
    ),
    (SilogConfig(), BTS),
    (
        SilogConfig(variant="adabins"),
        functools.partial(oracles.silog, factor=10, lam=0.85, unbiased=True),
    ),
    (
        SilogConfig(variant="depth_anything"),
        functools.partial(oracles.silog, factor=1, lam=0.5),
    ),
    (BerhuConfig(threshold=0.5), linear(functools.partial(oracles.berhu, threshold=0.5))),
    (BerhuConfig(space="log"), berhu_of_log),
    (SiMseConfig(), linear(oracles.variance)),
    (SiMseConfig(space="disparity"), disparity(oracles.variance)),
    (SsiConfig(), disparity(midas)),
    (SsiConfig(space="log", gradient_weight=0.0), oracles.ssi),
    (SsiConfig(trimmed=True), disparity(functools.partial(midas, value=oracles.ssi_trimmed))),
    (EigenFergus2015Config(), oracles.eigen_fergus_2015),
    (PairwiseConfig(pairs=0), functools.partial(oracles.pairs, penalty=abs)),
    (
        SumConfig(silog=0.1, si_mse=2.0),
        lambda *image: (
            oracles.equation_4(*image, lam=0.5)
            + 0.5 * oracles.gradient_matching(*image)
            + 0.1 * BTS(*image)
            + 2 * linear(oracles.variance)(*image)
        ),
    ),
]
each_kind = pytest.mark.parametrize(
    ("settings", "oracle"), ORACLES, ids=[str(n) for n in range(len(ORACLES))]
)


@each_kind
def test_values_and_gradients_are_those_written_out(settings, oracle):
    """What is not valid holds nonsense, in value and gradient."""
    loss = make_loss(settings)
    predictions = jnp.asarray(np.where(WHERE, LOGS, 300), jnp.float32)
    targets = jnp.asarray(np.where(WHERE, TRUE, np.nan), jnp.float32)
    found = loss(predictions, targets, jnp.asarray(WHERE), KEYS)
    if not (isinstance(settings, BerhuConfig) and settings.space == "log"):
        expected = [oracle(*image) for image in zip(LOGS, TRUE, WHERE, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(found[0], oracle(*FIRST), rtol=1e-4)
    gradient = jax.grad(lambda p: loss(p, targets, jnp.asarray(WHERE), KEYS)[0])(predictions)
    assert not np.any(gradient[1])
    assert not np.any(gradient[0][~WHERE[0]])
    numeric = oracles.numerical_gradient(lambda p: oracle(p, *FIRST[1:]), LOGS[0])
    np.testing.assert_allclose(gradient[0], numeric, atol=2e-3 * np.abs(numeric).max())


@pytest.mark.parametrize(
    ("settings", "function"),
    [
        (
            RankingConfig(pairs=50, tolerance=0.1),
            functools.partial(losses.ranking_loss, pairs=50, tolerance=0.1),
        ),
        (
            PairwiseConfig(penalty="huber", delta=0.2, pairs=60),
            functools.partial(losses.pairwise_loss, penalty="huber", delta=0.2, pairs=60),
        ),
        (
            PairwiseConfig(pairs=60),
            functools.partial(losses.pairwise_loss, penalty="abs", pairs=60),
        ),
    ],
)
def test_random_losses_depend_on_the_images_own_key_alone(settings, function):
    maps = jnp.float32(LOGS), jnp.float32(TRUE), jnp.asarray(WHERE)
    both = make_loss(settings)(*maps, KEYS)
    for i in range(2):
        one = function(maps[0][i], maps[1][i], where=maps[2][i], key=KEYS[i])
        np.testing.assert_allclose(both[i], one, rtol=1e-6)
    assert not np.allclose(both, make_loss(settings)(*maps, KEYS[::-1]))


def test_every_kind_is_tried_here_and_can_train():
    tried = {type(settings) for settings, _ in ORACLES} | {RankingConfig, CustomConfig}
    assert tried == set(KINDS["loss"].values())


TRAINED = [ScaleInvariantConfig(), SilogConfig(), BerhuConfig(), SiMseConfig(), SsiConfig()]
TRAINED += [EigenFergus2015Config(), PairwiseConfig(), RankingConfig(), SumConfig()]


@pytest.mark.slow
@pytest.mark.parametrize("settings", TRAINED, ids=lambda settings: settings.kind)
def test_a_few_steps_with_each_loss(settings):
    """Repeated on one batch, whose views differ, the loss falls."""
    config = Config(
        augment=AugmentConfig(scale=(1.0, 1.0), rotation=0.0, colour=(1.0, 1.0), flip=0.0),
        model=from_scratch(width=0.02, dropout=0.0, log_mean=0.8),
        loss=dataclasses.replace(settings, multiplier=2.0),
        optim=AdamWConfig(learning_rate=2e-3, weight_decay=0.0),
        schedule=ScheduleConfig(batch_size=2, coarse_samples=40, fine_samples=0),
    )
    stage = make_stages(config)[0]
    state = initial_state(config, stage)
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (2, 240, 320, 3), np.uint8)
    slope = 1 + 3 * np.linspace(0, 1, 320)[None, :] * np.linspace(1, 2, 240)[:, None]
    depth = np.stack([slope, slope[:, ::-1]]).astype(np.float32)
    depth[0, :40] = 0
    step = jax.jit(steps.make_train_step(config, stage))
    seen = []
    for _ in range(12):
        state, metrics = step(state, image, depth)
        seen.append(float(metrics["loss"]))
        assert np.isfinite(metrics["gradient_norm"])
        assert metrics["gradient_norm"] > 0
    # not from the first one: the untrained map is constant, which some losses do not mind
    assert np.mean(seen[-3:]) < np.mean(sorted(seen[:5])[-2:]), seen


def test_a_loss_of_ones_own():
    def mean_error(predictions, targets, *, where):
        error = jnp.where(where, jnp.abs(predictions - targets), 0)
        return jnp.sum(error, (-2, -1)) / jnp.sum(where, (-2, -1))

    batch = Batch(jnp.zeros(()), jnp.float32(TRUE), jnp.asarray(WHERE))
    loss = make_loss(CustomConfig(name="mean_error"), mean_error)
    found = steps._image_losses(jnp.float32(LOGS), batch, loss, KEYS)
    expected = [np.abs(p[w] - t[w]).mean() for p, t, w in zip(LOGS, TRUE, WHERE, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    given = make_loss(ScaleInvariantConfig(), mean_error)  # never ignored for the settings' sake
    np.testing.assert_array_equal(steps._image_losses(jnp.float32(LOGS), batch, given, KEYS), found)
    with pytest.raises(DepthsiError, match=r"has a loss of its own, mean_error: .*depthsi\.train"):
        make_loss(CustomConfig(name="mean_error"))
    whole = make_loss(CustomConfig(), lambda p, t, *, where: jnp.mean(p))
    with pytest.raises(DepthsiError, match=r"one value per image, \(2,\), but returned \(\)"):
        steps._image_losses(jnp.float32(LOGS), batch, whole, KEYS)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SumConfig(scale_invariant=0.0, gradient_matching=0.0), "All weights"),
        (lambda: SumConfig(ssi=-1.0), "loss.ssi is -1.0"),
        (lambda: SumConfig(ssi=float("nan")), "loss.ssi is nan"),
        (lambda: PairwiseConfig(delta=0.0), "loss.delta"),
        (lambda: PairwiseConfig(pairs=0, penalty="huber"), "penalty abs"),
        (lambda: RankingConfig(pairs=0), "loss.pairs"),
        (lambda: SsiConfig(gradient_weight=-1.0), "loss.gradient_weight"),
        (lambda: BerhuConfig(threshold=-1.0), "loss.threshold"),
        (lambda: SilogConfig(multiplier=0.0), "loss.multiplier"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, words):
    with pytest.raises(DepthsiError, match=words):
        make()
