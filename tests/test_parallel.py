"""However a batch is divided, among devices or in time, training gives the same numbers."""

import contextlib
import dataclasses
import functools
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from depthsi import compilation
from depthsi.config import (
    AugmentConfig,
    ComputeConfig,
    Config,
    ScaleInvariantConfig,
    ScheduleConfig,
    SgdConfig,
)
from depthsi.config_kinds import KINDS
from depthsi.errors import DepthsiError
from depthsi.models import make_model
from depthsi.models.layers import Dropout
from depthsi.presets import from_scratch
from depthsi.training import parallel
from depthsi.training.parallel import (
    bind,
    compile_step,
    make_mesh,
    place_batch,
    split,
    state_sharding,
)
from depthsi.training.stages import make_stages
from depthsi.training.state import abstract_state, initial_state
from depthsi.training.steps import make_train_step

pytestmark = pytest.mark.usefixtures("nothing_remembered")

BATCH, STEPS = 8, 20
# Neither rotation nor scale: two programs may round a position in the image to other pixels.
CONFIG = Config(
    augment=AugmentConfig(scale=(1.0, 1.0), rotation=0.0),
    model=from_scratch(width=1 / 32),
    loss=ScaleInvariantConfig(reduction="pixel"),
    optim=SgdConfig(learning_rate=0.5),
    schedule=ScheduleConfig(batch_size=BATCH, coarse_samples=BATCH * STEPS, fine_samples=0),
)
LAYOUTS = {
    "jit": {},
    "pmap": {"binding": "pmap"},
    "2x2": {"model_devices": 2},
    "2 parts, pmap": {"accumulate": 2, "binding": "pmap"},
    "2 parts, 2x2": {"accumulate": 2, "model_devices": 2},
    "4 parts, one device": {"accumulate": 4, "devices": 1},
}


class SmallNet(nn.Module):
    """All kinds of layers the paper's network has, in as little time as possible."""

    cells: tuple[int, int]
    dtype: object = jnp.float32

    @nn.compact
    def __call__(self, image, *, train=False, examples=None):
        x = nn.Conv(4, (16, 16), strides=16, dtype=self.dtype, name="conv1")(image / 64 - 2)
        x = nn.relu(x).reshape(len(x), -1)
        x = nn.relu(nn.Dense(64, dtype=self.dtype, name="fc6")(x))
        x = Dropout(0.5)(x, train=train, examples=examples)
        bias = nn.initializers.constant(1.0)
        x = nn.Dense(self.cells[0] * self.cells[1], bias_init=bias, name="fc7")(x)
        return x.reshape(-1, *self.cells)


class OneStage(nn.Module):
    cells: tuple[int, int]
    dtype: object = jnp.float32

    @nn.compact
    def __call__(self, image, *, train=False, output="", examples=None):
        net = SmallNet(self.cells, self.dtype, name="coarse")
        return net(image, train=train, examples=examples)


def make_small(config, *, dtype=jnp.float32, remat=False, network=None):
    assert network is None
    return OneStage(config.sizes.output, dtype)


@contextlib.contextmanager
def small_networks():
    with pytest.MonkeyPatch.context() as patch:
        for module in ("steps", "state"):
            patch.setattr(f"depthsi.training.{module}.make_model", make_small)
        yield


@functools.cache
def first_state(stage):
    return initial_state(CONFIG, stage)


