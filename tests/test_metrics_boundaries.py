"""Edges of depth: the detector on drawn steps, the numbers against hand counts and plain loops."""

import math

import numpy as np
import pytest

from depthsi.metrics import BOUNDARY_METRICS, boundary_metrics, depth_edges


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
    with pytest.raises(ValueError, match=r"got \(30, 40\) and \(30, 39\)"):
        boundary_metrics(flat[:, 1:], flat)
    with pytest.raises(ValueError, match=r"got \(2, 30, 40\)"):
        boundary_metrics(np.stack([flat, flat]), np.stack([flat, flat]))
