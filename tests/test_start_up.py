"""The benchmark of start-up: seconds are counted once, and its page says what was measured."""

import json

import pytest

from experiments.benchmarks import start_up
from experiments.benchmarks.start_up_watch import covered, parts


def test_what_intervals_cover_is_counted_once():
    assert covered([]) == 0
    assert covered([(5, 6), (0, 2), (1, 3), (1, 2)]) == 4


def test_a_part_inside_another_counts_as_the_inner_one():
    intervals = {
        "import": [(0.0, 4.0)],  # imports a module that compiles while it is imported
        "trace": [(3.0, 6.0), (4.0, 5.0)],  # a trace inside a trace
        "lower": [],
        "compile": [(3.5, 4.5), (7.0, 9.0)],
    }
    found = parts(intervals, 12.0)
    assert found == {"compile": 3.0, "lower": 0.0, "trace": 2.0, "import": 3.0, "rest": 4.0}


def test_a_verb_is_timed_and_watched(tmp_path):
    seconds, said = start_up.run(["--version"], tmp_path, watch=False)
    assert 0 < seconds < 60
    assert said.startswith("depthsi ")
    _, said = start_up.run(["--version"], tmp_path, watch=True)
    found = json.loads(said.splitlines()[-1])
    assert set(found) == set(start_up.PARTS)
    assert found["import"] > 0
    assert found["compile"] == 0


def test_a_verb_that_fails_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="depthsi nonsense failed"):
        start_up.run(["nonsense"], tmp_path, watch=False)


def test_all_verbs_take_turns_with_a_cache_of_their_round(monkeypatch):
    calls = []

    def run(words, place, *, watch):
        assert (place / "photo.png").exists()
        assert len(list((place / "pairs").glob("*.png"))) == 16
        calls.append((place, words[0], watch))
        return float(len(calls)), json.dumps(dict.fromkeys(start_up.PARTS, 0.5))

    monkeypatch.setattr(start_up, "run", run)
    found = start_up.measure(2, {"models": "models", "--help": "--help"})
    assert [call[1:] for call in calls[:4]] == [
        ("models", False),
        ("models", False),
        ("models", True),
        ("--help", False),
    ]
    assert calls[0][0] == calls[5][0] != calls[6][0]
    assert found["models"]["first"] == [1, 7]
    machine = {"processor": "a", "devices": "b", "jax": "c", "python": "d"}
    page = start_up.table({"command": "x", "machine": machine, "rounds": 2, "verbs": found})
    assert "| models | 1.00 | 2.00 | 0.50 | 0.50 | 0.50 | 0.50 | 0.50 |" in page
