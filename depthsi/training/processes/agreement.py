"""Refuses to train if the processes of a run were started with different settings or data.

Without this check they would not notice: each computes its share of every batch from its own
settings and data, and the result would correspond to none of them.
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
    """Values that must be the same in all processes of a run, as text, for `check_agreement`.

    Args:
      config: settings as nested dictionaries; a setting in a section is named "section.setting".
      sources: samples of each split, by its name. If a source lists its samples in an attribute
        `names`, their names and order are compared, otherwise only their number.
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
    """Compares `fields` with those of all other processes, which must call this together.

    Raises:
      DepthsiError: a process has other fields than process 0. All processes raise the same message,
        about the first such process and the first field that differs.
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
    """`text`, or the part of a long text where it starts to differ from `other`."""
    if len(text) <= _LONGEST:
        return text
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False))
    start = max(sum(1 for _ in same) - _LONGEST // 2, 0)
    part = text[start : start + _LONGEST]
    return f"{'...' if start else ''}{part}{'...' if start + _LONGEST < len(text) else ''}"
