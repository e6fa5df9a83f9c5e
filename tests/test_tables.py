"""The paper's printed numbers and the layout of tables."""

import pytest

from depthsi.evaluation.paper_tables import PAPER_TABLES, TABLE_1_NYU, TABLE_2_KITTI
from depthsi.evaluation.tables import COLUMNS, format_table
from depthsi.metrics import BOUNDARY_METRICS, METRICS, PAPER_METRICS


def total(table):
    return sum(value for row in table.values() for value in row.values() if value is not None)


def test_printed_numbers():
    assert list(TABLE_1_NYU) == ["Mean", "Make3D", "Ladicky", "Karsch", "Coarse", "Coarse+Fine"]
    assert list(TABLE_2_KITTI) == ["Mean", "Make3D", "Coarse", "Coarse+Fine"]
    for table, row, metric, printed in (
        (TABLE_1_NYU, "Mean", "d1", 0.418),
        (TABLE_1_NYU, "Mean", "rmse_log_si", 0.304),
        (TABLE_1_NYU, "Make3D", "sq_rel", 0.492),
        (TABLE_1_NYU, "Ladicky", "d3", 0.940),
        (TABLE_1_NYU, "Ladicky", "abs_rel", None),
        (TABLE_1_NYU, "Karsch", "abs_rel", 0.350),
        (TABLE_1_NYU, "Karsch", "rmse", 1.2),
        (TABLE_1_NYU, "Coarse", "rmse", 0.871),
        (TABLE_1_NYU, "Coarse", "d2", 0.891),
        (TABLE_1_NYU, "Coarse+Fine", "rmse_log", 0.285),
        (TABLE_1_NYU, "Coarse+Fine", "rmse_log_si", 0.219),
        (TABLE_2_KITTI, "Mean", "sq_rel", 5.712),
        (TABLE_2_KITTI, "Make3D", "rmse", 8.734),
        (TABLE_2_KITTI, "Coarse", "abs_rel", 0.194),
        (TABLE_2_KITTI, "Coarse+Fine", "d1", 0.692),
        (TABLE_2_KITTI, "Coarse+Fine", "rmse_log", 0.270),
    ):
        assert table[row][metric] == printed, (row, metric)
    # The sums of all printed numbers: one wrong digit anywhere shows.
    assert total(TABLE_1_NYU) == pytest.approx(22.320)
    assert total(TABLE_2_KITTI) == pytest.approx(57.741)


def test_every_row_has_every_metric_in_a_plausible_order():
    for table in (TABLE_1_NYU, TABLE_2_KITTI):
        for row in table.values():
            assert tuple(row) == PAPER_METRICS
            for smaller, larger in (("d1", "d2"), ("d2", "d3"), ("rmse_log_si", "rmse_log")):
                low, high = row[smaller], row[larger]
                assert low is None or high is None or low < high
    assert PAPER_TABLES["nyu"].rows is TABLE_1_NYU
    assert PAPER_TABLES["kitti"].rows is TABLE_2_KITTI
    for key, words in (("nyu", "Table 1"), ("kitti", "Table 2")):
        assert words in PAPER_TABLES[key].title
        assert "not computed here" in PAPER_TABLES[key].title


ROWS = {
    "ours": {"d1": 0.61849, "abs_rel": float("nan"), "rmse": 10.0, "d2": 0.0},
    "Karsch|2012": {"rmse": 1.2, "abs_rel": None},
}


def test_every_metric_has_a_column_and_a_direction():
    assert tuple(COLUMNS) == (*METRICS, *BOUNDARY_METRICS)
    better = {way: [m for m, c in COLUMNS.items() if c.better == way] for way in ("higher", "")}
    assert better == {"higher": ["d1", "d2", "d3", "boundary_f"], "": ["scale_share"]}
    assert len({column.header for column in COLUMNS.values()}) == len(COLUMNS)


def test_intervals_stand_under_or_behind_the_values():
    ends = {"ours": {"d1": (0.5, 0.7), "rmse": (9.0, float("nan"))}}
    rows = {"ours": {"d1": 0.61849, "rmse": 10.0}, "theirs": {"d1": 0.5}}
    assert format_table(rows, intervals=ends).splitlines() == [
        "             d<1.25  RMSE [m]",
        "better is    higher     lower",
        "ours          0.618    10.000",
        "  95 % from   0.500     9.000",
        "       to     0.700       nan",
        "theirs        0.500         -",
    ]
    assert format_table(rows, intervals=ends, markdown=True).splitlines()[2:] == [
        "| ours | 0.618 [0.500, 0.700] | 10.000 [9.000, nan] |",
        "| theirs | 0.500 | - |",
    ]


def test_terminal_table():
    assert format_table(ROWS).splitlines() == [
        "             d<1.25  d<1.25^2  abs rel  RMSE [m]",
        "better is    higher    higher    lower     lower",
        "ours          0.618     0.000      nan    10.000",
        "Karsch|2012       -         -        -     1.200",
    ]
    lines = format_table(TABLE_1_NYU).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 100
    assert format_table(TABLE_1_NYU).isascii()


def test_markdown_table():
    assert format_table(ROWS, markdown=True).splitlines() == [
        "|  | d<1.25 ↑ | d<1.25^2 ↑ | abs rel ↓ | RMSE [m] ↓ |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| ours | 0.618 | 0.000 | nan | 10.000 |",
        "| Karsch\\|2012 | - | - | - | 1.200 |",
    ]


def test_columns_follow_the_metrics_whatever_the_rows():
    backwards = {"a": {metric: 0.5 for metric in reversed(PAPER_METRICS)}}
    header = format_table(backwards, markdown=True).splitlines()[0]
    assert [cell.strip(" ↑↓") for cell in header.split("|")[2:-1]] == [
        "d<1.25",
        "d<1.25^2",
        "d<1.25^3",
        "abs rel",
        "sq rel [m]",
        "RMSE [m]",
        "RMSE log",
        "RMSE log SI",
    ]


def test_tables_fit_a_terminal():
    for group in (METRICS[:8], METRICS[8:], BOUNDARY_METRICS):
        row: dict[str, float | None] = dict.fromkeys(group, 123.4567)
        assert max(map(len, format_table({"mean predictor": row}).splitlines())) <= 100


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match=r"'ours' has unknown metrics \['rms'\]"):
        format_table({"ours": {"rms": 1.0}})
