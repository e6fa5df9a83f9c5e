"""Exported networks: the same depth as the network itself, and nothing else is believed."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export

import depthsi
from depthsi.augment import centre
from depthsi.cli import main
from depthsi.exports import artefact
from depthsi.models.factory import make_model
from depthsi.models.initialisers import initial_params
from depthsi.models.settings import HourglassConfig, ModelConfig, TwoScaleConfig, UNetConfig
from depthsi.weights.network_file import read_network

SETTINGS = TwoScaleConfig(width=0.01, initialisers="scaled")
RNG = np.random.default_rng(0)


def small_network(settings: ModelConfig):
    image = jnp.zeros((1, *settings.sizes.input, 3))
    params = initial_params(make_model(settings), jax.random.key(0), image)
    if "coarse" in params:
        params["coarse"]["fc7"]["kernel"] *= 20  # so that depth varies
    return depthsi.TrainedNetwork(settings, params, settings.outputs, 3, {"note": "é"})


@pytest.fixture(scope="module")
def network():
    return small_network(SETTINGS)


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "small.stablehlo"
    depthsi.export(depthsi.Predictor(network), path)
    return path


def photos(*sizes, channels=3):
    return [RNG.integers(0, 256, (*size, channels), np.uint8) for size in sizes]


def check_same_depth(predictor, exported, images):
    for found, expected in zip(exported.batch(images), predictor.batch(images), strict=True):
        assert np.ptp(np.log(expected[~np.isnan(expected)])) > 1e-4
        np.testing.assert_allclose(found, expected, rtol=1e-5)  # NaN where the other is NaN


def test_an_exported_network_predicts_as_the_network_does(network, file):
    images = photos((60, 80), (30, 200), (241, 321), (90, 40))
    check_same_depth(depthsi.Predictor(network), depthsi.load(file), images)


def test_another_output_is_exported_by_name(network, tmp_path):
    coarse = depthsi.Predictor(network, "coarse")
    depthsi.export(coarse, tmp_path / "c.stablehlo")
    exported = depthsi.load(tmp_path / "c.stablehlo")
    assert (exported.output, exported.network.outputs) == ("coarse", ("coarse",))
    check_same_depth(coarse, exported, photos((60, 80)))
    with pytest.raises(depthsi.DepthsiError, match=r"'fine' has not been trained: .* coarse"):
        depthsi.load(tmp_path / "c.stablehlo", output="fine")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        UNetConfig(size="small"),
        HourglassConfig(size="small"),
        TwoScaleConfig(width=0.01, initialisers="scaled", geometry="kitti", variant="C"),
    ],
)
def test_every_kind_of_network_and_geometry(settings, tmp_path):
    predictor = depthsi.Predictor(small_network(settings))
    depthsi.export(predictor, tmp_path / "n.stablehlo")
    height, width = settings.sizes.image
    check_same_depth(predictor, depthsi.load(tmp_path / "n.stablehlo"), photos((height, width)))


def test_the_program_alone_gives_metres_of_any_number_of_images(network, file):
    with zipfile.ZipFile(file) as archive:
        program = jax_export.deserialize(bytearray(archive.read("model.stablehlo")))
    assert program.platforms == ("cpu", "cuda", "tpu")
    sizes = SETTINGS.sizes
    images = np.stack(photos(*[sizes.image] * 3))
    metres = jax.jit(program.call)(images)
    assert (metres.shape, metres.dtype) == ((3, *sizes.output), np.float32)
    top, left = 6, 8  # of the centre crop of 228x304 pixels out of 240x320
    crop = images[:, top : top + 228, left : left + 304].astype(np.float32)
    evaluated = centre(images, np.ones(images.shape[:3], np.float32), sizes).image
    np.testing.assert_array_equal(crop, evaluated)
    expected = jax.jit(depthsi.Predictor(network).log_depth)(crop)
    np.testing.assert_allclose(np.log(metres), expected, atol=1e-5)


def test_the_metadata_say_what_the_program_is(file):
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["metadata.json", "model.stablehlo"]
        metadata = json.loads(archive.read("metadata.json"))
    assert metadata["format"] == 1
    assert metadata["depthsi"] == depthsi.__version__
    assert metadata["settings"]["model"]["width"] == 0.01
    assert metadata["sizes"]["input"] == [228, 304]
    assert metadata["input"]["axes"] == ["b", 240, 320, 3]
    assert metadata["outputs"]["fine"]["axes"] == ["b", 55, 74]
    assert (metadata["step"], metadata["about"]) == (3, {"note": "é"})
    assert "Apache-2.0" in metadata["licence"]


def test_the_same_network_makes_the_same_file(network, file, tmp_path):
    depthsi.export(depthsi.Predictor(network), tmp_path / "again.stablehlo")
    assert (tmp_path / "again.stablehlo").read_bytes() == file.read_bytes()
    assert str(Path(__file__).parents[1]).encode() not in file.read_bytes()


CODE = """
import sys
import depthsi
from depthsi.cli import main
assert depthsi.load(sys.argv[1])(sys.argv[2]).shape == (60, 80)
main(["predict", *sys.argv[1:3], "--out", sys.argv[3], "--save", "npy"])
slow = ("flax", "optax", "orbax", "grain", "tensorflow_datasets")
assert not set(slow) & set(sys.modules), set(slow) & set(sys.modules)
"""


def test_it_needs_no_flax(file, tmp_path, network):
    from PIL import Image

    (image,) = photos((60, 80))
    Image.fromarray(image).save(tmp_path / "photo.png")
    words = [str(file), str(tmp_path / "photo.png"), str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    depth = np.load(tmp_path / "out" / "photo_depth.npy")
    np.testing.assert_allclose(depth, depthsi.Predictor(network)(image), rtol=1e-5)


def test_an_exported_network_has_no_parameters(file, tmp_path):
    exported = depthsi.load(file)
    with pytest.raises(depthsi.DepthsiError, match="already"):
        depthsi.export(exported, tmp_path / "a.safetensors")
    with pytest.raises(depthsi.DepthsiError, match="no parameters"):
        exported.log_depth(jnp.zeros((1, *SETTINGS.sizes.input, 3)))
    with pytest.raises(depthsi.DepthsiError, match="without checkpoints"):
        depthsi.load(file, checkpoint="best")
    with pytest.raises(depthsi.DepthsiError, match="evaluate the run or the weights file"):
        depthsi.evaluate(exported, "path/to/folder")
    assert not list(tmp_path.iterdir())


def members(file):
    with zipfile.ZipFile(file) as archive:
        return json.loads(archive.read("metadata.json")), archive.read("model.stablehlo")


def rewritten(path, metadata, program, packing=zipfile.ZIP_STORED, **more):
    """A file whose checksums are right, whatever it holds."""
    checksum = {"sha256": hashlib.sha256(program).hexdigest()}
    with zipfile.ZipFile(path, "w", packing) as archive:
        text = metadata | checksum if isinstance(metadata, dict) else metadata
        archive.writestr("metadata.json", json.dumps(text))
        archive.writestr("model.stablehlo", program)
        for name, data in more.items():
            archive.writestr(name, data)
    return path


def refused(path, words):
    with pytest.raises(depthsi.DepthsiError, match=words) as caught:
        depthsi.load(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 700


KITTI = dataclasses.asdict(TwoScaleConfig(geometry="kitti"))
KITTI_SIZES = json.loads(json.dumps(dataclasses.asdict(TwoScaleConfig(geometry="kitti").sizes)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(format=2), "format 2, but this version .* install a later"),
        (lambda m: m.update(format=True), "format True"),
        (lambda m: m.pop("format"), "format None"),
        (lambda m: m["settings"].update(format=99), "later version"),
        (lambda m: m["settings"].update(model=[]), "config.model"),
        (lambda m: m["settings"]["model"].update(width=-1), "model.width"),
        (lambda m: m.update(settings=7), "is damaged"),
        (lambda m: m.pop("about"), "is damaged"),
        (lambda m: m.update(outputs={"unet": {}}), "has the outputs"),
        (lambda m: m.update(outputs={}), "has the outputs"),
        (lambda m: m["sizes"].update(input=[1, 1]), "sizes that differ"),
        (lambda m: m.update(sizes=KITTI_SIZES), "sizes that differ"),
        (
            lambda m: (m["settings"].update(model=KITTI), m.update(sizes=KITTI_SIZES)),
            r"differs from its metadata.* \(b, 184, 612, 3\)",
        ),
    ],
)
def test_metadata_that_lie_are_refused(change, words, file, tmp_path):
    metadata, program = members(file)
    change(metadata)
    refused(rewritten(tmp_path / "a.stablehlo", metadata, program), words)


def test_files_that_are_no_artefacts_are_refused(file, tmp_path):
    metadata, program = members(file)
    path, data = tmp_path / "a.stablehlo", file.read_bytes()
    refused(path, "does not exist")
    for damaged in (b"", b"text", program, data[:-1], data[: len(data) // 2], b"x" + data[1:]):
        path.write_bytes(damaged)
        refused(path, "damaged or cut short")
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    path.write_bytes(flipped)
    refused(path, "CRC")
    refused(rewritten(path, metadata, program, extra=b""), "model.stablehlo only")
    refused(rewritten(path, metadata, bytes(2**24), zipfile.ZIP_DEFLATED), "without compression")
    refused(rewritten(path, {"a": "x" * 2**22}, program), "metadata.json has")
    refused(rewritten(path, [], program), "not an object")
    for damaged in (b"", bytes(100), program[:1000], program[:-1000], b"\xff" * 1000):
        refused(rewritten(path, metadata, damaged), "damaged|differs from its metadata")


def test_every_changed_byte_of_a_program_is_noticed(file, tmp_path):
    """MLIR's reader does not survive all of them."""
    metadata, program = members(file)
    for _ in range(30):
        changed = bytearray(program)
        changed[RNG.integers(len(changed))] ^= 1 << RNG.integers(8)
        with zipfile.ZipFile(tmp_path / "a.stablehlo", "w") as archive:
            archive.writestr("metadata.json", json.dumps(metadata))
            archive.writestr("model.stablehlo", changed)
        refused(tmp_path / "a.stablehlo", "does not have the checksum")


