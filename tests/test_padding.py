"""Padding of TPU layouts, against sizes worked out by hand."""

import json
from pathlib import Path

import pytest

from experiments.benchmarks.padding import Written, array_sizes, written_arrays
from experiments.benchmarks.tpu_padding import report
from experiments.script import RESULTS


@pytest.mark.parametrize(
    ("text", "size", "padded"),
    [
        ("bf16[32,55,74,63]{3,0,2,1:T(8,128)(2,1)}", 32 * 55 * 74 * 63 * 2, 32 * 55 * 74 * 128 * 2),
        ("bf16[4,6,5,3]{0,3,2,1:T(4,128)(2,1)S(1)}", 4 * 6 * 5 * 3 * 2, 128 * 6 * 5 * 4 * 2),
        ("f32[9,130]{1,0:T(8,128)}", 9 * 130 * 4, 16 * 256 * 4),
        ("f32[9,130]{0,1:T(8,128)}", 9 * 130 * 4, 128 * 136 * 4),  # the first axis is innermost
        ("f32[600]{0:T(512)S(1)}", 2400, 4096),
        ("pred[7,3]{1,0:T(8,128)(4,1)}", 21, 8 * 128),
        ("f32[5]{0:T(2,128)}", 20, 512),  # a tile of more axes than the array has
        ("u8[3,3]", 9, 9),
        ("f32[]{:T(128)}", 4, 4),
        ("f32[3,2]{1,0}", 24, 24),
    ],
)
def test_an_array_is_rounded_up_to_its_tiles(text, size, padded):
    assert array_sizes(text) == [(text, size, padded)]


PROGRAM = """HloModule jit_step

%fused (p: f32[99]) -> f32[99] {
  %inside = f32[99]{0:T(128)} add(%p, %p)
}

ENTRY %main (a: f32[3]) -> (f32[3]) {
  %a = f32[3]{0:T(128)} parameter(0)
  %b = f32[3]{0:T(128)} add(%a, %a), metadata={op_name="f32[77]{0:T(128)}"}
  %two = (f32[3]{0:T(128)}, s8[2,2]{1,0:T(8,128)(4,1)}) fusion(%b), kind=kLoop, calls=%fused
  %one = f32[3]{0:T(128)} get-tuple-element(%two), index=0
  %begun = (f32[3]{0:T(128)}, f32[3]{0:T(128)}) copy-start(%one)
  %ended = f32[3]{0:T(128)} copy-done(%begun)
  ROOT %all = (f32[3]{0:T(128)}) tuple(%ended)
}
"""


def test_what_the_entry_computation_writes_is_counted_once():
    assert written_arrays(PROGRAM) == [
        Written("f32[3]{0:T(128)}", 3, 36, 3 * 512),  # b, of two, ended
        Written("s8[2,2]{1,0:T(8,128)(4,1)}", 1, 4, 1024),
    ]


def test_the_page_is_that_of_the_result():
    result = json.loads(Path(RESULTS / "tpu_padding.json").read_text())
    assert Path(RESULTS / "tpu_padding.md").read_text() == report(result)
