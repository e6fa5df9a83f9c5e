"""CaffeNet-shaped weights: the convolutions against Caffe written out, files, refusals."""

import io
import json
import struct
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.cli import main
from depthsi.config import Config, InitConfig, TwoScaleConfig, UNetConfig
from depthsi.errors import DepthsiError
from depthsi.models import CoarseNet
from depthsi.presets import from_scratch
from depthsi.training.checkpoints.start_from_caffe import SHAPES, read_coarse_convs, to_caffe
from depthsi.training.checkpoints.start_from_run import take_coarse_convs
from depthsi.weights.arrays import write_safetensors

GROUPS = {"conv1": 1, "conv2": 2, "conv3": 1, "conv4": 2, "conv5": 2}


@pytest.fixture(scope="module")
def caffe():
    """Random weights of CaffeNet's shapes, (out, in of one group, rows, columns)."""
    rng = np.random.default_rng(0)
    arrays = {}
    for layer, (out, inputs, rows, cols) in SHAPES.items():
        shape = (out, inputs // GROUPS[layer], rows, cols)
        arrays[f"{layer}.weight"] = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        arrays[f"{layer}.bias"] = rng.normal(0, 30 if layer == "conv1" else 10, out)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def file(caffe, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "caffenet.npz"
    arrays: dict[str, Any] = caffe | {"fc6.weight": np.zeros((2, 2), np.float32)}
    np.savez(path, **arrays)
    return path


def grouped(x, weight, bias, groups, pad, stride=1):
    """Caffe's convolution: filter o sees the inputs of its own group only."""
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    out, inputs, kernel, _ = weight.shape
    rows, cols = ((n - kernel) // stride + 1 for n in x.shape[:2])
    y = np.tile(bias.astype(np.float64), (rows, cols, 1))
    for group in range(groups):
        mine = slice(group * out // groups, (group + 1) * out // groups)
        seen = x[:, :, group * inputs : (group + 1) * inputs]
        for u in range(kernel):
            for v in range(kernel):
                part = seen[u : u + stride * rows : stride, v : v + stride * cols : stride]
                y[:, :, mine] += part[:rows, :cols] @ weight[mine, :, u, v].T.astype(np.float64)
    return y


def pool(x, partial):
    """Maximum of 3x3 at every second place; Caffe has a partial window at the end."""
    rows, cols = ((n - 3 + partial) // 2 + 1 for n in x.shape[:2])
    return np.array(
        [
            [x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(cols)]
            for i in range(rows)
        ]
    )


def norm(x):
    """Caffe's LRN with local_size 5, alpha 1e-4, beta 0.75, k 1: alpha is divided by 5."""
    energy = [np.sum(x[:, :, max(c - 2, 0) : c + 3] ** 2, axis=-1) for c in range(x.shape[-1])]
    return x / (1 + 1e-4 / 5 * np.stack(energy, axis=-1)) ** 0.75


def caffe_features(image, arrays, partial=True):
    """Conv5 of CaffeNet for RGB 0..255, in float64."""
    x = image[:, :, ::-1].astype(np.float64) - np.array([104.0, 117.0, 123.0])

    def layer(x, name, pad, stride=1):
        weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
        groups = SHAPES[name][1] // weight.shape[1]
        return np.maximum(grouped(x, weight, bias, groups, pad, stride), 0)

    x = norm(pool(layer(x, "conv1", 0, 4), partial))
    x = norm(pool(layer(x, "conv2", 2), partial))
    return layer(layer(layer(x, "conv3", 1), "conv4", 1), "conv5", 1)


def features(file, config, image):
    """Conv5 of the coarse network before its pool."""
    net = CoarseNet(config)
    shapes = jax.eval_shape(net.init, jax.random.key(0), image)["params"]
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    for path, array in read_coarse_convs(file, config).items():
        _, layer, kind = path.split("/")
        assert params[layer][kind].shape == array.shape
        assert array.dtype == np.float32
        params[layer][kind] = jnp.asarray(array)
    _, seen = net.apply({"params": params}, image, capture_intermediates=True)
    return np.maximum(np.asarray(seen["intermediates"]["conv5"]["__call__"][0])[0], 0)


def picture(seed=3):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (1, 29, 38, 3)).repeat(8, 1).repeat(8, 2)
    return jnp.asarray(coarse[:, :228], jnp.float32)


@pytest.fixture(scope="module")
def expected(caffe):
    return caffe_features(np.asarray(picture()[0]), caffe)


@pytest.mark.slow
@pytest.mark.parametrize("scales", [{}, {"coarse_input_mean": 90.0, "coarse_input_std": 70.0}])
def test_conv5_is_that_of_caffenet_whatever_the_scales_of_the_input(file, expected, scales):
    """Variant C rounds the first pool up and pads nothing, as Caffe does."""
    config = TwoScaleConfig(variant="C", **scales)
    ours = features(file, config, picture())
    assert ours.shape == expected.shape == (13, 18, 256)
    assert expected.std() > 0.1
    np.testing.assert_allclose(ours, expected, atol=2e-5 * expected.max(), rtol=1e-4)


@pytest.mark.slow
def test_the_response_normalisation_matters_here(file, expected):
    config = TwoScaleConfig(variant="C", local_response_norm=False)
    without = features(file, config, picture())
    assert np.max(np.abs(without - expected)) > 0.1 * expected.max()


@pytest.mark.slow
def test_the_padding_of_variant_a_stands_for_grey_of_the_input_mean(file, caffe):
    grey = 128.0
    image = np.pad(np.asarray(picture()[0]), ((2, 2), (2, 2), (0, 0)), constant_values=grey)
    expected = caffe_features(image, caffe, partial=False)
    ours = features(file, TwoScaleConfig(coarse_input_mean=grey), picture())
    np.testing.assert_allclose(ours, expected, atol=2e-5 * expected.max(), rtol=1e-4)


def test_from_the_file_and_back(file, caffe, tmp_path):
    """Written by `to_caffe`, read again; a second network gets the same from it."""
    config = from_scratch()
    flat = read_coarse_convs(file, config)
    layers = {name: {} for name in SHAPES}
    for path, array in flat.items():
        layers[path.split("/")[1]][path.split("/")[2]] = array
    arrays = to_caffe(layers, config)
    for name in ("conv1.weight", "conv1.bias", "conv3.weight", "conv5.bias"):
        np.testing.assert_allclose(arrays[name], caffe[name], rtol=1e-4, atol=1e-5)
    first = arrays["conv2.weight"]
    np.testing.assert_allclose(first[:128, :48], caffe["conv2.weight"][:128], rtol=1e-5)
    np.testing.assert_allclose(first[128:, 48:], caffe["conv2.weight"][128:], rtol=1e-5)
    assert not np.any(first[:128, 48:])
    assert not np.any(first[128:, :48])

    write_safetensors(tmp_path / "again.safetensors", arrays)
    again = read_coarse_convs(tmp_path / "again.safetensors", config)
    assert again.keys() == flat.keys()
    for path in flat:
        np.testing.assert_allclose(again[path], flat[path], rtol=1e-5, atol=1e-6)


def safetensors(arrays, kinds):
    """The bytes of a file, put together from the description of the format."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, array in arrays.items():
        start = len(body)
        body += array.tobytes()
        header[name] = {
            "dtype": kinds[name],
            "shape": array.shape,
            "data_offsets": [start, len(body)],
        }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_safetensors_of_each_float_type(caffe, file, tmp_path):
    kinds = {"conv1": "F64", "conv2": "F16", "conv3": "BF16", "conv4": "F32", "conv5": "F32"}
    stored, expected = {}, {}
    for name, array in caffe.items():
        kind = kinds[name[:5]]
        if kind == "BF16":
            stored[name] = (array.view("<u4") >> 16).astype("<u2")
            expected[name] = (stored[name].astype("<u4") << 16).view("<f4")
        else:
            stored[name] = array.astype({"F64": "<f8", "F16": "<f2", "F32": "<f4"}[kind])
            expected[name] = stored[name].astype(np.float32)
    path = tmp_path / "caffenet.safetensors"
    path.write_bytes(safetensors(stored, {name: kinds[name[:5]] for name in caffe}))
    np.savez(tmp_path / "same.npz", **expected)
    read, same = (read_coarse_convs(p, TwoScaleConfig()) for p in (path, tmp_path / "same.npz"))
    for name in same:
        np.testing.assert_array_equal(read[name], same[name])
    assert np.any(read["coarse/conv3/kernel"] != 0)


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace(".weight", "_w").replace(".bias", "_b"),
        lambda name: "model/" + name.replace(".weight", "/weights").replace(".bias", "/biases"),
        lambda name: "module.features." + name.upper(),
    ],
)
def test_names_of_other_programs(caffe, file, tmp_path, rename):
    np.savez(tmp_path / "other.npz", **{rename(name): array for name, array in caffe.items()})
    read, same = (read_coarse_convs(p, TwoScaleConfig()) for p in (tmp_path / "other.npz", file))
    for name in same:
        np.testing.assert_array_equal(read[name], same[name])


def without(name):
    return lambda arrays: arrays.pop(name)


def changed(name, change):
    return lambda arrays: arrays.update({name: change(arrays[name])})


def poisoned(array):
    array = array.copy()
    array.flat[5] = np.nan
    return array


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("conv3.bias"), r"no bias of conv3: it needs conv3.bias or conv3_b"),
        (
            changed("conv2.weight", lambda a: a[:, :, 1:]),
            r"weight of conv2 in the shape \(256, 48, 4, 5\),"
            r" not \(256, 96, 5, 5\) or \(256, 48, 5",
        ),
        (changed("conv3.weight", lambda a: a[:, :128]), r"conv3 .*\(384, 128, 3, 3\), not"),
        (changed("conv1.weight", lambda a: a.transpose(2, 3, 1, 0)), r"conv1 .*\(11, 11, 3, 96\)"),
        (changed("conv5.bias", lambda a: a[:, None]), r"bias of conv5 .*\(256, 1\), not \(256,\)"),
        (changed("conv4.weight", poisoned), r"values in conv4.weight that are not finite"),
        (changed("conv4.weight", lambda a: a.astype(np.float64) * 1e200), "or too large"),
        (
            changed("conv1.bias", lambda a: a.astype(np.int32)),
            r"conv1.bias as <i4 of shape \(96,\); save it as float32",
        ),
        (lambda arrays: arrays.update({"conv1_b": arrays["conv1.bias"]}), "two arrays for the bia"),
    ],
)
def test_arrays_that_are_not_caffenets_are_refused(caffe, tmp_path, change, words):
    arrays = dict(caffe)
    change(arrays)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DepthsiError, match=words):
        read_coarse_convs(tmp_path / "bad.npz", TwoScaleConfig())


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            TwoScaleConfig(width=0.25),
            r"model.width 1.0, not 0.25: conv1 has 96 filters .* and 24 in",
        ),
        (UNetConfig(), "model.kind is unet"),
    ],
)
def test_networks_without_such_layers_are_refused(file, config, words):
    with pytest.raises(DepthsiError, match=words):
        read_coarse_convs(file, config)


class Dangerous:
    def __reduce__(self):
        return print, ("unpickled",)


def test_nothing_is_unpickled(caffe, tmp_path, capsys):
    arrays = dict(caffe)
    arrays["conv1.bias"] = np.array([Dangerous()], dtype=object)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DepthsiError, match=r"conv1.bias as \|O of shape \(1,\); save it as fl"):
        read_coarse_convs(tmp_path / "bad.npz", TwoScaleConfig())
    assert "unpickled" not in capsys.readouterr().out
    for name in ("net.pkl", "net.pth", "net.caffemodel", "net"):
        (tmp_path / name).write_bytes(b"\x80\x04")
        with pytest.raises(DepthsiError, match=r"not one of .safetensors, .npz"):
            read_coarse_convs(tmp_path / name, TwoScaleConfig())
    with pytest.raises(DepthsiError, match="does not exist"):
        read_coarse_convs(tmp_path / "none.npz", TwoScaleConfig())


def entry(**changes):
    """A file of one array whose description was changed."""
    text = json.dumps(
        {"conv1.bias": {"dtype": "F32", "shape": [96], "data_offsets": [0, 384], **changes}}
    ).encode()
    return struct.pack("<Q", len(text)) + text + bytes(384)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        entry(shape=[95]),
        entry(shape=[-96]),
        entry(shape=[True]),
        entry(data_offsets=[0, 10**9]),
        entry(data_offsets=[384, 0]),
        entry(data_offsets=[-384, 0]),
        entry(data_offsets="ab"),
        entry(dtype="I64"),
        entry(dtype=None),
        entry(shape=[2**40], data_offsets=[0, 2**42]),
    ],
)
def test_damaged_safetensors_are_one_sentence(tmp_path, data):
    (tmp_path / "bad.safetensors").write_bytes(data)
    with pytest.raises(
        DepthsiError,
        match=r"bad.safetensors (is damaged|holds conv1.bias|has values in conv1.bias)",
    ):
        read_coarse_convs(tmp_path / "bad.safetensors", TwoScaleConfig())


@pytest.mark.slow
def test_archives_that_are_damaged_or_claim_too_much_are_one_sentence(caffe, tmp_path):
    good = io.BytesIO()
    np.savez(good, **caffe)
    (tmp_path / "cut.npz").write_bytes(good.getvalue()[: len(good.getvalue()) // 2])
    with pytest.raises(DepthsiError, match="damaged"):
        read_coarse_convs(tmp_path / "cut.npz", TwoScaleConfig())

    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("conv1.bias.npy", member)
    with pytest.raises(DepthsiError, match=r"shape \(1099511627776,\): over"):
        read_coarse_convs(tmp_path / "huge.npz", TwoScaleConfig())
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv1.bias.npy", member + bytes(2**27))
    with pytest.raises(DepthsiError, match=r"bomb.npz (is damaged|holds)"):
        read_coarse_convs(tmp_path / "bomb.npz", TwoScaleConfig())


@pytest.mark.slow
def test_a_run_starts_with_the_convolutions_and_keeps_the_rest(file):
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5")
    shapes = {
        layer: (SHAPES[layer][2], SHAPES[layer][3], *SHAPES[layer][1::-1]) for layer in layers
    }
    coarse = {
        layer: {"kernel": jnp.zeros(shape), "bias": jnp.zeros(shape[-1])}
        for layer, shape in {**shapes, "fc6": (4, 3)}.items()
    }
    params = {"coarse": coarse, "fine": {"conv1": {"kernel": jnp.ones((11, 11, 3, 96))}}}
    config = Config(init=InitConfig(coarse_convs=str(file)))
    started, report = take_coarse_convs(params, config)
    for path, array in read_coarse_convs(file, config.model).items():
        _, layer, kind = path.split("/")
        np.testing.assert_array_equal(started["coarse"][layer][kind], array)
    assert not np.any(started["coarse"]["fc6"]["kernel"])
    assert np.all(started["fine"]["conv1"]["kernel"] == 1)
    assert "coarse/conv5/kernel" in report
    assert take_coarse_convs(params, Config()) == (params, "")


def test_what_cannot_start_a_run_is_refused_before_anything_is_written(file, tmp_path, capsys):
    run, missing = tmp_path / "run", str(tmp_path / "no.npz")
    for arguments, words in (
        (["--init.coarse-convs", str(file)], "model.width 1.0, not 0.0625"),
        (["--init.coarse-convs", missing, "--model.width", "1"], "no.npz does not exist"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["train", "tiny", "--run", str(run), *arguments])
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err
        assert not run.exists()
