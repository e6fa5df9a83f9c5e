"""The notebooks run, in a fast mode, and the executed copies in the tree are copies of them.

After changing a script, run in `notebooks/`, with depthsi installed:
`jupytext --to ipynb NAME.py && jupyter execute --inplace NAME.ipynb`.
"""

import os
import re
from pathlib import Path

import jupytext
import nbclient
import nbformat
import pytest
from ipykernel.kernelspec import write_kernel_spec

import depthsi

SCRIPTS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
MEGABYTE = 1_000_000

notebooks = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def executed_copy(script):
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4)


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel of this interpreter that imports this depthsi, with all its files in tmp_path."""
    write_kernel_spec(str(tmp_path / "jupyter" / "kernels" / "python3"))
    imports = [str(Path(depthsi.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, imports)))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # unset, jupyter_core warns
    monkeypatch.setenv("DEPTHSI_FAST", "1")
    return "python3"


def test_there_are_notebooks():
    names = {script.stem for script in SCRIPTS}
    assert names >= {"loss_forms", "own_data", "data_and_augmentation", "explore_a_run"}


@pytest.mark.slow
@notebooks
def test_script_runs(script, kernel, tmp_path):
    notebook = jupytext.read(script)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name=kernel, resources=place).execute()
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.slow
@notebooks
def test_executed_copy_has_the_cells_of_the_script(script):
    expected = [(cell.cell_type, cell.source) for cell in jupytext.read(script).cells]
    assert [(cell.cell_type, cell.source) for cell in executed_copy(script).cells] == expected


@notebooks
def test_executed_copy_was_run_in_order_without_errors(script):
    copy = executed_copy(script)
    cells = code_cells(copy)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for output in outputs(copy)}
    assert "stream" in kinds
    assert "display_data" in kinds  # images
    assert "error" not in kinds
    assert "stderr" not in {output.get("name") for output in outputs(copy)}


@notebooks
def test_executed_copy_is_small_and_names_no_machine(script):
    text = script.with_suffix(".ipynb").read_text()
    assert len(text) < 2.5 * MEGABYTE
    copy = nbformat.reads(text, as_version=4)
    words = [output.get("text", "") for output in outputs(copy)]
    words += [str(output.get("data", {}).get("text/plain", "")) for output in outputs(copy)]
    # paths, and addresses of objects: both differ from machine to machine
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|usr|Users|work)/|0x[0-9a-f]{8}", str(words))
