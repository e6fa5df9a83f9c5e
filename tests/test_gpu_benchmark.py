"""The benchmark of one accelerator: what is measured when, what a second start leaves alone."""

import json
import math

import pytest

from depthsi.errors import DepthsiError
from experiments.benchmarks import gpu, gpu_parts
from experiments.benchmarks.gpu import Arguments

TINY = {"width": 0.05, "batches": (4,), "per_call": (1,), "paper_batch": 4, "samples": 8}


def test_the_first_two_calls_do_not_count_and_three_do():
    calls = []
    assert gpu_parts.timed(lambda: calls.append(0), seconds=0.0) >= 0
    assert len(calls) == 5


def test_a_second_start_measures_what_is_missing(tmp_path, monkeypatch, capsys):
    measured = []

    def cell(name, *, fails=False):
        def measure():
            measured.append(name)
            if fails:
                raise MemoryError("out of memory\nand more")
            return {"images_per_second": 10.0, "seconds_per_step": 0.2}

        return measure

    made = {"a": cell("a"), "b": cell("b", fails=True)}
    monkeypatch.setattr(gpu, "cells", lambda part, arguments: made)
    arguments = Arguments(parts=("steps",), out=str(tmp_path / "gpu"))
    gpu.main(arguments)
    assert "| b | MemoryError: out of memory | |" in (tmp_path / "gpu.md").read_text()
    made |= {"b": cell("b"), "c": cell("c")}
    gpu.main(arguments)
    assert measured == ["a", "b", "b", "c"]
    assert "| a | 10 | 200.00 |" in (tmp_path / "gpu.md").read_text()
    assert list(json.loads((tmp_path / "gpu.json").read_text())["parts"]["steps"]) == [*"abc"]

    gpu.main(Arguments(parts=("steps",), out=str(tmp_path / "gpu"), width=0.5))  # another command
    assert measured[4:] == [*"abc"]
    capsys.readouterr()
    gpu.main(Arguments(parts=("steps",), out=str(tmp_path / "other"), minutes=-1))
    assert "-1 minutes are up; run the same command to continue" in capsys.readouterr().out
    assert len(measured) == 7


def test_the_cells_of_the_parts():
    arguments = Arguments()
    steps = gpu.cells("steps", arguments)
    assert len(steps) == 3 * 3 * (3 * 2 + 1)
    assert steps["fine, 256, tf32, 50"] == gpu_parts.Steps("fine", 1.0, 256, "tf32", 50)
    assert steps["unet, 1024, torch.compile"] == gpu_parts.TorchSteps("unet", 1.0, 1024)
    stages = gpu.cells("paper", Arguments(samples=1_600_000))
    assert [(stage.samples, stage.whole) for stage in stages.values()] == [
        (1_600_000, 2_000_000),
        (1_500_000, 1_500_000),
    ]
    assert set(gpu.cells("profile", arguments)) == {"coarse", "fine"}


def test_a_trace_that_is_not_there(tmp_path):
    with pytest.raises(DepthsiError, match="no trace"):
        gpu_parts.operations(tmp_path)


@pytest.mark.slow
def test_every_part_measures(tmp_path):
    """For real, on this machine's CPU."""
    arguments = Arguments(
        networks=("fine",), precisions=("bfloat16",), frames=1, out=str(tmp_path / "gpu"), **TINY
    )
    gpu.main(arguments)
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    (step,) = parts["steps"].values()
    assert step["images_per_second"] == pytest.approx(4 / step["seconds_per_step"])
    loss = parts["loss"]["loss"]
    assert loss["bytes"] >= 13 * 480 * 640  # reads two maps and the mask, writes the gradient
    assert loss["share"] == pytest.approx(loss["bytes"] / loss["seconds"] / loss["copy"])
    for stage, cell in parts["paper"].items():
        assert cell["samples"] == 8
        assert cell["whole_seconds"] == pytest.approx(
            gpu.PAPER_SAMPLES[stage] * cell["seconds"] / 8
        )
        assert math.isfinite(cell["loss"])
    for cell in parts["profile"].values():
        shares = list(cell["shares"].values())
        assert shares == sorted(shares, reverse=True)
        assert 0.5 < sum(shares) <= 1 + 1e-9
    text = (tmp_path / "gpu.md").read_text()
    assert text.count("## ") == 4
    assert "Error" not in text
