"""Runs that no training made, for reports: settings, lines of metrics, an evaluation."""

import dataclasses
import json
from html.parser import HTMLParser

import numpy as np

from depthsi.evaluation.contact_sheet import ComparedImage
from depthsi.evaluation.depth_tally import tally_depths
from depthsi.evaluation.error_split import split_error
from depthsi.evaluation.report import Evaluation, as_json
from depthsi.metrics import METRICS, ImageScores, image_terms
from depthsi.metrics.protocols import PROTOCOLS
from depthsi.presets import PRESETS
from depthsi.report.analysis import Analysis, ShownImage
from depthsi.runs import RunDirectory

SIZE = 24, 32


def small_config(**changes):
    return dataclasses.replace(PRESETS["tiny"](), **changes)


def made_run(path, config=None, *, lines=True, factors=None, split="test"):
    """A run directory; `factors` by row gives it an evaluation of depth that is wrong by them."""
    run = RunDirectory(path)
    run.create(config or small_config())
    if lines:
        log(run)
    if factors:
        text = json.dumps(as_json(made_evaluation(factors, split)))
        (run.path / "evaluation.json").write_text(text)
    return run


def log(run):
    for step in range(5, 31, 5):
        stage = "coarse" if step <= 20 else "fine"
        train = {"loss": 1 / step, "learning_rate": 0.01, "images_per_second": 9.5}
        run.append(step=step, stage=stage, split="train", **train)
        if step % 10 == 0:
            values = {name: 0.5 + 0.01 * step for name in METRICS}
            run.append(step=step, stage=stage, split="val", **values)


def depths(count=4, seed=0):
    return np.random.default_rng(seed).uniform(1, 5, (count, *SIZE)).astype(np.float32)


def wrong(true, factor, seed=1):
    """`true` times `factor`, and noise that is the same for every factor."""
    noise = np.random.default_rng(seed).normal(0, 0.1, true.shape)
    return (true * factor * np.exp(noise)).astype(np.float32)


def made_evaluation(factors, split="test"):
    true = depths()
    scores = {
        row: ImageScores.from_terms([image_terms(wrong(true, factor), true)])
        for row, factor in factors.items()
    }
    return Evaluation(
        title="made",
        split=split,
        names=("a", "b", "c", "d"),
        protocol=PROTOCOLS["eigen2014_nyu"],
        notes="One line.\nAnother.",
        scores=scores,
        main=next(iter(factors)),
        compared_image=lambda index: ComparedImage(true[0], true[0], true[0]),
        context={"run": {}, "step": 30},
    )


def made_analysis(run, split, protocol=None, indices=None, name="test/0"):
    """Instead of `depthsi.report.analysis.analyse`: no network is run."""
    del run, protocol
    true = depths()
    predicted, where = wrong(true, 1.2), true > 1.5
    picture = np.full((*SIZE, 3), 90, np.uint8)
    maps = {"coarse": wrong(true, 1.5)[0], "coarse + fine": predicted[0]}
    return Analysis(
        split=split,
        step=30,
        network="coarse + fine",
        parameters=1234567,
        notes="Protocol.",
        parts=split_error(predicted, true, where),
        tally=tally_depths(predicted, true, where),
        shown=(ShownImage(name, "worst", 0.25, picture, true[0], where[0], maps),),
        indices=tuple(indices or ((0, "worst"),)),
    )


class Page(HTMLParser):
    """What a browser would make of a page: tags, attributes, text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(html)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        if data.strip():
            self.words.append(data.strip())

    def values(self, *names):
        return [value for _, name, value in self.attributes if name in names]
