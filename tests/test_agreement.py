"""Processes that were started with different settings, data or packages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from killed_runs import cluster

from depthsi.config_json import to_dict
from depthsi.errors import DepthsiError
from depthsi.presets import PRESETS
from depthsi.training.processes import agreement
from depthsi.training.processes.agreement import check_agreement, fingerprint

SETTINGS = {"seed": 0, "data": {"root": "pictures"}, "schedule": {"batch_size": 4}}


class Pictures(list):
    """A source as far as this is concerned: a number of samples, and their names."""

    @property
    def names(self):
        return tuple(self)


def fields(changes=(), names=("a.png", "b.png"), version="1.0"):
    settings = SETTINGS | dict(changes)
    return fingerprint(settings, {"train": Pictures(names), "val": [1, 2, 3]}, {"depthsi": version})


def test_the_fields_are_versions_then_settings_then_data():
    listed = fields()
    assert list(listed) == [
        "the version of depthsi",
        "seed",
        "data.root",
        "schedule.batch_size",
        "the number of samples in split 'train'",
        "the names of the samples in split 'train' (SHA-256)",
        "the number of samples in split 'val'",
        "the names of the samples in split 'val' (SHA-256)",
    ]
    assert listed["data.root"] == "'pictures'"
    assert listed["schedule.batch_size"] == "4"
    assert listed["the number of samples in split 'val'"] == "3"


def test_names_count_with_their_order_and_borders():
    digests = {
        fields(names=names)["the names of the samples in split 'train' (SHA-256)"]
        for names in [("a", "b"), ("b", "a"), ("ab", ""), ("a, b", ""), ()]
    }
    assert len(digests) == 5


def test_every_section_of_a_config_is_compared():
    config = to_dict(PRESETS["tiny"]())
    compared = fingerprint(config, {}, {})
    assert {name.partition(".")[0] for name in compared} == set(config)
    assert "compute.precision" in compared
    assert "compute.hang_minutes" not in compared


def test_one_process_agrees_with_itself():
    check_agreement(fields())


def meeting(monkeypatch, *processes):
    """Lets a process see the fields of these, of which it is one."""
    texts = [json.dumps(each) for each in processes]
    monkeypatch.setattr(agreement, "gather_texts", lambda text: texts)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"changes": {"schedule": {"batch_size": 8}}}, "schedule.batch_size = 8, process 0 with 4"),
        (
            {"version": "1.1", "changes": {"seed": 1}},
            "the version of depthsi = 1.1, process 0 with 1.0",
        ),
        ({"changes": {"init": "weights"}}, "init = 'weights', process 0 with nothing"),
        (
            {"names": ("a.png",)},
            "the number of samples in split 'train' = 1, process 0 with 2",
        ),
    ],
)
def test_the_first_difference_is_named(other, sentence, monkeypatch):
    meeting(monkeypatch, fields(), fields(), fields(**other), fields({"seed": 5}))
    with pytest.raises(DepthsiError) as refused:
        check_agreement({})
    assert str(refused.value) == (
        f"Process 2 was started with {sentence}: start all processes with the same settings, data"
        " and packages."
    )


def test_a_difference_at_the_end_of_long_values_is_seen(monkeypatch):
    roots = ["/storage/" + 30 * "folder/" + name + 20 * "/more" for name in ("one", "two")]
    meeting(monkeypatch, *(fields({"data": {"root": root}}) for root in roots))
    with pytest.raises(
        DepthsiError, match=r"= \.\.\.[^ ]*two.*\.\.\., process 0 with .*/one"
    ) as it:
        check_agreement({})
    assert len(str(it.value)) < 400


def test_the_same_fields_agree(monkeypatch):
    meeting(monkeypatch, fields(), fields())
    check_agreement({})


PROGRAM = """
import json, sys
from depthsi.training.processes.agreement import check_agreement
from depthsi.training.processes.cluster import Cluster, join_cluster
address, number, *rounds = sys.argv[1:]
with join_cluster(Cluster(address, 2, int(number), timeout=60)):
    for fields in rounds:
        check_agreement(json.loads(fields))
        print("agreed", flush=True)
"""


@pytest.mark.slow
def test_both_processes_end_with_the_same_sentence():
    """After a round in which they agree; the texts are of different lengths, and not all ASCII."""
    address = cluster(2)[0][1]
    rounds = [
        [fields(), fields({"data": {"root": "Möbel"}})],
        [fields(), fields({"data": {"root": 500 * "Möbel/"}})],
    ]
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "2",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address, str(i), *map(json.dumps, each)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i, each in enumerate(rounds)
    ]
    for process in pair:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 2, errors
        assert out.count("agreed\n") == 1
        (said,) = [line for line in errors.splitlines() if line.startswith("depthsi: ")]
        assert said.startswith("depthsi: Process 1 was started with data.root = 'Möbel/Möbel/")
        assert "process 0 with 'Möbel': start all processes" in said
        assert "Traceback" not in errors