def exported(function, *shapes):
    batch, *_ = jax_export.symbolic_shape("b")
    arguments = [jax.ShapeDtypeStruct((batch, *shape), dtype) for shape, dtype in shapes]
    return jax_export.export(jax.jit(function))(*arguments).serialize()


def depth_of(images):
    return jnp.zeros((images.shape[0], 55, 74), jnp.float32)


def symbolic_inverse(images):
    """Calls LAPACK, which jax allows."""
    matrices = images[:, :4, :4, 0].astype(jnp.float32)
    return depth_of(images) + jnp.linalg.qr(matrices)[0][:, :1, :1]


IMAGES = ((240, 320, 3), np.uint8)
FIXED = jax.ShapeDtypeStruct((2, 240, 320, 3), np.uint8)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: exported(depth_of, ((240, 320, 3), np.float32)), "differs from its metadata"),
        (lambda: exported(depth_of, ((240, 321, 3), np.uint8)), "differs from its metadata"),
        (lambda: exported(lambda x: depth_of(x)[:, 1:], IMAGES), "differs from its metadata"),
        (lambda: exported(lambda x: (depth_of(x), x), IMAGES), "differs from its metadata"),
        (lambda: exported(lambda x, y: depth_of(x), IMAGES, IMAGES), "differs from its metadata"),
        (lambda: exported(lambda: jnp.zeros(())), "differs from its metadata"),
        (
            lambda: jax_export.export(jax.jit(depth_of))(FIXED).serialize(),
            "differs from its metadata",
        ),
        (lambda: exported(symbolic_inverse, IMAGES), "calls '.*' outside itself"),
    ],
)
def test_programs_that_are_no_such_network_are_refused(make, words, file, tmp_path):
    metadata, _ = members(file)
    refused(rewritten(tmp_path / "a.stablehlo", metadata, make()), words)


