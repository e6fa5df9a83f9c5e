"""The comparison networks in a run: trained, evaluated, used; their rates and options."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pictures import write_pairs
from PIL import Image

from depthsi.cli import main
from depthsi.config import Config, ScheduleConfig, UNetConfig
from depthsi.config_kinds import KINDS
from depthsi.models import hourglass, make_model
from depthsi.training.optimisers import PAPER_RATES, RATES, layer_group, make_optimizer
from depthsi.training.stages import Stage, make_stages
from depthsi.training.state import abstract_state


@pytest.fixture
def quick(monkeypatch):
    """Two stacks of one level, which compile in less time."""
    monkeypatch.setattr(hourglass, "DEPTH", 1)
    monkeypatch.setitem(hourglass.SIZES, "small", (2, 16))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four training pairs and one test pair."""
    root = tmp_path_factory.mktemp("pairs")
    pairs = []
    for i, split in enumerate(["train"] * 4 + ["test"]):
        depth = (1 + i / 4) * np.linspace(1, 2, 240)[:, None] * np.ones((240, 320))
        pairs.append((split, np.repeat((depth * 60)[..., None], 3, -1).astype(np.uint8), depth))
    return write_pairs(root, pairs)


@pytest.mark.slow
def test_train_evaluate_predict(quick, folder, tmp_path):
    run = tmp_path / "run"
    main(
        [
            "train",
            "tiny",
            "--run",
            str(run),
            "--model.kind",
            "hourglass",
            "--model.size",
            "small",
            "--data.kind",
            "folder",
            "--data.root",
            str(folder),
            "--schedule.batch-size",
            "4",
            "--schedule.coarse-samples",
            "4",
            "--schedule.fine-samples",
            "4",
            "--schedule.eval-every",
            "0",
            "--optim.warmup",
            "0",
        ]
    )
    main(["evaluate", str(run)])
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["step"] == 2
    assert "hourglass" in evaluation["results"]
    assert not {"coarse", "coarse + fine"} & set(evaluation["results"])
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((300, 400, 3), 90, np.uint8)).save(photo)
    main(["predict", str(run), str(photo), "--out", str(tmp_path / "out")])
    metres = np.load(tmp_path / "out" / "photo_depth.npy")
    assert metres.shape == (300, 400)
    assert np.all((metres > 0.1) & (metres < 100))


def test_one_stage_has_the_samples_of_both():
    config = Config(
        model=UNetConfig(),
        schedule=ScheduleConfig(batch_size=32, coarse_samples=100, fine_samples=60),
    )
    assert make_stages(config) == (Stage("unet", "unet", 0, 5),)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unet", "hourglass"])
@pytest.mark.parametrize("optimiser", ["sgd", "muon"])
def test_every_layer_has_a_rate_and_muon_has_its_matrices(kind, optimiser):
    config = Config(
        model=KINDS["model"][kind](size="medium"),
        optim=KINDS["optim"][optimiser](),
        schedule=ScheduleConfig(batch_size=4, coarse_samples=4, fine_samples=4),
    )
    (stage,) = make_stages(config)
    state = abstract_state(config, stage)
    jax.eval_shape(
        make_optimizer(config.optim, 2).update, state.params, state.opt_state, state.params
    )
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
        name = "/".join(part.key for part in path)
        assert layer_group(name) == f"{kind}/"
        # heads and what reads a single map are no matrices worth making orthogonal
        if name.endswith("kernel"):
            assert ("/conv" in name) == (min(leaf.shape[2:]) > 1), name
    assert RATES[f"{kind}/"] == (0.01, 1e-4)  # learning rate, weight decay
    assert all(RATES[group] == rate for group, rate in PAPER_RATES.items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unet", "hourglass"])
def test_precision_and_recomputation_change_no_parameter_and_no_shape(kind):
    config = KINDS["model"][kind](size="small")
    image = jnp.zeros((1, *config.sizes.input, 3))
    plain = jax.eval_shape(make_model(config).init, jax.random.key(0), image)["params"]
    made = (
        (make_model(config, dtype=jnp.bfloat16), "bf16"),
        (make_model(config, remat=True), "remat"),
    )
    for model, sign in made:
        params = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
        assert params == plain

        def total(params, model=model):
            return jnp.sum(jnp.asarray(model.apply({"params": params}, image, train=True)))

        program = jax.make_jaxpr(jax.grad(total))(params)
        assert sign in str(program)
        assert {out.dtype for out in program.out_avals} == {jnp.dtype(jnp.float32)}
        assert sign not in str(jax.make_jaxpr(make_model(config).apply)({"params": plain}, image))
