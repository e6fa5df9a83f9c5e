"""A network and an optimiser of one's own: trained, saved, resumed, evaluated and exported."""

import dataclasses
import json
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from PIL import Image

import depthsi
from depthsi.cli import main
from depthsi.config import (
    AdamWConfig,
    AugmentConfig,
    ComputeConfig,
    Config,
    CustomNetworkConfig,
    CustomOptimConfig,
    MuonConfig,
    ScheduleConfig,
)
from depthsi.models import custom, initial_params, make_model
from depthsi.models.custom import check_network, checked_module, describe_module, fitted_params
from depthsi.runs import RunDirectory
from depthsi.training.optimisers import make_optimizer
from depthsi.training.stages import make_stages
from depthsi.training.state import initial_state
from depthsi.training.steps import make_train_step

SETTINGS = CustomNetworkConfig(name="Tiny")
CONFIG = Config(
    augment=AugmentConfig(scale=(1.0, 1.0), rotation=0.0),
    optim=AdamWConfig(learning_rate=1e-2, weight_decay=0.0),
    schedule=ScheduleConfig(
        batch_size=4, coarse_samples=8, fine_samples=4, log_every=1, eval_every=2, save_every=2
    ),
)
RNG = np.random.default_rng(0)


class Tiny(nn.Module):
    """A convolution or two at the output cells, with dropout that only training has."""

    features: int = 2

    @nn.compact
    def __call__(self, image, train=False):
        y = image[:, 4:224:4, 4:300:4] / 255
        y = nn.relu(nn.Conv(self.features, (1, 1))(y))
        y = nn.Dropout(0.5, deterministic=not train)(y)
        return nn.Conv(1, (1, 1), name="last")(y)[..., 0] + 0.8


class Other(nnx.Module):
    """The same as an NNX module, with a list of layers."""

    def __init__(self, features, *, rngs):
        sizes = ((3, features), (features, 1))
        self.layers = nnx.List([nnx.Conv(*size, (1, 1), rngs=rngs) for size in sizes])

    def __call__(self, image):
        first, last = self.layers
        return last(nnx.relu(first(image[:, 4:224:4, 4:300:4] / 255)))[..., 0] + 0.8


def samples(count=4):
    ramp = np.linspace(1.0, 3.0, 320) * np.ones((240, 1))
    return [(RNG.integers(0, 256, (240, 320, 3), np.uint8), ramp) for _ in range(count)]


def net(module) -> Any:
    return make_model(SETTINGS, network=module)


def network_of(predictor) -> depthsi.TrainedNetwork:
    assert isinstance(predictor.network, depthsi.TrainedNetwork)
    return predictor.network


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    return depthsi.train(CONFIG, run=run, train=samples(), val=samples(2), network=Tiny())


def test_it_is_the_module_with_its_parameters_in_a_run():
    params = initial_params(net(Tiny(name="mine")), jax.random.key(0), net(Tiny()).example_image())
    assert set(params) == {"custom"}
    image = jnp.float32(RNG.integers(0, 256, (2, 228, 304, 3)))
    found = net(Tiny()).apply({"params": params}, image, output="custom")
    own = params["custom"]
    pixels = np.asarray(image, np.float64)[:, 4:224:4, 4:300:4] / 255
    hidden = pixels @ np.float64(own["Conv_0"]["kernel"][0, 0]) + own["Conv_0"]["bias"]
    kernel = np.float64(own["last"]["kernel"][0, 0, :, 0])
    expected = np.maximum(hidden, 0) @ kernel + own["last"]["bias"] + 0.8
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    keys = {"dropout": jax.random.key(1)}
    dropped = net(Tiny()).apply({"params": params}, image, train=True, rngs=keys)
    assert not np.allclose(dropped, found)