def test_a_program_for_another_platform_is_refused_when_called(file, tmp_path):
    metadata, _ = members(file)
    (batch,) = jax_export.symbolic_shape("b")
    shape = jax.ShapeDtypeStruct((batch, 240, 320, 3), np.uint8)
    program = jax_export.export(jax.jit(depth_of), platforms=["tpu"])(shape).serialize()
    predictor = depthsi.load(rewritten(tmp_path / "a.stablehlo", metadata, program))
    with pytest.raises(depthsi.DepthsiError, match="exported for tpu, not for cpu"):
        predictor(photos((60, 80))[0])


def run_export(*words):
    """Exit code of `depthsi export`."""
    try:
        main(["export", *map(str, words)])
    except SystemExit as stopped:
        return stopped.code
    return 0


def test_the_command_writes_both_formats(network, file, tmp_path, capsys):
    weights = tmp_path / "w.safetensors"
    depthsi.write_network(weights, network)
    assert run_export(weights, "--format", "stablehlo", "--out", tmp_path / "n/a.stablehlo") == 0
    assert "a.stablehlo" in capsys.readouterr().out
    assert (tmp_path / "n/a.stablehlo").read_bytes() == file.read_bytes()
    half = tmp_path / "half.safetensors"
    assert run_export(weights, "--out", half, "--dtype", "bfloat16") == 0
    assert half.stat().st_size < 0.6 * weights.stat().st_size
    assert read_network(half).settings == SETTINGS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "a.zip"], "must end in .stablehlo, .safetensors or .onnx"),
        (["--out", "a.zip", "--format", "stablehlo"], "must end in .stablehlo to match"),
        (["--out", "a.stablehlo", "--format", "safetensors"], "must end in .safetensors to match"),
        (["--out", "a.stablehlo", "--dtype", "bfloat16"], "--dtype bfloat16 only works with"),
        (["--out", "a.safetensors", "--output", "coarse"], "--output coarse only works with"),
        (["--out", "a.stablehlo"], "is not a run"),
    ],
)
def test_mistakes_are_said_in_a_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_export("no_run", *words) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_python_refuses_other_endings_and_types(network, tmp_path):
    predictor = depthsi.Predictor(network)
    with pytest.raises(depthsi.DepthsiError, match="must end in"):
        depthsi.export(predictor, tmp_path / "a.zip")
    with pytest.raises(depthsi.DepthsiError, match=r"only \.safetensors"):
        depthsi.export(predictor, tmp_path / "a.stablehlo", dtype="bfloat16")


