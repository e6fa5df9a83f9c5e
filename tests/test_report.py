"""The page of a report: what is on it, what is missing, and what names of strangers cannot do."""

import dataclasses
import json
import os
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from report_runs import Page, made_analysis, made_run, small_config

import depthsi
from depthsi.cli import main
from depthsi.config import CustomConfig, CustomData, Folder, Rooms
from depthsi.errors import DepthsiError
from depthsi.evaluation.tables import COLUMNS
from depthsi.report import write
from depthsi.report.analysis import analyse
from depthsi.report.collect import collect
from depthsi.report.evaluation_file import read_evaluation
from depthsi.report.markup import Html, image_uri, join, tag
from depthsi.report.page import PAPER, page
from depthsi.weights.network_file import TrainedNetwork, write_network

GOOD = {"coarse": 1.3, "coarse + fine": 1.2, "oracle scale": 1.0, "mean predictor": 2.0}
HOSTILE = "<script>alert(1)"
KNOWN_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "section", "h1", "h2"),
    *("h3", "p", "a", "ul", "li", "b", "span", "figure", "figcaption", "div", "svg", "g", "line"),
    *("polyline", "circle", "rect", "text", "image", "table", "thead", "tbody", "tr", "th", "td"),
    *("small", "details", "summary", "img", "pre", "code"),
}


def report(*paths, split="test", analyse=made_analysis):
    return Page(page(collect([str(path) for path in paths], split, analyse)))


@pytest.fixture
def run(tmp_path):
    return made_run(tmp_path / "good", factors=GOOD)


def check_harmless(found):
    """No element, attribute or address but those that the page is made of."""
    assert set(found.tags) <= KNOWN_TAGS
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    for address in found.values("href", "src", "xlink:href", "action", "data"):
        assert address == PAPER or re.fullmatch(r"#[a-z]+|data:image/[a-z]+;base64,.*", address)
    assert found.values("style") == [s for s in found.values("style") if s.startswith("left:")]


def test_a_page_has_every_section(run):
    found = report(run.path)
    check_harmless(found)
    assert found.values("href").count(PAPER) == 1
    for words in (
        "good",
        "Network two_scale (nyu, 1,234,567 parameters), trained 0 of 30 steps on data of kind",
        "coarse, steps 1 to 20; fine, steps 21 to 30",
        "training loss, as the settings define it",
        "learning rate",
        "val RMSE log SI, log metres (lower is better)",
        "fine →",
        "Step 30, 4 images of split 'test'.",
        "Table 1 of the paper (NYU Depth v2), from its own training and test images, not",
        "Make3D",
        "worst: test/0, RMSE log 0.250",
        "log error of coarse + fine",
        "one global scale",
        "RMSE log by distance",
        "predicted depth, metres",
        "Nearest preset: tiny; 0 settings differ from it.",
        "depthsi train tiny --run",
        "jax",
    ):
        assert words in found.text, words
    assert found.text.count("not known") == 1  # one colour bar for all
    kinds = [src.split(";")[0].removeprefix("data:image/") for src in found.values("src")]
    assert kinds.count("jpeg") == 1
    assert kinds.count("png") == 2 + 4  # two scales; truth, both networks, error


def test_numbers_are_those_of_the_evaluation(run):
    stored = json.loads((run.path / "evaluation.json").read_text())["results"]
    found = report(run.path)
    shown = [float(value) for value in found.values("data-value")]
    for row in GOOD:
        values = stored[row]["image"]
        assert {values[name] for name in COLUMNS if name in values} <= set(shown)
        low, high = stored[row]["image_intervals"]["rmse"]
        assert f"{values['rmse']:.3f} {low:.3f} to {high:.3f}" in found.text
    best = stored["coarse + fine"]["image"]["rmse_log_si"]
    assert re.search(rf"{best:.3f} RMSE log SI ↓ \(coarse \+ fine, test\)", found.text)


def test_curves_have_a_title_for_each_point(run):
    found = report(run.path)
    assert "loss, step 25: 0.04" in found.text
    assert "rmse_log_si, step 30: 0.8" in found.text
    assert found.tags.count("polyline") == 8


