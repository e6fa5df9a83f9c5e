"""The networks that come with the package: found by name, described, and usable like any other."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from made_up_networks import made_up_network
from PIL import Image

import depthsi
from depthsi.cli import main
from depthsi.config import InitConfig
from depthsi.errors import DepthsiError
from depthsi.metrics import PAPER_METRICS
from depthsi.scale import stored_interval
from depthsi.training.checkpoints.start_from_run import check_init, read_weights
from depthsi.weights import shipped
from experiments.script import RESULTS
from experiments.weights import make

ABOUT = {
    "trained_on": "nothing",
    "licence": "free",
    "seed": 3,
    "metrics": {"data": "three images", "d1": 0.5, "abs_rel": 0.25, "rmse": 1.0, "rmse_log": 0.3},
}


@pytest.fixture(scope="module")
def network():
    return made_up_network(step=7)


@pytest.fixture
def folder(network, tmp_path, monkeypatch):
    """Networks named "unet_nyu" and "other" instead of those of the package."""
    folder = tmp_path / "package"
    for name in ("unet_nyu", "other"):
        make.ship(network, folder / f"{name}.safetensors", ABOUT)
    monkeypatch.setattr(shipped, "FOLDER", folder)
    monkeypatch.setattr("depthsi.commands.models.FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.usefixtures("folder")
def test_names(tmp_path):
    assert shipped.shipped_names() == ("unet_nyu", "other")
    assert shipped.shipped_network("other").about == ABOUT
    with pytest.raises(DepthsiError, match="no model 'unet'; choose one of unet_nyu, other"):
        shipped.shipped_network("unet")
    assert shipped.named_file("nothing") == shipped.Path("nothing")
    assert shipped.named_file("./other") == shipped.FOLDER / "other.safetensors"
    (tmp_path / "other").mkdir()  # what the user has goes first
    assert shipped.named_file("other") == shipped.Path("other")


@pytest.mark.usefixtures("folder")
def test_loading_by_name(network):
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    rounded = jax.tree.map(lambda x: x.astype("bfloat16").astype(np.float32), network.params)
    expected = depthsi.Predictor(dataclasses.replace(network, params=rounded))(image)
    for predictor in (depthsi.load(), depthsi.load("other")):
        np.testing.assert_array_equal(predictor(image), expected)
    with pytest.raises(DepthsiError, match="without checkpoints"):
        depthsi.load("other", checkpoint="best")


@pytest.mark.usefixtures("folder")
def test_training_begins_with_a_network_by_name_or_file(network, folder):
    for name in ("other", str(folder / "other.safetensors")):
        check_init(InitConfig(weights=name))
        weights, step = read_weights(name)
        assert step == 7
        kernel = np.asarray(network.params["unet"]["down0"]["conv1"]["kernel"])
        np.testing.assert_allclose(weights["unet/down0/conv1/kernel"], kernel, rtol=2**-8)
    with pytest.raises(DepthsiError, match="nor one of unet_nyu, other"):
        check_init(InitConfig(weights="othr"))
    (folder / "other.safetensors").write_bytes(b"broken")
    with pytest.raises(DepthsiError, match=r"other\.safetensors"):
        check_init(InitConfig(weights="other"))


@pytest.mark.usefixtures("folder")
def test_the_list_and_the_description(capsys):
    main(["models"])
    head, first, second, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["name", "network"]
    assert first.split() == [
        "unet_nyu",
        "unet",
        "nothing",
        "0.500",
        "0.250",
        "1.000",
        "0.300",
        "3.9",
    ]
    assert second.split()[0] == "other"
    main(["models", "other"])
    text = capsys.readouterr().out
    assert "licence      free" in text
    assert "metrics      data three images, d1 0.500" in text
    assert "size='small'" in text
    with pytest.raises(SystemExit):
        main(["models", "othr"])
    assert "There is no model 'othr'" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", [["a.png"], ["other", "a.png"], ["photos"], ["*.png"]])
def test_a_photo_alone_is_enough(tmp_path, words):
    Image.fromarray(np.zeros((228, 304, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((228, 304, 3), np.uint8)).save(tmp_path / "photos" / "a.png")
    main(["predict", *words, "--save", "npy"])
    assert np.isfinite(np.load(tmp_path / "out" / "a_depth.npy")).any()


def test_the_networks_of_the_package():
    """What is installed: complete descriptions, within the limits of size, and finite depth."""
    names, bytes_of = shipped.shipped_names(), {}
    assert set(names) == set(make.RECIPES)
    assert names[0] == shipped.DEFAULT
    for name in names:
        about = shipped.shipped_network(name).about
        assert set(about) >= {"trained_on", "licence", "made_by", "commit", "seed", "metrics"}
        assert about["trained_on"] == make.RECIPES[name].trained_on
        assert set(make.METRICS) < set(about["metrics"])
        assert stored_interval(about, shipped.shipped_network(name).outputs[-1]) is not None
        if (units := make.RECIPES[name].fc6_units) is not None:
            assert vars(shipped.shipped_network(name).settings)["fc6_units"] == units
        bytes_of[name] = (shipped.FOLDER / f"{name}.safetensors").stat().st_size
    assert max(bytes_of.values()) <= 5e6
    assert sum(bytes_of.values()) <= 12e6


@pytest.mark.parametrize("name", make.RECIPES)
def test_the_file_is_of_the_checkpoint_that_was_chosen(name, tmp_path, monkeypatch):
    """On val for the networks of pairs; the training on rooms never sees val."""
    recipe, asked = make.RECIPES[name], []
    monkeypatch.setattr(make.nyu_row, "main", lambda settings: asked.append(settings))

    def trained(path, checkpoint):
        asked.append((path, checkpoint))
        raise DepthsiError("enough")

    monkeypatch.setattr(make, "trained_network", trained)
    with pytest.raises(DepthsiError, match="enough"):
        make.main(make.Arguments(name=name, root="pairs", run=str(tmp_path)))
    settings, (path, checkpoint) = asked
    assert settings == dataclasses.replace(recipe.settings, root="pairs", run=str(tmp_path))
    chosen = ("nyu", "best") if name.endswith("_nyu") else ("rooms_again", "newest")
    assert (path.relative_to(tmp_path).as_posix(), checkpoint) == chosen


@pytest.mark.parametrize(
    ("kind", "best", "most"), [("unet", "unet", 1e-3), ("two_scale", "coarse + fine", 1.25e-3)]
)
def test_a_file_is_next_to_as_good_as_its_row_on_the_test_images(kind, best, most):
    """Of bfloat16 instead of float32, and two_scale without 50 units of fc6; RMSE in metres."""
    row = json.loads((RESULTS / f"nyu_{kind}.json").read_text())["runs"][0]["results"]
    file = json.loads((RESULTS / f"weights_{kind}_nyu.json").read_text())["results"]
    for network in (best, f"{best} with flips"):
        for how in ("image", "pixel"):
            for name in PAPER_METRICS:
                assert file[network][how][name] == pytest.approx(row[network][how][name], abs=most)


def test_prediction_by_name_imports_little(tmp_path):
    """Neither Orbax, Grain, TFDS nor the command line's parser."""
    code = (
        "import sys, numpy as np, depthsi\n"
        "depth = depthsi.load()(np.zeros((228, 304, 3), np.uint8))\n"
        "assert np.isfinite(depth).any()\n"
        "print([m for m in ('orbax', 'grain', 'tensorflow_datasets', 'tyro', 'matplotlib')"
        " if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"DEPTHSI_CACHE": "off"},
        check=True,
    )
    assert done.stdout.strip() == "[]"
