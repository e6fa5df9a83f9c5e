"""`depthsi.load` and the predictor, against the network applied by hand."""

import itertools
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from PIL import Image

import depthsi
from depthsi.cli import main
from depthsi.commands.predict_inputs import named_files
from depthsi.commands.predict_request import PredictRequest
from depthsi.models.factory import make_model
from depthsi.models.initialisers import initial_params
from depthsi.models.settings import TwoScaleConfig
from depthsi.photos import as_rgb
from depthsi.windows import BATCHES, predict_depths

SETTINGS = TwoScaleConfig(width=0.01, initialisers="scaled")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def network():
    image = jnp.zeros((1, *SETTINGS.sizes.input, 3))
    params = initial_params(make_model(SETTINGS), jax.random.key(0), image)
    params["coarse"]["fc7"]["kernel"] *= 20  # so that depth varies
    return depthsi.TrainedNetwork(SETTINGS, params, ("coarse", "fine"), 3)


@pytest.fixture(scope="module")
def predictor(network):
    return depthsi.Predictor(network)


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    depthsi.write_network(path, network)
    return path


def photo(height=60, width=80):
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def test_a_file_of_weights_predicts_as_the_network_does(weights, predictor):
    image = photo()
    loaded = depthsi.load(weights)
    depth = loaded(image)
    assert (depth.shape, depth.dtype) == ((60, 80), np.float32)
    assert np.ptp(np.log(depth)) > 0.01
    np.testing.assert_array_equal(depth, predictor(image))
    coarse = depthsi.load(weights, output="coarse")(image)
    assert not np.array_equal(coarse, depth)


def test_paths_images_and_arrays_are_the_same_photo(predictor, tmp_path):
    image = photo()
    Image.fromarray(image).save(tmp_path / "photo.png")
    expected = predictor(image)
    for other in (tmp_path / "photo.png", str(tmp_path / "photo.png"), Image.fromarray(image)):
        np.testing.assert_array_equal(predictor(other), expected)
    floats = image / np.float32(255)
    np.testing.assert_array_equal(predictor(floats), expected)
    np.testing.assert_array_equal(predictor(jnp.asarray(image)), expected)


def test_a_photo_is_turned_upright(tmp_path):
    upright = photo()
    turned = Image.fromarray(np.rot90(upright))  # as a camera held sideways stores it
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it
    turned.save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(as_rgb(tmp_path / "photo.png"), upright)
    with Image.open(tmp_path / "photo.png") as opened:
        np.testing.assert_array_equal(as_rgb(opened), upright)
    deep = Image.fromarray(upright[..., 0].astype(np.uint16) * 257)
    np.testing.assert_array_equal(as_rgb(deep), np.stack([upright[..., 0]] * 3, -1))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 5), np.uint8), "grey"),
        (np.zeros((4, 5, 1), np.uint8), "grey"),
        (np.zeros((3, 4, 5), np.uint8), "channels last"),
        (np.zeros((4, 5, 4), np.uint8), "alpha"),
        (np.zeros((2, 4, 5, 3), np.uint8), "predictor.batch"),
        (np.zeros((0, 5, 3), np.uint8), "shape"),
        (np.zeros((4, 5, 3), np.int64), "int64"),
        (np.full((4, 5, 3), 200.0), "convert 0..255 to uint8"),
        (np.full((4, 5, 3), -1.0), "normalisation"),
        (np.full((4, 5, 3), np.nan), "nan"),
        ("no such file.jpg", "does not exist"),
    ],
)
def test_what_is_no_image_is_refused_with_a_remedy(predictor, image, words):
    with pytest.raises(depthsi.DepthsiError, match=words):
        predictor(image)


def test_a_batch_of_different_sizes_is_each_image_alone(predictor):
    images = [photo(60, 80), photo(30, 200), photo(241, 321), photo(90, 40)]
    for found, image in zip(predictor.batch(images), images, strict=True):
        assert found.shape == image.shape[:2]
        np.testing.assert_allclose(found, predictor(image), rtol=1e-5)