@pytest.mark.parametrize(
    "name", [HOSTILE, "a\"onload='x' &amp; b", "\udcff\u202e\n\x1b", "</style>"]
)
def test_no_name_becomes_markup(name, tmp_path):
    folder = name.replace("/", "_")
    config = small_config(data=Folder(root=name, pattern=f"{name} -> x"))
    run = made_run(tmp_path / folder, config, factors={"coarse": 1.1, name: 1.2})
    values = json.loads((run.path / "evaluation.json").read_text())
    values["notes"] = values["split"] = name
    for each in values["results"].values():
        each["image"][name] = 1.0
    (run.path / "evaluation.json").write_text(json.dumps(values))
    other = made_run(tmp_path / "other", config, factors={"coarse": 1.1, name: 9.0})

    def analyse(*given):
        return made_analysis(*given, name=name)

    html = page(collect([str(run.path), str(other.path)], "test", analyse))
    assert html.encode()  # no half of a character
    found = Page(html)
    check_harmless(found)
    assert found.tags.count("style") == 1
    if name == HOSTILE:
        assert html.count("&lt;script&gt;alert(1)") > 10
        assert found.text.count(f"worst: {HOSTILE}") == 2
    assert not {"\u202e", "\x1b"} & set(html)


def test_what_a_program_gave_is_named(tmp_path):
    given = small_config(data=CustomData(name="mine"), loss=CustomConfig(name="f"))
    found = report(made_run(tmp_path / "given", given).path)
    assert "A program passed the samples and loss of this run: train it from Python" in found.text
    assert "A program passed" not in report(made_run(tmp_path / "plain").path).text


def test_markup_escapes_all_but_itself():
    assert (
        tag("p", "<b>&\"'", class_='x" y') == '<p class="x&quot; y">&lt;b&gt;&amp;&quot;&#x27;</p>'
    )
    assert tag("p", tag("b", 1), None, ["<", tag("br")]) == "<p><b>1</b>&lt;<br></p>"
    assert join(["<", Html("<br>")]) == "&lt;<br>"
    assert image_uri("png", "ab+/=") == "data:image/png;base64,ab+/="
    with pytest.raises(ValueError, match="base64"):
        image_uri("png", 'x" onload="y')


def test_what_is_missing_is_a_sentence(tmp_path):
    def no_network(*_):
        raise DepthsiError("there is no checkpoint yet: train it first.")

    run = made_run(tmp_path / "bare", lines=False)
    found = report(run.path, analyse=no_network)
    assert f"Not evaluated yet: run depthsi evaluate {run.path}" in found.text
    assert "metrics.jsonl does not exist: the run has not logged anything yet." in found.text
    assert found.text.count("no checkpoint yet: train it first.") == 1
    assert "There are no predictions, see Images." in found.text
    assert "depthsi train tiny" in found.text
    assert found.tags.count("polyline") == 0


@pytest.mark.filterwarnings("ignore::depthsi.DepthsiWarning")  # the file first, then this
def test_a_damaged_network_is_one_sentence(run):
    params = {"coarse": {"kernel": np.ones((50, 50), np.float32)}}
    write_network(run.weights, TrainedNetwork(small_config().model, params, ("coarse",), 30))
    os.makedirs(run.checkpoints / "30")
    data = bytearray(run.weights.read_bytes())
    data[-40] ^= 1
    run.weights.write_bytes(data)
    found = report(run.path, analyse=analyse)
    assert f"All checkpoints in {run.checkpoints} are damaged" in found.text
    assert "training loss" in found.text


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: "{",
        lambda values: "[" * 100_000,
        lambda values: "[]",
        lambda values: "{}",
        lambda values: json.dumps(values | {"results": {}}),
        lambda values: json.dumps(values | {"results": {"coarse": []}}),
        lambda values: json.dumps(values | {"protocol": {"name": "x"}}),
        lambda values: json.dumps(values | {"protocol": values["protocol"] | {"crop": "<x>"}}),
        lambda values: json.dumps(values | {"protocol": values["protocol"] | {"clamp": [1]}}),
        lambda values: json.dumps(values | {"images": "4"}),
        lambda values: json.dumps(values).replace('"rmse": ', '"rmse": "a", "x": ', 1),
        lambda values: json.dumps(values).replace('"rmse": [', '"rmse": [0.0, ', 1),
    ],
)
def test_a_damaged_evaluation_is_one_sentence(damage, run):
    file = run.path / "evaluation.json"
    file.write_text(damage(json.loads(file.read_text())))
    with pytest.raises(DepthsiError, match=r"evaluation.json is damaged \(.*run depthsi evaluate"):
        read_evaluation(run)
    found = report(run.path)
    assert f"{file} is damaged" in found.text
    assert "training loss" in found.text


