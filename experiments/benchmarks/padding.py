"""How much of the memory that a compiled TPU program writes is padding, read from its text.

A TPU stores arrays in tiles, as a rule of 8 by 128 elements: the axes that are stored innermost are
rounded up to whole tiles.
"""

import math
import re
from typing import NamedTuple

from experiments.benchmarks.exchanges import array_bytes

_ARRAY = re.compile(
    r"\b(?P<kind>pred|[a-z]+\d+\w*)\[(?P<shape>[\d,]*)\]"
    r"(?:\{(?P<order>[\d,]*)(?::(?:T\((?P<tile>[\d,]+)\))?[^}]*)?\})?"
)
_INSTRUCTION = re.compile(r"\s*(?:ROOT )?%?[\w.-]+ = (?P<type>.*?) (?P<kind>[\w-]+)\(")
# these write nothing: they name what is there, or begin what another instruction ends
_NAMES = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}


class Written(NamedTuple):
    """Arrays of one type and layout that a program writes.

    Attributes:
      type: as the program has it, such as bf16[32,55,74,63]{3,0,2,1:T(8,128)(2,1)}.
      arrays: how many of them.
      bytes: of their elements, all together.
      padded: bytes they take.
    """

    type: str
    arrays: int
    bytes: int
    padded: int


def array_sizes(type_text: str) -> list[tuple[str, int, int]]:
    """The arrays in the type of an HLO instruction: text, bytes of the elements, bytes in memory.

    Args:
      type_text: one array or a tuple, such as (f32[3]{0:T(256)}, bf16[2,3]{1,0:T(8,128)(2,1)}).

    Example:
      >>> array_sizes("bf16[32,63]{1,0:T(8,128)(2,1)}")  # 63 is rounded up to 128
      [('bf16[32,63]{1,0:T(8,128)(2,1)}', 4032, 8192)]
    """
    return [(each[0], array_bytes(each[0]), _padded(each)) for each in _ARRAY.finditer(type_text)]


def _padded(match: re.Match[str]) -> int:
    shape, order, tile = (
        [int(number) for number in match[name].split(",")] if match[name] else []
        for name in ("shape", "order", "tile")
    )
    stored = [shape[axis] for axis in reversed(order)] or shape  # innermost last
    inner = min(len(tile), len(stored))
    for place in range(1, inner + 1):
        stored[-place] = math.ceil(stored[-place] / tile[-place]) * tile[-place]
    return array_bytes(f"{match['kind']}[{','.join(map(str, stored))}]")


def written_arrays(hlo: str) -> list[Written]:
    """What the instructions of the entry computation write, the largest waste first.

    Loops count once, and copies that run beside other work when they end.

    Args:
      hlo: the text of the program, as `jax.stages.Compiled.as_text` gives it.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for line in hlo[hlo.index("\nENTRY ") :].splitlines()[2:]:
        match = _INSTRUCTION.match(line)
        if match is None or match["kind"] in _NAMES or match["kind"].endswith("-start"):
            continue
        for text, size, padded in array_sizes(match["type"]):
            found.setdefault(text, []).append((size, padded))
    arrays = [
        Written(text, len(sizes), *map(sum, zip(*sizes, strict=True)))
        for text, sizes in found.items()
    ]
    return sorted(arrays, key=lambda each: each.bytes - each.padded)
