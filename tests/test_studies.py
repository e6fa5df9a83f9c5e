"""The studies: each runs in its fast mode, and what they measure with is right."""

import dataclasses
import functools
import importlib
import json
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from depthsi.config import BerhuConfig, ScaleInvariantConfig, SilogConfig
from depthsi.config_kinds import KINDS
from depthsi.data.pipeline import InMemory
from depthsi.errors import DivergedError
from depthsi.metrics import ImageScores, image_terms
from depthsi.models import make_model
from depthsi.models.initialisers import initial_params
from depthsi.presets import from_scratch
from experiments.studies import colour, detail, lab, losses, probe, scale_share, scales

NAMES = (
    *("lam", "detail", "scale_share", "colour", "scales", "optimisers", "linear_space"),
    *("losses", "camera", "upsampling"),
)


def made_up(here, data, split):
    """Instead of rooms: images with a step in depth, which takes no renderer to be compiled."""
    rng = np.random.default_rng(len(split))
    rows, cols = np.mgrid[:240, :320] / 320
    tilt = rng.normal(size=(4, 2, 1, 1))
    depths = np.exp(1 + 0.3 * np.sin(4 * (tilt[:, 0] * rows + tilt[:, 1] * cols)) + (cols > 0.4))
    images = np.clip(40 * depths[..., None] + rng.normal(0, 9, (4, 240, 320, 3)), 0, 255)
    return InMemory(
        images.astype(np.uint8), depths.astype(np.float32), ("a_1", "a_2", "b_1", "b_2")
    )


@pytest.fixture(autouse=True)
def no_rooms(monkeypatch):
    monkeypatch.setattr(lab.Lab, "_read", made_up)


