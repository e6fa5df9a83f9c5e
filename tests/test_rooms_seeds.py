"""The quick start over seeds: means, margins, and what is refused."""

import copy
import json

import pytest

from depthsi.config_json import config_from_dict
from depthsi.errors import DepthsiError
from depthsi.presets import rooms
from experiments.rooms_seeds import Arguments, main
from experiments.script import RESULTS


@pytest.fixture
def runs(tmp_path):
    """Two evaluated runs; the SI of the second is a tenth lower."""
    first = json.loads((RESULTS / "rooms.json").read_text())
    second = copy.deepcopy(first)
    second["run"]["seed"] = first["run"]["seed"] + 1
    second["results"]["coarse + fine"]["image"]["rmse_log_si"] *= 0.9
    made = []
    for number, evaluation in enumerate((first, second)):
        run = tmp_path / str(number)
        run.mkdir()
        (run / "evaluation.json").write_text(json.dumps(evaluation))
        made.append(str(run))
    return first, tuple(made)


def test_mean_and_margin_over_seeds(runs, tmp_path):
    first, paths = runs
    main(Arguments(paths, str(tmp_path / "out")))
    result = json.loads((tmp_path / "out.json").read_text())
    si = [first["results"][row]["image"]["rmse_log_si"] for row in ("coarse + fine", "constant")]
    mean = first["results"]["mean predictor"]["image"]["rmse_log_si"]
    found = result["rows"]["coarse + fine"]["image"]
    assert found["mean"]["rmse_log_si"] == pytest.approx(0.95 * si[0])
    assert found["least"]["rmse_log_si"] == pytest.approx(0.9 * si[0])
    assert result["rows"]["constant"]["image"]["greatest"]["rmse_log_si"] == pytest.approx(si[1])
    expected = [1 - si[0] / mean, 1 - 0.9 * si[0] / mean]
    assert result["margins"] == pytest.approx(expected)
    page = (tmp_path / "out.md").read_text()
    assert f"is {50 * sum(expected):.1f} % below" in page.replace("\n", " ")
    assert f"least {100 * expected[0]:.1f} %, greatest {100 * expected[1]:.1f} %" in page


def test_the_same_seed_twice_is_refused(runs):
    with pytest.raises(DepthsiError, match="each once"):
        main(Arguments((runs[1][0], runs[1][0])))


def test_a_run_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(DepthsiError, match="run `depthsi evaluate"):
        main(Arguments((str(tmp_path),)))


def test_the_committed_runs_have_the_settings_of_the_preset():
    result = json.loads((RESULTS / "rooms_seeds.json").read_text())
    single = json.loads((RESULTS / "rooms.json").read_text())
    for each in (result["run"], single["run"]):
        assert config_from_dict({**each, "seed": 0}) == rooms()