def test_onnx_says_where_it_can_be_made(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(depthsi.DepthsiError, match=r"jax2onnx.* separate environment"):
        depthsi.export(depthsi.Predictor(network), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "settings", [SETTINGS, UNetConfig(size="small"), HourglassConfig(size="small")]
)
def test_onnx_predicts_as_the_network_does(settings, tmp_path):
    """Where jax2onnx is installed, which is not among what the other tests need."""
    pytest.importorskip("jax2onnx")
    runtime = pytest.importorskip("onnxruntime")
    predictor, sizes = depthsi.Predictor(small_network(settings)), settings.sizes
    with jax.numpy_rank_promotion("allow"):  # jax2onnx relies on it
        depthsi.export(predictor, tmp_path / "a.onnx")
    session = runtime.InferenceSession(tmp_path / "a.onnx")
    assert session.get_inputs()[0].shape == ["b", *sizes.image, 3]
    described = json.loads(session.get_modelmeta().custom_metadata_map["depthsi"])
    assert described["step"] == 3
    images = np.stack(photos(*[sizes.image] * 3))
    (metres,) = session.run([predictor.output], {"images": images})
    crop = centre(images, np.ones(images.shape[:3], np.float32), sizes).image
    expected = jax.jit(predictor.log_depth)(crop)
    assert np.ptp(np.log(metres)) > 1e-4
    np.testing.assert_allclose(np.log(metres), expected, atol=1e-5)


def test_windows_are_put_where_the_crop_is():
    """For a function that keeps a pixel, whatever the geometry's margins are."""
    for settings in (SETTINGS, TwoScaleConfig(geometry="kitti")):
        sizes = settings.sizes
        windows = RNG.integers(1, 256, (2, *sizes.input, 3)).astype(np.float32)

        def red(images, sizes=sizes):
            crop = centre(images, np.ones(images.shape[:3], np.float32), sizes).image
            return jnp.asarray(crop[..., 0])

        exported = artefact.ExportedNetwork(settings, ("fine",), 0, {}, red)
        np.testing.assert_allclose(
            np.exp(exported.window_log_depth(windows)), windows[..., 0], rtol=1e-5
        )
