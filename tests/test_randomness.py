"""What is random in a step: the view and the dropout of each image, anew in every step."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from depthsi.augment import Batch, draw_view
from depthsi.config import AugmentConfig, Config, ScheduleConfig
from depthsi.geometry import nyu
from depthsi.models.layers import Dropout
from depthsi.presets import from_scratch
from depthsi.training import steps
from depthsi.training.stages import make_stages
from depthsi.training.state import State, initial_state
from depthsi.training.steps import make_train_step

pytestmark = pytest.mark.usefixtures("nothing_remembered")

STILL = AugmentConfig(scale=(1.0, 1.0), rotation=0.0, colour=(1.0, 1.0), flip=0.0)
COUNT = 4096  # views


class Glance(nn.Module):
    """One number for each image, from its mean colour and from what dropout leaves of others."""

    cells: tuple[int, int]
    dropout: float

    @nn.compact
    def __call__(self, image, *, train=False, output="", examples=None):
        del output
        units = jnp.broadcast_to(jnp.arange(64) / 32, (len(image), 64))  # no two masks sum up alike
        kept = Dropout(self.dropout, name="dropout")(units, train=train, examples=examples)
        seen = jnp.stack([image.mean((1, 2, 3)) / 100, kept.mean(1)], axis=-1)
        x = nn.Dense(1, kernel_init=nn.initializers.ones, name="fc7")(seen)
        return jnp.broadcast_to(x[:, :, None], (len(image), *self.cells))


class Glances(nn.Module):
    """`Glance` in the place of the coarse network."""

    cells: tuple[int, int]
    dropout: float

    @nn.compact
    def __call__(self, image, **how):
        return Glance(self.cells, self.dropout, name="coarse")(image, **how)


@pytest.fixture
def glances(monkeypatch):
    def make(config, **_):
        return Glances(config.sizes.output, config.dropout)

    for module in ("steps", "state"):
        monkeypatch.setattr(f"depthsi.training.{module}.make_model", make)


def small(augment=STILL, dropout=0.0):
    return Config(
        model=from_scratch(dropout=dropout),
        augment=augment,
        schedule=ScheduleConfig(batch_size=2, coarse_samples=20, fine_samples=0),
    )


def losses(config):
    """Of one image from one state, [step, place in the batch, twice].

    Both places of the batch hold the same image; depth is known in one of them alone.
    """
    stage = make_stages(config)[0]
    state = initial_state(config, stage)
    rows, cols = np.mgrid[:228, :304]  # as large as the crop, which then has one place alone
    image = np.stack([rows, cols * 0.75, 240 - rows], axis=-1).astype(np.uint8)
    depth = (1 + rows / 100 + cols / 200).astype(np.float32)
    step = jax.jit(make_train_step(config, stage))
    found = np.empty((2, 2, 2))
    for number, place, turn in np.ndindex(found.shape):
        depths = np.zeros((2, *depth.shape), np.float32)
        depths[place] = depth
        now = dataclasses.replace(state, step=jnp.int32(number))
        found[number, place, turn] = step(now, np.stack([image, image]), depths)[1]["loss"]
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("glances")
@pytest.mark.parametrize(
    ("how", "different"),
    [({}, 1), ({"augment": AugmentConfig()}, 4), ({"dropout": 0.5}, 4)],
    ids=["nothing", "view", "dropout"],
)
def test_equal_images_are_seen_differently_in_each_step_and_place(how, different):
    """By the view alone, by dropout alone; without both, they are seen alike."""
    found = losses(small(**how))
    np.testing.assert_array_equal(found[..., 0], found[..., 1])  # nothing else is random
    assert len(set(found.ravel())) == different


def test_no_two_draws_of_a_run_share_a_key(monkeypatch):
    """Views and dropout of two steps, of two examples each: eight keys, none of them the run's."""
    keys = []

    class Stop(Exception):
        pass

    class Spy:
        def apply(self, variables, image, *, examples, rngs, **_):
            # as `Dropout` does; flax only folds the place in the network into the key before that
            keys.extend(jax.random.fold_in(rngs["dropout"], i) for i in examples)
            raise Stop

    def spy(view_keys, image, depth, *_):
        keys.extend(view_keys)
        return Batch(image, depth, depth > 0)

    config = small()
    state = State(jnp.int32(0), {"coarse": {}}, (), jax.random.key(0))
    monkeypatch.setattr(steps, "augment", spy)
    monkeypatch.setattr(steps, "make_model", lambda *_, **__: Spy())
    step = make_train_step(config, make_stages(config)[0])
    image, depth = jnp.zeros((2, 4, 4, 3)), jnp.ones((2, 4, 4))
    for number in (0, 1):
        with pytest.raises(Stop):
            step(dataclasses.replace(state, step=jnp.int32(number)), image, depth)
    assert len(keys) == 8
    distinct = {jax.random.key_data(key).tobytes() for key in [*keys, state.key]}
    assert len(distinct) == 9