def batches(count=3, seed=0):
    """Of the 8 images two have no valid pixel, which is all that one of 4 devices sees."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:240, :320] / 320
    tilt = rng.normal(size=(count, BATCH, 3, 3, 1, 1)) * [[[1]], [[1]], [[0.5]]]
    waves = np.sin(4 * (tilt[..., 0, :, :] * rows + tilt[..., 1, :, :] * cols + tilt[..., 2, :, :]))
    image = np.moveaxis(127.5 + 120 * waves, 2, -1).astype(np.uint8)
    depth = np.exp(1 + 0.5 * waves[:, :, 0] + 0.3 * waves[:, :, 1]).astype(np.float32)
    depth[:, :2] = 0
    depth[:, 3, 60:] = 0
    depth[:, 5, :, :200] = np.nan
    depth[:, 6, 30:] = -1
    return image, depth


def mesh_of(compute, devices):
    if devices is None:
        return make_mesh(BATCH, compute)
    return Mesh(np.array(jax.devices()[:devices]).reshape(-1, 1), ("data", "model"))


@small_networks()
def run(config=CONFIG, steps=STEPS, devices=None, **compute):
    """Metrics of each step of the small network, and the state after them."""
    config = dataclasses.replace(config, compute=ComputeConfig(**compute))
    stage, mesh = make_stages(config)[0], mesh_of(config.compute, devices)
    sharding = state_sharding(abstract_state(config, stage), mesh)
    state = jax.device_put(jax.tree.map(jnp.copy, first_state(stage)), sharding)
    step = compile_step(bind(make_train_step(config, stage), mesh, config.compute), mesh, sharding)
    metrics = []
    for image, depth in itertools.islice(itertools.cycle(zip(*batches(), strict=True)), steps):
        before = state
        state, seen = step(before, *(jax.device_put(x, split(mesh)) for x in (image, depth)))
        metrics.append(jax.device_get(seen))
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before.params))
    assert jax.tree.all(jax.tree.map(lambda a, s: a.sharding == s, state.params, sharding.params))
    return metrics, state


def assert_same(left, right, tolerance=1e-5):
    """Metrics of every step, and parameters: no further apart than `tolerance` of the largest."""
    for a, b in zip(left[0], right[0], strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=5 * tolerance, err_msg=name)
    for a, b in zip(*(jax.tree.leaves(side[1].params) for side in (left, right)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(np.max(np.abs(a))))


@pytest.fixture(scope="module")
def alone():
    return run(devices=1)


@pytest.mark.slow
@small_networks()
def test_training_moves_and_is_random(alone):
    losses = [float(step["loss"]) for step in alone[0]]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])
    assert len(set(losses)) == STEPS
    # at the same parameters and images it is the step that makes the difference
    stage, batch = make_stages(CONFIG)[0], [x[0] for x in batches(1)]
    step, state = jax.jit(make_train_step(CONFIG, stage)), first_state(stage)
    at = [step(state.replace(step=jnp.int32(n)), *batch)[1]["loss"] for n in (0, 1, 2, 0)]
    assert len({float(loss) for loss in at}) == 3
    assert at[0] == at[3]


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_devices_and_parts_change_nothing(alone, name):
    assert_same(run(**LAYOUTS[name]), alone)


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["image", "authors"])
def test_so_with_other_weights(reduction):
    config = dataclasses.replace(CONFIG, loss=ScaleInvariantConfig(reduction=reduction))
    assert_same(run(config, 1, **LAYOUTS["2 parts, pmap"]), run(config, 1, devices=1))


@pytest.mark.slow
@small_networks()
def test_parts_as_a_loop_on_the_device(monkeypatch):
    config = dataclasses.replace(CONFIG, compute=ComputeConfig(accumulate=4))
    stage, first = make_stages(config)[0], [x[0] for x in batches(1)]
    convolutions, metrics = [], []
    for loops in (False, True):
        compilation.forget()
        monkeypatch.setattr("depthsi.training.steps.loops_on_device", lambda loops=loops: loops)
        step = make_train_step(config, stage)
        program = str(jax.make_jaxpr(step)(first_state(stage), *first))
        convolutions.append(program.count("= conv_general_dilated"))
        metrics.append(jax.jit(step)(first_state(stage), *first)[1])
    assert convolutions[0] == 4 * convolutions[1] > 0
    assert metrics[0].keys() == metrics[1].keys()
    for name, value in metrics[0].items():  # as an undivided batch: "4 parts, one device"
        np.testing.assert_allclose(metrics[1][name], value, rtol=1e-5, err_msg=name)


@pytest.mark.slow
def test_eight_devices():
    """In a process of its own, since the number of virtual devices is one for each process."""
    code = (
        "import jax; jax.config.update('jax_num_cpu_devices', 8)\n"
        "import test_parallel as t\n"
        "one = t.run(devices=1)\n"
        "for layout in {}, {'binding': 'pmap'}, {'model_devices': 2}:\n"
        "    assert len(jax.devices()) == 8; t.assert_same(t.run(**layout), one)\n"
    )
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent)])
    compile_less = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    environment = os.environ | compile_less | {"PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_dropout_belongs_to_the_example():
    x, key = jnp.ones((6, 500)), jax.random.key(3)

    def dropped(x, **kwargs):
        return Dropout(0.4).apply({}, x, train=True, rngs={"dropout": key}, **kwargs)

    whole = np.asarray(jax.jit(dropped)(x))
    assert len(np.unique(whole, axis=0)) == 6
    np.testing.assert_allclose(np.unique(whole), [0, 1 / 0.6], rtol=1e-6)
    assert abs(np.mean(whole > 0) - 0.6) < 0.03
    some = jnp.array([4, 0, 2])
    np.testing.assert_array_equal(dropped(x[some], examples=some), whole[some])
    np.testing.assert_array_equal(dropped(x[:2]), whole[:2])
    assert Dropout(0.4).apply({}, x, train=False) is x
    assert Dropout(0.0).apply({}, x, train=True) is x


def exchanges(text):
    """What devices send each other in a compiled program: kind and shapes of the arrays."""
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    found = re.findall(rf"= (\(?\w+\[.*?) ({kinds})(?:-start)?\(", text)
    shapes = [re.findall(r"\w+\[([\d,]*)\]", arrays) for arrays, _ in found]
    return [(kind, of) for (_, kind), of in zip(found, shapes, strict=True)]


def placed(tree, sharding):
    return jax.tree.map(
        lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), tree, sharding
    )


@pytest.mark.slow
@pytest.mark.parametrize("shared", [2, 4])
def test_the_full_layers_need_one_reduction(shared):
    """Features are gathered before fc6 and parts added up after fc7: nothing else travels."""
    mesh, model = make_mesh(BATCH, ComputeConfig(model_devices=shared)), make_model(CONFIG.model)
    image = jax.ShapeDtypeStruct((BATCH, *CONFIG.model.sizes.input, 3), jnp.float32)
    params = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    params = placed(params, state_sharding(params, mesh))
    forward = jax.jit(
        lambda p, x: model.apply({"params": p}, x, output="coarse"), out_shardings=split(mesh)
    )
    text = forward.lower(params, placed(image, split(mesh))).compile().as_text()
    rows = BATCH * shared // 4
    assert exchanges(text) == [
        ("all-gather", [f"{rows},{params['coarse']['fc6']['kernel'].shape[0]}"]),
        ("all-reduce", [f"{rows},{55 * 74}"]),
    ]


@pytest.mark.slow
def test_no_full_layer_travels_in_a_step():
    """Gradients of the parts do, between the devices that hold the same part."""
    config = dataclasses.replace(CONFIG, compute=ComputeConfig(model_devices=2))
    stage, mesh = make_stages(config)[0], make_mesh(BATCH, config.compute)
    state = abstract_state(config, stage)
    step = bind(make_train_step(config, stage), mesh, config.compute)
    image = jax.ShapeDtypeStruct((BATCH, 240, 320, 3), jnp.uint8, sharding=split(mesh))
    depth = jax.ShapeDtypeStruct((BATCH, 240, 320), jnp.float32, sharding=split(mesh))
    sharding = state_sharding(state, mesh)
    traced = compile_step(step, mesh, sharding).trace(placed(state, sharding), image, depth)
    assert re.search(r"sharding_constraint\[[^]]*'data', 'model'", str(traced.jaxpr))  # after fc6
    text = traced.lower().compile().as_text()
    sent = [shape for _, shapes in exchanges(text) for shape in shapes]
    features, units = state.params["coarse"]["fc6"]["kernel"].shape
    parts = {f"{features},{units // 2}", f"{units // 2},{features}"}
    assert parts & set(sent)
    assert not {f"{features},{units}", f"{units},{features}"} & set(sent)


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_what_is_split_over_the_axis_model(kind):
    config = dataclasses.replace(CONFIG, optim=KINDS["optim"][kind]())
    state = abstract_state(config, make_stages(config)[0])
    mesh = make_mesh(BATCH, ComputeConfig(model_devices=2))
    shardings = jax.tree_util.tree_leaves_with_path(state_sharding(state, mesh))
    specs = {jax.tree_util.keystr(p, simple=True, separator="/"): s.spec for p, s in shardings}
    ends = {
        "fc6/kernel": PartitionSpec(None, "model"),
        "fc6/bias": PartitionSpec("model"),
        "fc7/kernel": PartitionSpec("model", None),
    }
    found = dict.fromkeys(ends, 0)
    for path, spec in specs.items():
        end = "/".join(path.split("/")[-2:])
        assert spec == ends.get(end, PartitionSpec()), path
        if end in ends:
            found[end] += 1
    copies = {"sgd": 2, "adamw": 3, "muon": 3}[kind]  # the parameter and the optimiser's means
    assert found == dict.fromkeys(ends, copies)


@pytest.mark.slow
@small_networks()
def test_bfloat16_is_the_arithmetic_and_nothing_that_is_kept(alone):
    config = dataclasses.replace(CONFIG, compute=ComputeConfig(precision="bfloat16"))
    metrics, state = run(precision="bfloat16")
    kept = jax.tree.leaves((state.params, state.opt_state, metrics))
    assert {leaf.dtype.name for leaf in kept} == {"float32", "int32"}
    losses, expected = ([float(m["loss"]) for m in of] for of in (metrics, alone[0]))
    assert losses != expected
    np.testing.assert_allclose(losses, expected, rtol=0.05)
    step = make_train_step(config, make_stages(config)[0])
    program = str(jax.make_jaxpr(step)(jax.device_get(state), *(x[0] for x in batches(1))))
    assert re.search(r"bf16\[[\d,]+\] = conv_general_dilated", program)
    assert re.search(r"bf16\[[\d,]+\] = dot_general", program)


def test_batches_that_every_process_has_whole():
    mesh = make_mesh(BATCH)
    for rows, parts in ((8, 2), (6, 6)):
        placed = place_batch(np.arange(rows * 3).reshape(rows, 3), mesh)
        np.testing.assert_array_equal(placed, np.arange(rows * 3).reshape(rows, 3))
        assert placed.sharding.shard_shape(placed.shape) == (parts, 3)


def test_meshes_and_what_they_cannot_be(monkeypatch):
    assert make_mesh(8).shape == {"data": 4, "model": 1}
    assert make_mesh(8, ComputeConfig(model_devices=2)).shape == {"data": 2, "model": 2}
    for batch, compute, words in (
        (6, ComputeConfig(), "is 6, which 4 devices cannot share equally: use a multiple of 4"),
        (12, ComputeConfig(accumulate=2), "equally in 2 parts: use a multiple of 8"),
        (8, ComputeConfig(model_devices=8), "model_devices is 8, but there are 4 devices"),
        (8, ComputeConfig(model_devices=3), "cannot be divided into groups of 3"),
    ):
        with pytest.raises(DepthsiError, match=words):
            make_mesh(batch, compute)
    with pytest.raises(DepthsiError, match="pmap cannot do"):
        ComputeConfig(binding="pmap", model_devices=2)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(DepthsiError, match="pmap needs a single process, but there are 2"):
        make_mesh(8, ComputeConfig(binding="pmap"))


def test_full_layers_that_cannot_be_divided():
    config = dataclasses.replace(CONFIG, model=from_scratch(width=0.03))
    mesh = make_mesh(BATCH, ComputeConfig(model_devices=2))
    with pytest.raises(DepthsiError, match="2, which cannot share the 123 units of fc6"):
        state_sharding(abstract_state(config, make_stages(config)[0]), mesh)


def test_neighbouring_devices_are_of_one_process(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Device:
        id: int
        process_index: int

    # numbered by place, as on TPUs, where a process has a square
    devices = [Device(i, p) for i, p in enumerate([0, 0, 1, 1, 0, 0, 1, 1])]
    grids = []
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(parallel, "Mesh", lambda grid, _: grids.append(grid) or mesh)
    mesh = Mesh(np.array(jax.local_devices()), ("data",))
    make_mesh(8, ComputeConfig(model_devices=2))
    assert [[each.id for each in row] for row in grids[0]] == [[0, 1], [4, 5], [2, 3], [6, 7]]
