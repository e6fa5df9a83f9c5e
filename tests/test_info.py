"""`depthsi info` on data: what it prints, writes and refuses."""

import json

import numpy as np
import pytest
from pictures import INDEX_HEADER, counts, saved, smooth_picture, write_index
from PIL import Image
from test_cli import refusal

import depthsi
from depthsi.cli import main
from depthsi.config import Config
from depthsi.models.settings import TwoScaleConfig
from depthsi.runs import RunDirectory


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pairs"
    root.mkdir()
    rows = []
    for i in range(6):
        size = (24, 64) if i == 5 else (24, 32)
        saved(root / f"{i}.jpg", smooth_picture(*size))
        saved(root / f"{i}.png", counts(*size, seed=i))
        rows.append((f"{i}.jpg", f"{i}.png", "train" if i < 4 else "test", 1000, f"s{i // 2}"))
    return write_index(root, rows, (*INDEX_HEADER, "scene"))


@pytest.mark.slow
def test_info_of_a_folder(folder, tmp_path, capsys):
    out, numbers = tmp_path / "out", tmp_path / "n.json"
    main(["info", str(folder), "--out", str(out), "--json", str(numbers)])
    printed = capsys.readouterr().out
    for words in (
        "4 train, 2 test",
        "train: 4 samples",
        "4 of 24x32",
        "1 of 24x32, 1 of 24x64",
        "scenes 2",
        "scenes 1",
        "valid 100.00%",
        "log depth mean",
        "█",
    ):
        assert words in " ".join(printed.split())
    found = json.loads(numbers.read_text())
    assert list(found) == ["train", "test"]
    depth = np.concatenate([counts(24, 32, i).ravel() / 1000 for i in range(4)])
    assert found["train"]["log_depth_mean"] == pytest.approx(np.log(depth).mean(), rel=1e-6)
    assert found["train"]["depth_quantiles"]["0.5"] == pytest.approx(np.median(depth), rel=5e-3)
    assert found["train"]["bad"] == {}
    for name in ("contact_sheet.png", "histogram.png"):
        with Image.open(out / name) as image:
            assert min(image.size) > 200
            assert np.asarray(image.convert("RGB")).std() > 10


def test_limit_is_spread_evenly(folder, tmp_path):
    numbers = tmp_path / "n.json"
    main(["info", str(folder), "--limit", "2", "--json", str(numbers)])
    found = json.loads(numbers.read_text())
    ends = np.concatenate([counts(24, 32, i).ravel() / 1000 for i in (0, 3)])
    assert found["train"]["samples"] == 2
    assert found["train"]["log_depth_mean"] == pytest.approx(np.log(ends).mean(), rel=1e-6)


def test_numbers_alone_are_printed(folder, tmp_path, capsys):
    main(["info", str(folder), "--json", "-"])
    assert json.loads(capsys.readouterr().out)["train"]["samples"] == 4
    main(["info", "--json", "-"])
    assert json.loads(capsys.readouterr().out)["depthsi"] == depthsi.__version__
    RunDirectory(tmp_path / "run").create(Config(model=TwoScaleConfig(width=0.01)))
    main(["info", str(tmp_path / "run"), "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    assert (found["step"], found["stages"][-1]["end"]) == (0, found["steps"])
    assert found["parameters"]["coarse/fc7"] > 55 * 74


def test_bad_samples_are_counted_and_named(folder, tmp_path, capsys):
    (folder / "1.jpg").write_bytes(b"damaged")
    numbers = tmp_path / "n.json"
    main(["info", str(folder), "--json", str(numbers)])
    printed = capsys.readouterr().out
    assert "train: 3 samples" in printed
    assert "1 of 4 samples cannot be used" in printed
    found = json.loads(numbers.read_text())["train"]
    assert list(found["bad"]) == ["1.jpg"]
    for i in (4, 5):
        (folder / f"{i}.jpg").write_bytes(b"damaged")
    assert "Split 'test': 2 of 2 samples cannot be used" in refusal(capsys, "info", folder)


@pytest.mark.slow
def test_info_of_rooms(tmp_path, capsys):
    main(["info", "rooms", "--limit", "1", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "rooms: 1 train, 1 val, 1 test" in printed
    assert (tmp_path / "contact_sheet.png").exists()


@pytest.mark.filterwarnings("default::depthsi.errors.DepthsiWarning")
def test_info_by_pattern_says_what_unit_was_assumed(folder, capsys):
    (folder / "index.csv").unlink()
    pattern = "{name}.jpg -> {name}.png"
    # Uniform counts are like no camera's, so the guess is refused and the unit must be given.
    assert "give the units per metre" in refusal(capsys, "info", folder, "--pattern", pattern)
    main(["info", str(folder), "--pattern", pattern, "--units-per-metre", "1000"])
    assert "6 all" in capsys.readouterr().out
    for i in range(6):
        rows, cols = np.mgrid[:24, : 64 if i == 5 else 32]
        saved(folder / f"{i}.png", (1500 + 60 * rows + 20 * cols).astype(np.uint16))
    main(["info", str(folder), "--pattern", pattern])
    printed = capsys.readouterr()
    assert printed.err.startswith("depthsi: The unit of ")
    assert printed.err.count("assuming 1000 per metre") == 1
    assert "Warning" not in printed.err
    for i in range(6):
        for kind in ("jpg", "png"):
            (folder / f"{i}.{kind}").rename(folder / f"{'train' if i else 'test'}-{i}.{kind}")
    main(["info", str(folder), "--pattern", "{split}-{name}.jpg -> {split}-{name}.png"])
    printed = capsys.readouterr()
    assert "5 train, 1 test" in printed.out
    assert printed.err.count("assuming 1000 per metre") == 1


@pytest.mark.slow
def test_info_of_prepared_data(tmp_path, capsys):
    from prepared_pictures import data_set

    from depthsi.data.prepared.prepare import prepare

    prepare(data_set({"train": 4, "test": 2}), tmp_path, report=lambda *_: None)
    main(["info", str(tmp_path)])
    assert "4 train, 2 test" in capsys.readouterr().out


def test_what_is_neither_run_nor_data_is_refused(tmp_path, capsys):
    assert "is not a directory: give a run" in refusal(capsys, "info", tmp_path / "nowhere")
    assert "index.csv does not exist; write it" in refusal(capsys, "info", tmp_path)
    assert "limit is -1" in refusal(capsys, "info", "rooms", "--limit", "-1")
