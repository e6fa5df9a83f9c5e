"""The predicted steps on many chips: their bytes are those of compiled programs."""

import json

import pytest

from experiments.benchmarks import scale_model
from experiments.benchmarks.exchanges import Exchange
from experiments.benchmarks.scale_model import Arguments, predict, report, rows, sent_bytes
from experiments.script import RESULTS

PROGRAMS = json.loads((RESULTS / "compile_tpu.json").read_text())["rows"]


@pytest.mark.parametrize(
    ("topology", "devices", "split"),
    [
        ("2x2", 4, 1),
        ("2x2", 4, 2),
        ("4x4", 16, 1),
        ("4x4", 16, 4),
        ("16x16", 256, 1),
        ("16x16", 256, 16),
    ],
)
def test_bytes_are_those_of_the_compiled_programs(topology, devices, split):
    layers = f"split in {split}" if split > 1 else "copies"
    program = PROGRAMS[f"v5e:{topology} | coarse | {layers} | 32"]
    compiled = sum(Exchange(**each).sent for each in program["exchanges"])
    inside, outside = sent_bytes(devices, split, 32)
    assert inside == pytest.approx(compiled, rel=0.01)
    assert outside == 0


def test_pods_sum_what_a_chip_holds_of_the_sum():
    """By hand for copies: a 256th of the gradients, to 3 of 4 pods and back."""
    inside, outside = sent_bytes(1024, 1, 32)
    assert inside == sent_bytes(256, 1, 32)[0]
    gradients = inside / 2 * 256 / 255
    assert outside == pytest.approx(gradients / 256 * 2 * 3 / 4)


def test_times_by_hand():
    alone = predict(1, 1, 32, 197e12)
    assert alone["sent"] == 0
    held = (3_747_200 + 50_335_744 + 16_674_790) * 20 / 819e9
    assert alone["step"] == [pytest.approx(1e3 * (1 + held))] * 2
    measured = predict(256, 16, 32, 197e12, once=50.0)
    assert measured["own"] == 50
    assert measured["sent"] == pytest.approx(85.6e6 / 200e9 * 1e3, rel=1e-3)
    assert measured["step"] == [50, 50 + measured["sent"]]
    assert measured["images_per_second"][1] == pytest.approx(256 * 32 / 0.050)


def test_a_slow_chip_scales_better():
    """Exchanges then matter less, and measured times replace what splitting saves."""
    fast, slow = (rows(32, 270e9, once)[-2]["efficiency"][0] for once in (1.0, 30.0))
    assert fast < slow <= 1


def test_the_committed_table_is_what_the_script_writes(tmp_path, capsys):
    scale_model.main(Arguments(out=str(tmp_path / "model")))
    assert "Written" in capsys.readouterr().out
    for suffix in ("json", "md"):
        written = (tmp_path / f"model.{suffix}").read_text()
        assert written == (RESULTS / f"scale_model.{suffix}").read_text()
    scale_model.main(Arguments(images=4, milliseconds=12.0, out=str(tmp_path / "measured")))
    found = json.loads((tmp_path / "measured.json").read_text())
    assert {row["own"] for row in found["rows"]} == {12.0}
    assert "measured on one chip" in report(found)