def test_an_endless_stream_takes_only_what_it_needs(network):
    taken = []

    def images():
        for number in itertools.count():
            taken.append(number)
            yield photo()

    stream = depthsi.Predictor(network).stream(images())
    for _ in range(3):
        next(stream)
    assert len(taken) <= BATCHES[-1] + 1


def test_every_batch_has_one_of_few_sizes():
    sizes, seen = SETTINGS.sizes, []

    def record(batch):
        seen.append(len(batch))
        return np.zeros((len(batch), *sizes.output), np.float32)

    images = [photo() for _ in range(11)] + [photo(60, 500)]
    assert len(list(predict_depths(record, images, sizes))) == 12
    assert set(seen) <= set(BATCHES)


def test_log_depth_can_be_jitted_mapped_and_differentiated(network):
    coarse = depthsi.Predictor(network, "coarse")
    images = jnp.asarray(RNG.integers(0, 256, (2, *coarse.sizes.input, 3)), jnp.float32)
    both = jax.jit(coarse.log_depth)(images)
    assert both.shape == (2, *coarse.sizes.output)
    mapped = jax.vmap(lambda image: coarse.log_depth(image[None])[0])(images)
    np.testing.assert_allclose(mapped, both, atol=1e-5)

    weights = RNG.normal(size=both.shape).astype(np.float32)

    @jax.jit
    def total(images):
        return jnp.sum(weights * (coarse.log_depth(images) - both))

    gradient = jax.jit(jax.grad(total))(images)
    step = 4 * gradient / jnp.linalg.norm(gradient)  # grey levels
    numeric = np.float64(total(images + step) - total(images - step)) / 2
    assert numeric > 0
    np.testing.assert_allclose(np.sum(np.float64(gradient * step)), numeric, rtol=0.05)


def test_a_batch_divided_among_devices_is_the_same_batch(network):
    coarse = depthsi.Predictor(network, "coarse")
    images = jnp.asarray(RNG.integers(0, 256, (4, *coarse.sizes.input, 3)), jnp.float32)
    mesh = jax.make_mesh((4,), ("data",))
    split = NamedSharding(mesh, PartitionSpec("data"))

    @jax.jit
    def both(images):
        return coarse.log_depth(images), jax.grad(lambda x: jnp.sum(coarse.log_depth(x)))(images)

    whole, divided = both(images), both(jax.device_put(images, split))
    for each, expected in zip(divided, whole, strict=True):
        assert each.sharding.is_equivalent_to(split, each.ndim)
        assert {shard.data.shape[0] for shard in each.addressable_shards} == {1}
        np.testing.assert_allclose(each, expected, rtol=1e-4, atol=1e-6)


def test_an_output_or_checkpoint_that_is_not_there_is_refused(weights, network, tmp_path):
    with pytest.raises(depthsi.DepthsiError, match=r"'corse'.*coarse, fine"):
        depthsi.load(weights, output="corse")
    with pytest.raises(depthsi.DepthsiError, match="without checkpoints"):
        depthsi.load(weights, checkpoint="best")
    with pytest.raises(depthsi.DepthsiError, match="is not a run"):
        depthsi.load(tmp_path)


def test_parameters_of_another_network_are_refused(network):
    wider = depthsi.TrainedNetwork(TwoScaleConfig(width=0.02), network.params, ("coarse",), 1)
    with pytest.raises(depthsi.DepthsiError, match="do not fit"):
        depthsi.Predictor(wider)(photo())


CODE = """
import sys, json
import depthsi
predictor = depthsi.load(sys.argv[1])
predictor(sys.argv[2])
slow = ("tyro", "grain", "tensorflow_datasets", "orbax", "matplotlib", "optax")
print(json.dumps([name for name in slow if name in sys.modules]))
"""


