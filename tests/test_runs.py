"""The small files of a run: what is damaged or edited by hand is passed over, not believed."""

import json

import pytest

from depthsi.runs import RunDirectory

ROWS = [{"step": step, "split": "train", "loss": 0.5} for step in (1, 2, 3)]
LINES = [json.dumps(row) for row in ROWS]


@pytest.mark.parametrize(
    "edited",
    [
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"step": "2"}',
        b'{"step": null}',
        b'{"step": true}',
        b'{"step": 1e999}',
        b'{"step": NaN}',
        b'{"step": 2',
        b"\xff\xfe not UTF-8",
        b"[" * 100_000,
        b"",
    ],
)
def test_a_line_edited_by_hand_is_dropped(edited, tmp_path):
    run = RunDirectory(tmp_path)
    run.metrics.write_bytes(b"\n".join([LINES[0].encode(), edited, *map(str.encode, LINES[1:])]))
    assert run.rows() == ROWS
    run.forget_after(2)
    run.append(step=9, split="val")
    assert run.metrics.read_text().splitlines() == [*LINES[:2], '{"step": 9, "split": "val"}']


def test_a_run_without_metrics_has_no_rows(tmp_path):
    run = RunDirectory(tmp_path)
    run.forget_after(2)
    assert run.rows() == []
    assert list(tmp_path.iterdir()) == []
