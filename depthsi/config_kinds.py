"""The kinds of data, networks, losses and optimisers of a run, and changing one for another."""

import dataclasses
import typing
from typing import Any

from depthsi.config import Config
from depthsi.errors import DepthsiError

_HINTS = typing.get_type_hints(Config)
KINDS: dict[str, dict[str, Any]] = {  # section -> kind -> its class
    section: {each.kind: each for each in typing.get_args(_HINTS[section])}
    for section in ("data", "model", "loss", "optim")
}
_SOURCES = {"input_mean": "fine_input_mean", "input_std": "fine_input_std"}  # in two_scale
# good values differ between kinds
_OWN = ("kind", "learning_rate", "weight_decay", "multiplier", "space", "pairs")


def with_kind(config: Config, section: str, kind: str) -> Config:
    """`config` with another kind of data, network, loss or optimiser, keeping common settings.

    Settings whose good values depend on the kind, such as a learning rate, are not kept.

    Args:
      config: settings of a run.
      section: "data", "model", "loss" or "optim".
      kind: one of `KINDS[section]`.

    Raises:
      DepthsiError: no such kind.
    """
    if kind not in KINDS[section]:
        choices = ", ".join(KINDS[section])
        raise DepthsiError(f"--{section}.kind is {kind!r}; choose one of {choices}.")
    old, new = getattr(config, section), KINDS[section][kind]
    if old.kind == kind:
        return config
    there = field_names(old)
    sources = {name: name if name in there else _SOURCES.get(name) for name in field_names(new)}
    kept = {
        name: getattr(old, source)
        for name, source in sources.items()
        if source in there and name not in _OWN
    }
    return dataclasses.replace(config, **{section: new(**kept)})


def field_names(settings: Any) -> tuple[str, ...]:
    """Of a dataclass or one of its objects."""
    return tuple(field.name for field in dataclasses.fields(settings))
