"""Converts settings to plain values for JSON and back, with checks.

Written settings have a format number. Settings of an older format are migrated first, so that runs
stay readable:

  a new field       needs no new format if its default keeps the previous behaviour
  anything else     a renamed or removed field, or a changed default: increase `FORMAT`, and add a
                    function to `_MIGRATIONS` that converts the previous format
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from depthsi.config import Config
from depthsi.errors import DepthsiError

T = TypeVar("T")
FORMAT = 3


def to_dict(config: Config) -> dict[str, Any]:
    """`config` as plain values for JSON, with the format number."""
    return {"format": FORMAT} | dataclasses.asdict(config)


def config_from_dict(values: Any) -> Config:
    """The settings from which `to_dict` of this or an earlier version made `values`.

    A missing field gets its default, which keeps the behaviour of versions without the field.

    Raises:
      DepthsiError: the format is later, a field is unknown, or a value has the wrong type; the
        message names the field.
    """
    if not isinstance(values, dict):
        raise DepthsiError(f"config must be an object with fields, not {values!r}.")
    found = values.get("format", 1)
    if type(found) is not int or found < 1:
        raise DepthsiError(f"config.format is {found!r}; it must be an integer from 1.")
    if found > FORMAT:
        raise DepthsiError(
            f"config.format is {found}, but this version of depthsi reads {FORMAT} at most: install"
            " a later version."
        )
    values = {name: value for name, value in values.items() if name != "format"}
    for migrate in _MIGRATIONS[found - 1 :]:
        values = migrate(values)
    return _object(Config, values, "config")


def _object(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, dict):
        raise DepthsiError(f"{where} must be an object with fields, not {values!r}.")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(typing.cast(Any, kind))]
    if unknown := sorted(set(values) - set(names)):
        raise DepthsiError(
            f"{where}.{unknown[0]} is unknown; the fields there are {', '.join(names)}."
        )
    given = [name for name in names if name in values]
    return kind(**{name: _value(hints[name], values[name], f"{where}.{name}") for name in given})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return _one_of(args, value, where)
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast(type, hint), value, where)
    if origin is Literal:
        fits = value in args
    elif origin is tuple:
        fits = isinstance(value, list | tuple)
        if fits and args[1:] == (...,):  # as many as there are
            args = args[:1] * len(value)
        fits = fits and len(value) == len(args)
        if fits:
            places = (f"{where}[{i}]" for i in range(len(args)))
            value = tuple(map(_value, args, value, places))
    elif hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        value = float(value) if fits else value
    else:
        fits = type(value) is hint
    if not fits:
        raise DepthsiError(f"{where} is {value!r}, which is not of the expected kind, {hint}.")
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """The one of several settings classes that the field `kind` names."""
    if not isinstance(value, dict):
        raise DepthsiError(f"{where} must be an object with fields, not {value!r}.")
    by_name = {kind.kind: kind for kind in kinds}
    chosen = value.get("kind")
    if not isinstance(chosen, str) or chosen not in by_name:
        raise DepthsiError(f"{where}.kind is {chosen!r}; choose one of {', '.join(by_name)}.")
    return _object(by_name[chosen], value, where)


def _from_1_to_2(values: dict[str, Any]) -> dict[str, Any]:
    """One class of data, model and optimiser settings became one for each kind.

    What a kind did not look at is dropped.
    """
    values = dict(values)
    for section, first, rename in (
        ("data", "rooms", {}),
        ("model", "two_scale", {}),
        ("optim", "sgd", {"schedule": "rate_schedule", "rest": "adamw_rate_factor"}),
    ):
        old = values.get(section, {})
        if not isinstance(old, dict):
            continue  # refused by name later
        kind = old.get("kind", first)
        if section == "model" and kind != "two_scale":
            rename = {"fine_input_mean": "input_mean", "fine_input_std": "input_std"}
        old = {rename.get(name, name): value for name, value in old.items()}
        if kind == "rooms" and old.get("even_scenes"):
            raise DepthsiError(
                "config.data.even_scenes is set for rooms, each of which is a scene of its own:"
                " such settings are no longer read."
            )
        known = _FORMAT_2_FIELDS.get(kind, frozenset()) if isinstance(kind, str) else frozenset()
        ignored = _FORMAT_1_FIELDS[section] - known
        new = {name: value for name, value in old.items() if name not in ignored}
        values[section] = {"kind": kind} | new
    return values


def _from_2_to_3(values: dict[str, Any]) -> dict[str, Any]:
    """The one loss there was became one of several kinds."""
    old = values.get("loss", {})
    return values | {"loss": {"kind": "scale_invariant"} | old} if isinstance(old, dict) else values


_DATA_FILES = frozenset({"on_bad", "even_scenes", "workers", "resident", "root"})
_COMPARISON = frozenset({"geometry", "log_mean", "log_std", "input_mean", "input_std", "size"})
_OPTIMISER = frozenset({"rate_schedule", "warmup", "clip", "learning_rate", "weight_decay"})
_FORMAT_2_FIELDS = {  # as they were when format 2 began
    "rooms": frozenset({"seed", "train", "val", "test", "scale_range", "resident", "endless"}),
    "folder": _DATA_FILES | {"pattern", "units_per_metre"},
    "prepared": _DATA_FILES | {"depth"},
    "two_scale": frozenset(
        {
            *("geometry", "log_mean", "log_std", "variant", "width", "initialisers", "dropout"),
            *("local_response_norm", "feature_scale", "coarse_input_mean", "coarse_input_std"),
            *("fine_input_mean", "fine_input_std"),
        }
    ),
    "unet": _COMPARISON,
    "hourglass": _COMPARISON,
    "sgd": _OPTIMISER | {"momentum"},
    "adamw": _OPTIMISER,
    "muon": _OPTIMISER | {"adamw_rate_factor"},
}
_FORMAT_1_FIELDS = {  # of all kinds, under their later names
    "data": _FORMAT_2_FIELDS["rooms"] | _FORMAT_2_FIELDS["folder"] | {"depth"},
    "model": _FORMAT_2_FIELDS["two_scale"] | _COMPARISON,
    "optim": _OPTIMISER | {"momentum", "adamw_rate_factor"},
}
_MIGRATIONS: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (
    _from_1_to_2,
    _from_2_to_3,
)