def test_each_seed_has_a_key_for_the_parameters_and_another_for_the_run(monkeypatch):
    keys = []

    def spy(model, key, image):
        del model, image
        keys.append(key)
        return {"coarse": {}}

    monkeypatch.setattr("depthsi.training.state.initial_params", spy)
    monkeypatch.setattr("depthsi.training.state.enter_stage", lambda state, *_: state)
    stage = make_stages(small())[0]
    for seed in (0, 1):
        keys.append(initial_state(dataclasses.replace(small(), seed=seed), stage).key)
        keys.append(jax.random.key(seed))
    assert len(keys) == 6
    assert len({jax.random.key_data(key).tobytes() for key in keys}) == 6


@pytest.mark.slow
def test_dropout_differs_by_step_and_by_example():
    """Each mask agrees with each other one in as many units as two fair coins agree."""
    count, run = 4000, jax.random.key(0)
    ones = jnp.ones((3, count))
    layer = jax.jit(lambda key: Dropout(0.5).apply({}, ones, train=True, rngs={"dropout": key}))
    masks = np.concatenate([np.asarray(layer(jax.random.fold_in(run, step))) for step in (0, 1)])
    agree = np.mean(masks[:, None] == masks[None], axis=-1)
    assert np.all(np.diagonal(agree) == 1)
    others = agree[~np.eye(6, dtype=bool)]
    assert np.abs(others - 0.5).max() < 5 * 0.5 / np.sqrt(count)


@functools.cache
def draws():
    """float64 (views, 8): each draw as a number that should be uniform on 0..1, the mirror last."""
    augment, sizes, size = AugmentConfig(), nyu(), (240, 320)
    keys = jax.random.split(jax.random.key(1), COUNT)
    views = jax.jit(jax.vmap(lambda key: draw_view(key, augment, size, sizes)))(keys)
    scale, angle, shift, colour = (
        np.asarray(x, np.float64) for x in (views.scale, views.angle, views.shift, views.colour)
    )
    room = (scale[:, None] * size - sizes.input) / 2
    return np.column_stack(
        [
            (scale - 1) / 0.5,
            (np.rad2deg(angle) + 5) / 10,
            (shift / room + 1) / 2,
            (colour - 0.8) / 0.4,
            np.asarray(views.mirror, np.float64),
        ]
    )


@pytest.mark.slow
def test_each_draw_is_uniform():
    """Dvoretzky, Kiefer and Wolfowitz: P(sup |F_n - F| > d) <= 2 exp(-2 n d^2), here 1e-6."""
    *uniform, mirror = draws().T
    bound = np.sqrt(np.log(2e6) / (2 * COUNT))
    for values in uniform:
        ordered = np.sort(values)
        steps_of = np.arange(COUNT + 1) / COUNT
        assert max((ordered - steps_of[:-1]).max(), (steps_of[1:] - ordered).max()) < bound
    assert abs(mirror.mean() - 0.5) < 5 * 0.5 / np.sqrt(COUNT)


@pytest.mark.slow
def test_the_draws_of_a_view_do_not_know_of_each_other():
    """Correlations, pairs in a table of 4x4, and all draws at once, below or above their middle."""
    values = draws()
    correlation = np.asarray(np.corrcoef(values.T))
    assert np.abs(correlation[np.triu_indices(8, 1)]).max() < 5 / np.sqrt(COUNT)

    def chi_squared(cells, count):
        seen = np.bincount(cells, minlength=count)
        return np.sum((seen - COUNT / count) ** 2) / (COUNT / count)

    quarters = np.minimum(np.floor(4 * values), 3).astype(int)
    quarters[:, 7] = 2 * values[:, 7]  # 0 or 2
    for one in range(7):
        for other in range(one + 1, 7):
            cells = 4 * quarters[:, one] + quarters[:, other]
            assert chi_squared(cells, 16) < stats.chi2.isf(1e-6, 15), (one, other)
        cells = 2 * quarters[:, one] + quarters[:, 7] // 2
        assert chi_squared(cells, 8) < stats.chi2.isf(1e-6, 7), one
    halves = (values >= 0.5) @ (2 ** np.arange(8))
    assert chi_squared(halves, 256) < stats.chi2.isf(1e-6, 255)


@pytest.mark.slow
def test_views_of_one_batch_do_not_know_of_each_other():
    """Neighbours in the sequence of keys, as the examples of a batch are."""
    values = draws()
    correlation = np.asarray(np.corrcoef(values[1:].T, values[:-1].T))[:8, 8:]
    assert np.abs(correlation).max() < 5 / np.sqrt(COUNT - 1)


def test_what_is_smaller_than_the_crop_stays_in_its_middle():
    """Along each axis by itself."""
    draw = jax.jit(lambda key: draw_view(key, STILL, (200, 400), nyu()).shift)
    rows, cols = np.transpose([draw(jax.random.key(seed)) for seed in range(20)])
    assert not np.any(rows)
    assert 30 < np.abs(cols).max() <= (400 - 304) / 2