def test_a_number_that_no_image_has_is_a_dash(run):
    file = run.path / "evaluation.json"
    values = json.loads(file.read_text())
    values["results"]["coarse"]["image"]["mae"] = None
    values["results"]["coarse"]["image_intervals"]["mae"] = [None, None]
    file.write_text(json.dumps(values))
    found = read_evaluation(run)
    assert found.values["coarse"]["mae"] is None
    assert "mae" not in found.intervals["coarse"]
    assert "damaged" not in report(run.path).text


def test_an_evaluation_that_cannot_be_opened_is_a_sentence(run):
    (run.path / "evaluation.json").unlink()
    (run.path / "evaluation.json").mkdir()
    assert "evaluation.json is damaged (DepthsiError" in report(run.path).text


def test_lines_cut_short_are_counted(run):
    with run.metrics.open("a") as file:
        file.write('{"step": 31, "split": "tr\n{"step": "x"}\n')
    found = report(run.path)
    assert f"2 lines of {run.metrics} cannot be read and are left out." in found.text
    assert "loss, step 25: 0.04" in found.text


def test_runs_side_by_side_mark_where_intervals_part(tmp_path):
    first = made_run(tmp_path / "first", factors={"coarse": 1.5})
    same = made_run(tmp_path / "same", factors={"coarse": 1.5})
    better = made_run(tmp_path / "better", small_config(seed=4), factors={"coarse": 1.0})
    found = report(first.path, same.path, better.path)
    check_harmless(found)
    marks = [value for value in found.values("class") if value in ("better", "worse")]
    assert "worse" not in marks
    assert marks.count("better") >= 2 * 8  # of the cell and of the word in it
    assert "first, loss, step 25: 0.04" in found.text
    assert "better, loss, step 25: 0.04" in found.text
    assert "is not compared" not in found.text
    assert "depthsi train tiny --seed 4 --run" in found.text
    swapped = report(better.path, first.path)
    assert {"worse"} == {v for v in swapped.values("class") if v in ("better", "worse")}


def test_runs_of_other_data_are_not_compared(tmp_path):
    first = made_run(tmp_path / "first", factors={"coarse": 1.5})
    other = made_run(tmp_path / "o", small_config(data=Rooms(seed=9)), factors={"coarse": 1.0})
    val = made_run(tmp_path / "val", factors={"coarse": 1.0}, split="val")
    named = made_run(tmp_path / "named", factors={"coarse": 1.0})
    file = named.path / "evaluation.json"
    file.write_text(file.read_text().replace("One line.", "Data: others, resized to 240x320."))
    found = report(first.path, other.path, val.path, named.path)
    assert "named is not compared with first: they were evaluated on other data." in found.text
    assert "o is not compared with first: their data or image sizes differ." in found.text
    assert "val is not compared with first: one is of split 'test', the other of" in found.text
    assert not {"better", "worse"} & set(found.values("class"))


