"""What is compiled with options of its own gets the code that those options stand for.

And what was compiled for one training is used by the next one, unless that is another program.
"""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.serialize_executable import serialize

import depthsi
from depthsi import compilation, inference, scale_invariant_loss
from depthsi.compilation import _accepted_options, quick_jit, remembered, thorough_jit
from depthsi.config import (
    AugmentConfig,
    ComputeConfig,
    Config,
    Rooms,
    ScaleInvariantConfig,
    ScheduleConfig,
    SgdConfig,
    TwoScaleConfig,
)
from depthsi.models.factory import make_model
from depthsi.models.initialisers import initial_params
from depthsi.presets import from_scratch
from depthsi.training import make_stages, make_train_step, steps

SMALL = Config(
    data=Rooms(train=4, val=2),
    model=TwoScaleConfig(width=0.01),
    schedule=ScheduleConfig(
        batch_size=4, coarse_samples=8, fine_samples=4, log_every=1, eval_every=2, save_every=9
    ),
)
OPTION = "jax_disable_most_optimizations"


def size(jit):
    """Bytes of the compiled program of a new function, with the options it was compiled with."""
    lowered = jit(lambda x: (jnp.sin(x) @ jnp.cos(x)) + jnp.tanh(x).sum()).lower(jnp.ones((8, 8)))
    return len(serialize(lowered.compile())[0])


def test_thorough_and_quick_code_do_not_depend_on_what_jax_is_told():
    before = jax.config.read(OPTION)
    try:
        jax.config.update(OPTION, False)
        optimised, quick = size(jax.jit), size(quick_jit)
        jax.config.update(OPTION, True)
        unoptimised, thorough, quick_too = map(size, (jax.jit, thorough_jit, quick_jit))
    finally:
        jax.config.update(OPTION, before)
    assert thorough == pytest.approx(optimised, rel=0.02)
    assert quick == pytest.approx(quick_too, rel=0.02)
    assert optimised > 1.1 * unoptimised
    assert optimised > 1.1 * quick


@pytest.mark.slow
def test_the_options_change_nothing_but_roundings():
    """Loss and gradients of the coarse network, beside XLA's own loops, fully optimised."""
    config = from_scratch(width=0.05)
    model = make_model(config)
    image = jax.random.uniform(jax.random.key(1), (2, *config.sizes.input, 3), maxval=255.0)
    targets = jax.random.normal(jax.random.key(2), (2, *config.sizes.output))
    params = initial_params(model, jax.random.key(0), image, output="coarse")

    def loss(params):
        predictions = model.apply({"params": params}, image, output="coarse")
        return scale_invariant_loss(jnp.asarray(predictions), targets).mean()

    ours = _accepted_options()
    plain = {"xla_backend_optimization_level": 3}
    if "xla_cpu_use_fusion_emitters" in ours:
        plain["xla_cpu_use_fusion_emitters"] = True
    (value, slopes), (expected, slopes_expected) = (
        jax.jit(jax.value_and_grad(loss), compiler_options=options)(params)
        for options in (ours, plain)
    )
    assert ours != plain
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for leaf, leaf_expected in zip(*map(jax.tree.leaves, (slopes, slopes_expected)), strict=True):
        difference = np.linalg.norm(leaf - leaf_expected)
        assert difference <= 2e-3 * np.linalg.norm(leaf_expected)  # pools may choose other maxima


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_remembered")
def test_a_second_training_uses_what_the_first_one_compiled(tmp_path, monkeypatch):
    """It differs in seed, data and checkpoints, and its numbers are those of a new program."""
    traced = []

    def count(module, name):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **b: traced.append(name) or function(*a, **b))

    count(steps, "augment")
    count(inference, "centre")
    depthsi.train(SMALL, run=tmp_path / "first")
    assert set(traced) == {"augment", "centre"}
    traced.clear()
    schedule = dataclasses.replace(SMALL.schedule, save_every=1)
    data = Rooms(seed=5, train=4, val=2)
    second = dataclasses.replace(SMALL, seed=2, data=data, schedule=schedule)
    again = depthsi.train(second, run=tmp_path / "second")
    assert traced == []
    monkeypatch.setattr(steps, "_train_step", inspect.unwrap(steps._train_step))
    alone = depthsi.train(second, run=tmp_path / "alone")
    assert "augment" in traced
    losses = [[row.get("loss") for row in run.rows] for run in (again, alone)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": ScaleInvariantConfig(lam=0.25)},
        {"optim": SgdConfig(learning_rate=0.5)},
        {"augment": AugmentConfig(flip=0.0)},
        {"model": TwoScaleConfig(width=0.03)},
        {"compute": ComputeConfig(precision="bfloat16")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_step_is_not_mistaken_for_it(changes):
    coarse, fine = make_stages(SMALL)
    step = make_train_step(SMALL, coarse)
    assert make_train_step(dataclasses.replace(SMALL, seed=3), coarse) is step
    assert make_train_step(dataclasses.replace(SMALL, **changes), coarse) is not step
    assert make_train_step(SMALL, fine) is not step
    assert make_train_step(SMALL, dataclasses.replace(coarse, steps=99)) is not step


@pytest.mark.slow
def test_what_a_user_writes_is_never_remembered(tmp_path):
    """A loss may depend on a variable that changes."""
    factor = 1.0

    def loss(predictions, targets, *, where):
        return factor * jnp.mean(jnp.where(where, jnp.abs(predictions - targets), 0), (1, 2))

    once = depthsi.train(SMALL, run=tmp_path / "once", loss=loss)
    factor = 2.0
    twice = depthsi.train(SMALL, run=tmp_path / "twice", loss=loss)
    assert twice.rows[0]["loss"] == pytest.approx(2 * once.rows[0]["loss"], rel=1e-5)


def test_what_cannot_be_looked_up_is_made_again():
    made = []

    @remembered
    def make(value):
        made.append(value)
        return object()

    one = make(1)
    assert make(1) is one
    assert make([1]) is not make([1])
    assert made == [1, [1], [1]]
    compilation.forget()
    assert make(1) is not one
