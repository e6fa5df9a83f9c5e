"""A trained network as a file: what is written comes back, and nothing else is believed."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import depthsi
from depthsi.models.settings import HourglassConfig, TwoScaleConfig, UNetConfig
from depthsi.training.checkpoints.trained import trained_network
from depthsi.weights.network_file import (
    ENTRY,
    TrainedNetwork,
    read_description,
    read_network,
    write_network,
)

RNG = np.random.default_rng(0)
PARAMS = {
    "coarse": {"conv1": {"kernel": RNG.normal(size=(3, 3, 2)).astype(np.float32)}},
    "fine": {"bias": np.array([1.0, 1e-30, 3.1415927], np.float32)},
}
NETWORK = TrainedNetwork(
    TwoScaleConfig(width=0.25, geometry="kitti"), PARAMS, ("coarse", "fine"), 7, {"note": "é"}
)


@pytest.fixture
def file(tmp_path):
    write_network(tmp_path / "w.safetensors", NETWORK)
    return tmp_path / "w.safetensors"


def same_params(found, expected):
    np.testing.assert_array_equal(
        found["coarse"]["conv1"]["kernel"], expected["coarse"]["conv1"]["kernel"]
    )
    np.testing.assert_array_equal(found["fine"]["bias"], expected["fine"]["bias"])


def test_what_is_written_comes_back(file):
    found = read_network(file)
    assert dataclasses.replace(found, params={}) == dataclasses.replace(NETWORK, params={})
    same_params(found.params, PARAMS)
    described = read_description(file)
    assert (described.settings, described.params) == (NETWORK.settings, {})


@pytest.mark.parametrize("settings", [UNetConfig(size="small"), HourglassConfig(log_mean=2.0)])
def test_each_kind_of_network_comes_back(settings, tmp_path):
    network = TrainedNetwork(settings, {settings.kind: {"w": np.ones(2)}}, settings.outputs, 1)
    write_network(tmp_path / "w.safetensors", network)
    assert read_network(tmp_path / "w.safetensors").settings == settings


def test_bfloat16_halves_the_file_and_is_read_as_float32(tmp_path):
    large = {"unet": {"w": RNG.normal(size=10_000).astype(np.float32)}}
    network = TrainedNetwork(UNetConfig(), large, ("unet",), 1)
    sizes = {}
    for dtype in ("float32", "bfloat16"):
        path = tmp_path / f"{dtype}.safetensors"
        write_network(path, network, dtype)
        sizes[dtype] = path.stat().st_size
        found = read_network(path).params["unet"]["w"]
        assert found.dtype == np.float32
        expected = large["unet"]["w"]
        if dtype == "bfloat16":
            expected = expected.astype(ml_dtypes.bfloat16).astype(np.float32)
        np.testing.assert_array_equal(found, expected)
    assert sizes["bfloat16"] < 0.55 * sizes["float32"]


def rewritten(file, change):
    """The file with `change` applied to its arrays and to its description."""
    with safe_open(file, framework="np") as opened:
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        entry = json.loads(opened.metadata()[ENTRY])
    metadata = {ENTRY: json.dumps(entry)}
    change(arrays, entry, metadata)
    if ENTRY in metadata and metadata[ENTRY][0] == "{":
        metadata[ENTRY] = json.dumps(entry)
    save_file(arrays, file, metadata)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays, entry, metadata: metadata.clear(), "without the settings"),
        (lambda arrays, entry, metadata: metadata.update({ENTRY: "[]"}), "is damaged"),
        (lambda arrays, entry, metadata: metadata.update({ENTRY: "]"}), "is damaged"),
        (lambda arrays, entry, metadata: entry.pop("model"), "is damaged"),
        (lambda arrays, entry, metadata: entry["model"].update(kind="x"), "config.model.kind"),
        (lambda arrays, entry, metadata: entry["model"].update(width=-1), "model.width is -1"),
        (lambda arrays, entry, metadata: entry.update(format=99), "later version"),
        (lambda arrays, entry, metadata: entry.update(outputs=["unet"]), "outputs"),
        (lambda arrays, entry, metadata: entry.update(outputs=[]), "outputs"),
        (lambda arrays, entry, metadata: arrays["fine/bias"].sort(), None),
        (lambda arrays, entry, metadata: arrays["fine/bias"].fill(2), "checksum"),
        (lambda arrays, entry, metadata: arrays.pop("fine/bias"), "checksum"),
        (lambda arrays, entry, metadata: arrays.update(extra=np.ones(1)), "checksum"),
    ],
)
def test_what_was_changed_is_refused(change, words, file):
    rewritten(file, change)
    if words is None:  # sorting changed the order: the bits are others
        words = "checksum"
    with pytest.raises(depthsi.DepthsiError, match=words) as refused:
        read_network(file)
    assert str(file) in str(refused.value)


def test_a_file_cut_short_is_refused(file):
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(depthsi.DepthsiError, match="damaged or cut short"):
        read_network(file)


@pytest.fixture
def run(tmp_path):
    """A copy of a run with a checkpoint, and its network as the checkpoint has it."""
    directory = tmp_path / "run"
    shutil.copytree(Path(__file__).parent / "data" / "run_format_1", directory)
    return directory, trained_network(directory)


def marked(network, value):
    """The network with all parameters of one value, to see where they come from."""
    params = jax.tree.map(lambda leaf: np.full_like(leaf, value), network.params)
    return dataclasses.replace(network, params=params)


def read_from(directory):
    """Whether the parameters are those of `marked` with 7."""
    return bool(np.all(trained_network(directory).params["coarse"]["conv1"]["bias"] == 7))


@pytest.mark.slow
def test_the_file_of_a_run_is_read_where_it_is_that_of_the_checkpoint(run):
    directory, network = run
    file = directory / "weights.safetensors"
    write_network(file, marked(network, 7))
    assert read_from(directory)
    write_network(file, dataclasses.replace(marked(network, 7), step=network.step - 1))
    assert not read_from(directory)
    wider = dataclasses.replace(network.settings, log_mean=0.5)
    write_network(file, dataclasses.replace(marked(network, 7), settings=wider))
    assert not read_from(directory)


@pytest.mark.slow
def test_a_damaged_file_of_a_run_is_warned_of_and_the_checkpoint_read(run):
    directory, network = run
    file = directory / "weights.safetensors"
    write_network(file, marked(network, 7))
    file.write_bytes(file.read_bytes()[:-9] + b"123456789")
    with pytest.warns(depthsi.DepthsiWarning, match=r"checksum.* is read instead"):
        assert not read_from(directory)
    file.write_bytes(b"\x08")
    with pytest.warns(depthsi.DepthsiWarning, match=r"damaged.* is read instead"):
        assert not read_from(directory)
