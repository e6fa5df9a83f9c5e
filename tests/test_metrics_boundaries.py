"""Edges of depth: the detector on drawn steps, the numbers against hand counts and plain loops."""

import math

import numpy as np
import pytest

from depthsi.metrics import BOUNDARY_METRICS, boundaries, boundary_metrics, depth_edges
from depthsi.metrics.protocols import Protocol
from depthsi.metrics.scorer import score


def step(ratio=1.5, column=20, size=(30, 40)):
    """A wall in front of another: `ratio` times as far from `column` on."""
    return np.where(np.arange(size[1]) < column, 2.0, 2.0 * ratio) * np.ones((size[0], 1))


def test_a_step_is_one_line_beside_the_step():
    for depth, turned in ((step(), False), (step().T, True)):
        edges = depth_edges(depth)
        edges = edges.T if turned else edges
        rows, columns = np.nonzero(edges)
        assert set(columns) == {19}
        assert sorted(rows) == list(range(2, 28))  # not within 2 pixels of the border
    diagonal = np.where(np.add.outer(np.arange(40), np.arange(40)) < 40, 2.0, 3.0)
    rows, columns = np.nonzero(depth_edges(diagonal))
    assert len(rows) >= 30
    assert np.all(np.abs(rows + columns - 39) <= 1)


def test_steps_under_a_quarter_are_no_edges_and_scale_does_not_matter():
    assert not depth_edges(step(1.2)).any()
    assert depth_edges(step(1.3)).any()
    for depth in (step(1.2), step(1.3)):
        np.testing.assert_array_equal(depth_edges(100 * depth), depth_edges(depth))
    assert not depth_edges(np.geomspace(2, 4, 40) * np.ones((30, 1))).any()  # a slanted wall


def test_a_weak_part_counts_where_a_strong_one_continues_it():
    ratio = np.linspace(1.5, 1.18, 30)[:, None]
    assert depth_edges(np.where(np.arange(40) < 20, 2.0, 2.0 * ratio))[27, 19:21].any()
    assert not depth_edges(step(1.18)).any()


@pytest.mark.parametrize("hole", [0.0, np.nan, np.inf, -1.0])
def test_a_hole_is_no_edge(hole):
    depth = np.full((30, 40), 3.0)
    depth[10:20, 10:20] = hole
    assert not depth_edges(depth).any()
    masked = step()
    masked[:, 15:] = hole
    assert not depth_edges(masked).any()
    where = np.ones((30, 40), bool)
    where[:, 17:] = False
    assert not depth_edges(step(), where=where).any()


def test_a_perfect_and_a_shifted_prediction():
    true = step()
    assert boundary_metrics(7 * true, true) == {"boundary_f": 1, "dbe_acc": 0, "dbe_com": 0}
    for shift, found in ((3, 1), (4, 0)):
        got = boundary_metrics(step(column=20 + shift), true)
        assert got == {"boundary_f": found, "dbe_acc": shift, "dbe_com": shift}
    far = boundary_metrics(step(column=31), true)  # 11 pixels
    assert far == {"boundary_f": 0, "dbe_acc": 10, "dbe_com": 10}
    assert boundary_metrics(np.full_like(true, 2), true)["dbe_com"] == 10


def test_precision_and_recall_by_counting():
    # Two true lines, one of them predicted, another predicted line 6 pixels from the first:
    # precision 1/2, recall 1/2, f = 1/2. Distances of predicted pixels 0 and 6: mean 3. From
    # both sides 0, 6 and 0, 10 (far beyond): mean 4.
    base = np.full((30, 80), 2.0)
    true, predicted = base.copy(), base.copy()
    true[:, 20:] *= 1.5
    true[:, 60:] *= 1.5
    predicted[:, 20:] *= 1.5
    predicted[:, 25:] /= 1.5
    got = boundary_metrics(predicted, true)
    lines = [sorted(set(np.nonzero(depth_edges(each))[1])) for each in (predicted, true)]
    assert lines == [[19, 25], [19, 59]]
    assert got == pytest.approx({"boundary_f": 0.5, "dbe_acc": 3, "dbe_com": 4})


def test_distances_against_plain_loops():
    rng = np.random.default_rng(0)
    blocks = [np.kron(rng.choice([1.0, 2.0, 4.0], (4, 5)), np.ones((9, 9))) for _ in range(2)]
    predicted, true = (np.argwhere(depth_edges(each)).tolist() for each in blocks)
    to_true = [min(math.dist(p, t) for t in true) for p in predicted]
    to_predicted = [min(math.dist(t, p) for p in predicted) for t in true]
    precision = sum(d <= 3 for d in to_true) / len(to_true)
    recall = sum(d <= 3 for d in to_predicted) / len(to_predicted)
    near = [d for d in to_true if d < 10]
    both = [min(d, 10) for d in (*to_true, *to_predicted)]
    assert 0 < precision < 1
    assert 0 < recall < 1
    assert boundary_metrics(*blocks) == pytest.approx(
        {
            "boundary_f": 2 * precision * recall / (precision + recall),
            "dbe_acc": math.fsum(near) / len(near),
            "dbe_com": math.fsum(both) / len(both),
        }
    )