def test_parts_of_a_batch_do_not_draw_the_same_dropout(monkeypatch):
    """In a batch of one image twice, the parts see other masks."""
    config = dataclasses.replace(
        CONFIG,
        model=SETTINGS,
        augment=AugmentConfig(scale=(1.0, 1.0), rotation=0.0, colour=(1.0, 1.0), flip=0.0),
        compute=ComputeConfig(accumulate=2),
        schedule=ScheduleConfig(batch_size=2, coarse_samples=2),
    )
    keys = []
    monkeypatch.setattr(
        custom.CustomNet,
        "apply",
        lambda self, variables, image, rngs, **_: (
            keys.append(jax.random.key_data(rngs["dropout"]))
            or jnp.zeros((len(image), 55, 74)) + variables["params"]["custom"]["last"]["bias"][0]
        ),
    )
    (stage,) = make_stages(config)
    state = initial_state(config, stage, network=Tiny())
    image, depth = np.zeros((2, 240, 320, 3), np.uint8), np.ones((2, 240, 320), np.float32)
    with jax.disable_jit():
        make_train_step(config, stage, network=Tiny())(state, image, depth)
    assert not np.array_equal(keys[0], keys[-1])


@pytest.mark.slow
def test_a_run_records_saves_and_predicts(trained, capsys):
    config = RunDirectory(trained.run).config()
    assert config.model == CustomNetworkConfig(name="Tiny(features=2)")
    assert [row["step"] for row in trained.rows if row["split"] == "train"] == [1, 2, 3]
    depthsi.train(
        CONFIG, run=trained.run, train=samples(), val=samples(2), network=Tiny(), resume=True
    )
    said = capsys.readouterr().out
    assert f"Trained 3 steps. Next: in Python, depthsi.load('{trained.run}', network=...)" in said
    image = RNG.integers(0, 256, (240, 320, 3), np.uint8)
    expected = trained.predictor()(image)
    for path in (trained.run, trained.run / "weights.safetensors"):
        np.testing.assert_array_equal(depthsi.load(path, network=Tiny())(image), expected)
    by_checkpoint = depthsi.load(trained.run, checkpoint=2, network=Tiny())
    assert by_checkpoint.network.step == 2
    assert not np.array_equal(by_checkpoint(image), expected)


@pytest.mark.slow
def test_a_run_is_evaluated_and_exported_like_any_other(trained, tmp_path):
    predictor, data = trained.predictor(), samples(2)
    found = [
        depthsi.evaluate(predictor, data),
        depthsi.evaluate(trained.run, data, network=Tiny(), mirrored=True),
    ]
    assert found[0].results["custom"] == found[1].results["custom"]
    assert "custom with flips" in found[1].results
    depthsi.export(predictor, tmp_path / "net.stablehlo")
    image = data[0][0]
    whole = depthsi.load(tmp_path / "net.stablehlo")(image)
    np.testing.assert_allclose(whole, predictor(image), rtol=1e-5)
    depthsi.export(predictor, tmp_path / "net.safetensors")
    again = depthsi.load(tmp_path / "net.safetensors", network=Tiny())
    np.testing.assert_array_equal(again(image), predictor(image))
    with pytest.raises(depthsi.DepthsiError, match="is whole: leave out `network`"):
        depthsi.load(tmp_path / "net.stablehlo", network=Tiny())


@pytest.mark.slow
def test_a_last_batch_that_is_filled_up_adds_no_images(trained):
    data = samples(19)
    whole = depthsi.evaluate(trained.run, data, network=Tiny(), mirrored=True)
    parts = [
        depthsi.evaluate(trained.run, part, network=Tiny(), mirrored=True)
        for part in (data[:16], data[16:])
    ]
    for row, scores in whole.scores.items():
        assert len(scores) == 19
        expected = np.concatenate([part.scores[row].per_image()["rmse_log"] for part in parts])
        np.testing.assert_allclose(scores.per_image()["rmse_log"], expected, rtol=1e-5)
    shown = whole.compared_image(17), parts[1].compared_image(1)
    np.testing.assert_allclose(shown[0].predicted, shown[1].predicted, rtol=1e-5)