def test_runs_of_the_same_data_show_the_same_images(tmp_path):
    asked = []

    def analyse(run, split, protocol, indices):
        if run.path.name == "bare":
            raise DepthsiError("no checkpoint")
        asked.append((run.path.name, indices))
        return made_analysis(run, split, protocol, indices or ((3, "worst"),))

    paths = [made_run(tmp_path / name).path for name in ("bare", "a", "b")]
    paths.append(made_run(tmp_path / "c", small_config(data=Rooms(seed=9))).path)
    found = report(*paths, analyse=analyse)
    assert found.text.count("by RMSE log, as chosen for a, at step 30") == 1
    assert asked == [("a", None), ("b", ((3, "worst"),)), ("c", None)]


def test_runs_of_one_name_go_by_their_paths(tmp_path):
    paths = [made_run(tmp_path / each / "run").path for each in ("a", "b")]
    found = report(*paths)
    assert f"{paths[0]}, {paths[1]}" in found.text


def test_the_command_writes_where_it_says(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(write, "collect", lambda paths, split: collect(paths, split, made_analysis))
    monkeypatch.chdir(tmp_path)
    main(["report", "good"])
    assert capsys.readouterr().out == "Written: good/report.html\n"
    assert Page((run.path / "report.html").read_text()).tags.count("polyline") == 8
    main(["report", "good", "good", "--split", "val"])
    assert capsys.readouterr().out == "Written: report.html\n"
    assert "images of split 'val'" in Page((tmp_path / "report.html").read_text()).text
    (run.path / "evaluation.json").unlink()
    main(["report", "good", "--out", "new/page.html"])
    printed = capsys.readouterr()
    assert printed.out == "Written: new/page.html\n"
    assert printed.err == "depthsi: good, metrics: Not evaluated yet: run depthsi evaluate good\n"
    assert (tmp_path / "new" / "page.html").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "No run was given"),
        (["nowhere"], "nowhere is not a run: there is no nowhere/config.json."),
        (["good", "nowhere"], "nowhere is not a run"),
        (["damaged"], "damaged/config.json cannot be read"),
        (["good", "--out", "."], "--out . is a directory: give a file in it"),
        (["good", "--split", "train"], "--split"),
    ],
)
def test_mistakes(words, sentence, run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run.path, "damaged")
    (tmp_path / "damaged" / "config.json").write_text("{")
    with pytest.raises(SystemExit) as stopped:
        main(["report", *words])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.html"))


@pytest.mark.slow
def test_a_random_network_from_evaluation_to_page(tmp_path, capsys):
    """The page's own predictions have the numbers that `depthsi evaluate` finds."""
    config = small_config(data=Rooms(train=2, val=2, test=3))
    config = dataclasses.replace(config, model=depthsi.models.TwoScaleConfig(width=0.01))
    run = made_run(tmp_path / "run", config)
    run.save_mean_depth(np.full((240, 320), 2.5))
    model = depthsi.models.make_model(config.model)
    params = depthsi.models.initial_params(model, jax.random.key(0), jnp.zeros((1, 228, 304, 3)))
    write_network(run.weights, TrainedNetwork(config.model, params, ("coarse", "fine"), 30))
    os.makedirs(run.checkpoints / "30")
    main(["evaluate", str(run.path)])
    assert f"Next: depthsi report {run.path}" in capsys.readouterr().out
    main(["report", str(run.path)])
    assert "Written" in capsys.readouterr().out
    found = Page((run.path / "report.html").read_text())
    check_harmless(found)
    stored = json.loads((run.path / "evaluation.json").read_text())["results"]["coarse + fine"]
    (one,) = collect([str(run.path)], "test")
    assert one.analysis
    errors = one.analysis.errors
    assert errors.mean() == pytest.approx(stored["image"]["rmse_log"], rel=1e-5)
    pooled = one.analysis.tally.square_log.sum() / one.analysis.tally.pixels.sum()
    assert np.sqrt(pooled) == pytest.approx(stored["pixel"]["rmse_log"], rel=1e-5)
    assert one.analysis.parts.scale.sum() / one.analysis.parts.whole.sum() > 0
    assert [each.error for each in one.analysis.shown] == sorted(errors, reverse=True)
    assert found.text.count("RMSE log 0") + found.text.count("RMSE log 1") >= 3
    assert len(found.values("src")) == 2 + 3 * 5
