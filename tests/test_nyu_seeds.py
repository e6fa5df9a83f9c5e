"""The row over seeds: its numbers, what it refuses, and which of the paper's numbers it passes."""

import json
from pathlib import Path

import pytest

from depthsi.errors import DepthsiError
from depthsi.metrics import PAPER_METRICS
from experiments.nyu_row import seeds
from experiments.nyu_row.seeds import Arguments, main, paper_row, passed
from experiments.script import RESULTS


@pytest.fixture
def whole():
    """What is in the evaluation of a run apart from its numbers."""
    result = json.loads((RESULTS / "nyu_unet.json").read_text())
    first = result["runs"][0]
    kept = {key: result[key] for key in ("protocol", "split", "images")}
    return kept | {"run": first["run"], "step": first["step"]}


@pytest.fixture
def runs(whole, tmp_path, monkeypatch):
    """Three runs that were evaluated; metric i of seed s is i + s / 8, pooled twice that."""
    monkeypatch.setattr(seeds, "RESULTS", tmp_path)
    made = []
    for seed in range(3):
        image = {name: i + seed / 8 for i, name in enumerate(PAPER_METRICS)}
        pixel = {name: 2 * value for name, value in image.items()}
        numbers = {"image": image, "pixel": pixel, "pixels": 9}
        for how in ("image", "pixel"):
            ends = {name: [value - 1, value + 1] for name, value in numbers[how].items()}
            numbers[f"{how}_intervals"] = ends
        whole["run"]["seed"] = seed
        whole["results"] = {"unet": numbers, "constant": numbers}
        run = tmp_path / f"try{seed}" / "nyu"
        (run / "test").mkdir(parents=True)
        (run / "test" / "evaluation.json").write_text(json.dumps(whole))
        starts = [
            {"command": "python -m a --stopped", "seconds": {"rooms": 60.0}},
            {"command": f"python -m a --seed {seed}", "seconds": {"rooms": 30.0, "nyu": 120.0}},
        ]
        (run.parent / "row.json").write_text(json.dumps({"starts": starts}))
        made.append(str(run))
    return tuple(made)


def change(path, **fields):
    file = f"{path}/test/evaluation.json"
    with open(file) as opened:
        found = json.load(opened)
    found["run"] |= fields.pop("run", {})
    with open(file, "w") as opened:
        json.dump(found | fields, opened)


def test_mean_least_and_greatest(runs, tmp_path, capsys):
    main(Arguments("row", runs))
    result = json.loads((tmp_path / "row.json").read_text())
    for i, name in enumerate(PAPER_METRICS):
        for how, factor in (("image", 1), ("pixel", 2)):
            values = result["rows"]["unet"][how]
            assert [values[which][name] for which in ("least", "mean", "greatest")] == [
                factor * i,
                factor * (i + 0.125),
                factor * (i + 0.25),
            ]
    assert [run["run"]["seed"] for run in result["runs"]] == [0, 1, 2]
    text = (tmp_path / "row.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert "0.125 [0.000, 0.250]" in text  # d1, mean over images
    assert "0.250 [0.000, 0.500]" in text  # pooled
    assert "- unet: 2 of 8 numbers of the paper's row passed: d<1.25^2, d<1.25^3." in text
    assert "- constant" not in text  # not a network
    _, seed_0 = text.split("## Seed 0, pooled over pixels")
    assert "0.000 [-1.000, 1.000]" in seed_0
    assert result["runs"][1]["trained_by"]["seconds"] == {"rooms": 90.0, "nyu": 120.0}
    assert "- Seed 1: `python -m a --seed 1`; minutes: rooms 2, nyu 2." in text


def test_best_steps_and_folders_of_links_may_differ(runs, whole, tmp_path):
    step = whole["step"]
    change(runs[1], step=7)
    change(runs[2], run={"data": whole["run"]["data"] | {"root": "elsewhere"}})
    main(Arguments("row", runs))
    assert f"steps {step}, 7, {step}." in (tmp_path / "row.md").read_text()
    change(runs[2], run={"data": whole["run"]["data"] | {"min_depth": 1.0}})
    with pytest.raises(DepthsiError, match="in its settings data"):
        main(Arguments("row", runs))


def test_the_paper_is_passed_where_the_better_of_its_rows_is():
    paper = paper_row()
    assert [paper[name] for name in ("d1", "d3", "abs_rel", "rmse", "rmse_log_si")] == [
        0.618,  # Coarse
        0.971,  # Coarse+Fine
        0.215,
        0.871,
        0.219,
    ]
    assert passed(paper, paper) == list(PAPER_METRICS)
    assert passed({**paper, "d1": 0.6174, "rmse": 0.8716}, paper) == [
        name for name in PAPER_METRICS if name not in ("d1", "rmse")
    ]
    assert "d1" in passed({**paper, "d1": 0.6176}, paper)  # 0.618 as printed


def test_what_is_not_comparable_is_refused(runs, tmp_path):
    with pytest.raises(DepthsiError, match="the seeds are 0, 0; each once"):
        main(Arguments("row", (runs[0], runs[0])))
    with pytest.raises(DepthsiError, match="with --test"):
        main(Arguments("row", (*runs, str(tmp_path / "missing"))))
    Path(runs[2]).parent.joinpath("row.json").rename(tmp_path / "moved.json")
    with pytest.raises(DepthsiError, match=r"try2.row\.json cannot be read"):
        main(Arguments("row", runs))
    change(runs[1], images=7)
    with pytest.raises(DepthsiError, match=f"{runs[1]} differs from {runs[0]} in its images"):
        main(Arguments("row", runs))
    change(runs[2], run={"augment": {}})
    with pytest.raises(DepthsiError, match="in its settings augment"):
        main(Arguments("row", (runs[0], runs[2])))
    assert not (tmp_path / "row.json").exists()