@pytest.mark.slow
def test_what_a_run_needs_is_said(trained, tmp_path, capsys):
    words = r"a module that a program passed \(Tiny\(features=2\)\).*depthsi\.load\(PATH, network="
    for path in (trained.run, trained.run / "weights.safetensors"):
        with pytest.raises(depthsi.DepthsiError, match=words):
            depthsi.load(path)
        with pytest.raises(
            depthsi.DepthsiError,
            match=r"custom/Conv_0/bias is \(2,\) there and \(3,\) in the network.*Tiny\(features=2",
        ):
            depthsi.load(path, network=Tiny(3))
    photo = tmp_path / "photo.png"
    Image.fromarray(samples(1)[0][0]).save(photo)
    run = str(trained.run)
    for line in (
        ["predict", run, str(photo)],
        ["export", run, "--out", str(tmp_path / "x.stablehlo")],
        ["evaluate", run, "--data", run],
        ["info", run],
        ["train", "--run", run, "--resume"],
        ["train", "tiny", "--run", str(tmp_path / "new"), "--model.kind", "custom"],
        ["train", "tiny", "--run", str(tmp_path / "n"), "--model.kind", "custom", "--dry-run"],
        ["train", "tiny", "--run", str(tmp_path / "o"), "--optim.kind", "custom"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(line)
        said = capsys.readouterr().err
        assert stopped.value.code == 2, line
        assert "from Python, with depthsi." in said, line
        assert "Traceback" not in said
        assert len(said.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
    main(["report", run, "--out", str(tmp_path / "page.html")])  # the rest of the page is there
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "no file stores its code" in page
    assert "Traceback" not in page


@pytest.mark.slow
def test_resuming_goes_on_with_network_and_optimiser_as_if_never_stopped(tmp_path):
    def stop(step, metrics):
        if step == 2:
            raise RuntimeError("enough")

    data = samples()
    given: dict[str, Any] = {"train": data, "network": Tiny(), "optimiser": optax.adam(1e-2)}
    with pytest.raises(RuntimeError, match="enough"):
        depthsi.train(CONFIG, run=tmp_path / "run", on_step=stop, **given)
    config = RunDirectory(tmp_path / "run").config()
    assert isinstance(config.optim, CustomOptimConfig)
    wider: dict[str, Any] = given | {"network": Tiny(3)}
    with pytest.raises(depthsi.DepthsiError, match=r"model.name = 'Tiny\(features=2\)', not"):
        depthsi.train(CONFIG, run=tmp_path / "run", resume=True, **wider)
    without: dict[str, Any] = {name: each for name, each in given.items() if name != "optimiser"}
    with pytest.raises(depthsi.DepthsiError, match="has an optimiser of its own"):
        depthsi.train(config, run=tmp_path / "run", resume=True, **without)
    resumed = depthsi.train(CONFIG, run=tmp_path / "run", resume=True, **given)
    whole = depthsi.train(CONFIG, run=tmp_path / "whole", **given)
    ours, theirs = (network_of(each.predictor()) for each in (resumed, whole))
    assert ours.step == theirs.step == 3
    jax.tree.map(np.testing.assert_array_equal, ours.params, theirs.params)
    assert all("learning_rate" not in row for row in resumed.rows)


@pytest.mark.slow
def test_an_nnx_module_through_the_bridge(tmp_path):
    module = nnx.bridge.to_linen(Other, 2)
    result = depthsi.train(CONFIG, run=tmp_path / "run", train=samples(), network=module)
    image = samples(1)[0][0]
    newest = depthsi.load(result.run, network=module)
    assert set(network_of(newest).params["custom"]["layers"]) == {0, 1}
    (result.run / "weights.safetensors").unlink()
    from_checkpoint = depthsi.load(result.run, network=module)
    np.testing.assert_array_equal(newest(image), from_checkpoint(image))
    resumed = depthsi.train(
        CONFIG, run=tmp_path / "run", train=samples(), network=module, resume=True
    )
    np.testing.assert_array_equal(resumed.predictor()(image), newest(image))


class Wrong(nn.Module):
    """Whatever is wrong with a network."""

    how: str

    @nn.compact
    def __call__(self, image, train=False):
        y = image[:, 4:224:4, 4:300:4]
        if self.how == "statistics":
            y = nn.BatchNorm(use_running_average=not train)(y)
        if self.how == "none":
            return jnp.mean(y, -1)
        bfloat16 = self.how == "bfloat16"
        y = nn.Conv(1, (1, 1), param_dtype=jnp.bfloat16 if bfloat16 else jnp.float32)(y)
        if self.how == "stream":
            y = y + (jax.random.normal(self.make_rng("noise"), y.shape) if train else 0)
        if self.how == "nan":
            y = jnp.log(y - 1e9)
        if self.how in ("channel", "several"):
            return y if self.how == "channel" else (y, y)
        if self.how == "small":
            return y[:, ::2, ::2, 0]
        return y[..., 0].astype(jnp.int32 if self.how == "int" else jnp.float32)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("channel", r"shape \(2, 55, 74, 1\).*\(2, 55, 74\); drop the channel axis"),
        ("small", r"shape \(2, 28, 37\).*must return log depth \(2, 55, 74\)"),
        ("several", "returns a tuple"),
        ("int", "returns int32"),
        ("nan", "not finite in 100% of its cells"),
        ("statistics", "batch_stats.*GroupNorm"),
        ("bfloat16", r"parameter custom/Conv_0/bias is bfloat16.*param_dtype"),
        ("none", "no parameters to train"),
        ("stream", "random stream that training does not have.*noise.*'dropout'"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_at_the_start(how, words):
    with pytest.raises(depthsi.DepthsiError, match=words):
        check_network(net(Wrong(how)))


def test_a_good_network_is_not_refused():
    check_network(net(Tiny()))
    check_network(net(nnx.bridge.to_linen(Other, 2)))


def test_nothing_is_written_for_a_network_that_is_refused(tmp_path):
    with pytest.raises(depthsi.DepthsiError, match="drop the channel axis"):
        depthsi.train(CONFIG, run=tmp_path / "r", train=samples(), network=Wrong("channel"))
    half = dataclasses.replace(CONFIG, compute=ComputeConfig(precision="bfloat16"))
    with pytest.raises(
        depthsi.DepthsiError, match=r"--compute\.precision bfloat16 does not apply to"
    ):
        depthsi.train(half, run=tmp_path / "r", train=samples(), network=Tiny())
    assert not (tmp_path / "r").exists()


def test_what_is_no_module_is_refused_with_a_remedy():
    with pytest.raises(depthsi.DepthsiError, match=r"the class Tiny: pass an instance.*Tiny\("):
        checked_module(Tiny)
    with pytest.raises(depthsi.DepthsiError, match=r"NNX module.*bridge\.to_linen\(Other"):
        checked_module(Other(2, rngs=nnx.Rngs(0)))
    with pytest.raises(depthsi.DepthsiError, match=r"is a function: pass a flax\.linen module"):
        checked_module(describe_module)
    with pytest.raises(depthsi.DepthsiError, match="settings are those of two_scale"):
        make_model("two_scale", network=Tiny())
    with pytest.raises(depthsi.DepthsiError, match="no file stores its code"):
        make_model("custom")


def test_a_network_that_counts_its_images_is_not_exported(tmp_path):
    class Counting(nn.Module):
        @nn.compact
        def __call__(self, image):
            kernel = self.param("kernel", nn.initializers.ones, (3, 1))
            return (image[:, 4:224:4, 4:300:4] @ kernel).reshape(len(image), 55, 74)

    params = {"custom": {"kernel": np.ones((3, 1), np.float32)}}
    network = depthsi.TrainedNetwork(SETTINGS, params, ("custom",), 0, module=Counting())
    with pytest.raises(depthsi.DepthsiError, match=r"variable batch size.*image\.shape\[0\]"):
        depthsi.export(depthsi.Predictor(network), tmp_path / "x.stablehlo")
    assert not list(tmp_path.iterdir())


def test_the_name_in_the_record_is_the_same_in_every_process():
    class Acting(nn.Module):
        act: object = nn.relu
        inner: nn.Module | None = None

    found = describe_module(Acting(lambda x: x, Tiny()))
    assert "0x" not in found
    assert "\n" not in found
    assert found.startswith("test_the_name_in_the_record")
    assert "Tiny" in found
    assert len(describe_module(Acting("x" * 1000))) == 300
    assert json.loads(json.dumps(found)) == found


def test_stored_parameters_get_the_structure_of_the_module():
    """Files turn the numbers of a list's layers into texts."""
    bridged = nnx.bridge.to_linen(Other, 2)
    params = initial_params(net(bridged), jax.random.key(0), net(bridged).example_image())
    layers = {str(name): each for name, each in params["custom"]["layers"].items()}
    stored = {"custom": {"layers": layers}}
    found = fitted_params(SETTINGS, bridged, stored, "here")
    jax.tree.map(np.testing.assert_array_equal, found, params)
    del stored["custom"]["layers"]["1"]
    with pytest.raises(depthsi.DepthsiError, match=r"custom/layers/1/bias is no such array there"):
        fitted_params(SETTINGS, bridged, stored, "here")


@pytest.mark.parametrize("fully_connected", [False, True])
def test_muon_takes_the_layers_of_a_network_whatever_they_are_called(fully_connected):
    params = {
        "custom": {
            "Conv_0": {"kernel": jnp.ones((3, 3, 2, 2)), "bias": jnp.ones(2)},
            "conv1d": {"kernel": jnp.ones((3, 2, 2))},
            "last": {"kernel": jnp.ones((4, 3)), "table": jnp.ones((6, 5))},
        }
    }
    state: Any = make_optimizer(MuonConfig(fully_connected=fully_connected), 5).init(params)
    muon, adamw = (jax.tree.leaves(state.inner_states[name]) for name in ("convolution", "rest"))
    dense = {(4, 3)}
    found = {leaf.shape for leaf in muon if leaf.ndim > 1}
    assert found == {(3, 3, 2, 2)} | (dense if fully_connected else set())
    found = {leaf.shape for leaf in adamw if leaf.ndim}
    assert found == {(2,), (3, 2, 2), (6, 5)} | (set() if fully_connected else dense)


def test_the_predictor_holds_under_transformations():
    """Mapped, jitted, divided among devices, and its gradient against the one written out."""
    params = initial_params(net(Tiny()), jax.random.key(3), net(Tiny()).example_image())
    trained = depthsi.TrainedNetwork(SETTINGS, params, ("custom",), 0, module=Tiny())
    predictor = depthsi.Predictor(trained)
    images = jnp.float32(RNG.integers(0, 256, (4, 228, 304, 3)))
    plain = predictor.log_depth(images)
    mapped = jax.jit(jax.vmap(lambda image: predictor.log_depth(image[None])[0]))(images)
    np.testing.assert_allclose(mapped, plain, rtol=1e-6)

    mesh = jax.make_mesh((4,), ("data",))
    split = NamedSharding(mesh, PartitionSpec("data"))
    divided = jax.jit(predictor.log_depth)(jax.device_put(images, split))
    assert divided.sharding.is_equivalent_to(split, divided.ndim)
    assert {shard.data.shape for shard in divided.addressable_shards} == {(1, 55, 74)}
    np.testing.assert_allclose(divided, plain, rtol=1e-6)

    weights = RNG.normal(size=plain.shape)
    gradient = jax.grad(lambda x: jnp.sum(jnp.float32(weights) * predictor.log_depth(x)))(images)
    own = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["custom"])
    first, last = own["Conv_0"]["kernel"][0, 0], own["last"]["kernel"][0, 0, :, 0]
    cells = np.asarray(images, np.float64)[:, 4:224:4, 4:300:4] / 255
    active = cells @ first + own["Conv_0"]["bias"] > 0
    expected = np.zeros(images.shape)
    expected[:, 4:224:4, 4:300:4] = weights[..., None] * ((active * last) @ first.T) / 255
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)