@functools.cache
def untrained(config):
    """The parameters every training begins with, of whatever stage."""
    image = jnp.zeros((1, *config.sizes.input, 3))
    return jax.jit(make_model(config).init)(jax.random.key(0), image)["params"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_study_runs_and_leaves_its_numbers_table_and_picture(name, tmp_path, monkeypatch):
    """On networks that are not trained: what a training is to a study is tested below."""
    module = importlib.import_module(f"experiments.studies.{name}")
    monkeypatch.setattr(lab, "train", lambda config, *_: untrained(config.model))
    options = lab.Options(fast=True, seeds=(0,), runs=str(tmp_path), out=str(tmp_path))
    result = module.study(options)
    saved = json.loads((tmp_path / f"{name}.json").read_text())
    assert saved == result
    numbers = list(leaves(saved["results"]))
    assert len(numbers) >= 5
    assert all(map(math.isfinite, numbers))
    assert saved["command"] == f"python -m experiments.studies.{name} --seeds 0 --fast"
    page = (tmp_path / f"{name}.md").read_text()
    assert page == lab.page(saved, module.report)
    assert page.count("\n| ") >= 3
    with Image.open(tmp_path / f"{name}.png") as picture:
        assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 10


def test_the_study_of_losses_has_every_loss_that_can_train():
    kinds = {settings.kind for settings in losses.LOSSES.values()}
    assert kinds == set(KINDS["loss"]) - {"custom"}
    assert len({repr(settings) for settings in losses.LOSSES.values()}) == len(losses.LOSSES)
    variants = {each.variant for each in losses.LOSSES.values() if isinstance(each, SilogConfig)}
    assert variants == {"bts", "adabins", "depth_anything"}


def test_trainings_that_diverge_are_counted_and_left_out(tmp_path, monkeypatch):
    """Of three seeds of one loss the last diverges, of another all."""

    def params(config):
        if config.loss.kind == "berhu" or config.seed == 2:
            raise DivergedError("not finite")
        return config.seed

    options = lab.Options(seeds=(0, 1, 2), runs=str(tmp_path))
    here = lab.Lab(options)
    monkeypatch.setattr(here, "params", params)
    monkeypatch.setattr(here, "pairs", lambda data, split: None)
    row = dict.fromkeys(losses.METRICS, 0.25) | {"rmse": math.inf}

    def scores(config, pairs, *, protocol):
        params(config)
        return SimpleNamespace(compute=lambda: row)

    monkeypatch.setattr(here, "scores", scores)
    mean = {how: {metric: [0.5] for metric in losses.METRICS} for how in losses.ALIGNMENTS}
    monkeypatch.setattr(losses, "_mean_predictor", lambda lab, data: mean)
    monkeypatch.setattr(
        losses, "LOSSES", {"a": ScaleInvariantConfig(), "b": BerhuConfig(), "c": SilogConfig()}
    )
    found = losses.measure(here)
    names = list(found["rooms"])
    assert names[1:] == ["a (1 of 3 diverged)", "b (3 of 3 diverged)", "c (1 of 3 diverged)"]
    assert found["rooms"][names[1]]["none"]["d1"] == [0.25, 0.25]
    json.dumps(found, allow_nan=False)
    page = losses.report(found)
    seeds = "0.250 [0.250, 0.250]"
    row = f"{seeds} | {seeds} | - | {seeds} | {seeds}"
    assert f"| a (1 of 3 diverged) | {row} |" in page
    assert "| b (3 of 3 diverged) | - | - | - | - | - |" in page
    losses.draw(found, tmp_path / "losses.png")


@pytest.mark.slow
def test_the_mean_predictor_of_the_study_of_losses():
    """Against the mean of log depth written out, inside the crop."""
    here = lab.Lab(lab.Options(fast=True))
    _, depths = made_up(here, None, "train").read(slice(0, 4))
    _, truths = made_up(here, None, "test").read(slice(0, 4))
    mean = np.exp(np.mean(np.log(depths, dtype=np.float64), axis=0))[10:230, 12:308]
    expected = np.mean([np.mean(np.abs(mean - true) / true) for true in truths[:, 10:230, 12:308]])
    by_alignment = losses._mean_predictor(here, "rooms")
    found = by_alignment["none"]
    assert found["abs_rel"] == [pytest.approx(expected, rel=1e-5)]
    aligned = by_alignment["log_mean"]
    assert aligned["rmse_log"][0] == pytest.approx(found["rmse_log_si"][0], rel=1e-5)


def test_the_command_names_the_data_as_seen_from_here(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    options = lab.Options(root=str(tmp_path / "pairs"), seeds=(0, 1, 2), runs=str(tmp_path))
    expected = "python -m experiments.studies.lam --root ../pairs --seeds 0 1 2"
    assert lab.command("lam", options) == expected


def leaves(found):
    """All numbers of nested dictionaries and lists."""
    if isinstance(found, dict | list):
        for each in found.values() if isinstance(found, dict) else found:
            yield from leaves(each)
    elif isinstance(found, int | float):
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_page_is_of_the_committed_numbers(name):
    file = lab.STUDIES / f"{name}.json"
    if not file.exists():
        pytest.skip("not measured yet")
    saved = json.loads(file.read_text())
    assert not saved["settings"]["fast"]
    page = lab.page(saved, importlib.import_module(f"experiments.studies.{name}").report)
    assert page == file.with_suffix(".md").read_text()
    assert file.with_suffix(".png").exists()


@pytest.mark.slow
def test_a_training_is_found_again_and_another_setting_is_another(tmp_path):
    """The second time nothing is trained: the kept parameters are the same to the bit."""
    here = lab.Lab(lab.Options(fast=True, seeds=(0,), runs=str(tmp_path)))
    config = here.config("rooms", 0)
    first = here.params(config)
    (run,) = directories = set(tmp_path.iterdir())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2]
    again = lab.Lab(here.options).params(config)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert set(tmp_path.iterdir()) == directories
    other = here.config("rooms", 1)
    assert other != config
    assert dataclasses.replace(config, seed=1) == other


def test_the_sharpness_of_a_map_is_that_of_its_slopes():
    """Against plain loops; a flat map has none, and where it is not valid nothing counts."""
    rng = np.random.default_rng(0)
    maps, valid = rng.normal(size=(2, 5, 6)), rng.random((2, 5, 6)) < 0.7
    others, expected = rng.normal(size=(2, 5, 6)), []
    for one, two, known in zip(maps, others, valid, strict=True):
        products = []
        for i in range(5):
            for j in range(6):
                for other in ((i + 1, j), (i, j + 1)):
                    if other[0] < 5 and other[1] < 6 and known[i, j] and known[other]:
                        products.append((one[other] - one[i, j]) * (two[other] - two[i, j]))
        expected.append(np.mean(products))
    found = detail.slopes(np.where(valid, maps, 1e6), np.where(valid, others, -1e6), valid)
    np.testing.assert_allclose(found, expected)
    flat = np.ones((1, 4, 4))
    assert np.all(detail.slopes(flat, flat, np.ones((1, 4, 4), bool)) == 0)


@pytest.mark.slow
def test_the_detail_of_maps_that_are_the_truth_but_half_as_steep(monkeypatch):
    here = lab.Lab(lab.Options(fast=True))
    config = here.config("rooms", 0)
    pairs = made_up(here, None, "test")
    images, depths = pairs.read(slice(0, 4))
    cells = np.asarray(detail.centre(images, depths, config.model.sizes).log_depth)
    monkeypatch.setattr(here, "params", lambda config: None)
    monkeypatch.setattr(here, "predict", lambda *_: lambda image: np.exp(1 - cells / 2))
    found = detail.detail(here, config, pairs, "coarse")
    assert found["sharpness"] == pytest.approx(0.5, rel=1e-4)
    assert found["slope_match"] == pytest.approx(-1, rel=1e-4)  # steep in the wrong direction


@pytest.mark.slow
def test_the_share_of_one_scale_by_kind_of_room():
    """Images that are off by a factor alone, beside others without any common factor."""
    true = np.full((20, 2, 2), 2.0, np.float32)
    predicted = true.copy()
    predicted[:10] *= 1.3
    predicted[10:, 0] *= 1.1
    predicted[10:, 1] /= 1.1
    scores = ImageScores.from_terms([image_terms(predicted, true)])
    kinds = scale_share.kinds_of(("den_01",) * 10 + ("hall_2",) * 10, 20)
    found = scale_share.shares(scores, kinds)
    assert found["den"] == pytest.approx(1, abs=1e-5)
    assert found["hall"] == pytest.approx(0, abs=1e-5)
    whole = math.log(1.3) ** 2 / (math.log(1.3) ** 2 + math.log(1.1) ** 2)
    assert found["all"] == pytest.approx(whole, rel=1e-5)
    assert scale_share.kinds_of(("3", "4"), 2) == ("", "")
    assert set(scale_share.shares(scores, ("rare",) * 3 + ("",) * 17)) == {"all"}


def test_tints_go_one_way_for_each_picture():
    grey = np.full((200, 8, 8, 3), 100, np.uint8)
    np.testing.assert_array_equal(colour.tinted(grey, 0.0), grey)
    weak, strong = (colour.tinted(grey, t)[:, 0, 0].astype(np.float64) - 100 for t in (0.2, 0.4))
    np.testing.assert_allclose(np.abs(weak).max(axis=1), 20)
    np.testing.assert_allclose(strong, 2 * weak, atol=1.6)  # two roundings
    clear = weak[np.all(np.abs(weak) > 1, axis=1)]
    assert np.unique(np.sign(clear), axis=0).shape[0] == 8
    assert colour.tinted(np.full((40, 8, 8, 3), 250, np.uint8), 0.4).max() == 255
    images, which = colour.half_tinted(grey, 0.4)
    np.testing.assert_array_equal(which, np.any(images != grey, axis=(1, 2, 3)))
    assert which.sum() == 100


def test_a_probe_finds_what_is_linear_and_nothing_else():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(400, 10)) + 3, rng.random(400) < 0.5
    noise = probe.probe_accuracy((features[:200], labels[:200]), (features[200:], labels[200:]))
    assert 0.35 < noise < 0.65
    features[:, 4] += 2.0 * labels
    features[:, 7] = 5  # a constant
    found = probe.probe_accuracy((features[:200], labels[:200]), (features[200:], labels[200:]))
    assert 0.75 < found < 0.95


