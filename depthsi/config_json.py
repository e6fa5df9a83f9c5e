"""Settings as plain values for JSON, and back, checked."""

import dataclasses
import typing
from typing import Any, Literal, TypeVar

from depthsi.errors import DepthsiError

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """`config` as plain values for JSON."""
    return dataclasses.asdict(config)


def from_dict(kind: type[T], values: Any, where: str = "config") -> T:
    """Builds the dataclass `kind` from what `to_dict` made of it.

    Raises:
      DepthsiError: an unknown or missing name, or a value of another type, named with its place.
    """
    if not isinstance(values, dict):
        raise DepthsiError(f"{where} must be an object with fields, not {values!r}.")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(typing.cast(Any, kind))]
    if strange := sorted(set(values) ^ set(names)):
        known = "unknown" if strange[0] in values else "missing"
        raise DepthsiError(f"{where}.{strange[0]} is {known}: was it written by another version?")
    return kind(**{name: _value(hints[name], values[name], f"{where}.{name}") for name in names})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where)
    if origin is Literal:
        fits = value in args
    elif origin is tuple:
        fits = isinstance(value, list | tuple) and len(value) == len(args)
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
