"""What the devices of a compiled program send each other, read from the program's text."""

import dataclasses
import math
import re


@dataclasses.dataclass(frozen=True)
class Exchange:
    """An instruction by which devices exchange data.

    Attributes:
      kind: all-reduce, all-gather, ...
      group: devices among which it takes place.
      payload: bytes of the whole array: what each of the group has at the end (all-reduce,
        all-gather), or had at the beginning (the others).
      looped: whether it stands in the body of a loop, to run any number of times in a step.
    """

    kind: str
    group: int
    payload: int
    looped: bool = False

    @property
    def sent(self) -> float:
        """Bytes a device sends at least, which is what it sends if its group is a ring."""
        share = {"all-reduce": 2.0, "collective-permute": self.group / (self.group - 1)}
        return self.payload * share.get(self.kind, 1.0) * (self.group - 1) / self.group


_KINDS = (
    "all-reduce|all-gather|reduce-scatter|(?:ragged-)?all-to-all|collective-(?:permute|broadcast)"
)
_INSTRUCTION = re.compile(
    rf"\s*(?:ROOT )?%?(?P<name>[\w.-]+) = (?P<type>[^%]*?) (?P<kind>{_KINDS})"
    r"(?P<part>-start|-done)?\("
)
_ARRAY = re.compile(r"\b(pred|[a-z]+\d+\w*)\[([\d,]*)\]")
_COMPUTATION = re.compile(r"(?:ENTRY )?%?([\w.-]+) \(.*\{$")


def exchanges(hlo: str, devices: int) -> list[Exchange]:
    """Every exchange between devices in a compiled program, each once.

    What runs beside other work is written as a pair of start and done, or, by the compiler for
    TPUs, again in every computation it runs beside, but with the same channel.

    Args:
      hlo: the text of the program, as `jax.stages.Compiled.as_text` gives it.
      devices: how many it is for.
    """
    loops = set(re.findall(r"\bbody=%?([\w.-]+)", hlo))
    found, inside, started, channels = [], "", {}, set()
    for line in hlo.splitlines():
        if header := _COMPUTATION.match(line):
            inside = header[1]
        if not (match := _INSTRUCTION.match(line)):
            continue
        if match["part"] == "-start":  # the groups stand here, the result's type at the end
            started[match["name"]] = line
            continue
        if match["part"] and (operand := re.search(r"%([\w.-]+)\)", line)):
            line = started[operand[1]]
        channel = re.search(r"channel_id=\d+", line)
        group = _group_size(line, devices)
        if group == 1 or (channel and channel[0] in channels):
            continue
        channels |= {channel[0]} if channel else set()
        kind, payload = match["kind"], array_bytes(match["type"])
        if kind == "reduce-scatter":
            payload *= group
        if inside.startswith("all-reduce-scatter"):  # written as an all-reduce and a slice
            kind = "reduce-scatter"
        found.append(Exchange(kind, group, payload, inside in loops))
    return found


def array_bytes(type_text: str) -> int:
    """Bytes of an array, or of all arrays of a tuple, from their type in HLO: f32[2,3]{1,0}."""
    total = 0
    for kind, shape in _ARRAY.findall(type_text):
        bits = 8 if kind == "pred" else int(re.findall(r"\d+", kind)[0])
        total += math.ceil(math.prod(int(n) for n in shape.split(",") if n) * bits / 8)
    return total


def _group_size(line: str, devices: int) -> int:
    """Size of the groups of an exchange, in any of the notations of HLO; no groups: all devices."""
    if listed := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return listed[1].count(",") + 1
    if table := re.search(r"replica_groups=\[\d+,(\d+)\]<=", line):
        return int(table[1])
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", named[2]))
    return devices