def test_weights_are_read_without_slow_packages(weights, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(weights), str(tmp_path / "photo.jpg")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert json.loads(done.stdout) == []


def saved_photo(path, image):
    Image.fromarray(image).save(path)


def run_predict(*words):
    """Exit code of `depthsi predict`."""
    try:
        main(["predict", *map(str, words)])
    except SystemExit as stopped:
        return stopped.code
    return 0


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_bad_photo_is_named_and_the_others_are_predicted(weights, tmp_path, capsys, predictor):
    image = photo()
    for name in ("a", "b", "d"):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    (tmp_path / "c.jpg").write_bytes(b"not a photo")
    out = tmp_path / "out"
    assert run_predict(weights, tmp_path, "--out", out, "--save", "npy") == 1
    said = capsys.readouterr()
    assert said.err.count("c.jpg") == 1
    assert "1 of the photos" in said.err
    assert names(out) == ["a_depth.npy", "b_depth.npy", "d_depth.npy"]
    assert [line.split("/")[-1] for line in said.out.splitlines()] == names(out)
    np.testing.assert_allclose(np.load(out / "d_depth.npy"), predictor(image), rtol=1e-5)


def test_quiet_names_only_what_went_wrong(weights, tmp_path, capsys):
    for name in ("a", "b"):
        saved_photo(tmp_path / f"{name}.png", photo())
    (tmp_path / "c.jpg").write_bytes(b"not a photo")
    words = (weights, tmp_path, "--out", tmp_path, "--save", "npy", "--quiet")
    assert run_predict(*words) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 2
    assert "c.jpg is neither" in said.err
    words = (weights, tmp_path / "a.png", "--out", tmp_path, "--save", "npy", "--known", "1,1=2")
    assert run_predict(*words, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_each_kind_of_file_holds_the_depth(weights, tmp_path, predictor):
    image = photo()
    Image.fromarray(image).save(tmp_path / "a.png")
    kinds = "png16,npy,colour,panel,exr"
    assert run_predict(weights, tmp_path / "a.png", "--out", tmp_path, "--save", kinds) == 0
    depth = predictor(image)
    np.testing.assert_allclose(np.load(tmp_path / "a_depth.npy"), depth, rtol=1e-6)
    with Image.open(tmp_path / "a_depth.png") as png:
        np.testing.assert_allclose(np.asarray(png) / 1000, depth, atol=6e-4)
    from depthsi.data.formats.decoding import read_depth

    np.testing.assert_allclose(read_depth(tmp_path / "a_depth.exr"), depth, rtol=1e-6)
    with Image.open(tmp_path / "a_colour.png") as colour:
        assert colour.size == (80, 60)
    with Image.open(tmp_path / "a_panel.png") as panel:
        assert min(panel.size) > 150


def test_photos_become_points_in_space(weights, tmp_path, predictor):
    image = photo()
    Image.fromarray(image).save(tmp_path / "a.png")
    assert run_predict(weights, tmp_path / "a.png", "--out", tmp_path, "--save", "ply,viewer") == 0
    depth, focal = predictor(image), 518.8579 / 8  # of 60x80 pixels
    rows, cols = np.nonzero(np.isfinite(depth))
    z = depth[rows, cols].astype(np.float64)
    expected = np.stack([z * (cols - 39.5) / focal, z * (rows - 29.5) / focal, z], axis=1)
    layout = np.dtype([("position", "<f4", 3), ("colour", "u1", 3)])
    body = (tmp_path / "a_points.ply").read_bytes().partition(b"end_header\n")[2]
    points = np.frombuffer(body, layout)
    np.testing.assert_allclose(points["position"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(points["colour"], image[rows, cols])
    assert f"{len(rows)} points" in (tmp_path / "a_viewer.html").read_text("utf-8")


def test_folders_patterns_and_lists_name_photos(weights, tmp_path, monkeypatch, capsys):
    import io

    for name in ("a.png", "b.PNG"):
        Image.fromarray(photo()).save(tmp_path / name, "PNG")
    (tmp_path / "notes.txt").write_text("not a photo")
    out = tmp_path / "out"
    for words, stdin in (
        ([tmp_path], ""),
        ([f"{tmp_path}/*.[pP][nN][gG]"], ""),
        (["-"], f"{tmp_path}/a.png\n\n{tmp_path}/b.PNG\n"),
    ):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        assert run_predict(weights, *words, "--out", out, "--save", "npy") == 0
        assert names(out) == ["a_depth.npy", "b_depth.npy"]
        for path in out.iterdir():
            path.unlink()


def test_which_files_words_stand_for(tmp_path, monkeypatch):
    import io

    (tmp_path / "trip" / "day").mkdir(parents=True)
    for name in ("a.png", "b c.JPG", "day/d.png", "clip.mp4", "notes.txt"):
        (tmp_path / "trip" / name).touch()
    monkeypatch.chdir(tmp_path)
    stdin = "trip/b c.JPG\r\n\r\ntrip/day/d.png"  # as Windows ends lines
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    for words, expected in (
        (["-"], ["b c.JPG", "day/d.png"]),
        (["trip"], ["a.png", "b c.JPG"]),
        (["trip/*"], ["a.png", "b c.JPG", "clip.mp4", "notes.txt"]),  # but not the folder
        (["trip/**/*.png"], ["a.png", "day/d.png"]),
        (["trip/day", "trip/a.png"], ["day/d.png", "a.png"]),
    ):
        found = [path.relative_to("trip").as_posix() for path in named_files(words)]
        assert found == expected
    with pytest.raises(depthsi.DepthsiError, match="No file matches"):
        named_files(["tri?"])  # a folder alone


def test_kinds_add_up():
    assert PredictRequest(save=("npy", "png16, npy", "")).kinds() == ("npy", "png16")
    assert PredictRequest().kinds() == ()


def test_save_can_be_given_again(weights, tmp_path):
    saved_photo(tmp_path / "a.png", photo())
    words = (weights, tmp_path / "a.png", "--out", tmp_path / "out")
    assert run_predict(*words, "--save", "npy", "--save", "png16") == 0
    assert names(tmp_path / "out") == ["a_depth.npy", "a_depth.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name a photo"),
        (["{weights}"], "No photo was named"),
        (["a.jpg", "{weights}"], "The model comes first"),
        (["a.jpg", "b.jpg"], "a.jpg is neither a photo nor a model"),
        (["{weights}", "a.jpg", "--save", "npy,gif"], "'gif'"),
        (["{weights}", "a.jpg", "x/a.png"], "overwrite"),
        (["{weights}", "no*such"], "No file matches"),
        (["{weights}", "{folder}"], "holds no photos"),
    ],
)
def test_mistakes_are_said_in_a_sentence(weights, words, said, tmp_path, capsys):
    words = [word.format(weights=weights, folder=tmp_path) for word in words]
    assert run_predict(*words, "--out", tmp_path / "out") == 2
    assert said in capsys.readouterr().err
    assert names(tmp_path) == []


WRONG_WORDS = """
import numpy as np
import depthsi
predictor, image = depthsi.load(), np.zeros((9, 9, 3), np.uint8)
for wrong in (
    lambda: predictor(image, upsample="cubic"),
    lambda: predictor(image, camera="phone"),
    lambda: predictor.batch([image], camera="phone"),
    lambda: depthsi.write_network("net.safetensors", predictor.network, "float16"),
    lambda: depthsi.export(predictor, "net.safetensors", dtype="float16"),
):
    try:
        wrong()
    except depthsi.DepthsiError as error:
        print(error)
"""


def test_a_word_that_is_no_choice_is_refused(tmp_path):
    """In a process without the tests' checks of types."""
    done = subprocess.run(
        [sys.executable, "-c", WRONG_WORDS], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "upsample is 'cubic': choose one of nearest, bilinear, guided.",
        *["camera is 'phone': choose one of exif, training."] * 2,
        *["dtype is 'float16': choose one of float32, bfloat16."] * 2,
    ]
    assert not list(tmp_path.iterdir())
