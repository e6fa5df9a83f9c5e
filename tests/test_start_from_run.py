"""Beginning with another run's weights: what is taken, what is not, and what is said of it."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from killed_runs import arguments, finish, start, write_training_pairs

from depthsi.cli import main
from depthsi.config import Config, InitConfig
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.training.checkpoints.start_from_run import read_weights, take_weights, warm_start
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.state import State


def params(value, units=4, layers=("conv1", "fc6")):
    return {"coarse": {name: {"kernel": jnp.full((3, units), value)} for name in layers}}


@pytest.fixture
def other(tmp_path):
    """A run with checkpoints of steps 1 and 2, full of ones and twos."""
    run = tmp_path / "other"
    with Checkpoints(run / "checkpoints", Config()) as checkpoints:
        for step in (1, 2):
            state = State(jnp.int32(step), params(float(step)), (), jax.random.key(0))
            checkpoints.save(step, state, "coarse", {})
    return run


@pytest.mark.slow
def test_same_layers_are_taken_and_stay_where_they_were(other):
    mesh = Mesh(np.array(jax.devices()), ("model",))
    split = NamedSharding(mesh, PartitionSpec(None, "model"))
    own = jax.device_put(params(0.0), split)
    taken, report = warm_start(own, InitConfig(weights=str(other)))
    for leaf in jax.tree.leaves(taken):
        np.testing.assert_array_equal(leaf, np.full((3, 4), 2.0))
        assert leaf.sharding == split
    assert report == (
        f"Weights from {other}, step 2: taken: coarse/conv1/kernel, coarse/fc6/kernel."
    )


@pytest.mark.slow
def test_one_checkpoint_can_be_named(other):
    weights, step = read_weights(str(other / "checkpoints" / "1"))
    assert step == 1
    assert sorted(weights) == ["coarse/conv1/kernel", "coarse/fc6/kernel"]
    np.testing.assert_array_equal(weights["coarse/fc6/kernel"], np.ones((3, 4)))


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_is_passed_over(other):
    (other / "checkpoints" / "2" / "_CHECKPOINT_METADATA").write_bytes(b"")
    with pytest.warns(DepthsiWarning, match="step 2 is damaged, so the one of step 1 is used"):
        _, step = read_weights(str(other))
    assert step == 1


def test_the_report_names_what_was_left():
    own = params(0.0, layers=("conv1", "fc6", "fc7"))
    weights = {
        "coarse/conv1/kernel": jnp.ones((3, 4)),
        "coarse/fc6/kernel": jnp.ones((3, 5)),
        "fine/conv1/kernel": jnp.ones((3, 4)),
    }
    taken, report = take_weights(own, weights, "elsewhere")
    assert report == (
        "Weights from elsewhere: taken: coarse/conv1/kernel; not there: coarse/fc7/kernel; of"
        " another shape: coarse/fc6/kernel (3x5 there, 3x4 here)."
    )
    kinds = {name: float(layer["kernel"][0, 0]) for name, layer in taken["coarse"].items()}
    assert kinds == {"conv1": 1.0, "fc6": 0.0, "fc7": 0.0}
    with pytest.raises(DepthsiError, match="elsewhere, shares no layer of the same name"):
        take_weights(own, {"x": jnp.ones(3)}, "elsewhere")


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float64])
def test_parameters_keep_their_type(dtype):
    taken, _ = take_weights(params(0.0), {"coarse/conv1/kernel": np.ones((3, 4), dtype)}, "a file")
    assert {leaf.dtype for leaf in jax.tree.leaves(taken)} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(taken["coarse"]["conv1"]["kernel"], np.ones((3, 4)))


def test_nothing_is_done_unless_asked():
    own = params(0.0)
    assert warm_start(own, InitConfig()) == (own, "")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "is neither a run nor a checkpoint"),
        (lambda path: path.write_text(""), "is neither a run nor a checkpoint"),
        (lambda path: path.mkdir(), "is neither a run nor a checkpoint"),
        (lambda path: (path / "checkpoints").mkdir(parents=True), "which has no checkpoint"),
    ],
)
def test_what_is_no_run_is_one_sentence(make, words, tmp_path, capsys):
    make(tmp_path / "no run")
    with pytest.raises(DepthsiError, match=words):
        read_weights(str(tmp_path / "no run"))
    if "neither" in words:
        with pytest.raises(SystemExit) as stopped:
            main(
                [
                    "train",
                    "tiny",
                    "--run",
                    str(tmp_path / "new"),
                    "--init.weights",
                    str(tmp_path / "no run"),
                ]
            )
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_run_begins_with_them_and_a_resumed_one_goes_on_without(tmp_path):
    """The first run is gone by the time of the resumption."""
    data = write_training_pairs(tmp_path / "pairs")
    first, second, whole = (tmp_path / name for name in ("first", "second", "whole"))
    assert finish(start(arguments(first, data)))[0] == 0
    warm = ("--init.weights", first, "--seed", 1)
    code, printed = finish(start(arguments(whole, data, *warm)))
    assert code == 0
    assert f"Weights from {first}, step 20: taken: coarse/layer, fine/layer." in printed
    assert finish(start(arguments(second, data, *warm), FULL_AT=8, SECONDS_PER_STEP=0.5))[0] == 2
    shutil.rmtree(first)
    code, printed = finish(start(arguments(second, data, *warm, "--resume")))
    assert code == 0, printed
    assert "Weights from" not in printed
    ends = []
    for run in (whole, second):
        with Checkpoints(run / "checkpoints") as checkpoints:
            ends.append(dataclasses.asdict(checkpoints.record(20))["arrays"])
    assert ends[0] == ends[1]