@pytest.mark.slow
def test_fc6_is_what_the_map_is_made_of():
    """fc7 written out on the captured features gives the network's map."""
    config = from_scratch(width=0.02)
    images = np.random.default_rng(0).integers(0, 256, (2, 240, 320, 3), np.uint8)
    middle = jnp.float32(images[:, 6:234, 8:312])
    model = make_model(config)
    params = initial_params(model, jax.random.key(0), middle)
    fc7 = params["coarse"]["fc7"]
    found = probe.fc6_features(config, params, images)
    maps = config.log_std * (found @ np.float64(fc7["kernel"]) + np.float64(fc7["bias"]))
    expected = jax.jit(lambda p, x: model.apply({"params": p}, x, output="coarse"))(params, middle)
    np.testing.assert_allclose(maps.reshape(2, 55, 74), expected, rtol=1e-4)


@pytest.mark.parametrize("zoom", [1.0, 1.5, 3.0])
def test_an_enlarged_picture_shows_its_middle_nearer(zoom):
    """Images and depths that say which pixel they are."""
    rows, cols = np.mgrid[:240, :320].astype(np.float32)
    images = np.stack([rows, cols / 2, 0 * rows], axis=-1).astype(np.uint8)[None]
    depths = (1 + 1000 * rows + cols)[None]
    picture, depth = scales.zoomed_pictures(images, zoom)[0], scales.zoomed_depths(depths, zoom)[0]
    y, x = (np.arange(n) - (n - 1) / 2 for n in (240, 320))
    expected_rows, expected_cols = y / zoom + 119.5, x / zoom + 159.5
    shown = depth * zoom - 1
    np.testing.assert_allclose(
        shown // 1000, np.broadcast_to(expected_rows[:, None], shown.shape), atol=0.51
    )
    np.testing.assert_allclose(shown % 1000, np.broadcast_to(expected_cols, shown.shape), atol=0.55)
    inside = np.s_[8:-8, 8:-8]
    np.testing.assert_allclose(
        picture[..., 0][inside],
        np.broadcast_to(expected_rows[:, None], shown.shape)[inside],
        atol=1.1,
    )


def test_a_change_of_samples_leaves_the_others_alone():
    images, depths = np.zeros((3, 4, 5, 3), np.uint8), np.ones((3, 4, 5), np.float32)
    pairs = InMemory(images, depths, ("a", "b", "c"))
    found = lab.changed(pairs, lambda x: x + 1, lambda d: 2 * d)
    assert (found.images.max(), found.depths.max(), found.scenes) == (1, 2, ("a", "b", "c"))
    assert (images.max(), depths.max()) == (0, 1)
