"""Compares a run's settings with the nearest preset, and builds the command that reproduces it."""

import dataclasses
import shlex
from typing import Any, NamedTuple

from depthsi.config import Config
from depthsi.config_kinds import KINDS, with_kind
from depthsi.presets import PRESETS


class Setting(NamedTuple):
    """One setting of a run.

    Attributes:
      name: name on the command line without the leading dashes: section.name or name.
      value: value in this run.
      default: value in the preset, with this run's kinds.
      changed: whether both values differ.
    """

    name: str
    value: Any
    default: Any
    changed: bool


class ComparedSettings(NamedTuple):
    """All settings of a run against those of the preset with the fewest differences."""

    preset: str
    settings: tuple[Setting, ...]


def compare_settings(config: Config) -> ComparedSettings:
    """Which preset is nearest to `config`, and what differs from it.

    Where a kind differs from the preset's, the other settings of that section are compared with
    what choosing the kind on the command line gives.
    """
    compared = [ComparedSettings(name, _against(config, make())) for name, make in PRESETS.items()]
    return min(compared, key=lambda each: sum(setting.changed for setting in each.settings))


def training_command(config: Config, run: str) -> str:
    """The command line that trains with `config` into `run`; quoted for a shell.

    Objects that a program passed, see `given_parts`, can only be named.
    """
    near = compare_settings(config)
    words = ["depthsi", "train", near.preset]
    for setting in near.settings:
        if setting.changed:
            words += _words(setting)
    return shlex.join([*words, "--run", run])


def given_parts(config: Config) -> str:
    """The objects that a program passed to `depthsi.train` in this run; "" for none."""
    parts = {"samples": config.data.kind, "loss": config.loss.kind}
    return " and ".join(name for name, kind in parts.items() if kind == "custom")


def _words(setting: Setting) -> list[str]:
    flag = f"--{setting.name}"
    if isinstance(setting.value, bool):
        section, _, name = setting.name.rpartition(".")
        return [flag if setting.value else f"--{section}.no-{name}"]
    values = setting.value if isinstance(setting.value, tuple) else (setting.value,)
    if len(values) == 1 and str(values[0]).startswith("-"):
        return [f"{flag}={values[0]}"]
    return [flag, *map(str, values)]


def _against(config: Config, preset: Config) -> tuple[Setting, ...]:
    base = preset
    for section in KINDS:
        base = with_kind(base, section, getattr(config, section).kind)
    return tuple(_settings(config, base, preset))


def _settings(config: Config, base: Config, preset: Config) -> list[Setting]:
    found = []
    for field in dataclasses.fields(config):
        here, there = getattr(config, field.name), getattr(base, field.name)
        if not dataclasses.is_dataclass(here):
            found.append(Setting(field.name, here, there, here != there))
            continue
        for inner in sorted(dataclasses.fields(here), key=lambda each: each.name != "kind"):
            value, default = getattr(here, inner.name), getattr(there, inner.name)
            if inner.name == "kind":
                default = getattr(preset, field.name).kind
            name = f"{field.name}.{inner.name}".replace("_", "-")
            found.append(Setting(name, value, default, value != default))
    return found
