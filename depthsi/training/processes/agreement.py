"""Refusing to train where the processes of a run were started with different things.

They would not notice: each computes its share of every batch from its own settings and data, and
the run ends with numbers that are those of none of them.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sized
from typing import Any

from depthsi.errors import DepthsiError
from depthsi.training.processes.exchange import gather_texts

MAY_DIFFER = frozenset({"compute.hang_minutes"})
_LONGEST = 80  # characters of a value in a message


def fingerprint(
    config: Mapping[str, Any], sources: Mapping[str, Sized], versions: Mapping[str, str]
) -> dict[str, str]:
    """What has to be the same in all processes of a run, as text by name, for `check_agreement`.

    Args:
      config: settings as nested dictionaries; a setting in a section is named "section.setting".
      sources: samples of each split, by its name; of one whose attribute `names` lists its samples,
        their names and order count, of others only how many there are.
      versions: of packages, by name.
    """
    fields = {f"the version of {name}": version for name, version in versions.items()}
    fields |= {
        name: repr(value) for name, value in _flattened(config, "") if name not in MAY_DIFFER
    }
    for split, source in sources.items():
        fields[f"the number of samples in split {split!r}"] = str(len(source))
        names = json.dumps(list(getattr(source, "names", ())))
        digest = hashlib.sha256(names.encode()).hexdigest()[:16]
        fields[f"the names of the samples in split {split!r} (SHA-256)"] = digest
    return fields


def check_agreement(fields: Mapping[str, str]) -> None:
    """Compares `fields` with those of all other processes, which have to call this together.

    Raises:
      DepthsiError: some process has other fields than process 0; the same sentence in all of them,
        about the first of those processes and the first field in which it differs.
    """
    first, *others = map(json.loads, gather_texts(json.dumps(dict(fields))))
    for number, fields_there in enumerate(others, 1):
        for name in first | fields_there:
            there, here = (of.get(name, "nothing") for of in (fields_there, first))
            if there != here:
                raise DepthsiError(
                    f"Process {number} was started with {name} = {_shortened(there, here)},"
                    f" process 0 with {_shortened(here, there)}: start all processes with the same"
                    " settings, data and packages."
                )


def _flattened(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shortened(text: str, other: str) -> str:
    """`text`, or of a long one the part where it begins to differ from `other`."""
    if len(text) <= _LONGEST:
        return text
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False))
    start = max(sum(1 for _ in same) - _LONGEST // 2, 0)
    part = text[start : start + _LONGEST]
    return f"{'...' if start else ''}{part}{'...' if start + _LONGEST < len(text) else ''}"
