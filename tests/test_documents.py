"""Every command and snippet of README, docs and --help runs, on made-up data."""

import ast
import contextlib
import dataclasses
import importlib.util
import inspect
import io
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from pictures import saved, smooth_picture, write_pairs
from test_nyu_labeled import write_mat, write_splits

from depthsi.cli import main
from depthsi.presets import PRESETS
from depthsi.training.processes.cluster import Cluster

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "docs" / "guides").glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("gcloud", "pip", "python3", "python", "pre-commit")  # not run here
# so that a training takes two steps of each stage
SMALL = "--model.width 0.01 --schedule.batch-size 4 --schedule.coarse-samples 4"
SMALL += " --schedule.fine-samples 4 --optim.warmup 0"
STANDS_FOR = {"DIR": "runs/next", "PHOTO": "photo.jpg"}  # in printed lines
PYAV = importlib.util.find_spec("av") is not None  # of the extra video
FEW_ROOMS = "--data.train 4 --data.val 2 --data.test 2"


def blocks(page, language):
    return [code for found, code in FENCE.findall(page.read_text()) if found == language]


def commands(page):
    """Each command of a page's shell blocks, also those joined by &&, as written there."""
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = [word.removeprefix(".venv/bin/") for word in shlex.split(line, comments=True)]
            while words:
                end = words.index("&&") if "&&" in words else len(words)
                yield words[:end]
                words = words[end + 1 :]


def shortened(words):
    """The same command, such that it takes seconds: small networks, few rooms, dry launches."""
    verb = words[1]
    if verb == "launch":
        at = words.index("--") if "--" in words else len(words)
        return [*words[:at], "--dry-run", *words[at:]] if at < len(words) else words
    if verb == "demo":  # which would serve until it is stopped
        return [*words, "--help"]
    if verb not in ("train", "config") or {"--help", "--resume"} & set(words):
        return words
    if "--cluster.coordinator" in words:  # the other processes are not there to be waited for
        at = words.index("--cluster.coordinator")
        options = dict(zip(words[at::2], words[at + 1 :: 2], strict=True))
        fields = {field.name for field in dataclasses.fields(Cluster)}
        assert {name.removeprefix("--cluster.") for name in options} <= fields
        return [*words[:at], "--dry-run"]
    redirected = words[words.index(">") :] if ">" in words else []
    plain = words[: len(words) - len(redirected)]
    if "--model.width" in plain:
        at = plain.index("--model.width")
        del plain[at : at + 2]
    rooms = not {"nyu", "kitti"} & set(plain[2:3])
    small = SMALL.split()[0 if "--model.kind" not in plain else 2 :]  # other kinds have no width
    return [*plain, *small, *(FEW_ROOMS.split() if rooms else ()), *redirected]


def run(words):
    """What a command prints; its exit code must be 0."""
    if ">" in words:
        Path(words[-1]).write_text(run(words[: words.index(">")]))
        return ""
    assert words[0] == "depthsi"
    stopped: SystemExit | None = None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            main(words[1:])
        except SystemExit as raised:
            stopped = raised
    assert stopped is None or not stopped.code, f"{shlex.join(words)} ended with {stopped.code}"
    return printed.getvalue()


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A directory with what the pages speak of: photos, pairs, maps, published data."""
    monkeypatch.chdir(tmp_path)
    image, depth = smooth_picture(240, 320), np.full((240, 320), 2.5)
    depth[:, ::2] = 3.5
    pairs = [(split, image, depth) for split in ("train",) * 4 + ("val", "test", "test")]
    for folder in ("path/to/folder", "FOLDER"):
        write_pairs(Path(folder), pairs)
    (tmp_path / "trip").mkdir()
    for photo in ("photo.jpg", "trip/1.jpg", "trip/2.jpg"):
        saved(tmp_path / photo, image)
    if PYAV:
        write_clip(tmp_path / "clip.mp4", [image] * 2)
    (tmp_path / "maps").mkdir()
    for number in (5, 6):  # of the split test
        np.save(tmp_path / "maps" / f"{number}.npy", depth.astype(np.float32))
    write_splits(tmp_path / "splits.mat", (1, 2, 4, 5), (3,))
    write_mat(tmp_path / "nyu_depth_v2_labeled.mat")
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_runs_in_its_order(page):
    said = [
        run(shortened(words))
        for words in commands(page)
        if words[0] not in ELSEWHERE and (PYAV or "clip.mp4" not in words)
    ]
    follow(said)


def follow(said):
    """Runs the lines that printed text names as the next ones."""
    for line in re.findall(r"Next: (depthsi .*)", "\n".join(said)):
        words = [STANDS_FOR.get(word, word) for word in shlex.split(line)]
        run(shortened(words))


@pytest.mark.slow
@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("preset", PRESETS)
def test_the_commands_of_a_preset_run(preset):
    lines = re.findall(r"Command: +(.*)", inspect.getdoc(PRESETS[preset]) or "")
    assert lines
    said = [
        run(shortened(words)) for line in lines for words in map(shlex.split, line.split(" && "))
    ]
    follow(said)


def test_every_page_has_only_known_programs_and_extras():
    extras = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )
    for page in PAGES:
        for words in commands(page):
            assert words[0] in ("depthsi", *ELSEWHERE), words
            for word in words:
                if found := re.fullmatch(r"\.\[(.*)\]", word):
                    assert set(found[1].split(",")) <= extras, words


TRAINING = ("library.md", "ten_tasks.md")  # pages whose snippets train


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in TRAINING else [])
        for page in PAGES
    ],
)
def test_every_snippet_of_python_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), names)


def test_the_statements_of_the_ten_tasks_are_counted_right():
    page = ROOT / "docs" / "ten_tasks.md"
    rows = re.findall(r"^\| (\d+)\. [^|]* \| (\d+) / (\d+) \|", page.read_text(), re.MULTILINE)
    _, *snippets = blocks(page, "python")
    counted = []
    for number, code in enumerate(snippets, start=1):
        statements = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.stmt)]
        imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
        counted.append((str(number), str(len(statements)), str(len(imports))))
    assert rows == counted
    assert len(rows) == 10
