"""Colours of predicted maps: the map and limits that were chosen, one scale for many photos."""

import weakref

import numpy as np
import pytest
from PIL import Image
from test_predictor import names, network, photo, predictor, run_predict, saved_photo, weights

from depthsi.photos import as_rgb
from depthsi.predictor import Predictor
from depthsi.viz.depth_maps import colour_depth, depth_limits

__all__ = ["network", "predictor", "weights"]  # fixtures


@pytest.fixture
def trip(tmp_path):
    """A folder of photos, of which one is none."""
    folder = tmp_path / "trip"
    folder.mkdir()
    for index, (darkest, lightest) in enumerate(((60, 180), (20, 120), (100, 250), (70, 90))):
        image = darkest + (lightest - darkest) * (photo() / 255)
        saved_photo(folder / f"{index}.png", image.astype(np.uint8))
    (folder / "bad.jpg").write_bytes(b"not a photo")
    return folder


def opened(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_chosen_colours_are_used(weights, tmp_path, predictor):
    image = photo()
    saved_photo(tmp_path / "a.png", image)
    words = (weights, tmp_path / "a.png", "--out", tmp_path, "--save", "npy,colour")
    depth = predictor(image)
    assert run_predict(*words) == 0
    np.testing.assert_array_equal(opened(tmp_path / "a_colour.png"), colour_depth(depth))
    chosen = ("--limits", "0.5", "12", "--colour-map", "magma_r")
    assert run_predict(*words, *chosen) == 0
    expected = colour_depth(depth, limits=(0.5, 12), cmap="magma_r")
    np.testing.assert_array_equal(opened(tmp_path / "a_colour.png"), expected)
    assert run_predict(*words, "--limits", "shared") == 0
    np.testing.assert_array_equal(opened(tmp_path / "a_colour.png"), colour_depth(depth))


def test_a_panel_has_the_chosen_colours(weights, tmp_path, predictor):
    saved_photo(tmp_path / "a.png", photo())
    words = (weights, tmp_path / "a.png", "--out", tmp_path, "--save", "panel")
    assert run_predict(*words, "--limits", "100", "200", "--colour-map", "gray") == 0
    panel = opened(tmp_path / "a_panel.png")[..., :3].astype(int)
    # everything is nearer than 100 m: black; of turbo the first colour is dark red
    middle = panel[panel.shape[0] // 2, int(0.7 * panel.shape[1])]
    np.testing.assert_array_equal(middle, 0)


def by_brightness(_, images, **options):
    """Stands for a network whose maps span more than one of random numbers does."""
    for each in images:
        yield as_rgb(each)[..., 0].astype(np.float32) / 40


def test_photos_of_one_command_share_a_scale(weights, trip, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Predictor, "stream", by_brightness)
    words = (weights, trip, "--out", tmp_path / "out", "--save", "colour", "--limits", "shared")
    assert run_predict(*words) == 1
    said = capsys.readouterr().err
    assert said.count("bad.jpg") == said.count("is unknown") == 1
    maps = list(by_brightness(None, [trip / f"{index}.png" for index in range(4)]))
    limits = depth_limits(*maps)
    for one in map(depth_limits, maps):  # that of any single map would be seen
        assert max(abs(np.log(np.divide(one, limits)))) > 0.5
    for index, depth in enumerate(maps):
        found = opened(tmp_path / "out" / f"{index}_colour.png")
        np.testing.assert_array_equal(found, colour_depth(depth, limits=limits))


def test_no_map_is_kept_for_a_shared_scale(weights, tmp_path, monkeypatch):
    folder = tmp_path / "trip"
    folder.mkdir()
    for index in range(12):
        saved_photo(folder / f"{index}.png", photo(228, 304))
    alive, most, stream = set(), [], Predictor.stream

    class Map(np.ndarray):
        """Whose end is noticed."""

    def watched(self, images, **options):
        for number, depth in enumerate(stream(self, images, **options)):
            seen = depth.view(Map)
            alive.add(number)
            weakref.finalize(seen, alive.discard, number)
            most.append(len(alive))
            yield seen
            del seen, depth

    monkeypatch.setattr(Predictor, "stream", watched)
    monkeypatch.setattr("depthsi.commands.predict.save_depth", lambda *_: [])
    words = (weights, folder, "--out", tmp_path / "out", "--save", "colour", "--limits", "shared")
    assert run_predict(*words, "--focal", "259.43") == 0
    assert len(most) == 24
    assert max(most) <= 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--limits", "3", "2"), "--limits 3 2: the first must be positive and the second larger"),
        (("--limits", "0", "2"), "--limits 0 2"),
        (
            ("--colour-map", "virids"),
            "There is no colour map 'virids': choose another, such as viridis",
        ),
    ],
)
def test_colours_that_cannot_be_are_refused(weights, trip, tmp_path, capsys, words, said):
    assert run_predict(weights, trip, "--out", tmp_path / "out", *words) == 2
    assert said in capsys.readouterr().err
    assert names(tmp_path) == ["trip"]
