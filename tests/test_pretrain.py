"""Pre-training as a classifier: images, crops, and a run from images to coarse convolutions."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from comparison_network import random_params
from PIL import Image

from depthsi.compilation import jit
from depthsi.errors import DepthsiError
from depthsi.presets import from_scratch
from depthsi.training.checkpoints.start_from_caffe import read_coarse_convs
from depthsi.training.state import State

SCRIPT = Path(__file__).parents[1] / "experiments" / "pretrain_classifier.py"


@pytest.fixture(scope="module")
def pretrain():
    spec = importlib.util.spec_from_file_location("pretrain_classifier", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes, reddish and bluish, in images of two sizes."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3)):
        for name, colour in (("blue", (60, 90, 200)), ("red", (200, 90, 60))):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                size = (80, 120, 3) if i % 2 else (100, 70, 3)
                image = (rng.normal(0, 20, size) + colour).clip(0, 255).astype(np.uint8)
                Image.fromarray(image).save(root / split / name / f"{i}.png")
    return root


def test_folders_name_the_classes(pretrain, folder, tmp_path):
    pictures = pretrain.Folder(folder / "train")
    assert (len(pictures), pictures.classes) == (12, 2)
    image, label = pictures[7]
    assert label == 1
    assert image.shape == (80, 120, 3)
    assert image[..., 0].mean() > image[..., 2].mean()
    (tmp_path / "only").mkdir()
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(DepthsiError, match="two or more folders, with images in each"):
            pretrain.Folder(directory)


def test_data_sets_of_tfds(pretrain):
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(num_examples=5):
        coloured = pretrain.Tfds("imagenet2012", "nowhere", "train")
        grey = pretrain.Tfds("mnist", "nowhere", "test")
    assert (len(coloured), coloured.classes, grey.classes) == (5, 1000, 10)
    images, labels = pretrain.Squares(coloured).read(np.array([3, 0]))
    assert (images.shape, images.dtype, labels.dtype) == ((2, 256, 256, 3), np.uint8, np.int32)
    assert labels.tolist() == [coloured[3][1], coloured[0][1]]
    image, _ = grey[0]
    assert image.shape == (28, 28, 3)
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_squares_are_the_middle(pretrain):
    columns = np.arange(512, dtype=np.float64)
    image = np.broadcast_to(columns[None, :, None] / 2, (256, 512, 3)).astype(np.uint8)
    np.testing.assert_array_equal(pretrain.square(image), image[:, 128:384])
    tall = pretrain.square(image.transpose(1, 0, 2)[::2, ::2])  # 256 x 128
    assert tall.shape == (256, 256, 3)
    np.testing.assert_allclose(tall[:, 100, 0], 64 + np.arange(256) / 2, atol=1)


@pytest.mark.slow
def test_crops_are_windows_of_the_square_mirrored_half_of_the_time(pretrain):
    rows, cols = np.indices((256, 256))
    image = np.stack([rows, cols, 0 * rows], axis=-1).astype(np.uint8)
    crops = np.asarray(pretrain.random_crops(jax.random.key(0), jnp.asarray([image] * 200)))
    top, left = crops[:, 0, 0, 0], crops[:, 0, :, 1].min(axis=1)
    assert (top.min(), top.max()) == (left.min(), left.max()) == (0, 32)
    for crop, i, j in zip(crops[:20], top[:20].astype(int), left[:20].astype(int), strict=True):
        window = image[i : i + 224, j : j + 224]
        if crop[0, 0, 1] > crop[0, 1, 1]:
            window = window[:, ::-1]
        np.testing.assert_array_equal(crop, window)
    mirrored = np.mean(crops[:, 0, 0, 1] > crops[:, 0, 1, 1])
    assert 0.4 < mirrored < 0.6


@pytest.fixture(scope="module")
def finished(pretrain, folder, tmp_path_factory):
    """The arguments of a run of three steps."""
    out = tmp_path_factory.mktemp("out")
    return pretrain.Arguments(
        "folder",
        str(folder),
        str(out / "convs.safetensors"),
        str(out / "run"),
        epochs=1,
        batch_size=4,
        full=16,
        save_every=1,
        learning_rate=0.003,
    )


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_in_the_same_bits(pretrain, folder, finished):
    pictures = pretrain.Folder(folder / "train")
    _, whole = pretrain.train(finished, pictures)
    shutil.rmtree(Path(finished.run) / "checkpoints" / "3")  # as if it had stopped after step 2
    _, continued = pretrain.train(finished, pictures)
    assert int(continued.step) == 3
    jax.tree.map(np.testing.assert_array_equal, continued.params, whole.params)


@pytest.mark.slow
def test_the_file_gives_the_coarse_network_the_classifiers_convolutions(
    pretrain, folder, finished, capsys
):
    pretrain.main(finished)  # the run is there: only the file and the errors are left to do
    printed = capsys.readouterr().out
    assert re.search(r"convs.safetensors: top-1 error \d+.\d %, top-5 error 0.0 %", printed)
    _, state = pretrain.train(finished, pretrain.Folder(folder / "train"))
    read = read_coarse_convs(finished.out, from_scratch())
    assert len(read) == 10
    for path, array in read.items():
        _, layer, kind = path.split("/")
        np.testing.assert_allclose(array, state.params[layer][kind], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_step_teaches_the_classes(pretrain, folder):
    """A narrow network, the same images in every step."""
    images, labels = pretrain.Squares(pretrain.Folder(folder / "train")).read(
        np.array([0, 1, 6, 7])
    )
    model = pretrain.Classifier(from_scratch(width=0.1, dropout=0.2), 2, full=32)
    optimizer = optax.adam(2e-3)
    params = random_params(model, (224, 224))
    state = State(jnp.int32(0), params, optimizer.init(params), jax.random.key(1))
    step = jit(pretrain.make_step(model, optimizer))
    losses = []
    for _ in range(20):
        state, loss = step(state, images, labels)
        losses.append(float(loss))
    assert np.mean(losses[-4:]) < 0.3 * np.mean(losses[:2])


def test_the_shares_of_errors(pretrain, monkeypatch):
    """Logits that rank the classes 6, 5, ... 0 for every image."""

    class Ranks:
        def __init__(self, *_):
            pass

        def apply(self, variables, crops):
            return jnp.broadcast_to(jnp.arange(7.0), (len(crops), 7))

    monkeypatch.setattr(pretrain, "Classifier", Ranks)

    class Pictures:
        classes = 7

        def __len__(self):
            return 7

        def __getitem__(self, i):
            return np.zeros((8, 8, 3), np.uint8), i

    arguments = pretrain.Arguments("folder", "", "", batch_size=4)
    top1, top5 = pretrain.errors(arguments, {}, Pictures())
    assert (top1, top5) == (6 / 7, 2 / 7)


def test_another_kind_of_file_is_refused_at_once(pretrain, folder):
    with pytest.raises(DepthsiError, match=r"must end in .safetensors"):
        pretrain.main(pretrain.Arguments("folder", str(folder), "convs.pkl"))
