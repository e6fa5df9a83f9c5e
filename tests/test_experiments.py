"""What the scripts of the experiments share, and that each of them can be started."""

import dataclasses
import importlib
import json
import re
import signal
from pathlib import Path

import pytest

from depthsi.errors import DepthsiError, StoppedError
from experiments.script import (
    RESULTS,
    command_line,
    made_by,
    named_without_place,
    run_script,
    write_result,
)

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
MODULES = sorted(
    ".".join(file.relative_to(EXPERIMENTS.parent).with_suffix("").parts)
    for file in EXPERIMENTS.rglob("*.py")
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    devices: tuple[int, ...] = (1, 2)
    width: float = 0.5
    name_of: str = ""
    fast: bool = False
    out: str = "somewhere"

    def __post_init__(self):
        if self.width < 0:
            raise DepthsiError("width is negative.")


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported(module):
    """As `python -m` does, from the root of a clone."""
    if module.endswith(("benchmarks.data", "opencv_loader", "peers_torch", "peers_pair")):
        pytest.importorskip("torch")
    importlib.import_module(module)


def test_every_result_is_in_a_table():
    """And every link of the tables leads somewhere."""
    linked = set()
    for page in (
        EXPERIMENTS / folder / "README.md" for folder in ("", "benchmarks", "studies", "weights")
    ):
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        linked |= {(page.parent / link).resolve() for link in links}
    assert not [link for link in linked if not link.exists()]
    assert not set(RESULTS.rglob("*.md")) - linked


def test_the_command_of_a_result():
    assert command_line("a.b", Arguments()) == (
        "python -m experiments.a.b --devices 1 2 --width 0.5"
    )
    changed = Arguments(width=0.25, name_of="a name", fast=True, out="elsewhere")
    assert command_line("a.b", changed, defaults=False) == (
        "python -m experiments.a.b --width 0.25 --name-of 'a name' --fast"
    )
    assert command_line("c", changed, leave_out=("fast",), defaults=False) == (
        "python -m experiments.c --width 0.25 --name-of 'a name' --out elsewhere"
    )


def test_a_result_and_its_page(tmp_path):
    machine = {"processor": "2 x P", "devices": "cpu cpu", "jax": "1", "python": "3"}
    result = {"command": "python -m x", "machine": machine}
    page = made_by(result, "seed 3")
    assert page == "`python -m x`, seed 3, 2 x P, devices: cpu cpu, jax 1, Python 3."
    assert made_by(result) == page.replace("seed 3, ", "")
    write_result(str(tmp_path / "new" / "v1.5"), result, page)
    assert json.loads((tmp_path / "new" / "v1.5.json").read_text()) == result
    assert (tmp_path / "new" / "v1.5.md").read_text() == page


def test_where_data_and_weights_lie_is_not_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = {
        "data": {"kind": "folder", "root": "/home/me/pairs"},
        "init": {"weights": str(tmp_path / "runs" / "rooms"), "caffe": ""},
        "seed": 0,
    }
    assert named_without_place(folder) == {
        "data": {"kind": "folder", "root": "pairs"},
        "init": {"weights": "runs/rooms", "caffe": ""},
        "seed": 0,
    }
    assert folder["data"]["root"] == "/home/me/pairs"
    for weights in ("", "unet_rooms", "runs/rooms"):
        rooms = {"data": {"kind": "rooms"}, "init": {"weights": weights}, "seed": 0}
        assert named_without_place(rooms) == rooms


def test_a_script_ends_in_one_sentence(monkeypatch, capsys):
    def main(arguments):
        if arguments.fast:
            raise StoppedError(7, signal.SIGTERM)
        raise DepthsiError(f"width is {arguments.width}.")

    monkeypatch.setattr("sys.argv", ["script", "--width", "3"])
    with pytest.raises(SystemExit) as stopped:
        run_script(main, Arguments, "A script.")
    assert (stopped.value.code, capsys.readouterr().err) == (2, "error: width is 3.0.\n")

    monkeypatch.setattr("sys.argv", ["script", "--width", "-1"])
    with pytest.raises(SystemExit) as stopped:
        run_script(main, Arguments, "A script.")
    assert (stopped.value.code, capsys.readouterr().err) == (2, "error: width is negative.\n")

    monkeypatch.setattr("sys.argv", ["script", "--fast"])
    with pytest.raises(SystemExit) as stopped:
        run_script(main, Arguments, "A script.")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err == (
        "Stopped by SIGTERM after step 7, which is saved. The same command continues.\n"
    )