def test_images_without_numbers_and_misuse():
    flat = np.full((30, 40), 2.0)
    holed = step()
    holed[4, 4] = np.nan
    for predicted, true in ((step(), flat), (holed, step())):
        got = boundary_metrics(predicted, true)
        assert tuple(got) == BOUNDARY_METRICS
        assert all(math.isnan(value) for value in got.values())
    assert boundary_metrics(step(), holed)["boundary_f"] == 1
    with pytest.raises(ValueError, match=r"\(30, 39\) and `targets` \(30, 40\) must have the same"):
        boundary_metrics(flat[:, 1:], flat)
    with pytest.raises(
        ValueError, match=r"`predictions` \(2, 30, 40\) must have the shape \(h, w\)"
    ):
        boundary_metrics(np.stack([flat, flat]), np.stack([flat, flat]))
    with pytest.raises(ValueError, match=r"`depth` \(2, 30, 40\) must have the shape \(h, w\)"):
        depth_edges(np.stack([flat, flat]))
    with pytest.raises(TypeError, match="`depth` must be floating point, got int64"):
        depth_edges(flat.astype(int))
    with pytest.raises(TypeError, match="`targets` must be floating point, got uint16"):
        boundary_metrics(flat, flat.astype(np.uint16))
    for function in (lambda where: depth_edges(flat, where=where), _metrics_of(flat)):
        with pytest.raises(TypeError, match="`where` must be boolean, got float64"):
            function(flat)
        with pytest.raises(ValueError, match=r"`where` \(39,\) must broadcast to \(30, 40\)"):
            function(np.ones(39, bool))
        with pytest.raises(ValueError, match=r"`where` \(1, 30, 40\) must broadcast to \(30, 40\)"):
            function(np.ones((1, 30, 40), bool))


def _metrics_of(depth):
    return lambda where: boundary_metrics(depth, depth, where=where)


def test_masks_are_broadcast():
    columns, rows = np.arange(40) < 38, np.arange(30)[:, None] < 20
    for mask in (columns, columns[None], rows, np.ones((1, 1), bool)):
        full = np.broadcast_to(mask, (30, 40))
        edges = depth_edges(step(), where=mask)
        assert edges.any()
        np.testing.assert_array_equal(edges, depth_edges(step(), where=full))
        got, expected = (boundary_metrics(step(column=22), step(), where=w) for w in (mask, full))
        assert got == expected
        assert got["dbe_acc"] == 2


def test_the_constants_of_the_detector():
    """Their documented values, and where a clean step begins to be an edge because of them."""
    assert pytest.approx(1.4142135623730951) == boundaries.SIGMA
    assert pytest.approx(0.05578588782855243) == boundaries.HIGH  # ln(1.25)/4
    assert pytest.approx(0.027892943914276217) == boundaries.LOW
    assert (boundaries.TOLERANCE, boundaries.REACH, boundaries.MARGIN) == (3, 10, 2)
    # beside a step of ln r the smoothed map has the slope ln r (w0 + w1)/2, with w the weights of
    # the Gaussian of variance 2: exp(-k^2/4) up to 6 pixels, over their sum
    weights = [math.exp(-k * k / 4) for k in range(-6, 7)]
    share = (weights[6] + weights[7]) / sum(weights) / 2
    limit = math.exp(0.05578588782855243 / share)
    assert 1.24 < limit < 1.27
    assert depth_edges(step(limit * 1.001)).any()
    assert not depth_edges(step(limit / 1.001)).any()
    # a part of the line that is weaker, down to half of that, is kept
    weak = math.exp(0.027892943914276217 / share)
    for ratio, kept in ((weak * 1.003, True), (weak / 1.003, False)):
        falling = np.interp(np.arange(80), [20, 60], np.log([1.5, ratio]))
        depth = np.where(np.arange(40) < 20, 2.0, 2.0 * np.exp(falling)[:, None])
        assert depth_edges(depth)[68:75, 19].all() == kept
        assert depth_edges(depth)[68:75, 19].any() == kept


@pytest.mark.slow
def test_scores_take_the_edges_of_the_aligned_map():
    """A map 100 m too far has no step of a quarter; brought to the truth, it has the true ones."""
    true = step().astype(np.float32)
    raw = boundary_metrics(true + 100, true)
    assert raw == {"boundary_f": 0, "dbe_acc": 10, "dbe_com": 10}
    for alignment, expected in (("none", raw), ("scale_shift", boundary_metrics(true, true))):
        rules = Protocol("plain", "nyu", "none", alignment=alignment)
        got = score([((true + 100)[None], true[None])], rules, edges=True).compute()
        assert {name: got[name] for name in BOUNDARY_METRICS} == expected
